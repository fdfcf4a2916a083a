import Primitives
import Testing

@Suite("maps, tables and queues against slow oracles")
struct TableTests {
  /// Families of keys that are hard on a hash: dense, far apart, equal in their low or high half.
  static let families: [@Sendable (UInt64) -> UInt64] = [
    { $0 }, { $0 << 32 }, { $0 << 32 | 0xFFFF_FFFE }, { $0 &* 0x9E37_79B9_7F4A_7C15 }, { ~$0 &- 1 },
  ]

  @Test("WordMap agrees with a dictionary", arguments: 0..<5)
  func wordMap(family: Int) {
    for seed in UInt64(0)..<20 {
      var random = RandomStream(seed: seed, stream: UInt64(family))
      var map = WordMap<UInt64>()
      var model: [UInt64: UInt64] = [:]
      let range = 1 + random.below(300)
      for _ in 0..<1500 {
        let key = Self.families[family](random.below(range))
        switch random.below(5) {
        case 0, 1:
          let value = random.next()
          map.set(key, value)
          model[key] = value
        case 2:
          let removed = map.remove(key)
          #expect(removed == model.removeValue(forKey: key))
        case 3:
          map.pointer(key, inserting: 7).pointee &+= 1
          model[key, default: 7] &+= 1
        default:
          let found = map[key]
          #expect(found == model[key])
          #expect((map.pointer(key) != nil) == (model[key] != nil))
        }
        #expect(map.count == model.count)
      }
      for (key, value) in model {
        let found = map[key]
        #expect(found == value)
      }
    }
  }

  @Test("a map whose population is steady does not grow")
  func steadyMap() {
    var map = WordMap<UInt32>(minimumCapacity: 100)
    for i in UInt64(0)..<64 { map.set(i, 0) }
    let bytes = map.memoryBytes
    for i in UInt64(64)..<100_000 {
      map.remove(i - 64)
      map.set(i, 0)
    }
    #expect(map.memoryBytes == bytes)
    #expect(map.count == 64)
  }

  @Test("SlotTable keeps records apart, in place, and uses freed slots again")
  func slotTable() {
    for seed in UInt64(0)..<20 {
      var random = RandomStream(seed: seed, stream: 0)
      var table = SlotTable<UInt64>()
      var model: [UInt32: (value: UInt64, place: UnsafeMutablePointer<UInt64>)] = [:]
      var most = 0
      for _ in 0..<2000 {
        if random.below(5) < 3 || model.isEmpty {
          let value = random.next()
          let slot = table.insert(value)
          #expect(model[slot] == nil)
          model[slot] = (value, table.pointer(slot))
        } else {
          let slot = model.keys.sorted()[Int(random.below(UInt64(model.count)))]
          model[slot] = nil
          table.remove(slot)
        }
        most = max(most, model.count)
        #expect(table.count == model.count)
      }
      // The word that slots are given out of may be begun while others have gaps.
      #expect(table.slotCount < most + 64)
      #expect(table.liveSlots == model.keys.sorted())
      for slot in UInt32(0)..<UInt32(table.slotCount) {
        let isLive = table.isLive(slot)
        #expect(isLive == (model[slot] != nil))
      }
      for (slot, entry) in model {
        let value = table[slot]
        #expect(value == entry.value && table.pointer(slot) == entry.place)
      }
    }
  }

  @Test("a burst gets slots side by side, in whatever order the last burst's were freed")
  func slotOrder() {
    var random = RandomStream(seed: 1, stream: 0)
    var table = SlotTable<UInt64>()
    let kept = (0..<1000).map { table.insert(UInt64($0)) }
    for round in 0..<20 {
      var burst = (0..<5000).map { table.insert(UInt64($0)) }
      let steps = zip(burst, burst.dropFirst()).count { $0 &+ 1 == $1 }
      #expect(steps >= 5000 - 5000 / 64 - 2, "round \(round)")
      burst.shuffle(using: &random)
      for slot in burst { table.remove(slot) }
    }
    // Gaps that stay are used before the table grows.
    let slots = table.slotCount
    for slot in kept where slot % 3 == 0 { table.remove(slot) }
    for _ in 0..<300 { _ = table.insert(0) }
    #expect(table.slotCount == slots)
    #expect(table.count == 1000 - 334 + 300)
  }

  @Test("RingQueue agrees with an array at both ends")
  func ringQueue() {
    for seed in UInt64(0)..<20 {
      var random = RandomStream(seed: seed, stream: 0)
      var queue = RingQueue<UInt64>()
      var model: [UInt64] = []
      for _ in 0..<2000 {
        switch random.below(5) {
        case 0, 1,
          2 where model.count < 200:
          let value = random.next()
          queue.append(value)
          model.append(value)
        case 3:
          let popped = queue.popFirst()
          #expect(popped == (model.isEmpty ? nil : model.removeFirst()))
        default:
          let popped = queue.popLast()
          #expect(popped == model.popLast())
        }
        #expect(queue.count == model.count && queue.first == model.first)
        if !model.isEmpty {
          let i = Int(random.below(UInt64(model.count)))
          let element = queue[i]
          #expect(element == model[i])
        }
      }
    }
  }

  @Test("EffectBuffer keeps order, grows, and is empty after removeAll")
  func effectBuffer() {
    var buffer = EffectBuffer<UInt64>(capacity: 1)
    for round in 0..<3 {
      for i in UInt64(0)..<UInt64(100 * (round + 1)) { buffer.append(i) }
      #expect(buffer.count == 100 * (round + 1))
      for i in 0..<buffer.count {
        let element = buffer[i]
        #expect(element == UInt64(i))
      }
      buffer.removeAll()
      #expect(buffer.isEmpty == true)
    }
  }
}
