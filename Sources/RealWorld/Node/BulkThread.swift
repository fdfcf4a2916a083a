import Glibc
import NIOCore
import Primitives
import RuntimeCore
import Synchronization
import WireFormat

extension LinkEnd: Error {}

/// A chunk on its way out: bytes of its own, and behind them bytes that somebody keeps in place.
struct OutgoingChunk: @unchecked Sendable {
  /// The frame's head, and its bytes too where those could not be kept in place.
  var head: ByteBuffer
  var bytes: UnsafeRawBufferPointer

  var count: Int { head.readableBytes + bytes.count }
}

/// Where the bytes of a chunk go. The memory stays there until the thread has reported the chunk's
/// end, or that of its connection.
struct LandingPlace: @unchecked Sendable {
  var segment: SharedSegment
  /// In the segment.
  var offset: Int
}

/// The thread of a node that moves the bytes of objects between sockets and memory, so that nothing
/// of that happens on the node's loop. It copies once: the kernel reads from where an object lies and
/// writes to where it will.
///
/// It works for `BulkLanes`, which tells it what to do and hears what has come of it.
final class BulkThread: @unchecked Sendable {
  /// Of a connection; never used again.
  typealias ID = UInt64

  enum Event: Sendable {
    /// The socket has taken a chunk: its bytes are read no more.
    case left(ID)
    /// The peer has so many chunks of this connection.
    case received(ID, UInt64)
    /// The head of a chunk has come, and so many bytes follow: `land` says where they go.
    case head(ID, ChunkFrame, Int)
    /// All bytes of the last head are in place.
    case landed(ID)
    /// They cannot be put there.
    case failed(ID, StoreError)
    /// The last event of a connection: no memory is touched for it any more.
    case closed(ID, LinkEnd)
  }

  private enum Command: Sendable {
    case send(ID, CInt)
    case receive(ID, CInt, from: Address, at: Address)
    case chunk(ID, OutgoingChunk)
    case land(ID, LandingPlace?)
    case close(ID, LinkEnd)
    case stop
  }

  private let commands = Mutex<[Command]>([])
  private let events = Mutex<[Event]>([])
  private let wakeOwner: @Sendable () -> Void
  private let reader: CInt
  private let writer: CInt
  private let maximumFrame: Int
  private var thread: WorkerThread?

  // Of the thread alone.
  private var sockets: [BulkSocket] = []
  private var watched: [pollfd] = []

  /// Nil when the system gives no thread or no descriptors.
  ///
  /// - Parameter wakeOwner: called when there are events to `take`.
  init?(maximumFrame: Int, wakeOwner: @escaping @Sendable () -> Void) {
    var ends: [CInt] = [-1, -1]
    guard pipe(&ends) == 0 else { return nil }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    (reader, writer) = (ends[0], ends[1])
    self.maximumFrame = maximumFrame
    self.wakeOwner = wakeOwner
    guard let thread = WorkerThread({ [unowned self] in run() }) else { return nil }
    self.thread = thread
  }

  deinit {
    stop()
    Glibc.close(reader)
    Glibc.close(writer)
  }

  // MARK: Its owner's side

  /// Takes a socket over that chunks leave by.
  func send(_ id: ID, over socket: CInt) { tell(.send(id, socket)) }

  /// Takes a socket over that chunks come by.
  func receive(_ id: ID, over socket: CInt, from source: Address, at target: Address) {
    tell(.receive(id, socket, from: source, at: target))
  }

  /// The chunk's bytes stay in place until it has left, or its connection is closed.
  func send(_ chunk: OutgoingChunk, by id: ID) { tell(.chunk(id, chunk)) }

  /// The answer to a head; nil lets the bytes pass by.
  func land(_ id: ID, at place: LandingPlace?) { tell(.land(id, place)) }

  func close(_ id: ID, _ reason: LinkEnd) { tell(.close(id, reason)) }

  /// What has happened since.
  func take() -> [Event] {
    events.withLock { events in
      defer { events = [] }
      return events
    }
  }

  /// Closes all sockets and ends the thread.
  func stop() {
    guard let thread else { return }
    tell(.stop)
    thread.join()
    self.thread = nil
  }

  private func tell(_ command: Command) {
    let isFirst = commands.withLock { commands in
      commands.append(command)
      return commands.count == 1
    }
    if isFirst {
      var byte: UInt8 = 0
      // A full pipe wakes as well.
      _ = write(writer, &byte, 1)
    }
  }

  // MARK: The thread's side

  func report(_ event: Event) {
    let isFirst = events.withLock { events in
      events.append(event)
      return events.count == 1
    }
    if isFirst { wakeOwner() }
  }

  private func run() {
    WorkerThread.nameOwn("bulk")
    WorkerThread.lowerOwnPriority(by: 5)
    while true {
      watched.removeAll(keepingCapacity: true)
      watched.append(pollfd(fd: reader, events: Int16(POLLIN), revents: 0))
      for socket in sockets {
        watched.append(pollfd(fd: socket.descriptor, events: socket.interest, revents: 0))
      }
      let count = poll(&watched, nfds_t(watched.count), -1)
      if count < 0 && errno != EINTR && errno != EAGAIN && errno != ENOMEM {
        preconditionFailure("poll failed: \(errorText(errno))")
      }
      if count <= 0 { continue }
      let present = sockets.count
      if watched[0].revents != 0, !obey() { break }
      for i in 0..<present where watched[i + 1].revents != 0 {
        serve(sockets[i], watched[i + 1].revents)
      }
      sockets.removeAll { $0.descriptor < 0 }
    }
    for socket in sockets where socket.descriptor >= 0 { Glibc.close(socket.descriptor) }
    sockets = []
  }

  /// False when the thread is to end.
  private func obey() -> Bool {
    var bytes: (UInt64, UInt64) = (0, 0)
    while read(reader, &bytes, 16) == 16 {}
    let new = commands.withLock { commands in
      defer { commands = [] }
      return commands
    }
    for command in new {
      switch command {
      case .send(let id, let descriptor):
        sockets.append(BulkSender(id, descriptor))
      case .receive(let id, let descriptor, let source, let target):
        let socket = BulkSink(
          id, descriptor, from: source, at: target, maximumFrame: maximumFrame)
        sockets.append(socket)
        serve(socket, 0)
      case .chunk(let id, let chunk):
        guard let socket = socket(id) as? BulkSender else { break }
        socket.append(chunk)
        serve(socket, Int16(POLLOUT))
      case .land(let id, let place):
        guard let socket = socket(id) as? BulkSink else { break }
        socket.land(at: place)
        serve(socket, Int16(POLLIN))
      case .close(let id, let reason):
        if let socket = socket(id) { end(socket, reason) }
      case .stop: return false
      }
    }
    return true
  }

  private func socket(_ id: ID) -> BulkSocket? {
    sockets.first { $0.id == id && $0.descriptor >= 0 }
  }

  private func serve(_ socket: BulkSocket, _ ready: Int16) {
    if socket.descriptor < 0 { return }
    do throws(LinkEnd) {
      try socket.serve(ready, reporting: self)
    } catch {
      end(socket, error)
    }
  }

  private func end(_ socket: BulkSocket, _ reason: LinkEnd) {
    Glibc.close(socket.descriptor)
    socket.descriptor = -1
    report(.closed(socket.id, reason))
  }
}

/// One connection of a `BulkThread`.
class BulkSocket {
  let id: BulkThread.ID
  /// -1 when it is closed.
  var descriptor: CInt

  /// Bytes moved by one call of the system …
  static let piece = 512 << 10
  /// … and until other connections have their turn.
  static let turn = 2 << 20

  init(_ id: BulkThread.ID, _ descriptor: CInt) {
    self.id = id
    self.descriptor = descriptor
  }

  /// What `poll` waits for.
  var interest: Int16 { 0 }

  /// Moves what can be moved now. Throws why the connection has to end.
  func serve(_ ready: Int16, reporting thread: BulkThread) throws(LinkEnd) {}

  /// Reads up to `count` bytes; 0 when there are none now.
  final func read(_ place: UnsafeMutableRawPointer, _ count: Int) throws(LinkEnd) -> Int {
    while true {
      let got = recv(descriptor, place, count, Int32(MSG_DONTWAIT))
      if got > 0 { return got }
      if got == 0 { throw LinkEnd(.closedByPeer, "the peer closed the connection") }
      switch errno {
      case EINTR: continue
      case EAGAIN: return 0
      default: throw failure(errno)
      }
    }
  }

  /// Writes up to `count` bytes; 0 when none can be written now.
  final func write(
    _ place: UnsafeRawPointer, _ count: Int, more: Bool = false
  ) throws(LinkEnd) -> Int {
    let flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0)
    while true {
      let sent = Glibc.send(descriptor, place, count, Int32(flags))
      if sent >= 0 { return sent }
      switch errno {
      case EINTR: continue
      case EAGAIN: return 0
      default: throw failure(errno)
      }
    }
  }

  private func failure(_ code: CInt) -> LinkEnd {
    LinkEnd(.connectionError, "the connection failed: \(errorText(code))")
  }

  final func fault(_ error: FrameError) -> LinkEnd {
    LinkEnd(.badFrame, "the peer sent what it may not: \(error)")
  }
}
