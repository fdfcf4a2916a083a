import Benchmark
import Primitives
import RuntimeCore

/// A record of the size that the protocol's tables hold.
struct Record: BitwiseCopyable {
  var words: (UInt64, UInt64, UInt64, UInt64)
  init(_ first: UInt64) { words = (first, 0, 0, 0) }
}

/// A map and its keys in random order.
struct FilledMap: ~Copyable {
  var map: WordMap<UInt64>
  var keys: [UInt64]
  var position = 0

  /// Keys of objects, as in the protocol's tables.
  init(_ count: Int) {
    map = WordMap()
    keys = []
    var random = RandomStream(seed: 1, stream: 1)
    for i in 0..<count {
      let key = ObjectHandle(producer: TaskHandle(UInt32(i)), index: 0).key
      map.set(key, UInt64(i))
      keys.append(key)
    }
    keys.shuffle(using: &random)
  }

  mutating func lookUp() -> UInt64 {
    var sum: UInt64 = 0
    for _ in 0..<operations {
      sum &+= map[keys[position]] ?? 0
      position = position + 1 == keys.count ? 0 : position + 1
    }
    return sum
  }

  /// Removes a key and inserts one that was not there.
  mutating func replace() -> UInt64 {
    for _ in 0..<operations {
      map.remove(keys[position])
      keys[position] &+= UInt64(keys.count) << 32
      map.set(keys[position], 1)
      position = position + 1 == keys.count ? 0 : position + 1
    }
    return UInt64(map.count)
  }
}

/// A table and its live slots in random order.
struct FilledSlots: ~Copyable {
  var table = SlotTable<Record>()
  var slots: [UInt32] = []
  var position = 0

  init(_ count: Int) {
    var random = RandomStream(seed: 1, stream: 2)
    for i in 0..<count { slots.append(table.insert(Record(UInt64(i)))) }
    slots.shuffle(using: &random)
  }

  mutating func read() -> UInt64 {
    var sum: UInt64 = 0
    for _ in 0..<operations {
      sum &+= table.pointer(slots[position]).pointee.words.0
      position = position + 1 == slots.count ? 0 : position + 1
    }
    return sum
  }

  /// Frees 20 slots and takes 20, so that the list of free slots is used in depth.
  mutating func replace() -> UInt64 {
    let batch = 20
    for _ in 0..<operations / batch {
      for i in 0..<batch { table.remove(slots[position + i]) }
      for i in 0..<batch { slots[position + i] = table.insert(Record(UInt64(i))) }
      position = position + 2 * batch > slots.count ? 0 : position + batch
    }
    return UInt64(table.count)
  }
}

func tables() -> BenchmarkSuite {
  let suite = BenchmarkSuite(name: "tables")
  for (name, count) in [("1k", 1_000), ("1m", 1_000_000)] {
    suite.measure("WordMap look-up, \(name) keys", FilledMap(count)) { $0.lookUp() }
    suite.measure("WordMap remove and insert, \(name) keys", FilledMap(count)) { $0.replace() }
    suite.measure("SlotTable read, \(name) records", FilledSlots(count)) { $0.read() }
    suite.measure("SlotTable remove and insert, \(name) records", FilledSlots(count)) {
      $0.replace()
    }
  }
  return suite
}
