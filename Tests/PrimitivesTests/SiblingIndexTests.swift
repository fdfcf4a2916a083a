import Testing

@testable import Primitives

@Suite("identities to handles")
struct SiblingIndexTests {
  @Test("agrees with a dictionary while families come and go", arguments: UInt64(0)..<6)
  func oracle(seed: UInt64) {
    var random = RandomStream(seed: seed, stream: 0)
    var index = SiblingIndex()
    var model: [TaskID: TaskHandle] = [:]
    let parents = (0..<5).map { TaskID.root(driver: $0, seed: seed) }
    var living: [TaskID] = []
    for step in 0..<20_000 {
      // Grows for a while, then drains: rows must move back over the gaps.
      let grows = (step / 2500).isMultiple(of: 2) ? 3 : 1
      if living.isEmpty || random.below(4) < grows {
        let id = parents[Int(random.below(5))].child(random.below(3000))
        let handle = TaskHandle(UInt32(truncatingIfNeeded: random.below(1 << 20)))
        index.set(id, handle)
        if model.updateValue(handle, forKey: id) == nil { living.append(id) }
      } else {
        let id = living.remove(at: Int(random.below(UInt64(living.count))))
        index.remove(id)
        model[id] = nil
      }
      let asked = parents[Int(random.below(5))].child(random.below(3000))
      let found = index.find(asked)
      #expect(found == model[asked], "step \(step)")
    }
    for id in living {
      let found = index.find(id)
      #expect(found == model[id])
    }
    for id in living { index.remove(id) }
    for parent in parents {
      for child in UInt64(0)..<3000 {
        let found = index.find(parent.child(child))
        #expect(found == nil)
      }
    }
  }

  @Test("what is not there can be removed; a handle can be replaced")
  func edges() {
    var index = SiblingIndex()
    let id = TaskID.root(driver: 0, seed: 1).child(7)
    index.remove(id)
    let before = index.find(id)
    #expect(before == nil)
    index.set(id, TaskHandle(3))
    index.set(id, TaskHandle(4))
    let replaced = index.find(id)
    #expect(replaced == TaskHandle(4))
    index.remove(TaskID(high: id.high, low: id.low + 1))
    let kept = index.find(id)
    #expect(kept == TaskHandle(4))
  }

  @Test("memory follows the peak: a row for each eight siblings, at most four times that")
  func memory() {
    var index = SiblingIndex()
    let parent = TaskID.root(driver: 0, seed: 1)
    let count: UInt64 = 80_000
    for child in 0..<count { index.set(parent.child(child), TaskHandle(UInt32(child))) }
    #expect(index.memoryBytes <= Int(count / 8) * 40 * 4)
  }
}
