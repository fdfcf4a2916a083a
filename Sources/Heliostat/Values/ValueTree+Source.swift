extension ValueTree {
  /// The bytes of a tree, read where they lie.
  struct Source {
    private let bytes: UnsafeRawBufferPointer

    /// Takes one node, the tree's root, from the reader.
    init(_ reader: inout ValueReader, for type: Any.Type) throws {
      let rest = reader
      let available = try reader.read(bytes: reader.remaining, for: type)
      bytes = available
      reader = rest
      var cursor = 0
      try skip(&cursor, end: available.count)
      _ = try reader.read(bytes: cursor, for: type)
    }

    func root() -> Node { Node(source: self, offset: 0, end: bytes.count, path: [], depth: 0) }

    // MARK: Parts

    /// - Throws: when fewer than `count` bytes lie between `cursor` and `end`.
    func take(_ count: UInt64, _ cursor: inout Int, end: Int) throws -> UnsafeRawBufferPointer {
      guard count <= UInt64(max(0, end - cursor)) else {
        throw ValueError.malformed(
          type: "a Codable value",
          reason: "it needs \(count) bytes more, \(max(0, end - cursor)) are left")
      }
      defer { cursor += Int(count) }
      return UnsafeRawBufferPointer(rebasing: bytes[cursor..<(cursor + Int(count))])
    }

    func byte(_ cursor: inout Int, end: Int) throws -> UInt8 {
      try take(1, &cursor, end: end)[0]
    }

    func number(_ cursor: inout Int, end: Int) throws -> UInt64 {
      var value: UInt64 = 0
      var shift: UInt64 = 0
      while true {
        let next = UInt64(try byte(&cursor, end: end))
        guard shift < 63 || next <= 1 else {
          throw ValueError.malformed(
            type: "a Codable value", reason: "an integer of more than 64 bits")
        }
        value |= (next & 0x7F) << shift
        if next < 0x80 { return value }
        shift += 7
      }
    }

    func word(_ cursor: inout Int, end: Int) throws -> UInt32 {
      UInt32(littleEndian: try take(4, &cursor, end: end).loadUnaligned(as: UInt32.self))
    }

    func text(_ cursor: inout Int, end: Int) throws -> String {
      let length = try number(&cursor, end: end)
      let utf8 = try take(length, &cursor, end: end)
      guard let text = String(validating: utf8.bindMemory(to: UInt8.self), as: UTF8.self) else {
        throw ValueError.malformed(type: "a Codable value", reason: "a text is not UTF-8")
      }
      return text
    }

    /// The memory of an array of plain values, behind its tag.
    func elements(
      _ tag: UInt8, _ cursor: inout Int, end: Int
    ) throws -> (count: Int, bytes: UnsafeRawBufferPointer) {
      let count = try number(&cursor, end: end)
      let stride: UInt64 =
        switch tag {
        case Tag.bytes: 1
        case Tag.floats, Tag.words: 4
        default: 8
        }
      let (size, overflow) = count.multipliedReportingOverflow(by: stride)
      let memory = try take(overflow ? .max : size, &cursor, end: end)
      return (memory.count / Int(stride), memory)
    }

    /// Moves `cursor` behind one node. Containers know their size, so nothing recurses.
    func skip(_ cursor: inout Int, end: Int) throws {
      let tag = try byte(&cursor, end: end)
      switch tag {
      case Tag.null, Tag.no, Tag.yes: break
      case Tag.integer, Tag.unsigned: _ = try number(&cursor, end: end)
      case Tag.float: _ = try take(4, &cursor, end: end)
      case Tag.double: _ = try take(8, &cursor, end: end)
      case Tag.string: _ = try take(try number(&cursor, end: end), &cursor, end: end)
      case Tag.keyed, Tag.list:
        _ = try take(UInt64(try word(&cursor, end: end)), &cursor, end: end)
      case Tag.bytes...Tag.words: _ = try elements(tag, &cursor, end: end)
      default:
        throw ValueError.malformed(type: "a Codable value", reason: "unknown tag \(tag)")
      }
    }
  }

  /// One node in its place.
  struct Node {
    let source: Source
    let offset: Int
    let end: Int
    let path: [any CodingKey]
    let depth: Int

    func tag() throws -> (UInt8, cursor: Int) {
      var cursor = offset
      return (try source.byte(&cursor, end: end), cursor)
    }

    func mismatch(_ type: Any.Type, _ tag: UInt8) -> DecodingError {
      let found =
        switch tag {
        case Tag.null: "nil"
        case Tag.no, Tag.yes: "a Bool"
        case Tag.integer, Tag.unsigned: "an integer"
        case Tag.float: "a Float"
        case Tag.double: "a Double"
        case Tag.string: "a String"
        case Tag.keyed: "a keyed value"
        case Tag.list: "a list"
        case Tag.bytes...Tag.words: "an array of numbers"
        default: "an unknown tag \(tag)"
        }
      return .typeMismatch(
        type,
        DecodingError.Context(
          codingPath: path, debugDescription: "expected \(type), found \(found)"))
    }

    func isNull() throws -> Bool { try tag().0 == Tag.null }

    func bool() throws -> Bool {
      let (tag, _) = try tag()
      guard tag == Tag.yes || tag == Tag.no else { throw mismatch(Bool.self, tag) }
      return tag == Tag.yes
    }

    func string() throws -> String {
      var (tag, cursor) = try tag()
      guard tag == Tag.string else { throw mismatch(String.self, tag) }
      return try source.text(&cursor, end: end)
    }

    func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
      var (tag, cursor) = try tag()
      guard tag == Tag.integer || tag == Tag.unsigned else { throw mismatch(type, tag) }
      let raw = try source.number(&cursor, end: end)
      let signed = Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
      let value = tag == Tag.integer ? Value(exactly: signed) : Value(exactly: raw)
      guard let value else {
        let found = tag == Tag.integer ? "\(signed)" : "\(raw)"
        throw DecodingError.dataCorrupted(
          DecodingError.Context(
            codingPath: path, debugDescription: "\(found) does not fit into \(type)"))
      }
      return value
    }

    func double() throws -> Double {
      var (tag, cursor) = try tag()
      guard tag == Tag.double else { throw mismatch(Double.self, tag) }
      let bits = try source.take(8, &cursor, end: end).loadUnaligned(as: UInt64.self)
      return Double(bitPattern: UInt64(littleEndian: bits))
    }

    func float() throws -> Float {
      var (tag, cursor) = try tag()
      guard tag == Tag.float else { throw mismatch(Float.self, tag) }
      return Float(bitPattern: try source.word(&cursor, end: end))
    }

    func array<Element: PlainValue>(_ expected: UInt8, _ type: Element.Type) throws -> [Element] {
      var (tag, cursor) = try tag()
      guard tag == expected else { throw mismatch([Element].self, tag) }
      let (count, bytes) = try source.elements(tag, &cursor, end: end)
      var reader = ValueReader(bytes)
      return try Element.decodeElements(count, from: &reader)
    }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
      let array: Any
      switch type {
      case is [UInt8].Type: array = try self.array(Tag.bytes, UInt8.self)
      case is [Int].Type: array = try self.array(Tag.integers, Int.self)
      case is [Double].Type: array = try self.array(Tag.doubles, Double.self)
      case is [Float].Type: array = try self.array(Tag.floats, Float.self)
      case is [Int32].Type: array = try self.array(Tag.words, Int32.self)
      default:
        guard depth < ValueTree.deepest else {
          throw DecodingError.dataCorrupted(
            DecodingError.Context(
              codingPath: path,
              debugDescription: "it is nested more than \(ValueTree.deepest) deep"))
        }
        return try Value(from: TreeDecoder(node: self))
      }
      guard let value = array as? Value else { throw mismatch(type, Tag.list) }
      return value
    }

    func child(_ offset: Int, end: Int, _ key: any CodingKey) -> Node {
      Node(source: source, offset: offset, end: end, path: path + [key], depth: depth + 1)
    }

    /// The range of what a container holds.
    func content(_ expected: UInt8, _ type: Any.Type) throws -> Range<Int> {
      var (tag, cursor) = try tag()
      guard tag == expected else { throw mismatch(type, tag) }
      let count = try source.word(&cursor, end: end)
      let start = cursor
      _ = try source.take(UInt64(count), &cursor, end: end)
      return start..<cursor
    }
  }
}
