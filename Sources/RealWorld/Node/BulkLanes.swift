import Logging
import NIOCore
import Primitives
import RuntimeCore
import WireFormat

/// The connections of a node that carry the bytes of objects to other nodes, so that a large object
/// does not stand in the way of everything else. Made when the first object goes to a node.
///
/// A chunk counts as sent when its socket has taken it. When a connection ends, those beside it end
/// too, and the receiver is told, over the nodes' own link, to ask again for whatever may have been
/// on the way. Everything happens on the node's loop.
final class BulkLanes: BulkCarrier, @unchecked Sendable {
  /// Where other nodes listen.
  var endpoints: [NodeID: String] = [:]

  private let hello: Hello
  private let configuration: TransportConfiguration
  private let loop: any EventLoop
  private unowned let shell: NodeShell
  private let specs: TaskSpecTable
  private let logger: Logger
  private var lanes: [NodeID: Lane] = [:]
  /// Nodes that could not be reached in this way: not tried again before this moment.
  private var unreachable: [NodeID: Instant] = [:]
  /// What other nodes send objects over.
  private var incoming: [ObjectIdentifier: SocketLink] = [:]
  /// Memory of chunks that have gone, to be used again.
  private var spares: [ByteBuffer] = []
  private var isScheduled = false
  private var isStopped = false

  /// What waits on the way: a copy of the chunk, until its connections are there.
  private struct Waiting {
    var push: PushID
    var frame: ByteBuffer
  }

  private struct Push {
    var object: ObjectHandle
    /// Chunks that were taken over and have not left.
    var outstanding = 0
    var next: UInt16 = 0
    var count: UInt16
  }

  /// The way to one node.
  private final class Lane: @unchecked Sendable {
    let node: NodeID
    var links: [SocketLink] = []
    var opening: Int
    var waiting: [Waiting] = []
    var pushes: [PushID: Push] = [:]
    /// Objects whose last bytes may not have arrived, with what had been sent in all by then.
    var recent: [(object: ObjectHandle, mark: UInt64)] = []
    var sent: UInt64 = 0
    /// Chunks whose socket has taken them.
    var left: [PushID] = []
    /// Chunks that a connection has and its socket has not taken yet.
    var underWay: [ObjectIdentifier: Int] = [:]

    init(_ node: NodeID, opening: Int) {
      self.node = node
      self.opening = opening
    }
  }

  /// More than the buffers of a few connections hold on both sides.
  private static let inBuffers: UInt64 = 256 << 20
  private static let pause = TimeAmount.microseconds(10)
  private static let maximumSpares = 16
  /// Of one connection: the socket has the next one when it has taken one.
  private static let chunksUnderWay = 2

  init(
    _ hello: Hello, configuration: TransportConfiguration, on loop: any EventLoop,
    shell: NodeShell, logger: Logger
  ) {
    self.hello = hello
    self.configuration = configuration
    self.loop = loop
    self.shell = shell
    specs = shell.core.pointee.specs
    self.logger = logger
  }

  // MARK: Taking over

  func carry(
    _ head: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, of transfer: Transfer
  ) -> Bool {
    guard let lane = lane(to: transfer.to) else { return false }
    remember(transfer, lane)
    lane.sent += UInt64(bytes.count)
    var frame = spares.popLast() ?? ByteBuffer()
    frame.clear(minimumCapacity: head.count + bytes.count)
    frame.writeBytes(head)
    frame.writeBytes(bytes)
    lane.waiting.append(Waiting(push: transfer.push, frame: frame))
    schedule()
    return true
  }

  private func remember(_ transfer: Transfer, _ lane: Lane) {
    if transfer.push == .single {
      specs.retain(transfer.object.producer)
      lane.recent.append((transfer.object, lane.sent + transfer.objectSize.bytes))
      return
    }
    if lane.pushes[transfer.push] == nil {
      specs.retain(transfer.object.producer)
      lane.pushes[transfer.push] = Push(object: transfer.object, count: transfer.count)
    }
    lane.pushes[transfer.push]?.outstanding += 1
    lane.pushes[transfer.push]?.next = transfer.index + 1
  }

  /// Sends and reports outside of the machines' turns, and lets the loop look after its other links
  /// in between: tasks of a loop that make further tasks come before what has arrived.
  private func schedule(after pause: TimeAmount = .zero) {
    if isScheduled { return }
    isScheduled = true
    if pause == .zero {
      loop.execute { [self] in turn() }
    } else {
      loop.scheduleTask(in: pause) { [self] in turn() }
    }
  }

  /// Gives every connection that has nothing to do a chunk.
  private func feed(_ lane: Lane) {
    for link in lane.links where link.isOpen && link.isWritable {
      let id = ObjectIdentifier(link)
      if lane.waiting.isEmpty { return }
      if lane.underWay[id, default: 0] >= Self.chunksUnderWay { continue }
      let waiting = lane.waiting.removeFirst()
      lane.underWay[id, default: 0] += 1
      link.send(frame: waiting.frame) { [self] isSent in
        lane.underWay[id, default: 1] -= 1
        if spares.count < Self.maximumSpares { spares.append(waiting.frame) }
        // What did not go is dealt with when the link reports its end.
        if isSent && waiting.push != .single { lane.left.append(waiting.push) }
        schedule(after: Self.pause)
      }
      link.flush()
    }
  }

  private func turn() {
    isScheduled = false
    if isStopped { return }
    for lane in lanes.values {
      feed(lane)
      if lane.left.isEmpty { continue }
      let left = lane.left
      lane.left = []
      for push in left {
        if lane.pushes[push] == nil { continue }
        lane.pushes[push]?.outstanding -= 1
        shell.core.pointee.chunkLeft(push)
        if let state = lane.pushes[push], state.outstanding == 0, state.next == state.count {
          lane.pushes[push] = nil
          lane.recent.append((state.object, lane.sent))
        }
      }
      forget(lane, sentBefore: lane.sent > Self.inBuffers ? lane.sent - Self.inBuffers : 0)
      shell.core.pointee.now = MonotonicClock.now
      shell.core.pointee.drain()
    }
    shell.endTurn()
  }

  private func forget(_ lane: Lane, sentBefore mark: UInt64) {
    var count = 0
    while count < lane.recent.count, lane.recent[count].mark < mark {
      specs.release(lane.recent[count].object.producer)
      count += 1
    }
    if count > 0 { lane.recent.removeFirst(count) }
  }

  // MARK: Connections

  private func lane(to node: NodeID) -> Lane? {
    if let lane = lanes[node] { return lane }
    if isStopped { return nil }
    if let until = unreachable[node] {
      if MonotonicClock.now < until { return nil }
      unreachable[node] = nil
    }
    guard let text = endpoints[node], let endpoint = try? Endpoint(parsing: text) else {
      return nil
    }
    let lane = Lane(node, opening: configuration.bulkConnections)
    lanes[node] = lane
    for _ in 0..<configuration.bulkConnections {
      let end = End(self, lane)
      Connector.connect(
        to: endpoint, on: loop, as: hello, configuration: configuration,
        retry: RetryPolicy(attempts: 3), logger: logger, delegate: end
      ).whenComplete { [self] result in opened(result, lane) }
    }
    return lane
  }

  private func opened(_ result: Result<SocketLink, any Error>, _ lane: Lane) {
    lane.opening -= 1
    guard lanes[lane.node] === lane, !isStopped else {
      if case .success(let link) = result { link.close(reason: "the node has gone") }
      return
    }
    switch result {
    case .success(let link):
      if link.isOpen { lane.links.append(link) }
    case .failure(let error):
      logger.warning("no connection for objects to node \(lane.node.index): \(error)")
    }
    if lane.links.isEmpty && lane.opening == 0 {
      // For a while objects go with everything else.
      unreachable[lane.node] = MonotonicClock.now + .seconds(5)
      end(lane)
    } else {
      schedule()
    }
  }

  /// Another node sends objects over this link.
  func receive(from node: NodeID, over link: SocketLink) {
    incoming[ObjectIdentifier(link)] = link
    link.delegate = BulkReceiver(node, shell) { [self] link in
      incoming[ObjectIdentifier(link)] = nil
    }
  }

  /// This side of one connection.
  private final class End: LinkDelegate, @unchecked Sendable {
    let lanes: BulkLanes
    let lane: Lane

    init(_ lanes: BulkLanes, _ lane: Lane) {
      self.lanes = lanes
      self.lane = lane
    }

    func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
      link.close(
        reason: "\(link.peer) sent something over a connection that takes objects from here")
    }
    func linkBecameWritable(_ link: Link) { lanes.schedule() }
    func linkClosed(_ link: Link, reason: LinkEnd) { lanes.closed(lane, reason) }
  }

  private func closed(_ lane: Lane, _ reason: LinkEnd) {
    guard lanes[lane.node] === lane else { return }
    logger.warning("a connection for objects to node \(lane.node.index) ended: \(reason)")
    end(lane)
  }

  /// Ends all connections to a node, and has it ask again for what may have been on the way.
  private func end(_ lane: Lane) {
    lanes[lane.node] = nil
    for link in lane.links where link.isOpen { link.close(reason: "another connection ended") }
    var doubtful = lane.recent.map(\.object)
    for (push, state) in lane.pushes {
      if state.next < state.count { shell.core.pointee.abandon(push) }
      for _ in 0..<state.outstanding { shell.core.pointee.chunkLeft(push) }
      doubtful.append(state.object)
    }
    for object in doubtful { shell.core.pointee.refuse(object, to: lane.node) }
    shell.core.pointee.now = MonotonicClock.now
    shell.core.pointee.drain()
    shell.endTurn()
    for object in doubtful { specs.release(object.producer) }
    lane.recent = []
    lane.pushes = [:]
    lane.waiting = []
  }

  /// The node has gone; nobody is told.
  func nodeLost(_ node: NodeID) {
    endpoints[node] = nil
    unreachable[node] = nil
    if let lane = lanes[node] { end(lane) }
  }

  func stop() {
    isStopped = true
    for link in outgoingLinks + incomingLinks { link.close(reason: "the node stops") }
    lanes = [:]
  }

  var outgoingLinks: [SocketLink] { lanes.values.flatMap(\.links) }
  var incomingLinks: [SocketLink] { Array(incoming.values) }
}

/// The receiving end of a connection that carries objects from another node: their bytes are copied
/// from where the socket's lie to where the object will.
final class BulkReceiver: LinkDelegate {
  private let node: NodeID
  private unowned let shell: NodeShell
  /// Of the chunk that is coming in pieces; nil when nobody wants it.
  private var landing: Landing?
  private let ended: (Link) -> Void

  init(_ node: NodeID, _ shell: NodeShell, ended: @escaping (Link) -> Void) {
    self.node = node
    self.shell = shell
    self.ended = ended
  }

  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    shell.core.pointee.now = MonotonicClock.now
    do throws(FrameError) {
      var frames = FrameRun(frames)
      while let frame = try frames.next() {
        let landing = try begin(frame)
        let head = ChunkFrame.headByteCount
        if let landing {
          shell.core.pointee.write(
            UnsafeRawBufferPointer(rebasing: frame[head...]), at: 0, of: landing)
          shell.core.pointee.endChunk(landing)
        }
      }
    } catch {
      link.close(reason: "\(link.peer) sent what it may not: \(error)")
    }
  }

  func linkReceivedPart(
    _ link: Link, frameLength: Int, offset: Int, bytes: UnsafeRawBufferPointer
  ) {
    shell.core.pointee.now = MonotonicClock.now
    let head = ChunkFrame.headByteCount
    var bytes = bytes
    var at = offset - head
    if offset == 0 {
      do throws(FrameError) {
        landing = try begin(bytes)
      } catch {
        landing = nil
        link.close(reason: "\(link.peer) sent what it may not: \(error)")
        return
      }
      bytes = UnsafeRawBufferPointer(rebasing: bytes[head...])
      at = 0
    }
    guard let landing else { return }
    shell.core.pointee.write(bytes, at: at, of: landing)
    if at + bytes.count == frameLength - head {
      shell.core.pointee.endChunk(landing)
      self.landing = nil
    }
  }

  private func begin(_ head: UnsafeRawBufferPointer) throws(FrameError) -> Landing? {
    let (header, chunk, payload) = try ChunkFrame.decode(head)
    guard header.source == .raylet(node) else {
      throw FrameError(
        .notAllowed, "source", found: UInt64(header.source.raw),
        expected: UInt64(Address.raylet(node).raw))
    }
    return try shell.core.pointee.beginChunk(chunk, payload, from: header.source)
  }

  func linkReadCompleted(_ link: Link) { shell.endTurn() }
  func linkClosed(_ link: Link, reason: LinkEnd) { ended(link) }
}
