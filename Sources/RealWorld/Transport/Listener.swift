import Glibc
import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// Accepts links on one address. Its connections and links live on the event loop it is given.
public final class Listener: @unchecked Sendable {
  /// The address, with the port that was chosen when 0 was asked for.
  public let endpoint: Endpoint
  public let eventLoop: any EventLoop
  /// Connections whose handshake has not ended, in the order of their arrival. On the loop only.
  private var pending: [ConnectionHandler] = []
  /// Established links. On the loop only.
  public private(set) var linkCount = 0
  public var pendingCount: Int { pending.count }

  private let local: Hello
  private let configuration: TransportConfiguration
  private let logger: Logger
  private let decide: (Hello) -> Acceptance
  private let established: (SocketLink) -> Void
  private let tls: NIOSSLContext?
  private let version: UInt16
  private var channel: (any Channel)?
  private let socketFile: SocketFile?

  /// Starts to listen.
  ///
  /// - Parameters:
  ///   - loop: where the connections live, and where both closures are called.
  ///   - local: who this process is; its function table is compared with each peer's.
  ///   - accept: decides about a peer that has passed the handshake, with the payload to answer or
  ///     the text of the refusal.
  ///   - established: takes the new link; it sets the link's delegate before it returns.
  /// - Returns: a future that fails with a `TransportError`: a non-loopback address without a
  ///   secret, an address in use, TLS files that cannot be read, settings out of range.
  public static func start(
    at endpoint: Endpoint, on loop: any EventLoop, as local: Hello,
    configuration: TransportConfiguration = TransportConfiguration(), logger: Logger,
    accept: @escaping (Hello) -> Acceptance = { _ in .accept(payload: []) },
    established: @escaping (SocketLink) -> Void
  ) -> EventLoopFuture<Listener> {
    start(
      at: endpoint, on: loop, as: local, configuration: configuration, logger: logger,
      version: Handshake.version, accept: accept, established: established)
  }

  /// The same with another version of the handshake, for tests of old peers.
  static func start(
    at endpoint: Endpoint, on loop: any EventLoop, as local: Hello,
    configuration: TransportConfiguration, logger: Logger, version: UInt16,
    accept: @escaping (Hello) -> Acceptance, established: @escaping (SocketLink) -> Void
  ) -> EventLoopFuture<Listener> {
    do {
      try configuration.validate()
      _ = try local.encoded()
      let address = try endpoint.resolved()
      if !address.isLoopback && configuration.secret == nil {
        throw TransportError(
          .configuration,
          "listening on \(endpoint) needs a secret, because other machines can reach it: "
            + "give a secret (--secret-file), or listen on 127.0.0.1")
      }
      let tls = try configuration.tls.map { try $0.serverContext() }
      let bound = try BoundSocket(endpoint, address)
      let listener = Listener(
        bound, loop, local, configuration, logger, tls, version, decide: accept,
        established: established)
      return listener.open(bound.descriptor).map { listener }
    } catch {
      return loop.makeFailedFuture(error)
    }
  }

  private init(
    _ bound: BoundSocket, _ loop: any EventLoop, _ local: Hello,
    _ configuration: TransportConfiguration, _ logger: Logger, _ tls: NIOSSLContext?,
    _ version: UInt16, decide: @escaping (Hello) -> Acceptance,
    established: @escaping (SocketLink) -> Void
  ) {
    endpoint = bound.endpoint
    socketFile = bound.file
    eventLoop = loop
    self.local = local
    self.configuration = configuration
    self.logger = logger
    self.tls = tls
    self.version = version
    self.decide = decide
    self.established = established
  }

  private func open(_ descriptor: CInt) -> EventLoopFuture<Void> {
    let listener = self
    return ServerBootstrap(group: eventLoop, childGroup: eventLoop)
      .serverChannelOption(.maxMessagesPerRead, value: 16)
      .childChannelOption(
        .writeBufferWaterMark,
        value: .init(low: configuration.lowWaterMark, high: configuration.highWaterMark)
      )
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try listener.prepare(channel) }
      }
      .withBoundSocket(descriptor)
      .map { channel in
        listener.channel = channel
        // Taking the socket over has shortened its queue; a burst of peers must not be dropped.
        _ = Glibc.listen(descriptor, BoundSocket.backlog)
        listener.logger.debug("listening on \(listener.endpoint)")
      }
  }

  private func prepare(_ channel: any Channel) throws {
    if case .tcp = endpoint {
      try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
    }
    let handler = try ConnectionHandler(
      side: .responder, local: local, address: "\(endpoint)", owner: self,
      configuration: configuration, logger: logger, version: version)
    if let tls {
      try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
    }
    try channel.pipeline.syncOperations.addHandler(handler)
    makeRoom()
    pending.append(handler)
  }

  /// Keeps the number of unfinished handshakes bounded without locking honest peers out: those
  /// that have sent nothing go first, the oldest of them before others.
  private func makeRoom() {
    guard pending.count >= configuration.maximumPendingHandshakes else { return }
    let victim = pending.first { !$0.hasHeard } ?? pending[0]
    let text = "more than \(configuration.maximumPendingHandshakes) handshakes are under way"
    pending.removeAll { $0 === victim }
    victim.refuse(HandshakeFailure(.tooManyConnections, text))
    victim.abandon()
  }

  /// Stops accepting. Unfinished handshakes end; established links stay with their owners.
  @discardableResult public func close() -> EventLoopFuture<Void> {
    let listener = self
    return eventLoop.flatSubmit {
      listener.socketFile?.remove()
      for connection in listener.pending { connection.abandon() }
      guard let channel = listener.channel else {
        return listener.eventLoop.makeSucceededVoidFuture()
      }
      listener.channel = nil
      return channel.close().flatMapError { _ in listener.eventLoop.makeSucceededVoidFuture() }
    }
  }
}

extension Listener: ConnectionOwner {
  func accept(_ peer: Hello) -> Acceptance {
    if linkCount >= configuration.maximumLinks {
      return .refuse(
        "too many connections: '\(local.process)' takes at most \(configuration.maximumLinks)")
    }
    return decide(peer)
  }

  func connectionEstablished(_ connection: ConnectionHandler, _ link: SocketLink) {
    pending.removeAll { $0 === connection }
    linkCount += 1
    logger.debug("link from \(link.peer) at \(link.address)")
    established(link)
  }

  func connectionFailed(_ connection: ConnectionHandler, _ failure: HandshakeFailure) {
    logger.warning("closed a connection from \(connection.address): \(failure)")
  }

  func connectionEnded(_ connection: ConnectionHandler) {
    if connection.wasEstablished { linkCount -= 1 }
    pending.removeAll { $0 === connection }
  }
}
