struct TreeDecoder: Decoder {
  let node: ValueTree.Node
  var codingPath: [any CodingKey] { node.path }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(try KeyedTreeReader<Key>(node))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try ListTreeReader(node) }
  func singleValueContainer() -> any SingleValueDecodingContainer { SingleTreeReader(node: node) }
}

struct SingleTreeReader: SingleValueDecodingContainer {
  let node: ValueTree.Node
  var codingPath: [any CodingKey] { node.path }

  func decodeNil() -> Bool { (try? node.isNull()) ?? false }
  func decode(_ type: Bool.Type) throws -> Bool { try node.bool() }
  func decode(_ type: String.Type) throws -> String { try node.string() }
  func decode(_ type: Double.Type) throws -> Double { try node.double() }
  func decode(_ type: Float.Type) throws -> Float { try node.float() }
  func decode(_ type: Int.Type) throws -> Int { try node.integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try node.integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try node.integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try node.integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try node.integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try node.integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try node.integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try node.integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try node.integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try node.integer(type) }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try node.decode(type) }
}

struct KeyedTreeReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
  private let node: ValueTree.Node
  private var fields: [String: Range<Int>] = [:]
  private var keys: [String] = []
  var codingPath: [any CodingKey] { node.path }

  init(_ node: ValueTree.Node) throws {
    self.node = node
    let content = try node.content(ValueTree.Tag.keyed, [String: Any].self)
    var cursor = content.lowerBound
    while cursor < content.upperBound {
      let key = try node.source.text(&cursor, end: content.upperBound)
      let start = cursor
      try node.source.skip(&cursor, end: content.upperBound)
      guard fields.updateValue(start..<cursor, forKey: key) == nil else {
        throw DecodingError.dataCorrupted(
          DecodingError.Context(codingPath: node.path, debugDescription: "two fields named \(key)"))
      }
      keys.append(key)
    }
  }

  var allKeys: [Key] { keys.compactMap { Key(stringValue: $0) } }
  func contains(_ key: Key) -> Bool { fields[key.stringValue] != nil }

  private func find(_ key: some CodingKey) throws -> ValueTree.Node {
    guard let range = fields[key.stringValue] else {
      throw DecodingError.keyNotFound(
        key,
        DecodingError.Context(codingPath: codingPath, debugDescription: "no such key"))
    }
    return node.child(range.lowerBound, end: range.upperBound, key)
  }

  func decodeNil(forKey key: Key) throws -> Bool { try find(key).isNull() }
  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try find(key).bool() }
  func decode(_ type: String.Type, forKey key: Key) throws -> String { try find(key).string() }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try find(key).double() }
  func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try find(key).float() }
  func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try find(key).integer(type) }
  func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try find(key).integer(type) }
  func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try find(key).integer(type) }
  func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try find(key).integer(type) }
  func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try find(key).integer(type) }
  func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try find(key).integer(type) }
  func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try find(key).integer(type) }
  func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 {
    try find(key).integer(type)
  }
  func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 {
    try find(key).integer(type)
  }
  func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 {
    try find(key).integer(type)
  }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try find(key).decode(type)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    KeyedDecodingContainer(try KeyedTreeReader<Nested>(try find(key)))
  }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try ListTreeReader(try find(key))
  }
  func superDecoder() throws -> any Decoder { TreeDecoder(node: try find(TreeKey.super)) }
  func superDecoder(forKey key: Key) throws -> any Decoder { TreeDecoder(node: try find(key)) }
}

struct ListTreeReader: UnkeyedDecodingContainer {
  private let node: ValueTree.Node
  private let places: [Range<Int>]
  private(set) var currentIndex = 0
  var codingPath: [any CodingKey] { node.path }
  var count: Int? { places.count }
  var isAtEnd: Bool { currentIndex >= places.count }

  init(_ node: ValueTree.Node) throws {
    self.node = node
    let content = try node.content(ValueTree.Tag.list, [Any].self)
    var places: [Range<Int>] = []
    var cursor = content.lowerBound
    while cursor < content.upperBound {
      let start = cursor
      try node.source.skip(&cursor, end: content.upperBound)
      places.append(start..<cursor)
    }
    self.places = places
  }

  private func current(_ type: Any.Type) throws -> ValueTree.Node {
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        type,
        DecodingError.Context(
          codingPath: codingPath, debugDescription: "the list has only \(places.count) elements"))
    }
    let place = places[currentIndex]
    return node.child(place.lowerBound, end: place.upperBound, TreeKey(intValue: currentIndex))
  }

  /// The element is passed only when it could be read.
  private mutating func next<Value>(
    _ type: Value.Type, _ read: (ValueTree.Node) throws -> Value
  ) throws -> Value {
    let value = try read(try current(type))
    currentIndex += 1
    return value
  }

  mutating func decodeNil() throws -> Bool {
    guard try current(Never.self).isNull() else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode(_ type: Bool.Type) throws -> Bool { try next(type) { try $0.bool() } }
  mutating func decode(_ type: String.Type) throws -> String { try next(type) { try $0.string() } }
  mutating func decode(_ type: Double.Type) throws -> Double { try next(type) { try $0.double() } }
  mutating func decode(_ type: Float.Type) throws -> Float { try next(type) { try $0.float() } }
  mutating func decode(_ type: Int.Type) throws -> Int { try integer(type) }
  mutating func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
  mutating func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
  mutating func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
  mutating func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
  mutating func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
  mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
  mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
  mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
  mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try next(type) { try $0.decode(type) }
  }

  private mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
    try next(type) { try $0.integer(type) }
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    try next(KeyedDecodingContainer<Nested>.self) {
      KeyedDecodingContainer(try KeyedTreeReader<Nested>($0))
    }
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next((any UnkeyedDecodingContainer).self) { try ListTreeReader($0) }
  }

  mutating func superDecoder() throws -> any Decoder {
    try next((any Decoder).self) { TreeDecoder(node: $0) }
  }
}
