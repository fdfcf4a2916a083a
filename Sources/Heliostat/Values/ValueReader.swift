/// A cursor over the bytes of a value. Every read checks the bounds and throws.
public struct ValueReader {
  private var cursor: UnsafeRawPointer
  private let end: UnsafeRawPointer
  /// Keeps the memory alive for values that are read in place; nil when the memory is only lent for
  /// the time of decoding.
  public let owner: AnyObject?

  /// The memory must stay as it is while the reader is used, and while `owner` lives.
  public init(_ bytes: UnsafeRawBufferPointer, owner: AnyObject? = nil) {
    // An empty buffer may have no address; then the cursor is never followed.
    cursor = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 16).unsafelyUnwrapped
    end = cursor + bytes.count
    self.owner = owner
  }

  /// Bytes not yet read.
  public var remaining: Int { end - cursor }

  /// Takes the next `count` bytes, which stay where they are. `type` is for the error.
  public mutating func read(
    bytes count: Int, for type: Any.Type
  ) throws(ValueError) -> UnsafeRawBufferPointer {
    guard count >= 0, count <= remaining else {
      throw .truncated(type: "\(type)", expected: max(0, count), found: remaining)
    }
    let start = cursor
    cursor += count
    return UnsafeRawBufferPointer(start: start, count: count)
  }

  /// Reads an integer, little-endian. `type` is for the error.
  public mutating func read<Value: FixedWidthInteger & BitwiseCopyable>(
    _ value: Value.Type, for type: Any.Type? = nil
  ) throws(ValueError) -> Value {
    let bytes = try read(bytes: MemoryLayout<Value>.size, for: type ?? value)
    return Value(littleEndian: bytes.loadUnaligned(as: value))
  }

  /// Reads a plain value from its memory.
  public mutating func readPlain<Value: PlainValue>(
    _ value: Value.Type
  ) throws(ValueError) -> Value {
    try read(bytes: MemoryLayout<Value>.size, for: value).loadUnaligned(as: value)
  }

  /// Reads how many elements follow. Each takes a byte at least, so the number cannot be above what
  /// is left: nobody reserves memory for elements that are not there.
  public mutating func readCount(for type: Any.Type) throws(ValueError) -> Int {
    let count = try read(UInt64.self, for: type)
    guard count <= UInt64(remaining) else {
      throw .truncated(type: "\(type)", expected: Int(clamping: count), found: remaining)
    }
    return Int(count)
  }

  /// Takes the memory of `count` plain elements.
  public mutating func readElements<Element: PlainValue>(
    _ count: Int, of type: Element.Type
  ) throws(ValueError) -> UnsafeRawBufferPointer {
    let (size, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow else {
      throw .truncated(type: "\([Element].self)", expected: .max, found: remaining)
    }
    return try read(bytes: size, for: [Element].self)
  }
}
