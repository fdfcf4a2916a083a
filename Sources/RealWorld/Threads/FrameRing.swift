import Synchronization

/// A bounded stream of frames from one thread to another: one producer, one consumer, no lock. Frames
/// lie contiguous, so the consumer reads them in place.
///
/// A run of frames that does not fit before the end of the ring starts again at its beginning; a
/// mark tells the consumer to skip the rest.
public struct FrameRing: @unchecked Sendable {
  private static let skip = UInt32.max
  /// Runs begin at multiples of this, so that a mark always has room.
  private static let alignment = 8

  private let ends: UnsafeMutablePointer<RingEnds>
  private let bytes: UnsafeMutableRawPointer
  private let capacity: Int

  private init(capacity: Int) {
    self.capacity = capacity
    ends = .allocate(capacity: 1)
    ends.initialize(to: RingEnds())
    bytes = .allocate(byteCount: capacity, alignment: 64)
  }

  /// - Parameter capacity: bytes, a power of two.
  public static func allocate(capacity: Int) -> FrameRing {
    precondition(
      capacity >= 4096 && capacity & (capacity - 1) == 0, "\(capacity) is no power of two")
    return FrameRing(capacity: capacity)
  }

  public func deallocate() {
    ends.deinitialize(count: 1)
    ends.deallocate()
    bytes.deallocate()
  }

  /// The longest run that always fits into an empty ring.
  public var longestRun: Int { capacity / 2 - 16 }

  // MARK: The producer

  /// Writes a run of whole frames and lets the consumer see it; false when there is no room.
  public func write(_ run: UnsafeRawBufferPointer) -> Bool {
    let needed = (8 + run.count + Self.alignment - 1) & ~(Self.alignment - 1)
    precondition(run.count <= longestRun, "a run of \(run.count) bytes in a ring of \(capacity)")
    var written = ends.pointee.written
    var offset = written & (capacity - 1)
    let rest = capacity - offset
    let total = needed <= rest ? needed : rest + needed
    if written + total - ends.pointee.knownHead > capacity {
      ends.pointee.knownHead = ends.pointee.head.load(ordering: .acquiring)
      if written + total - ends.pointee.knownHead > capacity { return false }
    }
    if needed > rest {
      bytes.storeBytes(of: Self.skip, toByteOffset: offset, as: UInt32.self)
      written += rest
      offset = 0
    }
    bytes.storeBytes(of: UInt32(run.count), toByteOffset: offset, as: UInt32.self)
    if let base = run.baseAddress {
      (bytes + offset + 8).copyMemory(from: base, byteCount: run.count)
    }
    ends.pointee.written = written + needed
    ends.pointee.tail.store(written + needed, ordering: .releasing)
    return true
  }

  // MARK: The consumer

  /// The next run of frames, in place: valid until `release`.
  public func next() -> UnsafeRawBufferPointer? {
    let tail = ends.pointee.tail.load(ordering: .acquiring)
    var read = ends.pointee.read
    if read == tail { return nil }
    var offset = read & (capacity - 1)
    var count = bytes.load(fromByteOffset: offset, as: UInt32.self)
    if count == Self.skip {
      read += capacity - offset
      offset = 0
      count = bytes.load(as: UInt32.self)
    }
    ends.pointee.read =
      read + ((8 + Int(count) + Self.alignment - 1) & ~(Self.alignment - 1))
    return UnsafeRawBufferPointer(start: bytes + offset + 8, count: Int(count))
  }

  /// Gives the room of everything read back to the producer.
  public func release() {
    ends.pointee.head.store(ends.pointee.read, ordering: .releasing)
  }

  /// For the consumer: whether a run waits.
  public var isEmpty: Bool {
    ends.pointee.read == ends.pointee.tail.load(ordering: .acquiring)
  }
}
