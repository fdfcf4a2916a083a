import Primitives

/// The bytes of the objects of one node: executes what the object store of the raylet decides.
///
///     create ─► being written ─seal─► sealed ─spill─► on disk ─restore─► sealed
///                     └─abort─► gone      └─delete─► gone, once nobody reads it
///
/// Owned by one event loop and not thread-safe. Memory of an object never moves while it is pinned.
public struct ObjectMemory: ~Copyable {
  enum State: UInt8, BitwiseCopyable {
    /// A place in the table whose object is not there yet, within one call.
    case vacant
    case unsealed
    case sealed
    /// Sealed and being written to disk.
    case spilling
    /// On disk only.
    case spilled
    /// On disk, being read back.
    case restoring
  }

  struct Entry: BitwiseCopyable {
    /// In the segment, or in the spill file when `isOnDisk`.
    var offset = 0
    var count = 0
    /// The allocator's block, the region's slot, or the spill file.
    var place: UInt32 = 0
    var pins: UInt32 = 0
    var state = State.vacant
    var isInRegion = false
    /// Goes when the last reader or the input and output has ended.
    var isDeleted = false

    var isOnDisk: Bool { state == .spilled || state == .restoring }
    var location: SpillLocation { SpillLocation(file: place, offset: offset) }
  }

  /// Where bytes lie in the segment.
  public struct Extent: Equatable, Sendable, BitwiseCopyable {
    public let offset: Int
    public let count: Int
  }

  public let segment: SharedSegment
  let copier: ParallelCopy
  let toucher: PageToucher
  let idleAhead: Int
  let maximumAhead: Int
  /// Bytes that get their pages ahead while programs are there that may put: see `expectPrograms`.
  private var programAhead = 0
  /// The highest `top` there was: nothing above was ever handed out.
  private var peak = 0
  var allocator: SegmentAllocator
  var entries = WordMap<Entry>()
  var regions = SlotTable<Region>()
  var regionSerial: UInt32 = 0
  var spillDirectory: SpillDirectory?
  /// May be set later.
  public var worker: SpillWorker?
  /// The last `committedMark` that was read.
  private var committed = 0
  /// Ranges that end below need no more touching ahead.
  private var calmBelow = 0

  /// - Parameters:
  ///   - segment: owned by this process.
  ///   - spillDirectory: nil when objects are never spilled.
  ///   - worker: gives disk space back away from the loop, and runs the jobs handed to it.
  ///   - copier: shared by all who copy, for one thread per processor.
  ///   - idleAhead: bytes touched ahead while nothing is stored: idle memory of the node.
  ///   - maximumAhead: the distance grows with the memory in use up to this.
  public init(
    segment: SharedSegment, spillDirectory: consuming SpillDirectory? = nil,
    worker: SpillWorker? = nil,
    copier: ParallelCopy = .shared, idleAhead: Int = 2 << 20,
    maximumAhead: Int = 256 << 20
  ) {
    self.segment = segment
    self.spillDirectory = spillDirectory
    self.worker = worker
    self.copier = copier
    self.idleAhead = idleAhead
    self.maximumAhead = max(idleAhead, maximumAhead)
    toucher = PageToucher(segment)
    allocator = SegmentAllocator(capacity: segment.byteCount)
    touchAhead()
  }

  /// Objects of all states.
  public var count: Int { entries.count }
  /// Bytes taken in memory, rounded up to lines.
  public var used: ByteCount { ByteCount(allocator.used) }
  public var capacity: ByteCount { ByteCount(allocator.capacity) }
  public var largestFree: ByteCount { ByteCount(allocator.largestFree) }

  // MARK: The life of an object

  /// Room for an object that is about to be written; its memory is committed, unless `commit` is
  /// false: then `ParallelCopy.write` or `SharedSegment.commit`, on any thread, has to precede any
  /// other access. Committing fresh memory here blocks for about 0.5 ms per MiB.
  /// - Throws: `alreadyExists`, `reservedKey`, `doesNotFit`, `sharedMemoryFull`.
  public mutating func create(
    _ key: UInt64, count: Int, commit: Bool = true
  ) throws(StoreError) -> Extent {
    if key == WordMap<Entry>.emptyKey { throw .reservedKey }
    let entry = entries.pointer(key, inserting: Entry())
    if entry.pointee.state != .vacant { throw .alreadyExists(key: key) }
    do throws(StoreError) {
      let allocation = try allocate(count, commit: commit)
      entry.pointee.offset = allocation.offset
      entry.pointee.count = count
      entry.pointee.place = allocation.block
      entry.pointee.state = .unsealed
      return Extent(offset: allocation.offset, count: count)
    } catch {
      entries.remove(key)
      throw error
    }
  }

  /// Ends the writing: from now on the object can be read and never changes.
  /// - Throws: `unknown`, `alreadySealed`.
  public mutating func seal(_ key: UInt64) throws(StoreError) {
    let entry = try find(key)
    if entry.pointee.state != .unsealed { throw .alreadySealed(key: key) }
    entry.pointee.state = .sealed
  }

  /// Creates, copies and seals. Large buffers are copied by several threads.
  /// - Throws: as `create`, and `system`; the object does not exist then.
  public mutating func put(_ key: UInt64, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
    let isSmall = bytes.count < SharedSegment.stepBytes
    let extent = try create(key, count: bytes.count, commit: isSmall)
    let entry = try find(key)
    if let source = bytes.baseAddress {
      if isSmall {
        (segment.base + extent.offset).copyMemory(from: source, byteCount: bytes.count)
      } else {
        do throws(StoreError) {
          try writeLarge(source, extent)
        } catch {
          try abort(key)
          throw error
        }
      }
    }
    entry.pointee.state = .sealed
  }

  private mutating func writeLarge(
    _ source: UnsafeRawPointer, _ extent: Extent
  ) throws(StoreError) {
    try copier.write(source, count: extent.count, at: extent.offset, of: segment)
    written(extent)
  }

  /// Gives up the writing of an object.
  /// - Throws: `unknown`, `alreadySealed`.
  public mutating func abort(_ key: UInt64) throws(StoreError) {
    let entry = try find(key)
    if entry.pointee.state != .unsealed { throw .alreadySealed(key: key) }
    allocator.free(entry.pointee.place)
    entries.remove(key)
  }

  /// Where the object lies; pins it there until `release`.
  /// - Throws: `unknown`, `notSealed`, `notInMemory`, `busy` while it is being restored.
  public mutating func get(_ key: UInt64) throws(StoreError) -> Extent {
    let entry = try find(key)
    switch entry.pointee.state {
    case .sealed, .spilling:
      if entry.pointee.isDeleted { throw .unknown(key: key) }
      entry.pointee.pins += 1
      return Extent(offset: entry.pointee.offset, count: entry.pointee.count)
    case .vacant, .unsealed: throw .notSealed(key: key)
    case .spilled: throw .notInMemory(key: key)
    case .restoring: throw .busy(key: key)
    }
  }

  /// Drops a pin of `get`. An object deleted meanwhile goes with its last pin.
  /// - Throws: `unknown`, also when nobody has pinned the object.
  public mutating func release(_ key: UInt64) throws(StoreError) {
    let entry = try find(key)
    if entry.pointee.pins == 0 { throw .unknown(key: key) }
    entry.pointee.pins -= 1
    if entry.pointee.pins == 0 && entry.pointee.isDeleted && entry.pointee.state == .sealed {
      remove(key, entry.pointee)
    }
  }

  /// Removes a sealed object from memory and disk: at once, or when its last reader and its input
  /// and output have ended.
  /// - Returns: whether it is gone already.
  /// - Throws: `unknown`, also when deleted before, `notSealed`.
  @discardableResult
  public mutating func delete(_ key: UInt64) throws(StoreError) -> Bool {
    let entry = try find(key)
    if entry.pointee.isDeleted { throw .unknown(key: key) }
    switch entry.pointee.state {
    case .vacant, .unsealed: throw .notSealed(key: key)
    case .sealed where entry.pointee.pins == 0, .spilled:
      remove(key, entry.pointee)
      return true
    case .sealed, .spilling, .restoring:
      entry.pointee.isDeleted = true
      return false
    }
  }

  /// Whether the object is sealed and in memory.
  public func isInMemory(_ key: UInt64) -> Bool {
    guard key != WordMap<Entry>.emptyKey, let entry = entries[key] else { return false }
    return (entry.state == .sealed || entry.state == .spilling) && !entry.isDeleted
  }

  /// Memory for `bytes` more is touched in the background; `whenDone` is called on another thread
  /// when that is done, or with an error when it cannot be had.
  public func expect(_ bytes: ByteCount, whenDone: (@Sendable (StoreError?) -> Void)? = nil) {
    let more = Int(clamping: bytes.bytes)
    let (mark, overflow) = allocator.top.addingReportingOverflow(more)
    toucher.raise(to: overflow ? segment.byteCount : mark, whenDone: whenDone)
  }

  /// Programs are there that may put: `bytes` get their pages ahead in the file, in the background.
  /// With 0 they have gone, and what was never handed out is given back but for `idleAhead`.
  public mutating func expectPrograms(ahead bytes: Int) {
    let before = programAhead
    programAhead = segment.isPrivate ? 0 : min(bytes, segment.byteCount)
    if programAhead > before { touchAhead() }
    if programAhead < before {
      let mark = max(peak, allocator.top + idleAhead)
      toucher.lower(to: min(mark, segment.byteCount))
      committed = min(committed, mark)
      calmBelow = 0
    }
  }

  /// Bytes were written through the file: mapped in the background, so that they are soon read and
  /// their memory is used again without faults.
  mutating func written(_ extent: Extent) {
    if !segment.isTouched(at: extent.offset, count: extent.count) {
      toucher.revisit(from: extent.offset)
    }
    if extent.offset + extent.count > calmBelow { touchAhead() }
  }

  /// Waits until the background has touched what was asked for.
  public func waitUntilTouched() { toucher.waitUntilIdle() }

  // MARK: Inside

  func find(_ key: UInt64) throws(StoreError) -> UnsafeMutablePointer<Entry> {
    guard key != WordMap<Entry>.emptyKey, let entry = entries.pointer(key) else {
      throw .unknown(key: key)
    }
    return entry
  }

  mutating func allocate(
    _ count: Int, commit: Bool
  ) throws(StoreError) -> SegmentAllocator.Allocation {
    // A negative size is one that was too large for its word.
    guard count >= 0, let allocation = allocator.allocate(count) else {
      throw .doesNotFit(
        asked: ByteCount(UInt64(bitPattern: Int64(count))),
        free: ByteCount(allocator.capacity - allocator.used),
        largestHole: largestFree, capacity: capacity)
    }
    let end = allocation.offset + count
    toucher.claim(below: end)
    peak = max(peak, allocator.top)
    if end > committed && commit {
      committed = segment.committedMark
      if end > committed {
        do throws(StoreError) {
          try segment.commit(at: allocation.offset, count: count)
        } catch {
          allocator.free(allocation.block)
          throw error
        }
      }
    }
    if end > calmBelow && commit { touchAhead() }
    return allocation
  }

  /// The more is in use, the more is touched ahead; asked for again when half of that is used up.
  private mutating func touchAhead() {
    let ahead = min(max(allocator.top, idleAhead), maximumAhead)
    let goal = allocator.top + max(ahead, programAhead)
    toucher.map(below: programAhead > 0 ? allocator.top + ahead : .max)
    toucher.raise(to: goal)
    calmBelow = goal >= segment.byteCount ? .max : allocator.top + ahead / 2
  }

  mutating func remove(_ key: UInt64, _ entry: Entry) {
    if entry.isOnDisk {
      freeDisk(entry.location)
    } else {
      freeMemory(entry)
    }
    entries.remove(key)
  }

  mutating func freeMemory(_ entry: Entry) {
    if entry.isInRegion { leaveRegion(entry.place) } else { allocator.free(entry.place) }
  }
}
