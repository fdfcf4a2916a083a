/// Why a value could not be encoded, or bytes are not the value that was expected.
public enum ValueError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A value of another type is stored there; `found` names it where the type is well known, and
  /// gives its fingerprint otherwise.
  case wrongType(expected: String, found: String)
  /// The value needs `expected` more bytes where `found` are left.
  case truncated(type: String, expected: Int, found: Int)
  /// So many bytes are left behind the value.
  case trailingBytes(type: String, count: Int)
  /// The bytes are no value of the type.
  case malformed(type: String, reason: String)
  /// The value cannot be written.
  case notEncodable(type: String, reason: String)
  /// The store's memory, which was promised, cannot be had.
  case noMemory(reason: String)

  public var description: String {
    switch self {
    case .wrongType(let expected, let found):
      "expected a value of type \(expected), found one of type \(found)"
    case .truncated(let type, let expected, let found):
      "\(type): the bytes end too early: expected \(expected) more, found \(found)"
    case .trailingBytes(let type, let count):
      "\(type): \(count) bytes are left behind the value"
    case .malformed(let type, let reason): "\(type): the bytes are no such value: \(reason)"
    case .notEncodable(let type, let reason): "\(type): the value cannot be encoded: \(reason)"
    case .noMemory(let reason): reason
    }
  }
}
