import NIOCore

/// Why a link ended.
public struct LinkEnd: Sendable, Hashable, CustomStringConvertible {
  public enum Kind: Sendable, Hashable {
    /// `close(reason:)` was called on this side.
    case closedHere
    /// The peer closed between two frames.
    case closedByPeer
    /// The peer vanished in the middle of a frame.
    case truncated
    /// The peer broke the form of frames.
    case badFrame
    /// The connection failed.
    case connectionError
  }

  public var kind: Kind
  public var text: String

  public init(_ kind: Kind, _ text: String) {
    self.kind = kind
    self.text = text
  }

  public var description: String { text }
}

/// The owner of a link. Every call comes on the link's event loop.
public protocol LinkDelegate: AnyObject {
  /// One or more whole frames, one behind the other; the memory is valid during the call only.
  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer)

  /// The next bytes of a frame longer than `TransportConfiguration.partsAbove`: pieces come in
  /// order, each frame's to its end before anything else; the one at offset 0 holds at least
  /// `partHead` bytes. The memory is valid during the call only.
  func linkReceivedPart(
    _ link: Link, frameLength: Int, offset: Int, bytes: UnsafeRawBufferPointer)

  /// All that had arrived was handed on: the time to act on it and to `flush` answers.
  func linkReadCompleted(_ link: Link)

  /// A link that was not writable is so again.
  func linkBecameWritable(_ link: Link)

  /// The link's last call. Nothing that is sent from now on goes anywhere.
  func linkClosed(_ link: Link, reason: LinkEnd)
}

extension LinkDelegate {
  public func linkReceivedPart(
    _ link: Link, frameLength: Int, offset: Int, bytes: UnsafeRawBufferPointer
  ) {}
  public func linkReadCompleted(_ link: Link) {}
  public func linkBecameWritable(_ link: Link) {}
}

/// One established connection that carries frames over a socket: see `SocketLink`.
///
/// Used on its event loop alone; it is `Sendable` so that closures for that loop may hold it.
/// Sending is `reserve`, write a frame there, `commit`; nothing leaves before `flush`, except when
/// much has gathered. Links are closed by one side or the other, never just dropped.
public class Link: @unchecked Sendable {
  /// The memory that `reserve` hands out.
  @usableFromInline struct Window {
    @usableFromInline var cursor: UnsafeMutableRawPointer
    @usableFromInline var limit: UnsafeMutableRawPointer
    /// Between `start` and `cursor` are frames that were committed and not yet handed on.
    @usableFromInline var start: UnsafeMutableRawPointer
  }

  // Behind a pointer, because the compiler checks each access to a class's property.
  @usableFromInline let window: UnsafeMutablePointer<Window>

  public let eventLoop: any EventLoop
  /// Who is on the other side.
  public let peer: Hello
  /// Held until the link has ended.
  public final var delegate: (any LinkDelegate)?
  /// Kept turning by arriving frames, so that the next ones are found without a wake-up.
  public final var spinner: LoopSpinner?
  /// False when so much is unsent that the owner should wait for `linkBecameWritable`; what is
  /// sent all the same is kept, not lost.
  public internal(set) final var isWritable = true
  /// True until the link has ended.
  public internal(set) final var isOpen = true

  init(eventLoop: any EventLoop, peer: Hello, delegate: (any LinkDelegate)?) {
    self.eventLoop = eventLoop
    self.peer = peer
    self.delegate = delegate
    window = .allocate(capacity: 1)
    let nowhere = UnsafeMutableRawPointer(window)
    window.initialize(to: Window(cursor: nowhere, limit: nowhere, start: nowhere))
  }

  deinit { window.deallocate() }

  /// Memory for a frame of up to `count` bytes, of any alignment; valid until the next call of
  /// this link. Write at most `count` bytes, then `commit` as many as the frame has.
  @inlinable public final func reserve(_ count: Int) -> UnsafeMutableRawPointer {
    let cursor = window.pointee.cursor
    if _fastPath(window.pointee.limit - cursor >= count) { return cursor }
    refill(count)
    return window.pointee.cursor
  }

  /// Takes the first `count` bytes of the reserved memory as sent.
  @inlinable public final func commit(_ count: Int) {
    window.pointee.cursor += count
    assert(window.pointee.cursor <= window.pointee.limit, "committed more than reserved")
  }

  /// Copies a frame, or several whole ones, into the outgoing bytes.
  @inlinable public final func send(_ frames: UnsafeRawBufferPointer) {
    guard let base = frames.baseAddress else { return }
    reserve(frames.count).copyMemory(from: base, byteCount: frames.count)
    commit(frames.count)
  }

  /// Sends whole frames; a socket link takes a large buffer as it is, without a copy.
  public func send(frames: ByteBuffer) {
    frames.withUnsafeReadableBytes { send($0) }
  }

  /// Hands on everything committed. Call once at the end of a turn, not per frame.
  public func flush() {}

  /// Asks the peer's side to stop: no more reads after what is already on its way in.
  public func pauseReading() {}
  public func resumeReading() {}

  /// Ends the link after sending what was committed. `linkClosed` follows, not during this call.
  /// The reason is for this side.
  public func close(reason: String) {}

  /// Makes room for `count` bytes at the window's cursor.
  @usableFromInline func refill(_ count: Int) {}

  /// Reports the end, once.
  final func end(_ reason: LinkEnd) {
    guard isOpen else { return }
    isOpen = false
    isWritable = false
    let last = delegate
    delegate = nil
    spinner = nil
    last?.linkClosed(self, reason: reason)
  }
}
