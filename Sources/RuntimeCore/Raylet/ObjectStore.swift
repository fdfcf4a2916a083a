import Primitives

/// The object store of one node: sealed, immutable objects within a capacity; pinned ones stay, the
/// others leave in order of last use.
///
///     absent ──seal──► in memory ──evict──► on disk (the primary copy) or absent (a pulled copy)
///
/// The store decides what leaves; the raylet tells the others. Sizes are bytes in memory.
struct ObjectStore: ~Copyable {
  struct Entry: BitwiseCopyable {
    var object: ObjectHandle
    var size: ByteCount
    var older: UInt32
    var newer: UInt32
    var pins: UInt32
    var status: ObjectStatus
    /// The copy that its producer made: on pressure it goes to disk and is not lost.
    var isPrimary: Bool
    var isOnDisk: Bool
    var isRestoring: Bool
    var isFreed: Bool
    /// Another node has been asked to take over the primary copy.
    var isOffered = false
  }

  static let end = UInt32.max

  let capacity: ByteCount
  private(set) var used = ByteCount.zero
  /// Bytes that had to be stored on disk because everything in memory was pinned.
  private(set) var fallback = ByteCount.zero
  private var slots = WordMap<UInt32>()
  private var entries = SlotTable<Entry>()
  private var oldest = ObjectStore.end
  private var newest = ObjectStore.end

  init(capacity: ByteCount) { self.capacity = capacity }

  var count: Int { slots.count }
  var memoryBytes: Int { slots.memoryBytes + entries.memoryBytes }

  func find(_ object: ObjectHandle) -> UInt32? { slots[object.key] }
  /// Brings near where the object would be found.
  @inline(__always)
  func prefetch(_ object: ObjectHandle) { slots.prefetch(object.key) }
  /// Brings near the entry of an object, if there is one, where it would be found being near already.
  @inline(__always)
  func prefetchEntry(_ object: ObjectHandle) {
    if let slot = slots[object.key] { entries.prefetch(slot) }
  }
  /// Brings near what sealing the object will write, `ahead` objects after the next one.
  @inline(__always)
  func prefetchSealing(_ object: ObjectHandle, ahead: Int) {
    slots.prefetch(object.key)
    entries.prefetchNext(ahead)
  }
  subscript(slot: UInt32) -> Entry { entries[slot] }
  /// There is or was an object in this slot.
  func has(_ slot: UInt32) -> Bool { slot < entries.slotCount }
  /// The objects here, by key, that satisfy `condition`.
  func keys(matching condition: (UInt64) -> Bool) -> [UInt64] { slots.selectKeys(condition) }

  func isInMemory(_ object: ObjectHandle) -> Bool {
    guard let slot = slots[object.key] else { return false }
    return !entries[slot].isOnDisk
  }

  /// Adds a sealed object; room must have been made. What does not fit goes to disk.
  mutating func seal(
    _ object: ObjectHandle, _ size: ByteCount, _ status: ObjectStatus, isPrimary: Bool
  ) -> UInt32 {
    let fits = size.bytes <= capacity.bytes &- used.bytes && used <= capacity
    let slot = entries.insert(
      Entry(
        object: object, size: size, older: Self.end, newer: Self.end, pins: 0, status: status,
        isPrimary: isPrimary, isOnDisk: !fits, isRestoring: false, isFreed: false))
    slots.set(object.key, slot)
    if fits {
      used += size
      link(slot)
    } else {
      fallback += size
    }
    return slot
  }

  /// The next object to leave so that `size` more bytes fit; nil when they fit or nothing may go.
  @inline(__always)
  func victim(toFit size: ByteCount) -> UInt32? {
    if used.bytes + size.bytes <= capacity.bytes || oldest == Self.end { return nil }
    return oldest
  }

  /// Moves an unpinned primary copy to disk.
  mutating func moveToDisk(_ slot: UInt32) {
    let entry = entries.pointer(slot)
    precondition(entry.pointee.pins == 0 && !entry.pointee.isOnDisk, "a pinned object was evicted")
    unlink(slot)
    entry.pointee.isOnDisk = true
    used -= entry.pointee.size
  }

  /// Starts reading an object back; false when that is already under way.
  mutating func startRestoring(_ slot: UInt32) -> Bool {
    if entries[slot].isRestoring { return false }
    entries.pointer(slot).pointee.isRestoring = true
    return true
  }

  /// The object is back in memory, counted even beyond the capacity: somebody waits for it.
  mutating func restored(_ slot: UInt32) {
    let entry = entries.pointer(slot)
    entry.pointee.isRestoring = false
    guard entry.pointee.isOnDisk else { return }
    entry.pointee.isOnDisk = false
    used += entry.pointee.size
    if entry.pointee.pins == 0 { link(slot) }
  }

  mutating func pin(_ slot: UInt32) {
    let entry = entries.pointer(slot)
    if entry.pointee.pins == 0 && !entry.pointee.isOnDisk { unlink(slot) }
    entry.pointee.pins += 1
  }

  /// Drops a pin; true when the object was freed meanwhile and must now be removed.
  mutating func unpin(_ slot: UInt32) -> Bool {
    let entry = entries.pointer(slot)
    precondition(entry.pointee.pins > 0, "an object was unpinned once too often")
    entry.pointee.pins -= 1
    guard entry.pointee.pins == 0 else { return false }
    if !entry.pointee.isOnDisk { link(slot) }
    return entry.pointee.isFreed
  }

  /// The first slot from `start` on with a primary copy that has not been offered to another node.
  func firstPrimary(from start: UInt32) -> UInt32? {
    var slot = start
    while slot < entries.slotCount {
      let entry = entries[slot]
      // An empty slot shows the object that it had last.
      if entry.isPrimary && !entry.isOffered && !entry.isFreed && slots[entry.object.key] == slot {
        return slot
      }
      slot += 1
    }
    return nil
  }

  mutating func setOffered(_ slot: UInt32, _ isOffered: Bool) {
    entries.pointer(slot).pointee.isOffered = isOffered
  }

  mutating func setPrimary(_ slot: UInt32, _ isPrimary: Bool) {
    entries.pointer(slot).pointee.isPrimary = isPrimary
  }

  mutating func markFreed(_ slot: UInt32) { entries.pointer(slot).pointee.isFreed = true }

  mutating func remove(_ slot: UInt32) {
    let entry = entries[slot]
    precondition(entry.pins == 0, "a pinned object was removed")
    if !entry.isOnDisk {
      unlink(slot)
      used -= entry.size
    }
    slots.remove(entry.object.key)
    entries.remove(slot)
  }

  @inline(__always)
  private mutating func link(_ slot: UInt32) {
    let entry = entries.pointer(slot)
    entry.pointee.older = newest
    entry.pointee.newer = Self.end
    if newest == Self.end { oldest = slot } else { entries.pointer(newest).pointee.newer = slot }
    newest = slot
  }

  private mutating func unlink(_ slot: UInt32) {
    let entry = entries[slot]
    if entry.older == Self.end {
      oldest = entry.newer
    } else {
      entries.pointer(entry.older).pointee.newer = entry.newer
    }
    if entry.newer == Self.end {
      newest = entry.older
    } else {
      entries.pointer(entry.newer).pointee.older = entry.older
    }
  }

  /// The bytes in memory are those of the linked and the pinned entries; slow, for tests.
  func checkInvariants() {
    var linked: UInt64 = 0
    var slot = oldest
    var previous = Self.end
    while slot != Self.end {
      precondition(entries[slot].pins == 0 && !entries[slot].isOnDisk, "a pinned object is in LRU")
      precondition(entries[slot].older == previous, "the LRU list is broken at \(slot)")
      linked += entries[slot].size.bytes
      previous = slot
      slot = entries[slot].newer
    }
    precondition(previous == newest, "the LRU list does not end at its newest entry")
    precondition(linked <= used.bytes, "\(linked) B in LRU, but only \(used) in memory")
  }
}
