import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// The side that made or accepted a connection. Every call comes on the connection's loop.
protocol ConnectionOwner: AnyObject {
  /// Asked of a responder whose peer has authenticated itself.
  func accept(_ peer: Hello) -> Acceptance
  /// The handshake is over; sets the link's delegate.
  func connectionEstablished(_ connection: ConnectionHandler, _ link: SocketLink)
  /// The handshake failed; the connection may linger until the peer has read why.
  func connectionFailed(_ connection: ConnectionHandler, _ failure: HandshakeFailure)
  /// The channel is gone.
  func connectionEnded(_ connection: ConnectionHandler)
  /// True when it says itself why a link ended that should not have: then nobody says it here.
  var reportsEnds: Bool { get }
}

extension ConnectionOwner {
  var reportsEnds: Bool { false }
}

/// Runs the handshake of one connection, and feeds its link afterwards.
final class ConnectionHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum Phase { case handshake, lingering, established, over }

  let owner: any ConnectionOwner
  let configuration: TransportConfiguration
  let logger: Logger
  private(set) var address: String
  private(set) var hasHeard = false
  private(set) var link: SocketLink?
  private(set) var wasEstablished = false
  private var handshake: Handshake
  private var phase = Phase.handshake
  private var timer: Scheduled<Void>?
  private var context: ChannelHandlerContext?

  init(
    side: Handshake.Side, local: Hello, address: String, owner: any ConnectionOwner,
    configuration: TransportConfiguration, logger: Logger, version: UInt16
  ) throws(TransportError) {
    self.owner = owner
    self.configuration = configuration
    self.logger = logger
    self.address = address
    handshake = try Handshake(
      side, local: local, secret: configuration.secret, version: version)
  }

  func channelActive(context: ChannelHandlerContext) {
    self.context = context
    if let remote = context.remoteAddress, let ip = remote.ipAddress, let port = remote.port {
      address = "\(Endpoint.tcp(host: ip, port: port))"
    }
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    let span = configuration.handshakeTimeout
    timer = context.eventLoop.scheduleTask(in: TimeAmount(span)) {
      let text = "the handshake did not end within \(span)"
      bound.value.refuse(HandshakeFailure(.timeout, text))
    }
    sendOutput(context)
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    switch phase {
    case .established:
      buffer.withUnsafeReadableBytes { link?.receive($0) }
    case .handshake:
      hasHeard = true
      let progress = buffer.withUnsafeReadableBytes { bytes in
        handshake.receive(bytes) { owner.accept($0) }
      }
      sendOutput(context)
      switch progress {
      case .waiting: break
      case .established(let peer, let leftover): establish(context, peer, leftover)
      case .failed(let failure): fail(failure)
      }
    case .lingering, .over: break
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    link?.readCompleted()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    link?.writabilityChanged()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    let text = describe(error)
    switch phase {
    case .established:
      // TLS peers that are killed say no farewell: that is the end of the stream, as for TCP.
      if case .uncleanShutdown? = error as? NIOSSLError {
        context.close(promise: nil)
      } else {
        link?.fail(connection: text)
      }
    case .handshake: fail(HandshakeFailure(.connectionLost, text))
    case .lingering, .over: context.close(promise: nil)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    if phase == .handshake {
      fail(HandshakeFailure(.connectionLost, "the peer closed the connection in the handshake"))
    }
    phase = .over
    self.context = nil
    if let link {
      let end = link.channelEnded()
      let isFault = end.kind != .closedHere && end.kind != .closedByPeer
      logger.log(
        level: isFault && !owner.reportsEnds ? .warning : .debug,
        "link to \(link.peer) at \(address) ended: \(end)")
    }
    link = nil
    owner.connectionEnded(self)
    context.fireChannelInactive()
  }

  /// Ends the handshake from outside, telling the peer why.
  func refuse(_ failure: HandshakeFailure) {
    guard phase == .handshake, let context else { return }
    if hasHeard { handshake.refuse(failure) }
    sendOutput(context)
    fail(failure)
  }

  /// Closes whatever state the connection is in, without another word.
  func abandon() {
    context?.close(promise: nil)
  }

  private func sendOutput(_ context: ChannelHandlerContext) {
    let bytes = handshake.takeOutput()
    if bytes.isEmpty { return }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
  }

  private func fail(_ failure: HandshakeFailure) {
    guard phase == .handshake else { return }
    phase = .over
    timer?.cancel()
    owner.connectionFailed(self, failure)
    guard let context, context.channel.isActive else { return }
    let speaks =
      failure.reason != .notHeliostat && failure.reason != .refusedByPeer
      && failure.reason != .postponedByPeer
    guard hasHeard, speaks, failure.reason != .connectionLost else {
      context.close(promise: nil)
      return
    }
    // Closing with unread bytes would make the kernel reset the connection, and the peer might
    // never read why it was refused. So wait for its end, but not long.
    phase = .lingering
    let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
    timer = context.eventLoop.scheduleTask(in: TimeAmount(configuration.closeTimeout)) {
      bound.value.abandon()
    }
  }

  private func establish(_ context: ChannelHandlerContext, _ peer: Hello, _ leftover: [UInt8]) {
    phase = .established
    wasEstablished = true
    timer?.cancel()
    tune(context.channel, isBulk: peer.role == .data)
    let link = SocketLink(
      context: context, peer: peer, address: address, configuration: configuration)
    self.link = link
    owner.connectionEstablished(self, link)
    if !leftover.isEmpty { leftover.withUnsafeBytes { link.receive($0) } }
  }

  private func tune(_ channel: any Channel, isBulk: Bool) {
    guard let options = channel.syncOptions else { return }
    let bytes = isBulk ? configuration.bulkRead : configuration.controlRead
    let allocator = FixedSizeRecvByteBufferAllocator(capacity: bytes)
    try? options.setOption(.recvAllocator, value: allocator)
    // After each piece of an object the loop looks after its other links.
    if isBulk { try? options.setOption(.maxMessagesPerRead, value: 1) }
    if isBulk, let buffer = configuration.bulkSocketBuffer {
      // Refused sizes are no reason to give the link up: it works with any.
      try? options.setOption(.socketOption(.so_sndbuf), value: .init(buffer))
      try? options.setOption(.socketOption(.so_rcvbuf), value: .init(buffer))
    }
  }

  private func describe(_ error: any Error) -> String {
    if let error = error as? IOError { return errorText(error.errnoCode) }
    if configuration.tls == nil { return "\(error)" }
    let text = "\(error)"
    let hint =
      if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST")
        || text.contains("UNEXPECTED_MESSAGE") || text.contains("INVALID_SSL_RECORD")
      {
        "the peer does not speak TLS: configure TLS on both sides or on neither"
      } else if text.contains("EOF during handshake") {
        "the peer closed the connection: maybe it does not speak TLS; configure TLS on both sides or "
          + "on neither"
      } else if text.contains("CERTIFICATE_VERIFY_FAILED") {
        "this side does not trust the listener's certificate: check the file of trust roots"
      } else if text.contains("UNKNOWN_CA") || text.contains("CERTIFICATE_UNKNOWN") {
        "the peer does not trust this certificate: give it the right file of trust roots"
      } else if text.contains("ailedToValidateHostname") || text.contains("HOSTNAME_MISMATCH") {
        "the listener's certificate is not for the address or host name that was connected to: use one "
          + "that it carries, or put this one among its subject alternative names"
      } else {
        printable(text)
      }
    return "TLS handshake failed: \(hint)"
  }
}
