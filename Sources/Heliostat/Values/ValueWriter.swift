/// Writes a value straight into memory of exactly its size, such as a place in the object store: a
/// large array is copied once.
public struct ValueWriter {
  private var cursor: UnsafeMutableRawPointer
  private let end: UnsafeMutableRawPointer
  /// Why writing stopped; nothing is written after that.
  public private(set) var failure: ValueError?

  /// The memory must outlive the writer.
  public init(into memory: UnsafeMutableRawBufferPointer) {
    // Memory of no bytes may have no address; then nothing is ever written.
    cursor = memory.baseAddress ?? UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
    end = cursor + memory.count
  }

  /// Bytes still to be written.
  public var remaining: Int { end - cursor }

  /// Takes the next `count` bytes; nil, and a failure, when the value is larger than it said.
  private mutating func take(_ count: Int) -> UnsafeMutableRawPointer? {
    guard failure == nil else { return nil }
    guard count <= remaining else {
      fail(
        .notEncodable(
          type: "a value", reason: "it writes more bytes than its encodedByteCount"))
      return nil
    }
    let place = cursor
    cursor += count
    return place
  }

  /// Writes an integer, little-endian.
  public mutating func write<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
    take(MemoryLayout<Value>.size)?.storeBytes(of: value.littleEndian, as: Value.self)
  }

  /// Writes the memory of a plain value.
  public mutating func write<Value: PlainValue>(plain value: Value) {
    take(MemoryLayout<Value>.size)?.storeBytes(of: value, as: Value.self)
  }

  public mutating func write(bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    take(bytes.count)?.copyMemory(from: start, byteCount: bytes.count)
  }

  /// Writes a number of elements or bytes that follow.
  public mutating func write(count: Int) { write(UInt64(count)) }

  /// Gives up: the value cannot be written. The first failure counts.
  public mutating func fail(_ error: ValueError) {
    if failure == nil { failure = error }
  }
}
