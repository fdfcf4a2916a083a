/// A cursor over bytes of unknown origin: every read checks the bounds first and throws.
@frozen
public struct FrameReader: BitwiseCopyable {
  @usableFromInline var cursor: UnsafeRawPointer
  @usableFromInline var end: UnsafeRawPointer

  /// The memory must outlive the reader.
  @inlinable public init(_ bytes: UnsafeRawBufferPointer) {
    // An empty buffer may have no address; then the cursor is never followed.
    cursor = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 16).unsafelyUnwrapped
    end = cursor + bytes.count
  }

  /// Bytes not yet read.
  @inlinable public var remaining: Int { end - cursor }

  /// - Throws: `FrameError` when fewer than `count` bytes remain.
  @inlinable public func require(_ count: Int, _ field: StaticString) throws(FrameError) {
    guard remaining >= count else {
      throw FrameError(
        .truncated, field, found: UInt64(remaining), expected: UInt64(max(0, count)))
    }
  }

  /// - Throws: `FrameError` unless exactly `count` bytes remain.
  @inlinable public func requireExactly(_ count: Int, _ field: StaticString) throws(FrameError) {
    guard remaining == count else {
      throw FrameError(
        remaining < count ? .truncated : .trailingBytes, field, found: UInt64(remaining),
        expected: UInt64(max(0, count)))
    }
  }

  /// Reads an integer, little-endian.
  @inlinable public mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type, _ field: StaticString
  ) throws(FrameError) -> Value {
    try require(MemoryLayout<Value>.size, field)
    return load(type)
  }

  /// Takes the next `count` bytes, which stay where they are.
  @inlinable public mutating func bytes(
    _ count: Int, _ field: StaticString
  ) throws(FrameError) -> UnsafeRawBufferPointer {
    guard count >= 0 else {
      throw FrameError(.aboveLimit, field, found: UInt64(bitPattern: Int64(count)), expected: 0)
    }
    try require(count, field)
    return loadBytes(count)
  }

  /// Reads without a check: the caller has required the bytes.
  @inlinable mutating func load<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type
  ) -> Value {
    let value = cursor.loadUnaligned(as: type)
    cursor += MemoryLayout<Value>.size
    return Value(littleEndian: value)
  }

  @inlinable mutating func loadBytes(_ count: Int) -> UnsafeRawBufferPointer {
    let start = cursor
    cursor += count
    return UnsafeRawBufferPointer(start: start, count: count)
  }
}
