import Glibc
import NIOCore
import NIOPosix
import Primitives
import Synchronization
import Testing

@testable import RealWorld

func temporaryPath() -> String {
  "/tmp/heliostat-test-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
}

@Suite(.timeLimit(.minutes(10))) struct LinkTests {
  enum Carrier: CaseIterable { case tcp, unix, tls, secret }

  static func site(_ carrier: Carrier) async throws -> Site {
    switch carrier {
    case .tcp: try await Site()
    case .unix: try await Site(at: .unix(path: temporaryPath()))
    case .secret: try await Site(at: Site.loopback, TransportConfiguration(secret: testSecret()))
    case .tls:
      try await Site(
        at: Site.loopback, TestCertificate.serverSide, client: TestCertificate.clientSide)
    }
  }

  @Test(
    "frames of all sizes arrive whole and in order, and come back",
    arguments: Carrier.allCases, [PeerRole.driver, .data])
  func roundTrip(_ carrier: Carrier, _ role: PeerRole) async throws {
    let site = try await Self.site(carrier)
    var hello = driver
    hello.role = role
    let client = carrier == .tls ? TestCertificate.clientSide : nil
    let (link, recorder) = try await site.connect(as: hello, client)
    #expect(link.peer.process == "node-1" && link.peer.payload == [1, 2, 3])
    let sizes = [0, 1, 100, 65_000, 70_000, 0, 1 << 20, 5 << 20, 3, 1000]
    let sent = sizes.enumerated().map { frame($0, body: $1) }
    site.clientLoop.execute {
      for (i, bytes) in sent.enumerated() {
        if i % 3 == 0 {
          link.send(frames: ByteBuffer(bytes: bytes))
        } else {
          bytes.withUnsafeBytes { link.send($0) }
        }
        if i % 4 == 0 { link.flush() }
      }
      link.flush()
    }
    #expect(try await recorder.frames(sent.count) == sent)
    site.clientLoop.execute { link.close(reason: "the test is over") }
    #expect(try await recorder.ended() == LinkEnd(.closedHere, "the test is over"))
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("long frames of data links can be taken in pieces")
  func parts() async throws {
    let pieces = TransportConfiguration().with { $0.partsAbove = 100_000 }
    let site = try await Site(at: Site.loopback, pieces)
    var hello = driver
    hello.role = .data
    let (link, _) = try await site.connect(as: hello)
    let (_, receiver) = try await site.second()
    let sent = [50, 200_000, 100_000 - 16, 3 << 20, 7].enumerated().map { frame($0, body: $1) }
    site.clientLoop.execute {
      for bytes in sent { bytes.withUnsafeBytes { link.send($0) } }
      link.flush()
    }
    #expect(try await receiver.frames(sent.count) == sent)
    site.clientLoop.execute { link.close(reason: "done") }
    try await site.close()
  }

  @Test("what was sent before a close arrives")
  func closeDelivers() async throws {
    let site = try await Site()
    let (link, _) = try await site.connect()
    let (_, receiver) = try await site.second()
    site.clientLoop.execute {
      for i in 0..<100 { frame(i, body: 500).withUnsafeBytes { link.send($0) } }
      link.close(reason: "done")
      frame(101).withUnsafeBytes { link.send($0) }
      link.flush()
    }
    #expect(try await receiver.frames(100).count == 100)
    #expect(try await receiver.ended().kind == .closedByPeer)
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("a link to a peer that does not read is not writable until the peer reads again")
  func backPressure() async throws {
    let site = try await Site()
    let (link, recorder) = try await site.connect()
    let (other, receiver) = try await site.second()
    try await site.loop.submit { other.pauseReading() }.get()
    let sent = try await site.clientLoop.submit { () -> Int in
      var sent = 0
      // Bounded by what sockets can hold: far less than this.
      while link.isWritable && sent < 4096 {
        frame(sent, body: 1 << 16).withUnsafeBytes { link.send($0) }
        link.flush()
        sent += 1
      }
      return sent
    }.get()
    try #require(sent < 4096)
    try await site.loop.submit { other.resumeReading() }.get()
    try await recorder.becameWritable()
    #expect(try await receiver.frames(sent).count == sent)
    #expect(try await recorder.frames(sent).last == frame(sent - 1, body: 1 << 16))
    site.clientLoop.execute { link.close(reason: "done") }
    try await site.close()
  }

  @Test("TLS on one side only fails with a clear reason on both")
  func tlsMismatch() async throws {
    let site = try await Site(
      at: Site.loopback, TestCertificate.serverSide, client: TestCertificate.clientSide)
    await #expect {
      _ = try await site.connect(as: driver, TransportConfiguration())
    } throws: { "\($0)".contains("it speaks TLS, and this side has no TLS configured") }
    await site.log.line(containing: "the peer does not speak TLS: configure TLS on both sides")
    try await site.checkGoodLink()
    try await site.close()
    let plain = try await Site()
    await #expect {
      _ = try await plain.connect(as: driver, TestCertificate.clientSide)
    } throws: { "\($0)".contains("maybe it does not speak TLS; configure TLS on both sides") }
    await plain.log.line(containing: "it speaks TLS, and this side has no TLS configured")
    try await plain.checkGoodLink()
    try await plain.close()
  }

  @Test("a certificate that is not trusted fails with a clear reason")
  func untrusted() async throws {
    let site = try await Site(
      at: Site.loopback, TestCertificate.serverSide, client: TestCertificate.clientSide)
    let strict = TransportConfiguration(tls: TLSSettings())
    await #expect {
      _ = try await site.connect(as: driver, strict)
    } throws: { "\($0)".contains("does not trust the listener's certificate") }
    try await site.checkGoodLink()
    try await site.close()
  }

  @Test("nobody there: after the attempts asked for, the error says so")
  func nobodyListens() async throws {
    let endpoint = Endpoint.unix(path: temporaryPath())
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    await #expect {
      _ = try await Connector.connect(
        to: endpoint, on: loop, as: driver,
        retry: RetryPolicy(attempts: 3, firstPause: .milliseconds(1)), logger: LogStore().logger,
        delegate: Recorder(loop)
      ).get()
    } throws: {
      "\($0)" == "nobody listens on \(endpoint) (3 attempts): is the other process started?"
    }
  }

  @Test("a listener that comes up later is found by a connector that tries again")
  func retries() async throws {
    let path = temporaryPath()
    let log = LogStore()
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let link = Connector.connect(
      to: .unix(path: path), on: loop, as: driver,
      configuration: TransportConfiguration().patient,
      retry: RetryPolicy(attempts: 10_000, firstPause: .milliseconds(1)), logger: log.logger,
      delegate: Recorder(loop))
    await log.line(containing: "trying again")
    let site = try await Site(at: .unix(path: path))
    let found = try await link.get()
    #expect(found.peer.process == "node-1")
    loop.execute { found.close(reason: "done") }
    try await site.close()
  }

  @Test("a peer that is not ready is tried again, until it is or the patience ends")
  func postponed() async throws {
    let asked = Atomic<Int>(0)
    let site = try await Site(accept: { _ in
      let number = asked.add(1, ordering: .relaxed).newValue
      // The site's own link is the first.
      if number == 1 || number == 6 { return .accept(payload: []) }
      return .postpone("still starting")
    })
    func connect(patience: TimeSpan) async throws -> SocketLink {
      try await Connector.connect(
        to: site.listener.endpoint, on: site.clientLoop, as: driver,
        configuration: site.configuration,
        retry: RetryPolicy(attempts: 1, firstPause: .milliseconds(1), patience: patience),
        logger: site.log.logger, delegate: Recorder(site.clientLoop)
      ).get()
    }
    let link = try await connect(patience: .seconds(60))
    #expect(asked.load(ordering: .relaxed) == 6)
    site.clientLoop.execute { link.close(reason: "done") }
    await #expect {
      _ = try await connect(patience: .milliseconds(5))
    } throws: {
      guard let error = $0 as? TransportError else { return false }
      return error.kind == .notReady && "\(error)".contains("still starting")
    }
    #expect(asked.load(ordering: .relaxed) > 6)
    try await site.close()
  }
}
