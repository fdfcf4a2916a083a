/// A value as `Codable` sees it: a tree, each of whose nodes is a tag and its content.
///
///     0 nil   1 false   2 true   3 integer (zigzag)   4 unsigned integer   5 Float   6 Double
///     7 string: length, UTF-8
///     8 keyed: byte count UInt32, then for each key its length, its UTF-8 and a node
///     9 list: byte count UInt32, then nodes
///     16… array of plain values: element count, then the elements, little-endian
///
/// Integers, lengths and counts take seven bits a byte, the lowest first (LEB128).
final class ValueTree {
  enum Tag {
    static let null: UInt8 = 0
    static let no: UInt8 = 1
    static let yes: UInt8 = 2
    static let integer: UInt8 = 3
    static let unsigned: UInt8 = 4
    static let float: UInt8 = 5
    static let double: UInt8 = 6
    static let string: UInt8 = 7
    static let keyed: UInt8 = 8
    static let list: UInt8 = 9
    static let bytes: UInt8 = 16
    static let integers: UInt8 = 17
    static let doubles: UInt8 = 18
    static let floats: UInt8 = 19
    static let words: UInt8 = 20
  }

  enum Content {
    /// Nothing has been encoded here: an empty list of keys.
    case empty
    case null
    case bool(Bool)
    case integer(Int64)
    case unsigned(UInt64)
    case float(Float)
    case double(Double)
    case string(String)
    case keyed
    case list
    case bytes([UInt8])
    case integers([Int])
    case doubles([Double])
    case floats([Float])
    case words([Int32])
  }

  /// The deepest nesting that is written or read: deeper, the stack could run out.
  static let deepest = 256

  var content = Content.empty
  var keys: [String] = []
  var children: [ValueTree] = []
  /// Where each key stands among `keys`.
  var places: [String: Int] = [:]

  static func encoding(_ value: some Encodable) throws -> ValueTree {
    let tree = ValueTree()
    try tree.fill(value, path: [], depth: 0)
    let size = tree.byteCount
    guard size <= Int(UInt32.max) else {
      throw ValueError.notEncodable(
        type: "\(type(of: value))", reason: "it takes \(size) bytes, the limit is 4 GiB")
    }
    return tree
  }

  /// An error of `Codable` in few words.
  static func reason(_ error: any Error) -> String {
    func place(_ path: [any CodingKey]) -> String {
      path.isEmpty ? "" : " at " + path.map(\.stringValue).joined(separator: ".")
    }
    switch error {
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
      DecodingError.dataCorrupted(let context):
      return context.debugDescription + place(context.codingPath)
    case DecodingError.keyNotFound(let key, let context):
      return "it has no \(key.stringValue)" + place(context.codingPath)
    case EncodingError.invalidValue(_, let context):
      return context.debugDescription + place(context.codingPath)
    case ValueError.notEncodable(_, let reason): return reason
    default: return "\(error)"
    }
  }

  // MARK: Size

  /// Bytes of an integer at seven bits each.
  static func size(_ value: UInt64) -> Int {
    (64 - min(63, value.leadingZeroBitCount) + 6) / 7
  }

  static func zigzag(_ value: Int64) -> UInt64 {
    UInt64(bitPattern: value << 1 ^ value >> 63)
  }

  /// Bytes inside a container, worked out once, when everything has been encoded.
  private lazy var contentCount: Int = {
    var count = children.reduce(0) { $0 + $1.byteCount }
    for key in keys { count += Self.size(UInt64(key.utf8.count)) + key.utf8.count }
    return count
  }()

  private func size<Element>(_ elements: [Element]) -> Int {
    1 + Self.size(UInt64(elements.count)) + elements.count * MemoryLayout<Element>.stride
  }

  var byteCount: Int {
    switch content {
    case .null, .bool: 1
    case .integer(let value): 1 + Self.size(Self.zigzag(value))
    case .unsigned(let value): 1 + Self.size(value)
    case .float: 5
    case .double: 9
    case .string(let text): 1 + Self.size(UInt64(text.utf8.count)) + text.utf8.count
    case .empty, .keyed, .list: 5 + contentCount
    case .bytes(let elements): size(elements)
    case .integers(let elements): size(elements)
    case .doubles(let elements): size(elements)
    case .floats(let elements): size(elements)
    case .words(let elements): size(elements)
    }
  }

  // MARK: Writing

  func write(into writer: inout ValueWriter) {
    switch content {
    case .null: writer.write(Tag.null)
    case .bool(let value): writer.write(value ? Tag.yes : Tag.no)
    case .integer(let value):
      writer.write(Tag.integer)
      Self.write(Self.zigzag(value), into: &writer)
    case .unsigned(let value):
      writer.write(Tag.unsigned)
      Self.write(value, into: &writer)
    case .float(let value):
      writer.write(Tag.float)
      writer.write(value.bitPattern)
    case .double(let value):
      writer.write(Tag.double)
      writer.write(value.bitPattern)
    case .string(let text):
      writer.write(Tag.string)
      Self.write(text, into: &writer)
    case .empty, .keyed:
      writer.write(Tag.keyed)
      writer.write(UInt32(truncatingIfNeeded: contentCount))
      // By key, not as they came: dictionaries have no order of their own.
      for (key, child) in zip(keys, children).sorted(by: { $0.0 < $1.0 }) {
        Self.write(key, into: &writer)
        child.write(into: &writer)
      }
    case .list:
      writer.write(Tag.list)
      writer.write(UInt32(truncatingIfNeeded: contentCount))
      for child in children { child.write(into: &writer) }
    case .bytes(let elements): Self.write(Tag.bytes, elements, into: &writer)
    case .integers(let elements): Self.write(Tag.integers, elements, into: &writer)
    case .doubles(let elements): Self.write(Tag.doubles, elements, into: &writer)
    case .floats(let elements): Self.write(Tag.floats, elements, into: &writer)
    case .words(let elements): Self.write(Tag.words, elements, into: &writer)
    }
  }

  private static func write(_ value: UInt64, into writer: inout ValueWriter) {
    var rest = value
    while rest > 0x7F {
      writer.write(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    writer.write(UInt8(truncatingIfNeeded: rest))
  }

  private static func write(_ text: String, into writer: inout ValueWriter) {
    var text = text
    text.withUTF8 {
      write(UInt64($0.count), into: &writer)
      writer.write(bytes: UnsafeRawBufferPointer($0))
    }
  }

  private static func write<Element: PlainValue>(
    _ tag: UInt8, _ elements: [Element], into writer: inout ValueWriter
  ) {
    writer.write(tag)
    write(UInt64(elements.count), into: &writer)
    elements.withUnsafeBytes { writer.write(bytes: $0) }
  }
}
