import Primitives

/// The pending events of a simulation, in the order of time and, among equal times, of insertion.
///
/// The queue is *monotone*: an event may be pushed at the time of the last one popped or later,
/// never before. That permits a radix structure without comparisons on the way in, and without
/// sequence numbers: equal times always share a bucket, and buckets keep their order.
///
/// **Structure.** A multi-level bucket queue (E. V. Denardo and B. L. Fox, "Shortest-Route Methods:
/// 1. Reaching, Pruning, and Buckets", 1979; as a monotone heap: A. V. Goldberg and C. Silverstein,
/// "Implementations of Dijkstra's Algorithm Based on Multi-Level Buckets", 1997). Time is read as
/// digits; an event lies on the level of the highest digit in which it differs from `base`, in the
/// bucket of that digit. A bucket is a chain of fixed-size chunks. When the earliest bucket is due
/// and is a single chunk, it is sorted and served (the *front*); a longer chain is distributed over
/// the digits in which its times differ, and one whose times are all equal is served as it lies.
///
/// **Cost.** An event moves about once per digit in which crowded neighbours differ, whatever the
/// increments look like: there is no bucket width to tune.
///
/// **Memory.** Chunks return to a free list and are given back to the system only by `deinit`: what
/// is held follows the peak of pending events, not the events passed. With n pending, no more than
/// n ÷ 64 + min(n, 704) chunks of 64 events are in use, since each of the 704 buckets ends in one
/// that is partly filled; usually 50 to 200 of them are occupied. While no more events are pending
/// than the capacity asked for, no operation allocates; beyond it, the memory grows by half.
@frozen
public struct EventQueue<Payload: BitwiseCopyable>: ~Copyable {
  @usableFromInline typealias Event = ScheduledEvent<Payload>
  @usableFromInline typealias Bucket = EventBucket<Payload>

  /// The rest of the sorted events being served: from `head` up to `tail`.
  @usableFromInline var head: UnsafeMutablePointer<Event>
  @usableFromInline var tail: UnsafeMutablePointer<Event>
  /// Times that differ from `base` by less (as bit patterns) belong into the front.
  @usableFromInline var frontWidth: UInt64
  /// Not later than the last time popped; every waiting event lies at its level against this.
  @usableFromInline var base: UInt64
  /// The time of the last event popped.
  @usableFromInline var lastTime: UInt64
  @usableFromInline var pending: Int

  @usableFromInline let buckets: UnsafeMutablePointer<Bucket>
  /// Per level, which of its buckets hold events.
  @usableFromInline let occupied: UnsafeMutablePointer<UInt64>
  /// Which levels hold events.
  @usableFromInline var occupiedLevels: UInt64
  /// The chunk that the front uses.
  @usableFromInline var frontStart: UnsafeMutablePointer<Event>
  /// The keys of the events being sorted.
  @usableFromInline let keys: UnsafeMutablePointer<Int32>
  @usableFromInline var chunks: ChunkPool<Event>

  /// A queue at time zero that allocates nothing more until over `capacity` events are pending.
  @inlinable public init(capacity: Int = 0) {
    precondition(capacity >= 0, "an event queue of capacity \(capacity)")
    // The last four: the front, its sorted copy, one being distributed, and one to spare.
    chunks = ChunkPool(
      reserving: capacity / EventQueueLayout.chunkCapacity
        + min(capacity, EventQueueLayout.bucketCount) + 4)
    frontStart = chunks.take()
    head = frontStart
    tail = frontStart
    frontWidth = 0
    base = 0
    lastTime = 0
    pending = 0
    buckets = .allocate(capacity: EventQueueLayout.bucketCount)
    buckets.initialize(
      repeating: Bucket(head: frontStart, cursor: frontStart, limit: frontStart, earliest: .max),
      count: EventQueueLayout.bucketCount)
    occupied = .allocate(capacity: EventQueueLayout.levels)
    occupied.initialize(repeating: 0, count: EventQueueLayout.levels)
    occupiedLevels = 0
    keys = .allocate(capacity: EventQueueLayout.chunkCapacity)
    keys.initialize(repeating: 0, count: EventQueueLayout.chunkCapacity)
  }

  deinit {
    buckets.deallocate()
    occupied.deallocate()
    keys.deallocate()
    chunks.deallocate()
  }

  /// The number of pending events.
  @inlinable public var count: Int { pending }

  /// The time of the earliest event, or nil when none is pending.
  @inlinable public var nextTime: Instant? {
    if head != tail { return Instant(nanoseconds: head.pointee.time) }
    if pending == 0 { return nil }
    let level = occupiedLevels.trailingZeroBitCount
    let digit = occupied[level].trailingZeroBitCount
    return Instant(nanoseconds: buckets[level << EventQueueLayout.digitBits + digit].earliest)
  }

  /// An event that will be popped soon: the next but one, while it lies in the front already. To look
  /// at only: events that are pushed meanwhile may come first.
  @inlinable @inline(__always)
  public var upcoming: UnsafePointer<Payload>? {
    let second = head + 1
    return second < tail ? withUnsafePointer(to: &second.pointee.payload) { $0 } : nil
  }

  /// The bytes of heap in use: the tables, and the chunks that events have ever lain in. Memory
  /// reserved and never written is not counted.
  @inlinable public var memoryBytes: Int {
    chunks.usedBytes + EventQueueLayout.bucketCount * MemoryLayout<Bucket>.stride
      + EventQueueLayout.levels * MemoryLayout<UInt64>.stride
      + EventQueueLayout.chunkCapacity * MemoryLayout<Int32>.stride
  }

  /// Adds an event after all those with the same time.
  ///
  /// - Precondition: `time` is not before the time of the last event popped.
  @inlinable public mutating func push(_ payload: Payload, at time: Instant) {
    let time = time.nanoseconds
    precondition(time >= lastTime, "an event was pushed before the last one popped")
    pending += 1
    let event = Event(time: time, payload: payload)
    if time ^ base < frontWidth {
      insertIntoFront(event)
    } else {
      append(event)
    }
  }

  /// Removes and returns the earliest event; nil when none is pending.
  @inlinable public mutating func pop() -> (time: Instant, payload: Payload)? {
    if head == tail {
      if pending == 0 { return nil }
      loadFront()
    }
    let event = head.pointee
    head += 1
    pending -= 1
    lastTime = event.time
    return (Instant(nanoseconds: event.time), event.payload)
  }
}
