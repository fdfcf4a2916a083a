import Glibc
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Primitives

/// How often and how fast a connector tries again when nobody answers. A refusal is final, unless it
/// says that the peer is not ready yet (`Acceptance.postpone`).
public struct RetryPolicy: Sendable, Hashable {
  /// Attempts in all, the first included.
  public var attempts: Int
  /// The pause after the first failure; each later one is twice as long, up to `longestPause`.
  public var firstPause: TimeSpan
  public var longestPause: TimeSpan
  /// How long to try again when the peer is not ready yet; such attempts do not count.
  public var patience: TimeSpan

  public init(
    attempts: Int, firstPause: TimeSpan = .milliseconds(20),
    longestPause: TimeSpan = .seconds(1), patience: TimeSpan = .seconds(10)
  ) {
    self.attempts = attempts
    self.firstPause = firstPause
    self.longestPause = longestPause
    self.patience = patience
  }

  public static var once: RetryPolicy { RetryPolicy(attempts: 1) }
}

/// Makes links to listeners.
public enum Connector {
  /// Connects, does the handshake, and hands the link over.
  ///
  /// - Parameters:
  ///   - loop: where the link lives.
  ///   - local: who this process is, with the function table that the other side compares.
  ///   - delegate: gets the link's frames; nothing is lost between the handshake and now.
  /// - Returns: a future that fails with a `TransportError` saying what to do: nobody listens
  ///   there, no answer in time, refused by the peer with its reason.
  public static func connect(
    to endpoint: Endpoint, on loop: any EventLoop, as local: Hello,
    configuration: TransportConfiguration = TransportConfiguration(), retry: RetryPolicy = .once,
    logger: Logger, delegate: any LinkDelegate
  ) -> EventLoopFuture<SocketLink> {
    connect(
      to: endpoint, on: loop, as: local, configuration: configuration, retry: retry,
      logger: logger, delegate: delegate, version: Handshake.version)
  }

  /// The same with another version of the handshake, for tests of old peers.
  static func connect(
    to endpoint: Endpoint, on loop: any EventLoop, as local: Hello,
    configuration: TransportConfiguration, retry: RetryPolicy, logger: Logger,
    delegate: any LinkDelegate, version: UInt16
  ) -> EventLoopFuture<SocketLink> {
    let promise = loop.makePromise(of: SocketLink.self)
    do {
      try configuration.validate()
      let attempt = ConnectionAttempt(
        endpoint, loop, local, configuration, retry, logger,
        try configuration.tls.map { try $0.clientContext() }, delegate, version, promise)
      loop.execute { attempt.start() }
    } catch {
      promise.fail(error)
    }
    return promise.futureResult
  }
}

/// One call of `Connector.connect`, over its attempts. Used on its loop only.
private final class ConnectionAttempt: @unchecked Sendable {
  let endpoint: Endpoint
  let loop: any EventLoop
  let local: Hello
  let configuration: TransportConfiguration
  let retry: RetryPolicy
  let logger: Logger
  let tls: NIOSSLContext?
  let delegate: any LinkDelegate
  let version: UInt16
  let promise: EventLoopPromise<SocketLink>
  var attemptsMade = 0
  var postponements = 0
  /// When the patience ends; set with the first postponement.
  var patienceEnd: NIODeadline?
  var isDone = false

  init(
    _ endpoint: Endpoint, _ loop: any EventLoop, _ local: Hello,
    _ configuration: TransportConfiguration, _ retry: RetryPolicy, _ logger: Logger,
    _ tls: NIOSSLContext?, _ delegate: any LinkDelegate, _ version: UInt16,
    _ promise: EventLoopPromise<SocketLink>
  ) {
    self.endpoint = endpoint
    self.loop = loop
    self.local = local
    self.configuration = configuration
    self.retry = retry
    self.logger = logger
    self.tls = tls
    self.delegate = delegate
    self.version = version
    self.promise = promise
  }

  func start() {
    attemptsMade += 1
    let bootstrap = ClientBootstrap(group: loop)
      .connectTimeout(TimeAmount(configuration.connectTimeout))
      .channelOption(
        .writeBufferWaterMark,
        value: .init(low: configuration.lowWaterMark, high: configuration.highWaterMark)
      )
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try self.prepare(channel) }
      }
    let connected =
      switch endpoint {
      case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
      case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
      }
    connected.whenFailure { self.failedToConnect($0) }
  }

  private func prepare(_ channel: any Channel) throws {
    if case .tcp = endpoint {
      try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
    }
    let pipeline = channel.pipeline.syncOperations
    if let tls { try pipeline.addHandler(tlsHandler(tls)) }
    try pipeline.addHandler(
      ConnectionHandler(
        side: .initiator, local: local, address: "\(endpoint)", owner: self,
        configuration: configuration, logger: logger, version: version))
  }

  private func tlsHandler(_ tls: NIOSSLContext) throws -> NIOSSLClientHandler {
    var name = configuration.tls?.serverName
    if name == nil, case .tcp(let host, _) = endpoint { name = host }
    do {
      return try NIOSSLClientHandler(context: tls, serverHostname: name)
    } catch {
      // Numbers are no names; the certificate is then compared with the address itself.
      return try NIOSSLClientHandler(context: tls, serverHostname: nil)
    }
  }

  private func failedToConnect(_ error: any Error) {
    if isDone { return }
    if attemptsMade < retry.attempts {
      let pause = pause(after: attemptsMade)
      logger.debug("no connection to \(endpoint), trying again in \(pause)")
      loop.scheduleTask(in: TimeAmount(pause)) { self.start() }
      return
    }
    finish(.failure(describe(error)))
  }

  private func pause(after failures: Int) -> TimeSpan {
    min(retry.firstPause * (UInt64(1) << UInt64(min(failures - 1, 30))), retry.longestPause)
  }

  /// The peer is there, and not ready: true when it will be tried again.
  private func triesAgainLater() -> Bool {
    if isDone { return false }
    let now = NIODeadline.now()
    let end = patienceEnd ?? now + TimeAmount(retry.patience)
    patienceEnd = end
    postponements += 1
    let pause = TimeAmount(pause(after: postponements))
    guard now + pause <= end else { return false }
    logger.debug("\(endpoint) is not ready, trying again in \(pause)")
    attemptsMade -= 1
    loop.scheduleTask(in: pause) { self.start() }
    return true
  }

  private func describe(_ error: any Error) -> TransportError {
    var codes: [CInt] = []
    var timedOut = false
    var unknownHost = false
    func look(_ error: any Error) {
      if let error = error as? IOError { codes.append(error.errnoCode) }
      if case .connectTimeout? = error as? ChannelError { timedOut = true }
    }
    look(error)
    if let error = error as? NIOConnectionError {
      for single in error.connectionErrors { look(single.error) }
      unknownHost = error.connectionErrors.isEmpty
    }
    let tries = attemptsMade > 1 ? " (\(attemptsMade) attempts)" : ""
    if codes.contains(ECONNREFUSED) || codes.contains(ENOENT) {
      return TransportError(
        .unreachable, "nobody listens on \(endpoint)\(tries): is the other process started?")
    }
    if timedOut {
      return TransportError(
        .timeout,
        "no answer from \(endpoint) within \(configuration.connectTimeout)\(tries): "
          + "check the address and the firewall")
    }
    if unknownHost {
      return TransportError(
        .unreachable, "\(endpoint) names no known host: check its spelling")
    }
    let text = codes.first.map { errorText($0) } ?? printable("\(error)")
    return TransportError(.unreachable, "cannot connect to \(endpoint)\(tries): \(text)")
  }

  private func finish(_ result: Result<SocketLink, TransportError>) {
    if isDone { return }
    isDone = true
    switch result {
    case .success(let link): promise.succeed(link)
    case .failure(let error): promise.fail(error)
    }
  }
}

extension ConnectionAttempt: ConnectionOwner {
  func accept(_ peer: Hello) -> Acceptance { .accept(payload: []) }

  func connectionEstablished(_ connection: ConnectionHandler, _ link: SocketLink) {
    link.delegate = delegate
    logger.debug("link to \(link.peer) at \(link.address)")
    finish(.success(link))
  }

  func connectionFailed(_ connection: ConnectionHandler, _ failure: HandshakeFailure) {
    if failure.reason == .postponedByPeer && triesAgainLater() { return }
    // Whoever asked for the link reports it.
    logger.debug("no link to \(endpoint): \(failure)")
    let kind: TransportError.Kind =
      switch failure.reason {
      case .timeout: .timeout
      case .postponedByPeer: .notReady
      case .notHeliostat, .malformed, .connectionLost: .handshake
      default: .refused
      }
    finish(.failure(TransportError(kind, "no link to \(endpoint): \(failure)")))
  }

  func connectionEnded(_ connection: ConnectionHandler) {}
}
