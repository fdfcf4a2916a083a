import Logging
import NIOCore
import Primitives
import RuntimeCore
import WireFormat

/// The connections of a node that carry the bytes of objects to other nodes and from them, so that a
/// large object does not stand in the way of everything else. Made when the first object goes to a
/// node.
///
/// The bytes are moved by a thread of their own, `BulkThread`; everything else happens on the node's
/// loop. The receiver says how many chunks it has of each connection. When one ends, those beside it
/// end too, and the receiver is told, over the nodes' own link, to ask again for the objects of which
/// it has not said that it has all chunks.
final class BulkLanes: BulkCarrier, @unchecked Sendable {
  /// Where other nodes listen.
  var endpoints: [NodeID: String] = [:]

  let hello: Hello
  let configuration: TransportConfiguration
  let loop: any EventLoop
  let node: NodeID
  unowned let shell: NodeShell
  let logger: Logger
  private let specs: TaskSpecTable
  var lanes: [NodeID: BulkLane] = [:]
  /// Nodes that could not be reached in this way: not tried again before this moment.
  var unreachable: [NodeID: Instant] = [:]
  /// Those that objects leave by, also when their lane has ended and they have not.
  var outgoing: [BulkThread.ID: BulkConnection] = [:]
  /// What other nodes send objects over.
  var incoming: [BulkThread.ID: BulkIncoming] = [:]
  var nextID: BulkThread.ID = 0
  /// Made with the first connection.
  private var thread: BulkThread?
  /// Memory of chunks that have gone, to be used again.
  private var spares: [ByteBuffer] = []
  private var isScheduled = false
  private(set) var isStopped = false

  private static let pause = TimeAmount.microseconds(10)
  private static let maximumSpares = 16

  init(
    _ hello: Hello, configuration: TransportConfiguration, on loop: any EventLoop, of node: NodeID,
    shell: NodeShell, logger: Logger
  ) {
    self.hello = hello
    self.configuration = configuration
    self.loop = loop
    self.node = node
    self.shell = shell
    specs = shell.core.pointee.specs
    self.logger = logger
  }

  /// Nil where the system gives none: then the loop moves the bytes itself.
  func bulkThread() -> BulkThread? {
    if thread == nil, !isStopped {
      thread = BulkThread(
        maximumFrame: configuration.maximumFrame,
        wakeOwner: { [weak self] in
          guard let self else { return }
          loop.execute { self.heed() }
        })
    }
    return thread
  }

  // MARK: Taking over

  func reaches(_ node: NodeID) -> Bool { lane(to: node) != nil }

  func carry(
    _ head: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, of transfer: Transfer,
    pin: UInt64?
  ) {
    guard let lane = lane(to: transfer.to) else { preconditionFailure("a node that is reached") }
    if transfer.push != .single {
      if lane.pushes[transfer.push] == nil {
        specs.retain(transfer.object.producer)
        lane.pushes[transfer.push] = BulkLane.Push(
          object: transfer.object, count: transfer.count)
      }
      lane.pushes[transfer.push]?.outstanding += 1
      lane.pushes[transfer.push]?.next = transfer.index + 1
    }
    specs.retain(transfer.object.producer)
    var buffer = pin == nil ? spares.popLast() ?? ByteBuffer() : ByteBuffer()
    buffer.clear(minimumCapacity: head.count + (pin == nil ? bytes.count : 0))
    buffer.writeBytes(head)
    var chunk = OutgoingChunk(head: buffer, bytes: bytes)
    if pin == nil {
      chunk.head.writeBytes(bytes)
      chunk.bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    }
    lane.waiting.append(
      BulkLane.Waiting(push: transfer.push, object: transfer.object, chunk: chunk, pin: pin))
    // A link may end while it is written to, which is no news for the midst of a turn.
    if lane.hasLinks { schedule() } else { feed(lane) }
  }

  /// Gives every connection that has nothing to do a chunk.
  private func feed(_ lane: BulkLane) {
    for connection in lane.connections {
      while connection.hasRoom, let next = lane.waiting.popFirst() {
        connection.underWay.append((next.pin, next.push))
        connection.unreceived.append(next.object)
        connection.sent += 1
        switch connection.way {
        case .thread(let thread): thread.send(next.chunk, by: connection.id)
        case .link(let link): send(next.chunk, over: link, connection)
        }
      }
    }
  }

  private func send(
    _ chunk: OutgoingChunk, over link: SocketLink, _ connection: BulkConnection
  ) {
    var frame = chunk.head
    frame.writeBytes(chunk.bytes)
    link.send(frame: frame) { [self, frame] isSent in
      // What did not go is dealt with when the link reports its end.
      if !isSent { return }
      if spares.count < Self.maximumSpares { spares.append(frame) }
      loop.execute { [self] in
        chunkLeft(connection)
        schedule()
      }
    }
    link.flush()
  }

  /// A connection has taken the last byte of its first chunk.
  func chunkLeft(_ connection: BulkConnection) {
    guard let (pin, push) = connection.underWay.popFirst() else { return }
    if let pin { shell.core.pointee.unpin(pin) }
    if push != .single && connection.isOpen { connection.lane.left.append(push) }
  }

  /// The receiver has so many chunks of a connection.
  func chunksReceived(_ count: UInt64, _ connection: BulkConnection) {
    while connection.received < count, let object = connection.unreceived.popFirst() {
      connection.received += 1
      specs.release(object.producer)
    }
  }

  // MARK: Turns

  /// Sends and reports outside of the machines' turns, and lets the loop look after its other links
  /// in between: tasks of a loop that make further tasks come before what has arrived.
  func schedule() {
    if isScheduled || isStopped { return }
    isScheduled = true
    loop.scheduleTask(in: Self.pause) { [self] in
      isScheduled = false
      turn()
    }
  }

  /// Hears what the thread has done.
  private func heed() {
    guard !isStopped, let thread else { return }
    shell.core.pointee.now = MonotonicClock.now
    for event in thread.take() {
      switch event {
      case .left(let id): if let connection = outgoing[id] { chunkLeft(connection) }
      case .received(let id, let count):
        if let connection = outgoing[id] { chunksReceived(count, connection) }
      case .head(let id, let chunk, let payload): begin(id, chunk, payload, thread)
      case .landed(let id): landed(id)
      case .failed(let id, let error): failed(id, error)
      case .closed(let id, let reason): closed(id, reason)
      }
    }
    turn()
  }

  private func turn() {
    if isStopped { return }
    for lane in lanes.values {
      let left = lane.left
      lane.left = []
      for push in left {
        if lane.pushes[push] == nil { continue }
        lane.pushes[push]?.outstanding -= 1
        shell.core.pointee.chunkLeft(push)
        if let state = lane.pushes[push], state.outstanding == 0, state.next == state.count {
          lane.pushes[push] = nil
          specs.release(state.object.producer)
        }
      }
      if !left.isEmpty {
        shell.core.pointee.now = MonotonicClock.now
        shell.core.pointee.drain()
      }
      feed(lane)
    }
    shell.endTurn()
  }

  // MARK: The end

  /// Ends all connections to a node, and has it ask again for what it may not have.
  func end(_ lane: BulkLane) {
    guard lanes[lane.node] === lane else { return }
    lanes[lane.node] = nil
    var doubtful: [ObjectHandle] = []
    for connection in lane.connections where connection.isOpen {
      doubtful += retire(connection)
      connection.close(LinkEnd(.closedHere, "another connection ended"))
    }
    doubtful += lane.connections.flatMap(\.unreceived)
    for connection in lane.connections { connection.unreceived = [] }
    for next in lane.waiting {
      doubtful.append(next.object)
      if let pin = next.pin { shell.core.pointee.unpin(pin) }
    }
    lane.waiting = []
    for (push, state) in lane.pushes {
      if state.next < state.count { shell.core.pointee.abandon(push) }
      for _ in 0..<state.outstanding { shell.core.pointee.chunkLeft(push) }
      doubtful.append(state.object)
    }
    lane.pushes = [:]
    lane.left = []
    var told: Set<UInt64> = []
    for object in doubtful where told.insert(object.key).inserted {
      shell.core.pointee.refuse(object, to: lane.node)
    }
    shell.core.pointee.now = MonotonicClock.now
    shell.core.pointee.drain()
    shell.endTurn()
    for object in doubtful { specs.release(object.producer) }
  }

  /// Nothing more goes over a connection; whose chunks may not have been received.
  private func retire(_ connection: BulkConnection) -> [ObjectHandle] {
    connection.isOpen = false
    defer { connection.unreceived = [] }
    return Array(connection.unreceived)
  }

  /// The node has gone; nobody is told.
  func nodeLost(_ node: NodeID) {
    endpoints[node] = nil
    unreachable[node] = nil
    if let lane = lanes[node] { end(lane) }
    for link in incoming.values where link.node == node {
      link.close(LinkEnd(.closedHere, "the node has gone"))
    }
  }

  func stop() {
    isStopped = true
    for connection in outgoing.values { connection.close(LinkEnd(.closedHere, "the node stops")) }
    for link in incoming.values { link.close(LinkEnd(.closedHere, "the node stops")) }
    lanes = [:]
    thread?.stop()
    thread = nil
    outgoing = [:]
    incoming = [:]
  }
}
