import Primitives

/// What a peer is to this process.
public enum PeerRole: UInt8, Sendable, Hashable, CaseIterable {
  case driver = 1
  case node = 2
  case worker = 3
  /// One of several connections that carry objects between two nodes.
  case data = 4
}

/// How a process introduces itself when a link is made.
public struct Hello: Sendable, Hashable {
  public var role: PeerRole
  /// The cluster's name; empty means any.
  public var cluster: String
  /// The process's name in messages and logs, such as `node-2`.
  public var process: String
  public var processID: Int32
  /// The names of the registered functions in the order of their numbers; nil when the link needs
  /// no common table.
  public var functions: [String]?
  /// Bytes of the layer above; at most `Hello.maximumPayload`.
  public var payload: [UInt8]

  public static let maximumPayload = 1 << 20
  /// The longest name of a cluster or process, and of a function, in bytes of UTF-8.
  public static let maximumName = 255
  public static let maximumFunctionName = 1024
  /// The whole, encoded.
  static let maximumEncoded = 4 << 20

  public init(
    role: PeerRole, cluster: String = "", process: String, processID: Int32,
    functions: [String]? = nil, payload: [UInt8] = []
  ) {
    self.role = role
    self.cluster = cluster
    self.process = process
    self.processID = processID
    self.functions = functions
    self.payload = payload
  }
}

extension Hello: CustomStringConvertible {
  public var description: String { "\(role) '\(process)' (process \(processID))" }
}

extension Hello {
  /// - Throws: `TransportError` of kind `configuration` when a part is too long.
  func encoded() throws(TransportError) -> [UInt8] {
    func check(_ count: Int, _ limit: Int, _ what: String) throws(TransportError) {
      if count > limit {
        throw TransportError(.configuration, "\(what) has \(count) bytes, at most \(limit) can go")
      }
    }
    try check(cluster.utf8.count, Hello.maximumName, "the cluster's name")
    try check(process.utf8.count, Hello.maximumName, "the process's name")
    try check(payload.count, Hello.maximumPayload, "the hello's payload")
    var bytes: [UInt8] = [role.rawValue, functions == nil ? 0 : 1]
    bytes.append(word: UInt32(bitPattern: processID))
    bytes.append(text: cluster)
    bytes.append(text: process)
    bytes.append(word: UInt32(functions?.count ?? 0))
    for name in functions ?? [] {
      try check(name.utf8.count, Hello.maximumFunctionName, "the function name '\(name)'")
      bytes.append(text: name)
    }
    bytes.append(word: UInt32(payload.count))
    bytes.append(contentsOf: payload)
    try check(bytes.count, Hello.maximumEncoded, "the whole hello")
    return bytes
  }

  /// Nil when the bytes are malformed.
  init?(decoding bytes: ArraySlice<UInt8>) {
    var reader = HelloReader(rest: bytes)
    guard let role = reader.byte().flatMap({ PeerRole(rawValue: $0) }),
      let hasFunctions = reader.byte(), hasFunctions <= 1,
      let processID = reader.word(),
      let cluster = reader.name(limit: Hello.maximumName),
      let process = reader.name(limit: Hello.maximumName),
      let count = reader.word(),
      hasFunctions == 1 || count == 0,
      // Each name takes at least its two bytes of length: a false count allocates nothing.
      Int(count) * 2 <= reader.rest.count
    else { return nil }
    var functions: [String] = []
    functions.reserveCapacity(Int(count))
    for _ in 0..<count {
      guard let name = reader.name(limit: Hello.maximumFunctionName) else { return nil }
      functions.append(name)
    }
    guard let length = reader.word(), Int(length) <= Hello.maximumPayload,
      Int(length) == reader.rest.count
    else { return nil }
    self.init(
      role: role, cluster: cluster, process: process, processID: Int32(bitPattern: processID),
      functions: hasFunctions == 1 ? functions : nil, payload: Array(reader.rest))
  }
}

/// Reads a hello front to back; nil at the first part that does not fit.
struct HelloReader {
  var rest: ArraySlice<UInt8>

  mutating func byte() -> UInt8? { rest.popFirst() }

  mutating func word() -> UInt32? {
    guard rest.count >= 4 else { return nil }
    let i = rest.startIndex
    let value =
      UInt32(rest[i]) | UInt32(rest[i + 1]) << 8 | UInt32(rest[i + 2]) << 16
      | UInt32(rest[i + 3]) << 24
    rest = rest.dropFirst(4)
    return value
  }

  mutating func name(limit: Int) -> String? {
    guard let low = byte(), let high = byte() else { return nil }
    let count = Int(low) | Int(high) << 8
    guard count <= limit, count <= rest.count,
      let text = String(validating: rest.prefix(count), as: UTF8.self),
      // Names go into logs and messages: a line break in one could forge a line.
      printable(text, limit: .max) == text
    else { return nil }
    rest = rest.dropFirst(count)
    return text
  }
}

extension [UInt8] {
  mutating func append(word: UInt32) {
    for shift in [0, 8, 16, 24] as [UInt32] {
      append(UInt8(truncatingIfNeeded: word >> shift))
    }
  }

  mutating func append(half: UInt16) {
    append(UInt8(truncatingIfNeeded: half))
    append(UInt8(truncatingIfNeeded: half >> 8))
  }

  mutating func append(text: String) {
    append(half: UInt16(text.utf8.count))
    append(contentsOf: text.utf8)
  }
}
