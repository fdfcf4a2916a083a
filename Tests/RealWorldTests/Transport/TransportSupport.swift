import Glibc
import Logging
import NIOCore
import NIOPosix
import RuntimeCore
import Synchronization
import Testing
import WireFormat

@testable import RealWorld

/// Keeps log lines, and lets a test wait for one.
final class LogStore: Sendable {
  private struct State {
    var lines: [String] = []
    var waiters: [(text: String, continuation: CheckedContinuation<String, Never>)] = []
  }
  private let state = Mutex(State())

  var logger: Logger {
    var logger = Logger(label: "test") { _ in StoringHandler(store: self) }
    logger.logLevel = .trace
    return logger
  }

  var lines: [String] { state.withLock { $0.lines } }

  func append(_ line: String) {
    let woken = state.withLock { state in
      state.lines.append(line)
      let woken = state.waiters.filter { line.contains($0.text) }
      state.waiters.removeAll { line.contains($0.text) }
      return woken
    }
    for waiter in woken { waiter.continuation.resume(returning: line) }
  }

  /// The first line that contains `text`, when it comes.
  @discardableResult func line(containing text: String) async -> String {
    await withCheckedContinuation { continuation in
      let found = state.withLock { state -> String? in
        if let line = state.lines.first(where: { $0.contains(text) }) { return line }
        state.waiters.append((text, continuation))
        return nil
      }
      if let found { continuation.resume(returning: found) }
    }
  }
}

struct StoringHandler: LogHandler {
  let store: LogStore
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .trace

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { store.append("\(event.level): \(event.message)") }
}

/// A frame with a number in its header and a body of `count` bytes that follow from the number.
func frame(_ number: Int, body count: Int = 0) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: FrameHeader.byteCount + count)
  bytes.withUnsafeMutableBytes { memory in
    FrameHeader(
      length: memory.count, kind: 7, source: Address(raw: UInt32(number)),
      target: Address(raw: 0)
    ).write(to: memory.baseAddress!)
  }
  for i in 0..<count { bytes[16 + i] = UInt8(truncatingIfNeeded: number &* 31 &+ i) }
  return bytes
}

/// Takes a link's events; can echo. Its state lives on the link's loop.
final class Recorder: LinkDelegate, @unchecked Sendable {
  let loop: any EventLoop
  private var frames: [[UInt8]] = []
  private var parts: [(length: Int, offset: Int, bytes: [UInt8])] = []
  private var waiters: [(count: Int, promise: EventLoopPromise<[[UInt8]]>)] = []
  private let end: EventLoopPromise<LinkEnd>
  private let writable: EventLoopPromise<Void>
  let echoes: Bool
  private(set) var turns = 0

  init(_ loop: any EventLoop, echoes: Bool = false) {
    self.loop = loop
    self.echoes = echoes
    end = loop.makePromise()
    writable = loop.makePromise()
  }

  deinit {
    end.fail(CancellationError())
    writable.fail(CancellationError())
    for waiter in waiters { waiter.promise.fail(CancellationError()) }
  }

  func linkReceived(_ link: Link, frames bytes: UnsafeRawBufferPointer) {
    loop.preconditionInEventLoop()
    if echoes { link.send(bytes) }
    var offset = 0
    while offset < bytes.count {
      let length = FrameHeader.length(at: bytes.baseAddress! + offset)
      frames.append(Array(bytes[offset..<offset + length]))
      offset += length
    }
    for waiter in waiters where waiter.count <= frames.count { waiter.promise.succeed(frames) }
    waiters.removeAll { $0.count <= frames.count }
  }

  func linkReceivedPart(
    _ link: Link, frameLength: Int, offset: Int, bytes: UnsafeRawBufferPointer
  ) {
    if offset == 0 {
      frames.append([])
      parts.append((frameLength, offset, Array(bytes)))
    } else {
      parts[parts.count - 1].bytes += bytes
    }
    guard parts.last!.bytes.count == frameLength else { return }
    frames[frames.count - 1] = parts.removeLast().bytes
    for waiter in waiters where waiter.count <= frames.count { waiter.promise.succeed(frames) }
    waiters.removeAll { $0.count <= frames.count }
  }

  func linkReadCompleted(_ link: Link) {
    turns += 1
    if echoes { link.flush() }
  }

  func linkBecameWritable(_ link: Link) { writable.succeed() }
  func linkClosed(_ link: Link, reason: LinkEnd) { end.succeed(reason) }

  /// All frames so far, once there are `count`.
  func frames(_ count: Int) async throws -> [[UInt8]] {
    try await loop.flatSubmit {
      if self.frames.count >= count { return self.loop.makeSucceededFuture(self.frames) }
      let promise = self.loop.makePromise(of: [[UInt8]].self)
      self.waiters.append((count, promise))
      return promise.futureResult
    }.get()
  }

  func ended() async throws -> LinkEnd { try await end.futureResult.get() }
  func becameWritable() async throws { try await writable.futureResult.get() }
}

let node = Hello(role: .node, process: "node-1", processID: 11, functions: ["a", "b"])
let driver = Hello(role: .driver, process: "driver", processID: 12, functions: ["a", "b"])

func testSecret(_ byte: UInt8 = 1) -> Secret {
  guard let secret = try? Secret(repeatElement(byte, count: 32)) else { fatalError("32 bytes") }
  return secret
}

/// A listener that echoes, with one good link that must survive whatever a test does to others.
final class Site: Sendable {
  let log = LogStore()
  let loop: any EventLoop
  let clientLoop: any EventLoop
  let configuration: TransportConfiguration
  let listener: Listener
  private let accepted: Accepted
  private let goodRecorder: Recorder
  private let good: SocketLink

  private final class Accepted: @unchecked Sendable {
    var links: [(SocketLink, Recorder)] = []
    var waiters: [(index: Int, promise: EventLoopPromise<(SocketLink, Recorder)>)] = []
  }

  static let loopback = Endpoint.tcp(host: "127.0.0.1", port: 0)

  init(
    at endpoint: Endpoint = Site.loopback,
    _ configuration: TransportConfiguration = TransportConfiguration(),
    client: TransportConfiguration? = nil,
    accept: @escaping @Sendable (Hello) -> Acceptance = { _ in .accept(payload: [1, 2, 3]) }
  ) async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    let (loop, clientLoop) = (group.next(), group.next())
    let accepted = Accepted()
    let configuration = configuration.patient
    self.loop = loop
    self.clientLoop = clientLoop
    self.accepted = accepted
    self.configuration = configuration
    listener = try await Listener.start(
      at: endpoint, on: loop, as: node, configuration: configuration, logger: log.logger,
      accept: accept,
      established: { link in
        let recorder = Recorder(loop, echoes: true)
        link.delegate = recorder
        accepted.links.append((link, recorder))
        for waiter in accepted.waiters where waiter.index < accepted.links.count {
          waiter.promise.succeed(accepted.links[waiter.index])
        }
        accepted.waiters.removeAll { $0.index < accepted.links.count }
      }
    ).get()
    goodRecorder = Recorder(clientLoop)
    good = try await Site.patiently { [listener, log, goodRecorder] in
      try await Connector.connect(
        to: listener.endpoint, on: clientLoop, as: driver,
        configuration: client?.patient ?? configuration, logger: log.logger,
        delegate: goodRecorder
      ).get()
    }
  }

  /// Tries again when a short time for handshakes was too short for a loaded machine.
  private static func patiently<T>(_ body: () async throws -> T) async throws -> T {
    for _ in 0..<100 {
      do { return try await body() } catch {
        let text = "\(error)"
        guard text.contains("did not end within") || text.contains("in the handshake") else {
          throw error
        }
      }
    }
    return try await body()
  }

  var port: Int {
    if case .tcp(_, let port) = listener.endpoint { return port }
    return 0
  }

  func connect(
    as hello: Hello = driver, _ configuration: TransportConfiguration? = nil,
    version: UInt16 = Handshake.version
  ) async throws -> (SocketLink, Recorder) {
    let recorder = Recorder(clientLoop)
    let link = try await Connector.connect(
      to: listener.endpoint, on: clientLoop, as: hello,
      configuration: configuration?.patient ?? self.configuration, retry: .once,
      logger: log.logger,
      delegate: recorder, version: version
    ).get()
    return (link, recorder)
  }

  /// The listener's end of the link after the good one. The connecting side is ready before it.
  func second() async throws -> (SocketLink, Recorder) {
    try await loop.flatSubmit {
      if self.accepted.links.count > 1 {
        return self.loop.makeSucceededFuture(self.accepted.links[1])
      }
      let promise = self.loop.makePromise(of: (SocketLink, Recorder).self)
      self.accepted.waiters.append((1, promise))
      return promise.futureResult
    }.get()
  }

  /// Sends a frame over the good link and awaits its echo.
  func checkGoodLink(_ number: Int = 1) async throws {
    let good = good
    clientLoop.execute {
      frame(number, body: 40).withUnsafeBytes { good.send($0) }
      good.flush()
    }
    let frames = try await goodRecorder.frames(1)
    #expect(frames.last == frame(number, body: 40))
  }

  func pendingCount() async throws -> Int {
    try await loop.submit { self.listener.pendingCount }.get()
  }

  func close() async throws {
    let good = good
    clientLoop.execute { good.close(reason: "the test is over") }
    try await loop.submit {
      for (link, _) in self.accepted.links { link.close(reason: "the test is over") }
      self.accepted.links = []
    }.get()
    try await listener.close().get()
  }
}

/// A peer made of a plain blocking socket, to do what no honest peer does.
struct RawPeer: ~Copyable {
  let descriptor: CInt

  init(port: Int) throws {
    descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
    let result = address.withSockAddr { connect(descriptor, $0, socklen_t($1)) }
    try #require(result == 0, "connect failed: \(errorText(errno))")
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let n = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, CInt(MSG_NOSIGNAL))
      }
      if n <= 0 { return }
      sent += n
    }
  }

  /// What comes next; empty at the end of the stream or after a reset.
  func receive() -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let n = read(descriptor, &buffer, buffer.count)
    return n > 0 ? Array(buffer[..<n]) : []
  }

  /// All up to the end of the stream, or to the first piece with `text` in it.
  func receiveAll(until text: String? = nil) -> String {
    var all = ""
    while case let bytes = receive(), !bytes.isEmpty {
      all += String(decoding: bytes, as: UTF8.self)
      if let text, all.contains(text) { break }
    }
    return all
  }

  /// Introduces itself as an honest peer would; returns all that it sent.
  @discardableResult func handshake(
    as hello: Hello = driver, secret: Secret? = nil
  ) throws -> [UInt8] {
    var handshake = try Handshake(.initiator, local: hello, secret: secret)
    var sent = handshake.takeOutput()
    send(sent)
    while true {
      let bytes = receive()
      try #require(!bytes.isEmpty, "the listener closed")
      let progress = bytes.withUnsafeBytes { handshake.receive($0) { _ in .accept(payload: []) } }
      let out = handshake.takeOutput()
      send(out)
      sent += out
      switch progress {
      case .waiting: continue
      case .established: return sent
      case .failed(let failure): throw failure
      }
    }
  }

  /// Ends the connection as the kernel ends that of a killed process with unread bytes.
  consuming func reset() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
  }
}

extension TransportConfiguration {
  /// With times that a handshake keeps on a loaded machine too, behind a thousand others on its loop;
  /// those that a test has set stay.
  var patient: TransportConfiguration {
    let usual = TransportConfiguration()
    return with {
      if $0.handshakeTimeout == usual.handshakeTimeout { $0.handshakeTimeout = .seconds(60) }
      if $0.connectTimeout == usual.connectTimeout { $0.connectTimeout = .seconds(60) }
    }
  }

  func with(_ change: (inout TransportConfiguration) -> Void) -> TransportConfiguration {
    var copy = self
    change(&copy)
    return copy
  }
}
