import Glibc
import NIOCore
import Primitives
import Testing

@testable import RealWorld

@Suite(.timeLimit(.minutes(10))) struct ListenerAbuseTests {
  @Test("garbage bytes close that connection alone, with a logged reason and no answer")
  func garbage() async throws {
    let site = try await Site()
    let peer = try RawPeer(port: site.port)
    peer.send(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
    #expect(peer.receiveAll() == "")
    let line = await site.log.line(containing: "not a Heliostat peer")
    #expect(line.hasPrefix("warning: closed a connection from 127.0.0.1:"))
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("half a greeting, then silence: closed when the handshake's time is over")
  func silenceInHandshake() async throws {
    let short = TransportConfiguration().with { $0.handshakeTimeout = .seconds(2) }
    let site = try await Site(at: Site.loopback, short, client: TransportConfiguration())
    let peer = try RawPeer(port: site.port)
    peer.send(Array("HELI".utf8))
    await site.log.line(containing: "the handshake did not end within 2s")
    #expect(peer.receiveAll(until: "within 2s").contains("the handshake did not end"))
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("half a frame, then silence, on a link: waits; the peer's end says how much came")
  func truncatedFrame() async throws {
    let site = try await Site()
    var peer: RawPeer? = try RawPeer(port: site.port)
    try peer!.handshake()
    peer!.send(frame(5, body: 100) + frame(6, body: 1000)[..<500])
    // The whole frame before it has been echoed, so the half one has arrived or will.
    let echo = peer!.receive()
    #expect(echo == frame(5, body: 100))
    try await site.checkGoodLink()
    peer = nil
    let line = await site.log.line(containing: "in the middle of a frame: 500 of 1016 bytes came")
    #expect(line.hasPrefix("warning: link to driver 'driver' (process 12)"))
    #expect(try await site.second().1.ended().kind == .truncated)
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("a peer killed in the middle of a big frame ends its link alone")
  func killedInFrame() async throws {
    let site = try await Site()
    let peer = try RawPeer(port: site.port)
    try peer.handshake()
    peer.send(frame(5))
    _ = peer.receive()
    peer.send(Array(frame(6, body: 5 << 20)[..<(2 << 20)]))
    peer.reset()
    let end = try await site.second().1.ended()
    #expect(end.kind == .truncated || end.kind == .connectionError)
    await site.log.line(containing: end.text)
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test(
    "a frame whose length is out of bounds closes its link, and says what lengths there are",
    arguments: [UInt32.max, 0, 15, 67_108_865] as [UInt32])
  func badLength(_ length: UInt32) async throws {
    let site = try await Site()
    let peer = try RawPeer(port: site.port)
    try peer.handshake()
    var bytes = frame(1)
    bytes += [length, 0, 0, 0].flatMap { w in
      (0..<4).map { UInt8(truncatingIfNeeded: w >> ($0 * 8)) }
    }
    peer.send(bytes)
    _ = peer.receiveAll()
    await site.log.line(containing: "a frame of \(length) bytes: frames have from 16 to 67108864")
    let end = try await site.second().1.ended()
    #expect(end.kind == .badFrame)
    // What came before the fault counts.
    #expect(try await site.second().1.frames(1) == [frame(1)])
    try await site.checkGoodLink()
    try await site.close()
  }

  /// Lets this process open so many files, as far as the system allows; many start with 1024.
  private static func mayOpen(_ count: UInt) -> Bool {
    var limit = rlimit()
    let kind = __rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue))
    getrlimit(kind, &limit)
    if limit.rlim_cur >= count { return true }
    limit.rlim_cur = min(count, limit.rlim_max)
    return setrlimit(kind, &limit) == 0 && limit.rlim_cur >= count
  }

  @Test(
    "1000 connections that say nothing are bounded in number, and a good client gets in",
    .enabled(if: mayOpen(4096), "needs 4096 descriptors: see ulimit -Hn"))
  func silentCrowd() async throws {
    let bounded = TransportConfiguration().with { $0.maximumPendingHandshakes = 32 }
    let site = try await Site(at: Site.loopback, bounded)
    var crowd: [CInt] = []
    for _ in 0..<1000 {
      let peer = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
      let address = try SocketAddress(ipAddress: "127.0.0.1", port: site.port)
      let result = address.withSockAddr { connect(peer, $0, socklen_t($1)) }
      #expect(result == 0)
      crowd.append(peer)
    }
    let (link, recorder) = try await site.connect()
    site.clientLoop.execute {
      frame(3).withUnsafeBytes { link.send($0) }
      link.flush()
    }
    #expect(try await recorder.frames(1) == [frame(3)])
    #expect(try await site.pendingCount() <= 32)
    await site.log.line(containing: "more than 32 handshakes are under way")
    try await site.checkGoodLink()
    for peer in crowd { close(peer) }
    site.clientLoop.execute { link.close(reason: "done") }
    try await site.close()
  }

  @Test("an unproven peer that claims a long message is closed before it sends it")
  func longUnprovenMessage() async throws {
    let secret = testSecret()
    let site = try await Site(at: Site.loopback, TransportConfiguration(secret: secret))
    let peer = try RawPeer(port: site.port)
    peer.send(Handshake.greeting + [0xff, 0xff, 0xff, 0x7f, 1, 0, 1, 0])
    _ = peer.receiveAll(until: "broke the rules")
    await site.log.line(containing: "the peer broke the rules of the handshake")
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("a wrong secret is refused, both sides say so, and neither logs a secret")
  func wrongSecret() async throws {
    let site = try await Site(at: Site.loopback, TransportConfiguration(secret: testSecret(1)))
    await #expect {
      _ = try await site.connect(as: driver, TransportConfiguration(secret: testSecret(2)))
    } throws: { error in
      let error = error as? TransportError
      return error?.kind == .refused
        && error?.message.hasSuffix("the peer refused: wrong secret") == true
    }
    await site.log.line(containing: ": wrong secret")
    #expect(!site.log.lines.contains { $0.contains("0101") || $0.contains("0202") })
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("a missing secret, and one too many, are refused with words for both cases")
  func missingSecret() async throws {
    let secret = TransportConfiguration(secret: testSecret())
    let guarded = try await Site(at: Site.loopback, secret)
    await #expect(throws: TransportError.self) {
      _ = try await guarded.connect(as: driver, TransportConfiguration())
    }
    await guarded.log.line(containing: "a secret is required and the connecting process gave none")
    try await guarded.checkGoodLink()
    try await guarded.close()
    let open = try await Site()
    await #expect(throws: TransportError.self) { _ = try await open.connect(as: driver, secret) }
    await open.log.line(containing: "a secret was given to the connecting process only")
    try await open.checkGoodLink()
    try await open.close()
  }

  @Test("a recorded handshake, sent again, does not get in")
  func replay() async throws {
    let secret = testSecret()
    let site = try await Site(at: Site.loopback, TransportConfiguration(secret: secret))
    let honest = try RawPeer(port: site.port)
    let recording = try honest.handshake(as: driver, secret: secret)
    let replayer = try RawPeer(port: site.port)
    replayer.send(recording)
    #expect(replayer.receiveAll(until: "wrong secret").contains("wrong secret"))
    await site.log.line(containing: ": wrong secret")
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("an old version is refused with advice")
  func oldVersion() async throws {
    let site = try await Site()
    await #expect {
      _ = try await site.connect(as: driver, nil, version: 0)
    } throws: { error in
      (error as? TransportError)?.message.contains(
        "speaks version 1, the peer speaks version 0: use the same release on all machines")
        == true
    }
    await site.log.line(containing: "the peer speaks version 0")
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("another function table is refused, naming the difference")
  func otherFunctions() async throws {
    let site = try await Site()
    var other = driver
    other.functions = ["a", "es.rollout"]
    await #expect(throws: TransportError.self) { _ = try await site.connect(as: other) }
    await site.log.line(containing: "node 'node-1' has no function 'es.rollout'")
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("the layer above refuses with its own words, and limits are kept")
  func refusedByOwner() async throws {
    let limited = TransportConfiguration().with { $0.maximumLinks = 2 }
    let site = try await Site(at: Site.loopback, limited) { peer in
      peer.role == .worker ? .refuse("the cluster is closing") : .accept(payload: [])
    }
    var worker = driver
    worker.role = .worker
    await #expect {
      _ = try await site.connect(as: worker)
    } throws: { ($0 as? TransportError)?.message.contains("the cluster is closing") == true }
    let (link, _) = try await site.connect()
    await #expect {
      _ = try await site.connect()
    } throws: { ($0 as? TransportError)?.message.contains("takes at most 2") == true }
    try await site.checkGoodLink()
    site.clientLoop.execute { link.close(reason: "done") }
    try await site.close()
  }
}
