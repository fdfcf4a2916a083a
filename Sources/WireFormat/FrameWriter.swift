import RuntimeCore

/// Where frames are written: a raw buffer that grows, or the caller's own memory of fixed size.
public struct FrameWriter: ~Copyable {
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  @usableFromInline var filled = 0
  @usableFromInline let isOwner: Bool

  /// A buffer of its own, which doubles when it is full and keeps its size when emptied.
  @inlinable public init(capacity: Int = 16_384) {
    self.capacity = max(64, capacity)
    base = .allocate(byteCount: self.capacity, alignment: 16)
    isOwner = true
  }

  /// Writes into the caller's memory, which must outlive the writer and never grows.
  @inlinable public init(into memory: UnsafeMutableRawPointer, capacity: Int) {
    base = memory
    self.capacity = capacity
    isOwner = false
  }

  deinit { if isOwner { base.deallocate() } }

  /// Bytes written so far.
  @inlinable public var count: Int { filled }
  @inlinable public var isEmpty: Bool { filled == 0 }

  /// What has been written; valid until the next change of the writer.
  @inlinable public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base, count: filled)
  }

  /// Forgets everything behind the first `count` bytes: all of it, or what came after a mark.
  @inlinable public mutating func removeAll(keeping count: Int = 0) {
    precondition(count >= 0 && count <= filled, "cannot keep \(count) of \(filled) bytes")
    filled = count
  }

  /// Takes the next `count` bytes and returns where they lie, for the caller to fill at once.
  ///
  /// - Throws: `FrameError` with `noRoom` when memory of fixed size has fewer left.
  @inlinable public mutating func take(_ count: Int) throws(FrameError) -> UnsafeMutableRawPointer {
    if capacity - filled < count { try grow(count) }
    let place = base + filled
    filled += count
    return place
  }

  @inlinable @inline(never) mutating func grow(_ count: Int) throws(FrameError) {
    guard isOwner else {
      throw FrameError(
        .noRoom, "frame", found: UInt64(count), expected: UInt64(capacity - filled))
    }
    capacity = max(capacity * 2, filled + count)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    larger.copyMemory(from: base, byteCount: filled)
    base.deallocate()
    base = larger
  }

  /// Appends an integer, little-endian.
  @inlinable public mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(
    _ value: Value
  ) throws(FrameError) {
    try take(MemoryLayout<Value>.size).storeBytes(of: value.littleEndian, as: Value.self)
  }

  @inlinable public mutating func append(
    contentsOf source: UnsafeRawBufferPointer
  ) throws(FrameError) {
    guard let start = source.baseAddress, source.count > 0 else { return }
    try take(source.count).copyMemory(from: start, byteCount: source.count)
  }

  /// Appends the header of a frame with a body of `bodyCount` bytes and returns where the body
  /// lies, for the caller to fill.
  @inlinable public mutating func takeFrame(
    kind: UInt8, flags: UInt8 = 0, source: Address, target: Address, bodyCount: Int
  ) throws(FrameError) -> UnsafeMutableRawPointer {
    let length = FrameHeader.byteCount + bodyCount
    guard length <= Int(UInt32.max) else {
      throw FrameError(
        .tooLong, "frame", found: UInt64(length), expected: UInt64(UInt32.max))
    }
    let place = try take(length)
    FrameHeader(length: length, kind: kind, flags: flags, source: source, target: target)
      .write(to: place)
    return place + FrameHeader.byteCount
  }
}
