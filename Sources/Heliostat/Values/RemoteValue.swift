/// A value that can go to another process: what remote functions take and return there, and what
/// `put` stores.
///
/// Ready to use: integers, `Float`, `Double`, `Bool`, `String`, optionals, arrays, sets and
/// dictionaries of such values, `Vector` and `Bytes`. A `Codable` type needs one line:
///
///     struct Trajectory: Codable, RemoteValue { var states: [Double]; var reward: Double }
///
/// A type that wants its own form writes exactly `encodedByteCount` bytes, at least one, and reads
/// them back. Equal values should give equal bytes. Tuples cannot conform to protocols: use a
/// struct. `Void` cannot either: see `EncodedValue.void`.
public protocol RemoteValue: Sendable {
  /// A hash of the type's name, written in front of a value, so that a process that expects another
  /// type says so instead of reading nonsense.
  static var fingerprint: UInt32 { get }

  /// How many bytes `encode(into:)` writes.
  var encodedByteCount: Int { get }

  func encode(into writer: inout ValueWriter)

  /// - Throws: `ValueError` when the bytes are no such value. They may come from anywhere: an
  ///   implementation must not trap, whatever they are.
  static func decode(from reader: inout ValueReader) throws -> Self

  // How the elements of an array are kept. The defaults go element by element; `PlainValue` copies
  // them at once.

  /// How many bytes the elements take together.
  static func encodedByteCount(ofElements elements: [Self]) -> Int
  static func encode(elements: [Self], into writer: inout ValueWriter)
  static func decodeElements(_ count: Int, from reader: inout ValueReader) throws -> [Self]
}

extension RemoteValue {
  public static func encodedByteCount(ofElements elements: [Self]) -> Int {
    elements.reduce(0) { $0 + $1.encodedByteCount }
  }

  public static func encode(elements: [Self], into writer: inout ValueWriter) {
    for element in elements { element.encode(into: &writer) }
  }

  public static func decodeElements(
    _ count: Int, from reader: inout ValueReader
  ) throws -> [Self] {
    var elements: [Self] = []
    // The count is not to be trusted with memory before the elements are there.
    elements.reserveCapacity(Swift.min(count, 65_536))
    for _ in 0..<count { elements.append(try decode(from: &reader)) }
    return elements
  }
}

/// A value whose memory is its encoding: arrays of it are copied as a whole, and `Vector` reads it
/// in place.
///
/// Conform a type only when it has no padding, holds no pointer, and every pattern of bits is a
/// valid value of it. Processes of one cluster must agree on its layout and byte order.
public protocol PlainValue: RemoteValue, BitwiseCopyable {}

extension PlainValue {
  public static var fingerprint: UInt32 { Fingerprint.of(name: "\(Self.self)") }
  public var encodedByteCount: Int { MemoryLayout<Self>.size }
  public func encode(into writer: inout ValueWriter) { writer.write(plain: self) }
  public static func decode(from reader: inout ValueReader) throws -> Self {
    try reader.readPlain(Self.self)
  }

  public static func encodedByteCount(ofElements elements: [Self]) -> Int {
    elements.count * MemoryLayout<Self>.stride
  }

  public static func encode(elements: [Self], into writer: inout ValueWriter) {
    elements.withUnsafeBytes { writer.write(bytes: $0) }
  }

  public static func decodeElements(
    _ count: Int, from reader: inout ValueReader
  ) throws -> [Self] {
    let bytes = try reader.readElements(count, of: Self.self)
    return [Self](unsafeUninitializedCapacity: count) { buffer, filled in
      if let start = bytes.baseAddress, bytes.count > 0, let target = buffer.baseAddress {
        UnsafeMutableRawPointer(target).copyMemory(from: start, byteCount: bytes.count)
      }
      filled = count
    }
  }
}

// The same for plain values that are `Codable` too: their memory comes first.
extension PlainValue where Self: Codable {
  public static var fingerprint: UInt32 { Fingerprint.of(name: "\(Self.self)") }
  public var encodedByteCount: Int { MemoryLayout<Self>.size }
  public func encode(into writer: inout ValueWriter) { writer.write(plain: self) }
  public static func decode(from reader: inout ValueReader) throws -> Self {
    try reader.readPlain(Self.self)
  }
}
