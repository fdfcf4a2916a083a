/// A table of records that may come to be many.
public typealias SlotTable<Record: BitwiseCopyable> = ChunkedTable<Record, 8>

/// Plain records behind dense 32-bit slots; freed slots are reused last-in first-out. Records never
/// move, because storage grows by chunks of 2 to the `chunkShift`.
public struct ChunkedTable<Record: BitwiseCopyable, let chunkShift: Int>: ~Copyable {
  @inlinable static var chunkSize: Int { 1 << chunkShift }

  @usableFromInline var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Record>>
  @usableFromInline var chunkCapacity: Int
  @usableFromInline var chunkCount: Int
  @usableFromInline var free: UnsafeMutablePointer<UInt32>
  @usableFromInline var freeCount: Int
  @usableFromInline var freeCapacity: Int
  @usableFromInline var used: Int

  @inlinable public init() {
    chunkCapacity = 16
    chunks = .allocate(capacity: chunkCapacity)
    chunkCount = 0
    freeCapacity = 64
    free = .allocate(capacity: freeCapacity)
    freeCount = 0
    used = 0
  }

  deinit {
    for i in 0..<chunkCount { chunks[i].deallocate() }
    chunks.deallocate()
    free.deallocate()
  }

  /// Live records.
  @inlinable public var count: Int { used - freeCount }

  /// Slots from 0 up to here have held a record; the others lie in no storage.
  @inlinable public var slotCount: Int { used }

  /// Bytes of heap that the table holds.
  @inlinable public var memoryBytes: Int {
    chunkCount * Self.chunkSize * MemoryLayout<Record>.stride + chunkCapacity * 8
      + freeCapacity * 4
  }

  @inlinable public func pointer(_ slot: UInt32) -> UnsafeMutablePointer<Record> {
    chunks[Int(slot) >> chunkShift] + (Int(slot) & (Self.chunkSize - 1))
  }

  @inlinable public subscript(slot: UInt32) -> Record {
    get { pointer(slot).pointee }
    nonmutating set { pointer(slot).pointee = newValue }
  }

  @inlinable public mutating func insert(_ record: Record) -> UInt32 {
    let slot = take()
    pointer(slot).initialize(to: record)
    return slot
  }

  /// A slot whose record the caller writes.
  @inlinable mutating func take() -> UInt32 {
    if freeCount > 0 {
      freeCount -= 1
      return free[freeCount]
    }
    if used >> chunkShift == chunkCount { addChunk() }
    let slot = UInt32(truncatingIfNeeded: used)
    used += 1
    return slot
  }

  @inlinable public mutating func remove(_ slot: UInt32) {
    if freeCount == freeCapacity { growFree() }
    free[freeCount] = slot
    freeCount += 1
  }

  /// Whether a slot below `slotCount` holds a live record. Looks at every free slot: for rare events.
  public func isLive(_ slot: UInt32) -> Bool {
    for i in 0..<freeCount where free[i] == slot { return false }
    return true
  }

  /// The slots of the live records, in ascending order. Looks at every slot: for rare events.
  public var liveSlots: [UInt32] {
    var isFree = [Bool](repeating: false, count: used)
    for i in 0..<freeCount { isFree[Int(free[i])] = true }
    return (0..<UInt32(truncatingIfNeeded: used)).filter { !isFree[Int($0)] }
  }

  @inlinable @inline(never) mutating func addChunk() {
    if chunkCount == chunkCapacity {
      let larger = UnsafeMutablePointer<UnsafeMutablePointer<Record>>.allocate(
        capacity: chunkCapacity * 2)
      larger.moveInitialize(from: chunks, count: chunkCount)
      chunks.deallocate()
      chunks = larger
      chunkCapacity *= 2
    }
    (chunks + chunkCount).initialize(to: .allocate(capacity: Self.chunkSize))
    chunkCount += 1
  }

  @inlinable @inline(never) mutating func growFree() {
    let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: freeCapacity * 2)
    larger.moveInitialize(from: free, count: freeCount)
    free.deallocate()
    free = larger
    freeCapacity *= 2
  }
}
