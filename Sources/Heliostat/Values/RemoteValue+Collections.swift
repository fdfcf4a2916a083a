/// The number of elements, then the elements: those that are `PlainValue` as they lie in memory.
extension Array: RemoteValue where Element: RemoteValue {
  public static var fingerprint: UInt32 { Fingerprint.of(name: "Array", Element.fingerprint) }
  public var encodedByteCount: Int { 8 + Element.encodedByteCount(ofElements: self) }

  public func encode(into writer: inout ValueWriter) {
    writer.write(count: count)
    Element.encode(elements: self, into: &writer)
  }

  public static func decode(from reader: inout ValueReader) throws -> [Element] {
    let count = try reader.readCount(for: Self.self)
    return try Element.decodeElements(count, from: &reader)
  }
}

/// The number of elements, then the elements in rising order: equal sets give equal bytes.
extension Set: RemoteValue where Element: RemoteValue & Comparable {
  public static var fingerprint: UInt32 { Fingerprint.of(name: "Set", Element.fingerprint) }
  public var encodedByteCount: Int { reduce(8) { $0 + $1.encodedByteCount } }

  public func encode(into writer: inout ValueWriter) {
    writer.write(count: count)
    for element in sorted() { element.encode(into: &writer) }
  }

  public static func decode(from reader: inout ValueReader) throws -> Set<Element> {
    let count = try reader.readCount(for: Self.self)
    var set = Set<Element>(minimumCapacity: Swift.min(count, 65_536))
    var last: Element?
    for _ in 0..<count {
      let element = try Element.decode(from: &reader)
      try requireOrder(last, element, in: Self.self)
      last = element
      set.insert(element)
    }
    return set
  }
}

/// The number of pairs, then the pairs by rising key: equal dictionaries give equal bytes.
extension Dictionary: RemoteValue where Key: RemoteValue & Comparable, Value: RemoteValue {
  public static var fingerprint: UInt32 {
    Fingerprint.of(name: "Dictionary", Key.fingerprint, Value.fingerprint)
  }

  public var encodedByteCount: Int {
    reduce(8) { $0 + $1.key.encodedByteCount + $1.value.encodedByteCount }
  }

  public func encode(into writer: inout ValueWriter) {
    writer.write(count: count)
    for (key, value) in sorted(by: { $0.key < $1.key }) {
      key.encode(into: &writer)
      value.encode(into: &writer)
    }
  }

  public static func decode(from reader: inout ValueReader) throws -> [Key: Value] {
    let count = try reader.readCount(for: Self.self)
    var dictionary = [Key: Value](minimumCapacity: Swift.min(count, 65_536))
    var last: Key?
    for _ in 0..<count {
      let key = try Key.decode(from: &reader)
      try requireOrder(last, key, in: Self.self)
      last = key
      dictionary[key] = try Value.decode(from: &reader)
    }
    return dictionary
  }
}

/// Rising order leaves one form of each collection, and none with an element twice.
private func requireOrder<Element: Comparable>(
  _ last: Element?, _ next: Element, in type: Any.Type
) throws(ValueError) {
  if let last, !(last < next) {
    throw .malformed(type: "\(type)", reason: "its keys do not rise")
  }
}
