// Any `Codable` type in a compact binary form: a tree of tagged values (`ValueTree`).
//
// Fields and dictionaries by names or integers are kept in the order of their keys, so equal values
// give equal bytes; sets and other dictionaries inside a `Codable` type come in an order that may
// differ from process to process.
//
// The tree is built twice, once to count and once to write: for large values in a hot place,
// implement `RemoteValue` by hand, or keep them in arrays of plain values.

extension RemoteValue where Self: Codable {
  public static var fingerprint: UInt32 {
    // Not the qualified name: that of a local type holds an address, which differs from process to
    // process.
    Fingerprint.of(name: "Codable", Fingerprint.of(name: "\(Self.self)"))
  }

  public var encodedByteCount: Int {
    do {
      return try ValueTree.encoding(self).byteCount
    } catch {
      // Writing fails in the same way and says why.
      return 0
    }
  }

  public func encode(into writer: inout ValueWriter) {
    do {
      try ValueTree.encoding(self).write(into: &writer)
    } catch {
      writer.fail(.notEncodable(type: "\(Self.self)", reason: ValueTree.reason(error)))
    }
  }

  public static func decode(from reader: inout ValueReader) throws -> Self {
    let tree = try ValueTree.Source(&reader, for: Self.self)
    do {
      return try tree.root().decode(Self.self)
    } catch let error as ValueError {
      throw error
    } catch {
      throw ValueError.malformed(type: "\(Self.self)", reason: ValueTree.reason(error))
    }
  }
}
