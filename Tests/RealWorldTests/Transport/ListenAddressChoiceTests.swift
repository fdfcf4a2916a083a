import NIOCore
import Primitives
import Testing

@testable import RealWorld

@Suite struct ListenAddressChoiceTests {
  static let local = Endpoint.tcp(host: "127.0.0.1", port: 0)

  @Test(
    "towards a head of this machine alone a node listens on 127.0.0.1",
    arguments: ["127.0.0.1:7600", "127.0.0.5:7600", "localhost:7600", "[::1]:7600", "unix:/run/h"])
  func loopback(_ head: String) throws {
    #expect(try Endpoint(parsing: head).listenerOfThisHost() == Self.local)
    #expect(try Endpoint(parsing: head).besides == Self.local)
  }

  @Test("beside a head that others reach, nodes listen on the same address and any port")
  func besides() throws {
    #expect(try Endpoint(parsing: "10.9.0.1:7600").besides == .tcp(host: "10.9.0.1", port: 0))
    #expect(try Endpoint(parsing: "[fd00::1]:7600").besides == .tcp(host: "fd00::1", port: 0))
    #expect(try Endpoint(parsing: "head.lan:7600").besides == .tcp(host: "head.lan", port: 0))
  }

  @Test("towards this machine's own address a node listens on that address")
  func own() throws {
    let addresses = try System.enumerateDevices().compactMap { $0.address }
    for address in addresses where !address.isLoopback {
      guard case .v4 = address, let host = address.ipAddress else { continue }
      let chosen = try Endpoint.tcp(host: host, port: 7600).listenerOfThisHost()
      #expect(chosen == .tcp(host: host, port: 0))
    }
  }

  @Test("a machine without a way to the head says so, and one with a way names no loopback address")
  func towards() throws {
    // A test network (RFC 5737): no packet is sent.
    let head = Endpoint.tcp(host: "192.0.2.1", port: 7600)
    do {
      let chosen = try head.listenerOfThisHost()
      #expect(!chosen.isThisHost)
      #expect(try !chosen.resolved().isWildcard)
    } catch {
      #expect(error.kind == .unreachable)
      #expect(error.message.hasPrefix("this machine has no way to 192.0.2.1:7600: "))
    }
  }

  @Test("addresses that stand for all of a machine are told from the rest")
  func wildcard() throws {
    for host in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
      #expect(try SocketAddress(ipAddress: host, port: 1).isWildcard, Comment(rawValue: host))
    }
    for host in ["127.0.0.1", "10.0.0.1", "::1", "fd00::", "::ffff:10.0.0.1"] {
      #expect(try !SocketAddress(ipAddress: host, port: 1).isWildcard, Comment(rawValue: host))
    }
  }

  @Test("a node that only its own machine reaches is no member beside a head that others reach")
  func members() throws {
    func problem(_ node: String, _ head: String) throws -> String? {
      try Endpoint(parsing: node).problem(asMemberOf: Endpoint(parsing: head))
    }
    let text = try problem("127.0.0.1:40000", "10.9.0.1:7600")
    #expect(text?.contains("start it with --listen ADDRESS:0") == true)
    #expect(try problem("unix:/run/n", "10.9.0.1:7600") != nil)
    #expect(try problem("10.9.0.2:40000", "10.9.0.1:7600") == nil)
    #expect(try problem("127.0.0.1:40000", "127.0.0.1:7600") == nil)
    #expect(try problem("10.9.0.2:40000", "127.0.0.1:7600") == nil)
  }

  @Test("a member that is not reached is named, with what to check; a refusal stays as it is")
  func unreachable() {
    let member = Member(node: NodeID(1), endpoint: "127.0.0.1:33443", resources: .zero)
    let error = NodeProcess.unreachable(
      member, TransportError(.unreachable, "nobody listens on 127.0.0.1:33443"))
    #expect("\(error)".contains("node 1 of the cluster is not reached at 127.0.0.1:33443"))
    #expect("\(error)".contains("check its --listen, and the firewall"))
    let refusal = TransportError(.refused, "wrong secret")
    #expect(NodeProcess.unreachable(member, refusal) as? TransportError == refusal)
  }
}
