import Glibc
import NIOCore

/// Where a process listens: a TCP address or a Unix socket.
public enum Endpoint: Hashable, Sendable {
  /// Port 0 of a listener means any free port.
  case tcp(host: String, port: Int)
  case unix(path: String)

  /// Reads `HOST:PORT`, `[IPV6]:PORT`, `unix:PATH` or an absolute path.
  ///
  /// - Throws: `TransportError` of kind `configuration` that names the expected form.
  public init(parsing text: String) throws(TransportError) {
    if text.hasPrefix("/") || text.hasPrefix("unix:") {
      let path = text.hasPrefix("/") ? text : String(text.dropFirst("unix:".count))
      try Endpoint.check(path: path)
      self = .unix(path: path)
      return
    }
    let colon = text.lastIndex(of: ":")
    let digits = colon.map { text[text.index(after: $0)...] } ?? ""
    var host = colon.map { String(text[..<$0]) } ?? ""
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
    } else if host.contains(":") {
      host = ""
    }
    guard !host.isEmpty, let port = Int(digits), (0...65_535).contains(port) else {
      throw TransportError(
        .configuration,
        "'\(printable(text))' is no address: expected HOST:PORT, [IPV6]:PORT or unix:PATH")
    }
    self = .tcp(host: host, port: port)
  }

  /// Whether the address can only be on this machine.
  public var isThisHost: Bool {
    switch self {
    case .unix: true
    case .tcp(let host, _): host == "localhost" || host == "::1" || host.hasPrefix("127.")
    }
  }

  /// The address of the socket; a host name is looked up, which may block.
  func resolved() throws(TransportError) -> SocketAddress {
    do {
      switch self {
      case .tcp(let host, let port):
        return try SocketAddress.makeAddressResolvingHost(host, port: port)
      case .unix(let path):
        try Endpoint.check(path: path)
        return try SocketAddress(unixDomainSocketPath: path)
      }
    } catch let error as TransportError {
      throw error
    } catch {
      throw TransportError(.unreachable, "\(self) names no known host: check its spelling")
    }
  }

  /// The kernel's limit for the path of a Unix socket, without the final zero.
  static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  static func check(path: String) throws(TransportError) {
    guard !path.isEmpty, path.utf8.count <= longestPath, !path.utf8.contains(0) else {
      throw TransportError(
        .configuration,
        "the path of a Unix socket has 1 to \(longestPath) bytes, "
          + "'\(printable(path))' has \(path.utf8.count): choose a shorter directory")
    }
  }
}

extension Endpoint: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

extension SocketAddress {
  /// True for addresses that only processes of this machine can reach.
  var isLoopback: Bool {
    switch self {
    case .unixDomainSocket: return true
    case .v4(let v4):
      return UInt32(bigEndian: v4.address.sin_addr.s_addr) >> 24 == 127
    case .v6(let v6):
      var address = v6.address.sin6_addr
      return withUnsafeBytes(of: &address) { bytes in
        let mapped =
          bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
        if mapped { return bytes[12] == 127 }
        return bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
      }
    }
  }
}

/// `text` with control characters replaced and cut to `limit` characters, so that the words of a
/// stranger cannot forge log lines.
func printable(_ text: String, limit: Int = 256) -> String {
  var result = ""
  for character in text.unicodeScalars.prefix(limit) {
    let isControl = character.value < 0x20 || (0x7f...0x9f).contains(character.value)
    let isBreak = character.value == 0x2028 || character.value == 0x2029
    result.unicodeScalars.append(isControl || isBreak ? "?" : character)
  }
  return result
}
