import CPrefetch

/// Asks the processor to bring the cache line at `address` near, without waiting for it: for what will
/// be read soon and lies in no order that the processor could guess. Changes nothing that a program
/// can see.
@inlinable @inline(__always)
public func prefetch(_ address: UnsafeRawPointer) {
  heliostat_prefetch(address)
}

extension WordMap {
  /// Brings the place of `key` near, or that where it would go.
  @inlinable @inline(__always)
  public func prefetch(_ key: UInt64) {
    heliostat_prefetch(places + home(key))
  }
}

extension ChunkedTable {
  /// Brings the first line of a record near.
  @inlinable @inline(__always)
  public func prefetch(_ slot: UInt32) { heliostat_prefetch(pointer(slot)) }

  /// The slot of the record that will most likely be inserted `ahead` records after the next one; nil
  /// where that cannot be told.
  @inlinable @inline(__always)
  public func upcoming(_ ahead: Int) -> UInt32? {
    let bits = free[current]
    let place = bits.trailingZeroBitCount &+ ahead
    guard place < 64, bits &>> UInt64(place) & 1 == 1 else { return nil }
    return UInt32(truncatingIfNeeded: current &<< 6 | place)
  }

  /// Brings the place near that the next record will take, or one that comes `ahead` records later.
  @inlinable @inline(__always)
  public func prefetchNext(_ ahead: Int = 0) {
    if let slot = upcoming(ahead) { prefetch(slot) }
  }
}

extension TaskSpecTable {
  /// Brings near what every step of a task reads of it.
  @inlinable @inline(__always)
  public func prefetch(_ handle: TaskHandle) {
    // A specification takes 80 bytes and lies in one line or two.
    let spec = UnsafeRawPointer(pointer(handle))
    heliostat_prefetch(spec + 16)
    heliostat_prefetch(spec + 47)
  }

  /// Brings the place near that the next task will take.
  @inlinable @inline(__always)
  public func prefetchNext() { storage.pointee.specs.prefetchNext() }

  /// The handle of the task that will most likely be inserted `ahead` tasks after the next one; nil
  /// where that cannot be told.
  @inlinable @inline(__always)
  public func upcoming(_ ahead: Int) -> TaskHandle? {
    storage.pointee.specs.upcoming(ahead).map { TaskHandle($0) }
  }
}
