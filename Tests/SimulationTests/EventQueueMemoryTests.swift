import CAllocationCounter
import Primitives
import Simulation
import Testing

@Suite("Event queue: memory")
struct EventQueueMemoryTests {
  @Test("The counter sees an allocation, and only between start and stop")
  func counterCounts() throws {
    try #require(heliostat_allocations_available() == 1, "no allocation counter on this platform")
    heliostat_allocations_start()
    let during = UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 8)
    let aligned = UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 256)
    let count = heliostat_allocations_stop()
    let after = UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 8)
    #expect(count == 2)
    #expect(heliostat_allocations_stop() == 0)
    #expect(UInt(bitPattern: aligned) % 256 == 0)
    for pointer in [during, aligned, after] { pointer.deallocate() }
  }

  /// Fills a queue to its capacity, holds that, and drains it.
  ///
  /// - Returns: the allocations meanwhile, those of making the queue excluded.
  private func allocations(_ pattern: IncrementPattern, capacity: Int) -> UInt64 {
    var random = RandomStream(seed: 5, stream: 5)
    var queue = EventQueue<WidePayload>(capacity: capacity)
    heliostat_allocations_start()
    for number in 0..<capacity {
      let time = Instant(nanoseconds: pattern.draw(from: &random))
      queue.push(WidePayload(UInt64(number)), at: time)
    }
    for _ in 0..<20_000 {
      guard let (time, payload) = queue.pop() else { break }
      queue.push(payload, at: time + .nanoseconds(pattern.draw(from: &random)))
    }
    while queue.pop() != nil {}
    return heliostat_allocations_stop()
  }

  @Test("Up to its capacity a queue never allocates", arguments: IncrementPattern.allCases)
  func nothingIsAllocated(pattern: IncrementPattern) throws {
    try #require(heliostat_allocations_available() == 1, "no allocation counter on this platform")
    for capacity in [1, 70, 2_000] {
      // The first pass makes Swift create its descriptions of types, which it keeps.
      _ = allocations(pattern, capacity: capacity)
      #expect(allocations(pattern, capacity: capacity) == 0)
    }
  }

  @Test("A queue that grows past its capacity allocates only while the peak grows")
  func growthEnds() throws {
    try #require(heliostat_allocations_available() == 1, "no allocation counter on this platform")
    var queue = EventQueue<WidePayload>()
    // The first turn also makes Swift create its descriptions of types.
    var counts: [UInt64] = []
    for turn in 1...4 {
      // The same events each turn, at the same digits below the 30th bit: the same buckets.
      var random = RandomStream(seed: 6, stream: 6)
      let start = Instant(nanoseconds: UInt64(turn) << 30)
      heliostat_allocations_start()
      for number in 0..<10_000 {
        let delay = TimeSpan.nanoseconds(random.below(1 << 25))
        queue.push(WidePayload(UInt64(number)), at: start + delay)
      }
      while queue.pop() != nil {}
      counts.append(heliostat_allocations_stop())
    }
    #expect(counts[0] > 0)
    #expect(counts[0] < 100)
    #expect(counts[2] == 0)
    #expect(counts[3] == 0)
  }

  @Test("Memory follows the peak of pending events, not the events passed")
  func memoryIsBounded() {
    var random = RandomStream(seed: 9, stream: 9)
    var queue = EventQueue<WidePayload>()
    let empty = queue.memoryBytes
    var now = Instant.zero
    for _ in 0..<20 {
      for number in 0..<20_000 as Range<UInt64> {
        queue.push(WidePayload(number), at: now + .nanoseconds(random.below(50_000_000)))
      }
      while let (time, _) = queue.pop() { now = time }
    }
    #expect(empty < 32 << 10)
    // 400 000 events of 48 bytes have passed, 20 000 at a time; as much again for the chunks that
    // are partly filled.
    #expect(queue.memoryBytes > 20_000 * 48)
    #expect(queue.memoryBytes < 2 * 20_000 * 48)
  }
}
