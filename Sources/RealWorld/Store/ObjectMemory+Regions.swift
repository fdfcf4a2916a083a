import Primitives

extension ObjectMemory {
  /// A range leased to one client, which puts small objects into it one after the other without
  /// asking. It goes back when it is closed and all its objects are gone.
  struct Region: BitwiseCopyable {
    var offset: Int
    var count: Int
    /// Bytes up to which objects were registered.
    var filled: Int
    var live: Int
    var block: UInt32
    /// Tells the lease from earlier ones of the same slot; 0 when there is none.
    var serial: UInt32
    var isOpen: Bool
  }

  /// What a client is told about its region.
  public struct Lease: Equatable, Sendable, BitwiseCopyable {
    public let id: UInt64
    public let extent: Extent
  }

  /// Leases `count` bytes of committed memory.
  /// - Throws: `doesNotFit`, `sharedMemoryFull`.
  public mutating func createRegion(count: Int) throws(StoreError) -> Lease {
    let allocation = try allocate(count, commit: true)
    regionSerial = regionSerial == .max ? 1 : regionSerial + 1
    let slot = regions.insert(
      Region(
        offset: allocation.offset, count: count, filled: 0, live: 0, block: allocation.block,
        serial: regionSerial, isOpen: true))
    return Lease(
      id: UInt64(regionSerial) << 32 | UInt64(slot),
      extent: Extent(offset: allocation.offset, count: count))
  }

  /// Registers bytes that a client wrote into its region as a sealed object. Objects come in the
  /// order of their addresses, and gaps are allowed.
  /// - Throws: `unknownRegion`, `badRange`, `alreadyExists`, `reservedKey`.
  public mutating func adopt(
    _ key: UInt64, in region: UInt64, offset: Int, count: Int
  ) throws(StoreError) {
    if key == WordMap<Entry>.emptyKey { throw .reservedKey }
    let slot = try slot(region)
    let record = regions.pointer(slot)
    guard record.pointee.isOpen else { throw .unknownRegion(region) }
    let end = record.pointee.offset + record.pointee.count
    let rest = record.pointee.offset + record.pointee.filled..<end
    guard count >= 0, offset >= rest.lowerBound, offset <= end, count <= end - offset else {
      throw .badRange(region: region, offset: offset, count: count, allowed: rest)
    }
    let entry = entries.pointer(key, inserting: Entry())
    if entry.pointee.state != .vacant { throw .alreadyExists(key: key) }
    entry.pointee = Entry(
      offset: offset, count: count, place: slot, state: .sealed, isInRegion: true)
    record.pointee.filled = offset + count - record.pointee.offset
    record.pointee.live += 1
  }

  /// Ends a lease: its client takes another region or is gone.
  /// - Throws: `unknownRegion`, also when closed before.
  public mutating func closeRegion(_ region: UInt64) throws(StoreError) {
    let slot = try slot(region)
    guard regions[slot].isOpen else { throw .unknownRegion(region) }
    regions.pointer(slot).pointee.isOpen = false
    endRegionIfEmpty(slot)
  }

  /// Regions that hold memory, open or not.
  public var regionCount: Int { regions.count }

  mutating func leaveRegion(_ slot: UInt32) {
    regions.pointer(slot).pointee.live -= 1
    endRegionIfEmpty(slot)
  }

  private mutating func endRegionIfEmpty(_ slot: UInt32) {
    let region = regions[slot]
    if region.isOpen || region.live > 0 { return }
    allocator.free(region.block)
    regions.pointer(slot).pointee.serial = 0
    regions.remove(slot)
  }

  private func slot(_ region: UInt64) throws(StoreError) -> UInt32 {
    let slot = UInt32(truncatingIfNeeded: region)
    guard region >> 32 != 0, slot < regions.slotCount,
      regions[slot].serial == UInt32(truncatingIfNeeded: region >> 32)
    else { throw .unknownRegion(region) }
    return slot
  }
}
