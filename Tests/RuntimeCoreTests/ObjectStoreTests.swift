import Primitives
import Testing

@testable import RuntimeCore

@Suite("the object store of a node")
struct ObjectStoreTests {
  private func object(_ i: Int) -> ObjectHandle {
    ObjectHandle(producer: TaskHandle(UInt32(i)), index: 0)
  }

  @Test("an object that fits is in memory; one that does not goes to disk and is counted there")
  func sealing() {
    var store = ObjectStore(capacity: ByteCount(100))
    _ = store.seal(object(1), ByteCount(60), .value, isPrimary: true)
    _ = store.seal(object(2), ByteCount(40), .value, isPrimary: true)
    _ = store.seal(object(3), ByteCount(1), .value, isPrimary: true)
    let inMemory = [1, 2, 3].filter { store.isInMemory(object($0)) }
    #expect(inMemory == [1, 2])
    #expect(store.used == ByteCount(100) && store.fallback == ByteCount(1))
    store.checkInvariants()
  }

  @Test("the one not used for longest leaves first, a pinned one never")
  func leastRecentlyUsed() {
    var store = ObjectStore(capacity: ByteCount(100))
    let slots = (0..<4).map { store.seal(object($0), ByteCount(25), .value, isPrimary: true) }
    #expect(store.victim(toFit: .zero) == nil)
    #expect(store.victim(toFit: ByteCount(1)) == slots[0])
    store.pin(slots[0])
    #expect(store.victim(toFit: ByteCount(1)) == slots[1])
    #expect(store.unpin(slots[0]) == false)
    // Its last use is the latest now.
    for slot in [slots[1], slots[2], slots[3]] {
      #expect(store.victim(toFit: ByteCount(100)) == slot)
      store.moveToDisk(slot)
    }
    #expect(store.victim(toFit: ByteCount(75)) == nil)
    store.pin(slots[0])
    #expect(store.victim(toFit: ByteCount(100)) == nil)
    store.checkInvariants()
  }

  @Test("an object freed while pinned goes with its last pin")
  func freedWhilePinned() {
    var store = ObjectStore(capacity: ByteCount(100))
    let slot = store.seal(object(1), ByteCount(60), .value, isPrimary: true)
    store.pin(slot)
    store.pin(slot)
    store.markFreed(slot)
    #expect(store.unpin(slot) == false)
    #expect(store.unpin(slot) == true)
    store.remove(slot)
    #expect(store.used == .zero && store.count == 0 && store.find(object(1)) == nil)
    store.checkInvariants()
  }

  @Test("what is read back from disk counts even beyond the capacity, once")
  func restoring() {
    var store = ObjectStore(capacity: ByteCount(100))
    let a = store.seal(object(1), ByteCount(80), .value, isPrimary: true)
    store.moveToDisk(a)
    let b = store.seal(object(2), ByteCount(80), .value, isPrimary: true)
    store.pin(b)
    #expect(store.startRestoring(a) == true)
    #expect(store.startRestoring(a) == false)
    store.pin(a)
    store.restored(a)
    #expect(store.used == ByteCount(160))
    #expect(store.isInMemory(object(1)) == true)
    #expect(store.unpin(a) == false)
    #expect(store.victim(toFit: .zero) == a)
    store.checkInvariants()
  }

  @Test("agrees with an obvious store under random use")
  func oracle() {
    for seed in UInt64(0)..<50 {
      var random = RandomStream(seed: seed, stream: 0)
      var store = ObjectStore(capacity: ByteCount(1000))
      // Oldest use first; pinned ones keep a place of their own.
      var order: [Int] = []
      var pins: [Int: Int] = [:]
      var sizes: [Int: UInt64] = [:]
      var disk: Set<Int> = []
      for step in 0..<400 {
        let id = Int(random.below(20))
        let slot = store.find(object(id))
        switch random.below(5) {
        case 0 where slot == nil:
          let size = random.below(300)
          while let victim = store.victim(toFit: ByteCount(size)) {
            let oldest = order.removeFirst()
            #expect(store[victim].object == object(oldest), "seed \(seed) step \(step)")
            store.moveToDisk(victim)
            disk.insert(oldest)
          }
          _ = store.seal(object(id), ByteCount(size), .value, isPrimary: true)
          let memory = sizes.filter { !disk.contains($0.key) }.map(\.value).reduce(0, +)
          sizes[id] = size
          if memory + size <= 1000 { order.append(id) } else { disk.insert(id) }
        case 1:
          guard let slot else { continue }
          store.pin(slot)
          pins[id, default: 0] += 1
          order.removeAll { $0 == id }
        case 2:
          guard let slot, pins[id, default: 0] > 0 else { continue }
          _ = store.unpin(slot)
          pins[id]! -= 1
          if pins[id] == 0 && !disk.contains(id) { order.append(id) }
        case 3:
          guard let slot, pins[id, default: 0] == 0 else { continue }
          store.remove(slot)
          order.removeAll { $0 == id }
          sizes[id] = nil
          disk.remove(id)
        default:
          guard let slot, disk.contains(id) else { continue }
          store.restored(slot)
          disk.remove(id)
          if pins[id, default: 0] == 0 { order.append(id) }
        }
        let memory = sizes.filter { !disk.contains($0.key) }.map(\.value).reduce(0, +)
        #expect(store.used.bytes == memory, "seed \(seed) step \(step)")
        store.checkInvariants()
      }
    }
  }
}
