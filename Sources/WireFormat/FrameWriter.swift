import RuntimeCore

/// Where frames are written: a raw buffer that grows, or the caller's own memory of fixed size.
public struct FrameWriter: ~Copyable {
  @usableFromInline var base: UnsafeMutableRawPointer
  @usableFromInline var capacity: Int
  @usableFromInline var filled = 0
  @usableFromInline let isOwner: Bool
  /// Changes whenever frames that were written may not be altered any more.
  @usableFromInline var generation = 0
  /// Bytes that repeated frames would have taken.
  @usableFromInline var saved = 0

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
  /// How long everything would be if no frame were repeated: what the reader has to work on.
  @inlinable public var weight: Int { filled + saved }

  /// What has been written; valid until the next change of the writer.
  @inlinable public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base, count: filled)
  }

  /// Forgets everything behind the first `count` bytes: all of it, or what came after a mark.
  @inlinable public mutating func removeAll(keeping count: Int = 0) {
    precondition(count >= 0 && count <= filled, "cannot keep \(count) of \(filled) bytes")
    filled = count
    if count == 0 { saved = 0 }
    seal()
  }

  /// What has been written stays as it is: it may be on its way. Otherwise its last frame may come to
  /// stand for further messages.
  @inlinable public mutating func seal() { generation &+= 1 }

  /// Takes the next `count` bytes and returns where they lie, for the caller to fill at once.
  ///
  /// - Throws: `FrameError` with `noRoom` when memory of fixed size has fewer left.
  @inlinable public mutating func take(_ count: Int) throws(FrameError) -> UnsafeMutableRawPointer {
    if capacity - filled < count { try grow(count) }
    let place = base + filled
    filled += count
    return place
  }

  /// The frame at an offset stands for `repeats` further messages.
  @inline(__always)
  mutating func noteRepeat(_ repeats: UInt16, ofFrameAt offset: Int, saving count: Int) {
    (base + offset).storeBytes(of: repeats.littleEndian, toByteOffset: 6, as: UInt16.self)
    saved += count
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
