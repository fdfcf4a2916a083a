import RealWorld

/// Whole values as an object of the store or an argument of a task holds them: 8 bytes that tell
/// the type (its fingerprint, little-endian, and four zeros, which keep what follows aligned), then
/// the value.
public enum EncodedValue {
  public static var headByteCount: Int { 8 }

  /// How many bytes `write` fills.
  public static func byteCount<Value: RemoteValue>(of value: Value) -> Int {
    headByteCount + value.encodedByteCount
  }

  /// Writes a value into memory of exactly `byteCount(of:)` bytes.
  ///
  /// - Throws: `ValueError.notEncodable` when the value does not fill the memory, or its own
  ///   encoding failed.
  public static func write<Value: RemoteValue>(
    _ value: Value, into memory: UnsafeMutableRawBufferPointer
  ) throws(ValueError) {
    try write(value, into: ObjectRoom(memory))
  }

  /// The same into room in a store, whose pages are made while it fills; large blocks of bytes are
  /// copied by several threads.
  ///
  /// - Throws: as the other, and `ValueError.noMemory`.
  public static func write<Value: RemoteValue>(
    _ value: Value, into room: ObjectRoom
  ) throws(ValueError) {
    var writer = ValueWriter(into: room)
    writeHead(Value.fingerprint, into: &writer)
    value.encode(into: &writer)
    if let failure = writer.failure {
      if case .notEncodable(_, let reason) = failure {
        throw .notEncodable(type: "\(Value.self)", reason: reason)
      }
      throw failure
    }
    guard writer.remaining == 0 else {
      throw .notEncodable(
        type: "\(Value.self)",
        reason: "it writes \(writer.remaining) bytes fewer than its encodedByteCount")
    }
  }

  /// The bytes of a value.
  public static func bytes<Value: RemoteValue>(of value: Value) throws(ValueError) -> [UInt8] {
    let count = byteCount(of: value)
    var failure: ValueError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      do throws(ValueError) {
        try write(
          value,
          into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
        filled = count
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Reads a value that fills `bytes`.
  ///
  /// - Parameter owner: keeps the memory alive and unchanged for values that are read in place; nil
  ///   when the memory is only lent: then everything is copied.
  /// - Throws: `ValueError`, which names the type that was expected and what was found.
  public static func read<Value: RemoteValue>(
    _ type: Value.Type, from bytes: UnsafeRawBufferPointer, owner: AnyObject? = nil
  ) throws(ValueError) -> Value {
    var reader = ValueReader(bytes, owner: owner)
    try readHead(Value.fingerprint, type, &reader)
    let value: Value
    do {
      value = try Value.decode(from: &reader)
    } catch let error as ValueError {
      throw error
    } catch {
      throw .malformed(type: "\(type)", reason: "\(error)")
    }
    guard reader.remaining == 0 else {
      throw .trailingBytes(type: "\(type)", count: reader.remaining)
    }
    return value
  }

  /// Reads a value that fills `bytes`, copying everything.
  public static func read<Value: RemoteValue>(
    _ type: Value.Type, from bytes: [UInt8]
  ) throws(ValueError) -> Value {
    let result = bytes.withUnsafeBytes { memory in
      Result { () throws(ValueError) in try read(type, from: memory) }
    }
    return try result.get()
  }

  // MARK: Nothing

  /// What stands for `Void`, which cannot conform to `RemoteValue`: the head alone. Whoever runs a
  /// function without a result stores this, and reads it with `readVoid`.
  public static var void: [UInt8] {
    let fingerprint = Fingerprint.void
    return (0..<8).map { $0 < 4 ? UInt8(truncatingIfNeeded: fingerprint >> UInt32(8 * $0)) : 0 }
  }

  /// - Throws: `ValueError` unless `bytes` stand for `Void`.
  public static func readVoid(from bytes: UnsafeRawBufferPointer) throws(ValueError) {
    var reader = ValueReader(bytes)
    try readHead(Fingerprint.void, Void.self, &reader)
    guard reader.remaining == 0 else {
      throw .trailingBytes(type: "Void", count: reader.remaining)
    }
  }

  // MARK: The head

  private static func writeHead(_ fingerprint: UInt32, into writer: inout ValueWriter) {
    writer.write(UInt64(fingerprint))
  }

  private static func readHead(
    _ fingerprint: UInt32, _ type: Any.Type, _ reader: inout ValueReader
  ) throws(ValueError) {
    let head = try reader.read(UInt64.self, for: type)
    let found = UInt32(truncatingIfNeeded: head)
    guard found == fingerprint else {
      throw .wrongType(expected: name(type), found: Fingerprint.name(found))
    }
    guard head >> 32 == 0 else {
      throw .malformed(type: name(type), reason: "the bytes behind its fingerprint are not zero")
    }
  }

  private static func name(_ type: Any.Type) -> String {
    type == Void.self ? "Void" : "\(type)"
  }
}
