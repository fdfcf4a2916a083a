import Primitives
import RealWorld
import Testing

@Suite struct ObjectMemoryTests {
  private func store(_ byteCount: Int = 1 << 20) throws -> ObjectMemory {
    ObjectMemory(
      segment: try SharedSegment.create(byteCount: byteCount), copier: ParallelCopy(threads: 1),
      idleAhead: 0)
  }

  @Test("Each verb says what it misses: a table of states and verbs")
  func errors() throws {
    var memory = try store()
    _ = try memory.create(1, count: 10)
    try memory.put(2, [1, 2])
    try memory.put(3, [3])
    _ = try memory.get(3)
    try memory.delete(3)
    func check(
      _ expected: StoreError?, _ body: (inout ObjectMemory) throws(StoreError) -> Void,
      _ location: SourceLocation = #_sourceLocation
    ) {
      let error = failure { () throws(StoreError) in try body(&memory) }
      #expect(error == expected, sourceLocation: location)
    }
    for key in 1...3 as ClosedRange<UInt64> {
      check(.alreadyExists(key: key)) { m throws(StoreError) in _ = try m.create(key, count: 1) }
    }
    check(.notSealed(key: 1)) { m throws(StoreError) in _ = try m.get(1) }
    check(.notSealed(key: 1)) { m throws(StoreError) in try m.delete(1) }
    check(.notSealed(key: 1)) { m throws(StoreError) in try m.spill(1) }
    check(.notSealed(key: 1)) { m throws(StoreError) in try m.restore(1) }
    check(.alreadySealed(key: 2)) { m throws(StoreError) in try m.seal(2) }
    check(.alreadySealed(key: 2)) { m throws(StoreError) in try m.abort(2) }
    check(.unknown(key: 2)) { m throws(StoreError) in try m.release(2) }
    check(.notSpilled(key: 2)) { m throws(StoreError) in try m.restore(2) }
    check(.unknown(key: 3)) { m throws(StoreError) in _ = try m.get(3) }
    check(.unknown(key: 3)) { m throws(StoreError) in try m.delete(3) }
    for key in [4, UInt64.max] {
      check(.unknown(key: key)) { m throws(StoreError) in _ = try m.get(key) }
      check(.unknown(key: key)) { m throws(StoreError) in try m.seal(key) }
      check(.unknown(key: key)) { m throws(StoreError) in try m.abort(key) }
      check(.unknown(key: key)) { m throws(StoreError) in try m.release(key) }
      check(.unknown(key: key)) { m throws(StoreError) in try m.delete(key) }
      check(.unknown(key: key)) { m throws(StoreError) in try m.spill(key) }
    }
    check(.reservedKey) { m throws(StoreError) in _ = try m.create(.max, count: 1) }
    _ = try memory.get(2)
    check(.pinned(key: 2, pins: 1)) { m throws(StoreError) in try m.spill(2) }
    // Nothing of that has changed anything: 3 goes with its last reader.
    try memory.release(3)
    check(nil) { m throws(StoreError) in _ = try m.create(3, count: 1) }
    memory.checkInvariants(keys: [1, 2, 3])
  }

  @Test("What does not fit is refused with what is free and the largest hole")
  func doesNotFit() throws {
    var memory = try store(8192)
    for key in 0..<4 as Range<UInt64> { _ = try memory.create(key, count: 2048) }
    try memory.abort(0)
    try memory.abort(2)
    let error = failure { () throws(StoreError) in _ = try memory.create(9, count: 2049) }
    #expect(
      error
        == .doesNotFit(
          asked: ByteCount(2049), free: ByteCount(4096), largestHole: ByteCount(2048),
          capacity: ByteCount(8192)))
    let huge = failure { () throws(StoreError) in _ = try memory.create(9, count: .max) }
    #expect(huge != nil)
    let negative = failure { () throws(StoreError) in _ = try memory.createRegion(count: -1) }
    guard case .doesNotFit(ByteCount(.max), _, _, _) = negative else {
      Issue.record("\(String(describing: negative))")
      return
    }
    #expect(memory.count == 2)
    _ = try memory.create(9, count: 2048)
  }

  @Test("Objects of every size are read as they were put, the empty one too")
  func sizes() throws {
    var memory = try store(32 << 20)
    let sizes = [0, 1, 63, 64, 65, 4096, 1_000_000, 1 << 20, 3_000_001]
    for (key, size) in sizes.enumerated() { try memory.put(UInt64(key), pattern(5, size)) }
    for (key, size) in sizes.enumerated() {
      let bytes = try memory.contents(UInt64(key))
      #expect(bytes == pattern(5, size))
    }
    memory.checkInvariants(keys: Array(0..<20))
  }

  @Test("A region holds what its client put there until all of it is deleted")
  func region() throws {
    var memory = try store()
    let lease = try memory.createRegion(count: 10_000)
    #expect(lease.extent.count == 10_000)
    for key in 0..<3 as Range<UInt64> {
      let offset = lease.extent.offset + Int(key) * 128
      memory.segment.bytes(at: offset, count: 100).copyBytes(from: pattern(key, 100))
      try memory.adopt(key, in: lease.id, offset: offset, count: 100)
    }
    for key in 0..<3 as Range<UInt64> {
      let bytes = try memory.contents(key)
      #expect(bytes == pattern(key, 100))
    }
    memory.checkInvariants(keys: [0, 1, 2])
    for key in 0..<3 as Range<UInt64> { try memory.delete(key) }
    // An open region stays although it is empty.
    #expect(memory.regionCount == 1)
    try memory.adopt(5, in: lease.id, offset: lease.extent.offset + 500, count: 9500)
    try memory.closeRegion(lease.id)
    #expect(memory.regionCount == 1)
    #expect(memory.used > .zero)
    try memory.delete(5)
    #expect(memory.regionCount == 0)
    #expect(memory.used == .zero)
  }

  @Test("Bytes outside of the unused rest of a region are not adopted")
  func badRanges() throws {
    var memory = try store()
    try memory.put(50, pattern(50, 5000))
    let lease = try memory.createRegion(count: 1000)
    let start = lease.extent.offset
    try memory.adopt(1, in: lease.id, offset: start + 100, count: 100)
    let bad = [
      (start - 1, 10), (start, 10), (start + 199, 1), (start + 990, 11), (start + 1001, 0),
      (start + 200, -1), (start + 200, Int.max), (Int.max, 1), (Int.min, 1), (-1, 0),
    ]
    for (offset, count) in bad {
      let error = failure { () throws(StoreError) in
        try memory.adopt(2, in: lease.id, offset: offset, count: count)
      }
      #expect(
        error
          == .badRange(
            region: lease.id, offset: offset, count: count, allowed: start + 200..<start + 1000))
    }
    let twice = failure { () throws(StoreError) in
      try memory.adopt(1, in: lease.id, offset: start + 200, count: 1)
    }
    #expect(twice == .alreadyExists(key: 1))
    try memory.closeRegion(lease.id)
    for region in [lease.id, 0, .max, lease.id + 1, lease.id & 0xFFFF_FFFF] {
      let closed = failure { () throws(StoreError) in try memory.closeRegion(region) }
      #expect(closed == .unknownRegion(region))
      let adopted = failure { () throws(StoreError) in
        try memory.adopt(3, in: region, offset: start + 300, count: 1)
      }
      #expect(adopted == .unknownRegion(region))
    }
    try memory.delete(1)
    // The slot is used again, and the old lease does not name the new one.
    let next = try memory.createRegion(count: 1000)
    #expect(next.id != lease.id)
    let stale = failure { () throws(StoreError) in try memory.closeRegion(lease.id) }
    #expect(stale == .unknownRegion(lease.id))
  }

  @Test("Expected memory is touched before it is asked for")
  func expects() throws {
    var memory = try store(64 << 20)
    memory.expect(ByteCount(20 << 20))
    memory.waitUntilTouched()
    #expect(memory.segment.committedMark == 20 << 20)
    memory.expect(ByteCount(UInt64.max))
    memory.waitUntilTouched()
    #expect(memory.segment.committedMark == 64 << 20)
    _ = try memory.create(1, count: 64 << 20)
  }

  @Test("The distance touched ahead grows with the memory in use")
  func aheadGrows() throws {
    var memory = ObjectMemory(
      segment: try SharedSegment.create(byteCount: 64 << 20), copier: ParallelCopy(threads: 1),
      idleAhead: 2 << 20, maximumAhead: 8 << 20)
    memory.waitUntilTouched()
    #expect(memory.segment.committedMark == 2 << 20)
    _ = try memory.create(1, count: 4 << 20)
    memory.waitUntilTouched()
    #expect(memory.segment.committedMark == 8 << 20)
    _ = try memory.create(2, count: 16 << 20)
    memory.waitUntilTouched()
    #expect(memory.segment.committedMark == 28 << 20)
  }
}

extension ObjectMemory {
  mutating func put(_ key: UInt64, _ bytes: [UInt8]) throws(StoreError) {
    var error: StoreError?
    bytes.withUnsafeBytes { source in
      error = failure { () throws(StoreError) in try put(key, source) }
    }
    if let error { throw error }
  }

  mutating func contents(_ key: UInt64) throws(StoreError) -> [UInt8] {
    let extent = try get(key)
    let bytes = Array(segment.bytes(at: extent.offset, count: extent.count))
    try release(key)
    return bytes
  }
}
