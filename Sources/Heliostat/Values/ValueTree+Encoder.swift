extension ValueTree {
  /// Encodes `value` into this node.
  func fill<Value: Encodable>(_ value: Value, path: [any CodingKey], depth: Int) throws {
    switch value {
    // Arrays of plain values at once: element by element they would cost a node each.
    case let array as [UInt8] where Value.self == [UInt8].self: content = .bytes(array)
    case let array as [Int] where Value.self == [Int].self: content = .integers(array)
    case let array as [Double] where Value.self == [Double].self: content = .doubles(array)
    case let array as [Float] where Value.self == [Float].self: content = .floats(array)
    case let array as [Int32] where Value.self == [Int32].self: content = .words(array)
    default:
      guard depth < Self.deepest else {
        throw EncodingError.invalidValue(
          value,
          EncodingError.Context(
            codingPath: path, debugDescription: "it is nested more than \(Self.deepest) deep"))
      }
      try value.encode(to: TreeEncoder(node: self, codingPath: path, depth: depth + 1))
    }
  }

  func child(_ key: String? = nil) -> ValueTree {
    let node = ValueTree()
    if let key {
      // Encoded again under the same key: the later value counts.
      if let known = places.updateValue(keys.count, forKey: key) {
        places[key] = known
        children[known] = node
        return node
      }
      keys.append(key)
    }
    children.append(node)
    return node
  }
}

struct TreeEncoder: Encoder {
  let node: ValueTree
  let codingPath: [any CodingKey]
  let depth: Int
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    node.content = .keyed
    return KeyedEncodingContainer(
      KeyedTreeWriter<Key>(node: node, codingPath: codingPath, depth: depth))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    node.content = .list
    return ListTreeWriter(node: node, codingPath: codingPath, depth: depth)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer {
    SingleTreeWriter(node: node, codingPath: codingPath, depth: depth)
  }
}

/// One value: the primitives of the other containers come down to this.
struct SingleTreeWriter: SingleValueEncodingContainer {
  let node: ValueTree
  let codingPath: [any CodingKey]
  let depth: Int

  func encodeNil() { node.content = .null }
  func encode(_ value: Bool) { node.content = .bool(value) }
  func encode(_ value: String) { node.content = .string(value) }
  func encode(_ value: Double) { node.content = .double(value) }
  func encode(_ value: Float) { node.content = .float(value) }
  func encode(_ value: Int) { node.content = .integer(Int64(value)) }
  func encode(_ value: Int8) { node.content = .integer(Int64(value)) }
  func encode(_ value: Int16) { node.content = .integer(Int64(value)) }
  func encode(_ value: Int32) { node.content = .integer(Int64(value)) }
  func encode(_ value: Int64) { node.content = .integer(value) }
  func encode(_ value: UInt) { node.content = .unsigned(UInt64(value)) }
  func encode(_ value: UInt8) { node.content = .unsigned(UInt64(value)) }
  func encode(_ value: UInt16) { node.content = .unsigned(UInt64(value)) }
  func encode(_ value: UInt32) { node.content = .unsigned(UInt64(value)) }
  func encode(_ value: UInt64) { node.content = .unsigned(value) }
  func encode(_ value: some Encodable) throws {
    try node.fill(value, path: codingPath, depth: depth)
  }
}

struct KeyedTreeWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let node: ValueTree
  let codingPath: [any CodingKey]
  let depth: Int

  private func place(_ key: some CodingKey) -> SingleTreeWriter {
    SingleTreeWriter(
      node: node.child(key.stringValue), codingPath: codingPath + [key], depth: depth)
  }

  func encodeNil(forKey key: Key) { place(key).encodeNil() }
  func encode(_ value: Bool, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: String, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: Double, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: Float, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: Int, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: Int8, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: Int16, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: Int32, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: Int64, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: UInt, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: UInt8, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: UInt16, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: UInt32, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: UInt64, forKey key: Key) { place(key).encode(value) }
  func encode(_ value: some Encodable, forKey key: Key) throws { try place(key).encode(value) }

  private func encoder(_ key: some CodingKey) -> TreeEncoder {
    TreeEncoder(
      node: node.child(key.stringValue), codingPath: codingPath + [key], depth: depth + 1)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> { encoder(key).container(keyedBy: type) }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    encoder(key).unkeyedContainer()
  }
  func superEncoder() -> any Encoder { encoder(TreeKey.super) }
  func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }
}

struct ListTreeWriter: UnkeyedEncodingContainer {
  let node: ValueTree
  let codingPath: [any CodingKey]
  let depth: Int
  var count: Int { node.children.count }

  private func place() -> SingleTreeWriter {
    let path = codingPath + [TreeKey(intValue: count)]
    return SingleTreeWriter(node: node.child(), codingPath: path, depth: depth)
  }

  func encodeNil() { place().encodeNil() }
  func encode(_ value: Bool) { place().encode(value) }
  func encode(_ value: String) { place().encode(value) }
  func encode(_ value: Double) { place().encode(value) }
  func encode(_ value: Float) { place().encode(value) }
  func encode(_ value: Int) { place().encode(value) }
  func encode(_ value: Int8) { place().encode(value) }
  func encode(_ value: Int16) { place().encode(value) }
  func encode(_ value: Int32) { place().encode(value) }
  func encode(_ value: Int64) { place().encode(value) }
  func encode(_ value: UInt) { place().encode(value) }
  func encode(_ value: UInt8) { place().encode(value) }
  func encode(_ value: UInt16) { place().encode(value) }
  func encode(_ value: UInt32) { place().encode(value) }
  func encode(_ value: UInt64) { place().encode(value) }
  func encode(_ value: some Encodable) throws { try place().encode(value) }

  private func encoder() -> TreeEncoder {
    let path = codingPath + [TreeKey(intValue: count)]
    return TreeEncoder(node: node.child(), codingPath: path, depth: depth + 1)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) -> KeyedEncodingContainer<Nested> { encoder().container(keyedBy: type) }
  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder().unkeyedContainer() }
  func superEncoder() -> any Encoder { encoder() }
}

/// A place in a list, or that of a superclass.
struct TreeKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  static let `super` = TreeKey(stringValue: "super")

  init(stringValue: String) {
    self.stringValue = stringValue
    intValue = nil
  }

  init(intValue: Int) {
    stringValue = "\(intValue)"
    self.intValue = intValue
  }
}
