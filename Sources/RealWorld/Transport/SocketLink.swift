import Glibc
import NIOCore
import WireFormat

/// A link over a TCP or Unix socket, with or without TLS.
public final class SocketLink: Link, @unchecked Sendable {
  /// The address of the other side, for messages.
  public let address: String
  private var context: ChannelHandlerContext?
  private let configuration: TransportConfiguration
  private var assembler: FrameAssembler
  private var outgoing: ByteBuffer
  private var unflushed = 0
  private var isFlushing = false
  private var isClosing = false
  private var closeTimer: Scheduled<Void>?
  /// What is known about the end before the channel says that it is over.
  private var ending: LinkEnd?

  private static let windowBytes = 64 << 10
  /// A turn that sends more than this starts to send before its end.
  private static let earlyFlush = 256 << 10

  init(
    context: ChannelHandlerContext, peer: Hello, address: String,
    configuration: TransportConfiguration
  ) {
    self.context = context
    self.address = address
    self.configuration = configuration
    let isBulk = peer.role == .data
    assembler = FrameAssembler(
      maximum: configuration.maximumFrame, partsAbove: isBulk ? configuration.partsAbove : nil,
      partHead: configuration.partHead)
    outgoing = ByteBuffer()
    super.init(eventLoop: context.eventLoop, peer: peer, delegate: nil)
  }

  // MARK: Sending

  override func refill(_ count: Int) {
    handOn()
    if unflushed >= Self.earlyFlush { flushChannel() }
    // In place when the channel has let go of the memory, else new memory.
    outgoing.clear(minimumCapacity: max(count, Self.windowBytes))
    // The pointer outlives the closure: a buffer's memory stays where it is while nobody changes
    // the buffer, and nothing does before the next hand-on.
    outgoing.withUnsafeMutableWritableBytes { bytes in
      let base = bytes.baseAddress!
      window.pointee = Window(cursor: base, limit: base + bytes.count, start: base)
    }
  }

  /// Gives the committed frames to the channel and leaves the window empty.
  private func handOn() {
    let count = window.pointee.cursor - window.pointee.start
    if count > 0 {
      outgoing.moveWriterIndex(forwardBy: count)
      if isOpen, !isClosing, let context {
        unflushed += count
        context.write(NIOAny(outgoing), promise: nil)
      }
    }
    let nowhere = window.pointee.start
    window.pointee = Window(cursor: nowhere, limit: nowhere, start: nowhere)
  }

  private func flushChannel() {
    if unflushed == 0 { return }
    unflushed = 0
    isFlushing = true
    context?.flush()
    isFlushing = false
  }

  public override func flush() {
    handOn()
    flushChannel()
  }

  public override func send(frames: ByteBuffer) {
    if frames.readableBytes <= Self.windowBytes / 4 { return super.send(frames: frames) }
    handOn()
    guard isOpen, !isClosing, let context else { return }
    unflushed += frames.readableBytes
    context.write(NIOAny(frames), promise: nil)
  }

  /// Sends one long frame without a copy; `sent` is called when the socket has taken it, or never
  /// will (false). Nothing leaves before `flush`.
  func send(frame: ByteBuffer, sent: @escaping @Sendable (Bool) -> Void) {
    handOn()
    guard isOpen, !isClosing, let context else { return sent(false) }
    unflushed += frame.readableBytes
    let promise = context.eventLoop.makePromise(of: Void.self)
    promise.futureResult.whenComplete { result in
      if case .success = result { sent(true) } else { sent(false) }
    }
    context.write(NIOAny(frame), promise: promise)
  }

  /// Gives the socket away when all that was sent has left: this link ends, its delegate is not told,
  /// and the connection goes on. Nil, and the link stays, where the socket alone is not the
  /// connection, which is so with TLS, and when the link has ended.
  func detach(_ done: @escaping @Sendable (CInt?) -> Void) {
    guard isOpen, !isClosing, configuration.tls == nil, let context else { return done(nil) }
    handOn()
    setAutoRead(false)
    let sent = context.eventLoop.makePromise(of: Void.self)
    context.writeAndFlush(NIOAny(ByteBuffer()), promise: sent)
    sent.futureResult.whenComplete { [self] _ in
      guard isOpen, !isClosing, let context = self.context,
        let own = try? context.channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
          of: NIOBSDSocket.Handle.self, { fcntl($0, F_DUPFD_CLOEXEC, 0) }), own >= 0
      else {
        setAutoRead(true)
        return done(nil)
      }
      isClosing = true
      delegate = nil
      ending = LinkEnd(.closedHere, "its socket was taken over")
      eventLoop.execute { self.context?.close(promise: nil) }
      done(own)
    }
  }

  func writabilityChanged() {
    guard isOpen, let context else { return }
    let before = isWritable
    isWritable = context.channel.isWritable
    if !isWritable || before { return }
    if isFlushing {
      // Whoever flushes is in the midst of a turn.
      eventLoop.execute { [self] in if isWritable { delegate?.linkBecameWritable(self) } }
    } else {
      delegate?.linkBecameWritable(self)
    }
  }

  // MARK: Receiving

  func receive(_ bytes: UnsafeRawBufferPointer) {
    spinner?.activity()
    var rest = bytes
    while isOpen, !isClosing {
      switch assembler.next(&rest) {
      case .frames(let frames):
        delegate?.linkReceived(self, frames: frames)
      case .part(let length, let offset, let part):
        delegate?.linkReceivedPart(self, frameLength: length, offset: offset, bytes: part)
      case .fault(let length):
        let limit = configuration.maximumFrame
        fail(
          LinkEnd(
            .badFrame,
            "a frame of \(length) bytes: frames have from \(FrameHeader.byteCount) to \(limit)"))
      case .empty:
        return
      }
    }
  }

  func readCompleted() {
    if isOpen { delegate?.linkReadCompleted(self) }
  }

  public override func pauseReading() { setAutoRead(false) }
  public override func resumeReading() { setAutoRead(true) }

  private func setAutoRead(_ value: Bool) {
    guard isOpen, let context else { return }
    try? context.channel.syncOptions?.setOption(.autoRead, value: value)
  }

  // MARK: The end

  public override func close(reason: String) {
    guard isOpen, !isClosing, let context else { return }
    flush()
    isClosing = true
    ending = LinkEnd(.closedHere, reason)
    // Closing a socket with unread bytes resets the connection, and the peer may lose what was
    // sent. So end the outgoing side alone, drop what still comes, and go when the peer has gone;
    // but a peer that takes nothing must not hold the connection for ever.
    setAutoRead(true)
    let link = self
    closeTimer = context.eventLoop.scheduleTask(in: TimeAmount(configuration.closeTimeout)) {
      link.context?.close(promise: nil)
    }
    let sent = context.eventLoop.makePromise(of: Void.self)
    context.writeAndFlush(NIOAny(ByteBuffer()), promise: sent)
    sent.futureResult.whenComplete { _ in
      // Not within the caller's turn, also when the bytes went out at once.
      link.eventLoop.execute { link.context?.close(mode: .output, promise: nil) }
    }
  }

  /// Remembers why, and closes at once.
  func fail(_ reason: LinkEnd) {
    if ending == nil { ending = reason }
    isClosing = true
    context?.close(promise: nil)
  }

  /// The socket reported an error.
  func fail(connection text: String) {
    if let truncated { return fail(LinkEnd(.truncated, "\(truncated) (\(text))")) }
    fail(LinkEnd(.connectionError, "the connection failed: \(text)"))
  }

  /// What to say about a frame whose end did not come; nil between two frames.
  private var truncated: String? {
    guard let (count, length) = assembler.unfinished else { return nil }
    let whole = length.map { "\($0)" } ?? "an unknown number of"
    return "the peer vanished in the middle of a frame: \(count) of \(whole) bytes came"
  }

  /// Called when the channel is gone; returns why.
  func channelEnded() -> LinkEnd {
    let reason =
      ending ?? truncated.map { LinkEnd(.truncated, $0) }
      ?? LinkEnd(.closedByPeer, "the peer closed the connection")
    context = nil
    closeTimer?.cancel()
    end(reason)
    return reason
  }
}
