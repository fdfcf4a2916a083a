import Glibc
import NIOCore
import NIOPosix
import Primitives
import Testing

@testable import RealWorld

@Suite(.timeLimit(.minutes(10))) struct ListenerAddressTests {
  static func listen(
    _ endpoint: Endpoint, _ configuration: TransportConfiguration = TransportConfiguration()
  ) async throws -> Listener {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    return try await Listener.start(
      at: endpoint, on: loop, as: node, configuration: configuration, logger: LogStore().logger,
      established: { $0.close(reason: "not wanted") }
    ).get()
  }

  @Test(
    "addresses are read from text",
    arguments: [
      ("127.0.0.1:7600", Endpoint.tcp(host: "127.0.0.1", port: 7600)),
      ("[::1]:0", .tcp(host: "::1", port: 0)),
      ("host.example:1", .tcp(host: "host.example", port: 1)),
      ("/run/x.sock", .unix(path: "/run/x.sock")), ("unix:x.sock", .unix(path: "x.sock")),
    ])
  func parse(_ text: String, _ expected: Endpoint) throws {
    #expect(try Endpoint(parsing: text) == expected)
    #expect(try Endpoint(parsing: expected.description) == expected)
  }

  @Test(
    "what is no address is refused with the expected form",
    arguments: ["", "host", ":1", "host:", "host:65536", "host:-1", "::1:80", "unix:", "h:1x"])
  func parseErrors(_ text: String) {
    #expect(throws: TransportError.self) { try Endpoint(parsing: text) }
  }

  @Test("a port in use: the error says what to do")
  func portInUse() async throws {
    let first = try await Self.listen(Site.loopback)
    guard case .tcp(_, let port) = first.endpoint else { return }
    #expect(port > 0)
    await #expect {
      _ = try await Self.listen(first.endpoint)
    } throws: {
      $0 as? TransportError
        == TransportError(
          .addressInUse,
          "port \(port) on 127.0.0.1 is in use: choose another port, or 0 for any")
    }
    try await first.close().get()
  }

  @Test("an address that other machines can reach needs a secret", arguments: ["0.0.0.0", "::"])
  func needsSecret(_ host: String) async throws {
    await #expect {
      _ = try await Self.listen(.tcp(host: host, port: 0))
    } throws: { "\($0)".contains("needs a secret, because other machines can reach it") }
    let guarded = try await Self.listen(
      .tcp(host: "0.0.0.0", port: 0), TransportConfiguration(secret: testSecret()))
    try await guarded.close().get()
  }

  @Test("loopback is told from the rest")
  func loopback() throws {
    for host in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
      #expect(try SocketAddress(ipAddress: host, port: 1).isLoopback)
    }
    for host in ["10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "fe80::1"] {
      #expect(try !SocketAddress(ipAddress: host, port: 1).isLoopback)
    }
  }

  @Test("a Unix socket is its owner's alone, is not taken from a live process, and goes away")
  func unixSocket() async throws {
    let path = temporaryPath()
    let first = try await Self.listen(.unix(path: path))
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o600)
    await #expect {
      _ = try await Self.listen(.unix(path: path))
    } throws: { ($0 as? TransportError)?.kind == .addressInUse }
    try await first.close().get()
    #expect(lstat(path, &status) != 0)
  }

  @Test("the socket file that a dead process left is replaced; another file is not")
  func staleSocket() async throws {
    let path = temporaryPath()
    let dead = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
    let address = try SocketAddress(unixDomainSocketPath: path)
    let bound = address.withSockAddr { bind(dead, $0, socklen_t($1)) }
    #expect(bound == 0)
    close(dead)
    try await Self.listen(.unix(path: path)).close().get()
    close(creat(path, 0o600))
    await #expect {
      _ = try await Self.listen(.unix(path: path))
    } throws: { "\($0)".contains("exists and is no socket") }
    unlink(path)
  }

  @Test("settings that contradict each other are refused before anything is opened")
  func settings() async {
    for change: (inout TransportConfiguration) -> Void in [
      { $0.maximumFrame = 10 }, { $0.lowWaterMark = 8 << 20 }, { $0.maximumLinks = 0 },
      { $0.partHead = 3 }, { $0.controlRead = 1 },
      { $0.tls = TLSSettings() },
      { $0.tls = TLSSettings(certificateChainFile: "/no/such", privateKeyFile: "/no/such") },
    ] {
      await #expect {
        _ = try await Self.listen(Site.loopback, TransportConfiguration().with(change))
      } throws: { ($0 as? TransportError)?.kind == .configuration }
    }
  }
}
