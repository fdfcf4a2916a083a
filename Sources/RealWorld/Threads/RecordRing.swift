import Synchronization

/// A bounded queue of plain records from one thread to another: one producer, one consumer, no lock.
///
/// What the producer appends becomes visible with `publish`, so that a batch costs one shared store.
/// Both ends keep the other's position as they last saw it and look again only when they run out.
/// The ring is a view on storage that `allocate` makes and `deallocate` frees.
public struct RecordRing<Record: BitwiseCopyable>: @unchecked Sendable {
  private let ends: UnsafeMutablePointer<RingEnds>
  private let records: UnsafeMutablePointer<Record>
  private let mask: Int

  private init(capacity: Int) {
    ends = .allocate(capacity: 1)
    ends.initialize(to: RingEnds())
    records = .allocate(capacity: capacity)
    mask = capacity - 1
  }

  /// - Parameter capacity: a power of two.
  public static func allocate(capacity: Int) -> RecordRing {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "\(capacity) is no power of two")
    return RecordRing(capacity: capacity)
  }

  public func deallocate() {
    ends.deinitialize(count: 1)
    ends.deallocate()
    records.deallocate()
  }

  // MARK: The producer

  /// False when the ring is full.
  @inline(__always)
  public func append(_ record: Record) -> Bool {
    let written = ends.pointee.written
    if written - ends.pointee.knownHead > mask {
      ends.pointee.knownHead = ends.pointee.head.load(ordering: .acquiring)
      if written - ends.pointee.knownHead > mask { return false }
    }
    records[written & mask] = record
    ends.pointee.written = written + 1
    return true
  }

  /// Lets the consumer see what was appended; true when there was anything.
  @inline(__always)
  public func publish() -> Bool {
    let written = ends.pointee.written
    if ends.pointee.tail.load(ordering: .relaxed) == written { return false }
    ends.pointee.tail.store(written, ordering: .releasing)
    return true
  }

  // MARK: The consumer

  @inline(__always)
  public func popFirst() -> Record? {
    let read = ends.pointee.read
    if read == ends.pointee.knownTail {
      ends.pointee.knownTail = ends.pointee.tail.load(ordering: .acquiring)
      if read == ends.pointee.knownTail { return nil }
    }
    let record = records[read & mask]
    ends.pointee.read = read + 1
    // Told to the producer once for each batch: see `release`.
    return record
  }

  /// For the consumer: how many records have come that are not read.
  @inline(__always)
  func look() -> Int {
    ends.pointee.knownTail = ends.pointee.tail.load(ordering: .acquiring)
    return ends.pointee.knownTail - ends.pointee.read
  }

  /// For the consumer: the record that comes `ahead` records after the next one, when it is known to
  /// have come.
  @inline(__always)
  func peek(_ ahead: Int) -> Record? {
    let place = ends.pointee.read + ahead
    return place < ends.pointee.knownTail ? records[place & mask] : nil
  }

  /// Gives the room of what was read back to the producer.
  @inline(__always)
  public func release() {
    ends.pointee.head.store(ends.pointee.read, ordering: .releasing)
  }

  /// For the consumer: whether a record waits.
  public var isEmpty: Bool {
    ends.pointee.read == ends.pointee.tail.load(ordering: .acquiring)
  }
}
