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

  @Test("Up to its capacity a queue never allocates", arguments: IncrementPattern.allCases)
  func nothingIsAllocated(pattern: IncrementPattern) throws {
    try #require(heliostat_allocations_available() == 1, "no allocation counter on this platform")
    for capacity in [1, 70, 2_000] {
      var random = RandomStream(seed: 5, stream: 5)
      var queue = EventQueue<WidePayload>(capacity: capacity)
      heliostat_allocations_start()
      for number in 0..<capacity {
        let time = Instant(nanoseconds: pattern.draw(from: &random))
        queue.push(WidePayload(UInt64(number)), at: time)
      }
      for _ in 0..<30_000 {
        guard let (time, payload) = queue.pop() else { break }
        queue.push(payload, at: time + .nanoseconds(pattern.draw(from: &random)))
      }
      while queue.pop() != nil {}
      #expect(heliostat_allocations_stop() == 0)
      #expect(queue.count == 0)
    }
  }

  @Test("A queue that grows past its capacity allocates only while the peak grows")
  func growthEnds() throws {
    try #require(heliostat_allocations_available() == 1, "no allocation counter on this platform")
    var random = RandomStream(seed: 6, stream: 6)
    var queue = EventQueue<WidePayload>()
    var now = Instant.zero
    var counts: [UInt64] = []
    for _ in 0..<4 {
      heliostat_allocations_start()
      for number in 0..<10_000 {
        let delay = TimeSpan.nanoseconds(random.below(1 << 25))
        queue.push(WidePayload(UInt64(number)), at: now + delay)
      }
      while let (time, _) = queue.pop() { now = time }
      counts.append(heliostat_allocations_stop())
      // Each turn begins at the same digits below the 30th bit, so that it needs as many buckets.
      now = Instant(nanoseconds: (now.nanoseconds >> 30 + 1) << 30)
    }
    #expect(counts[0] > 0 && counts[0] < 20)
    #expect(counts[2...].allSatisfy { $0 == 0 })
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
