// Integers and floating point numbers are their memory. The fingerprints are those of the names,
// worked out beforehand: they cost more than the value itself.

extension Int: PlainValue {
  public static var fingerprint: UInt32 { 0xF874_15FE }
}

extension Int8: PlainValue {
  public static var fingerprint: UInt32 { 0xE4BE_46B2 }
}

extension Int16: PlainValue {
  public static var fingerprint: UInt32 { 0x2D9F_ADF1 }
}

extension Int32: PlainValue {
  public static var fingerprint: UInt32 { 0xA19A_545F }
}

extension Int64: PlainValue {
  public static var fingerprint: UInt32 { 0x298E_5E84 }
}

extension UInt: PlainValue {
  public static var fingerprint: UInt32 { 0xE939_EB21 }
}

extension UInt8: PlainValue {
  public static var fingerprint: UInt32 { 0x3F2D_185B }
}

extension UInt16: PlainValue {
  public static var fingerprint: UInt32 { 0x4EE6_C772 }
}

extension UInt32: PlainValue {
  public static var fingerprint: UInt32 { 0xD2EC_146C }
}

extension UInt64: PlainValue {
  public static var fingerprint: UInt32 { 0x4EF8_1093 }
}

extension Float: PlainValue {
  public static var fingerprint: UInt32 { 0x4C81_6225 }
}

extension Double: PlainValue {
  public static var fingerprint: UInt32 { 0x8E46_4C28 }
}

extension Bool: RemoteValue {
  public static var fingerprint: UInt32 { 0x2F74_2C5D }
  public var encodedByteCount: Int { 1 }
  public func encode(into writer: inout ValueWriter) { writer.write(UInt8(self ? 1 : 0)) }

  public static func decode(from reader: inout ValueReader) throws -> Bool {
    switch try reader.read(UInt8.self, for: Bool.self) {
    case 0: return false
    case 1: return true
    case let other:
      throw ValueError.malformed(type: "Bool", reason: "found \(other), expected 0 or 1")
    }
  }
}

/// The number of bytes, then UTF-8.
extension String: RemoteValue {
  public static var fingerprint: UInt32 { 0x604F_4858 }
  public var encodedByteCount: Int { 8 + utf8.count }

  public func encode(into writer: inout ValueWriter) {
    var text = self
    text.withUTF8 {
      writer.write(count: $0.count)
      writer.write(bytes: UnsafeRawBufferPointer($0))
    }
  }

  public static func decode(from reader: inout ValueReader) throws -> String {
    let count = try reader.readCount(for: String.self)
    let bytes = try reader.read(bytes: count, for: String.self)
    guard let text = String(validating: bytes.bindMemory(to: UInt8.self), as: UTF8.self) else {
      throw ValueError.malformed(type: "String", reason: "the bytes are not UTF-8")
    }
    return text
  }
}

/// One byte that tells whether a value follows.
extension Optional: RemoteValue where Wrapped: RemoteValue {
  public static var fingerprint: UInt32 { Fingerprint.of(name: "Optional", Wrapped.fingerprint) }

  public var encodedByteCount: Int {
    if let value = self { 1 + value.encodedByteCount } else { 1 }
  }

  public func encode(into writer: inout ValueWriter) {
    writer.write(UInt8(self == nil ? 0 : 1))
    if let value = self { value.encode(into: &writer) }
  }

  public static func decode(from reader: inout ValueReader) throws -> Wrapped? {
    switch try reader.read(UInt8.self, for: Self.self) {
    case 0: return nil
    case 1: return try Wrapped.decode(from: &reader)
    case let other:
      throw ValueError.malformed(type: "\(Self.self)", reason: "found \(other), expected 0 or 1")
    }
  }
}
