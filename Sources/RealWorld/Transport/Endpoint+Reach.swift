import Glibc
import NIOCore

/// Which address of this machine others can use.
extension Endpoint {
  /// Where a process should listen that connects to this endpoint and is to be reached by whoever is
  /// reached there: on the address of this machine that such a connection leaves from, with port 0. For
  /// an endpoint of this machine alone that is 127.0.0.1.
  ///
  /// The kernel chooses that address when a datagram socket is connected; nothing is sent. A host name
  /// is looked up, which may block.
  ///
  /// - Throws: `TransportError`: an unknown host, or no way there.
  public func listenerOfThisHost() throws(TransportError) -> Endpoint {
    if isThisHost { return .tcp(host: "127.0.0.1", port: 0) }
    let address = try resolved()
    if address.isLoopback { return .tcp(host: "127.0.0.1", port: 0) }
    let family = if case .v6 = address { AF_INET6 } else { AF_INET }
    let probe = socket(family, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard probe >= 0 else { throw Self.noWay(to: self, errno) }
    defer { close(probe) }
    let connected = address.withSockAddr { pointer, size in
      connect(probe, pointer, socklen_t(size))
    }
    guard connected == 0 else { throw Self.noWay(to: self, errno) }
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let isNamed = withUnsafeMutableBytes(of: &storage) { bytes in
      getsockname(probe, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), &size) == 0
    }
    guard isNamed else { throw Self.noWay(to: self, errno) }
    let host = withUnsafeBytes(of: &storage) { bytes -> String? in
      let start = bytes.baseAddress!
      return family == AF_INET
        ? SocketAddress(start.load(as: sockaddr_in.self)).ipAddress
        : SocketAddress(start.load(as: sockaddr_in6.self)).ipAddress
    }
    guard let host else { throw Self.noWay(to: self, EADDRNOTAVAIL) }
    return .tcp(host: host, port: 0)
  }

  /// Where another process of this machine should listen that takes part in a cluster whose head is
  /// here: on the same address, or on 127.0.0.1 when that is of this machine alone. Port 0.
  public var besides: Endpoint {
    if !isThisHost, case .tcp(let host, _) = self { return .tcp(host: host, port: 0) }
    return .tcp(host: "127.0.0.1", port: 0)
  }

  private static func noWay(to endpoint: Endpoint, _ code: CInt) -> TransportError {
    TransportError(.unreachable, "this machine has no way to \(endpoint): \(errorText(code))")
  }

  /// Why a node that is reached at `self` cannot take part in a cluster whose head is reached at `head`;
  /// nil when it can.
  func problem(asMemberOf head: Endpoint) -> String? {
    guard isThisHost, !head.isThisHost else { return nil }
    return "the cluster's head is reached at \(head), maybe from other machines, but this node at "
      + "\(self), which only its own machine can reach: start it with --listen ADDRESS:0, where "
      + "ADDRESS is one of its machine that all others reach"
  }
}

extension SocketAddress {
  /// True for the addresses that stand for all addresses of a machine: one can listen there, and others
  /// cannot connect to it.
  var isWildcard: Bool {
    switch self {
    case .unixDomainSocket: return false
    case .v4(let v4): return v4.address.sin_addr.s_addr == 0
    case .v6(let v6):
      var address = v6.address.sin6_addr
      return withUnsafeBytes(of: &address) { bytes in
        bytes[..<10].allSatisfy { $0 == 0 } && bytes[12...].allSatisfy { $0 == 0 }
          && (bytes[10] == 0xff) == (bytes[11] == 0xff) && (bytes[10] == 0 || bytes[10] == 0xff)
      }
    }
  }
}
