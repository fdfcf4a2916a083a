import Glibc
import NIOCore
import Primitives
import RuntimeCore
import WireFormat

/// Connections that objects leave by: made by a handshake like any other, on the node's loop. When the
/// receiver says that it is ready, nothing more comes until it is sent something: then the socket goes
/// to the thread.
extension BulkLanes {
  /// Nil when there is none, and for a while after a failure: then objects go with everything else.
  func lane(to node: NodeID) -> BulkLane? {
    if let lane = lanes[node] { return lane }
    if isStopped { return nil }
    if let until = unreachable[node] {
      if MonotonicClock.now < until { return nil }
      unreachable[node] = nil
    }
    guard let text = endpoints[node], let endpoint = try? Endpoint(parsing: text) else {
      return nil
    }
    let lane = BulkLane(node, opening: configuration.bulkConnections)
    lanes[node] = lane
    for _ in 0..<configuration.bulkConnections {
      let end = BulkEnd(self, lane)
      Connector.connect(
        to: endpoint, on: loop, as: hello, configuration: configuration,
        retry: RetryPolicy(attempts: 3), logger: logger, delegate: end
      ).whenFailure { [self] error in
        logger.warning("no connection for objects to node \(node.index): \(error)")
        // Not within the turn that asked for it.
        loop.execute { [self] in opened(nil, lane) }
      }
    }
    return lane
  }

  /// The receiver is ready for a connection's chunks.
  fileprivate func ready(_ link: SocketLink, _ end: BulkEnd) {
    let lane = end.lane
    guard let thread = bulkThread() else { return adopt(link, end) }
    link.detach { [self] socket in
      guard let socket else { return adopt(link, end) }
      guard lanes[lane.node] === lane, !isStopped else {
        Glibc.close(socket)
        return
      }
      let connection = add(lane, .thread(thread))
      thread.send(connection.id, over: socket)
      opened(connection, lane)
    }
  }

  /// The link stays on the loop.
  private func adopt(_ link: SocketLink, _ end: BulkEnd) {
    guard link.isOpen, lanes[end.lane.node] === end.lane, !isStopped else {
      return link.close(reason: "the node has gone")
    }
    let connection = add(end.lane, .link(link))
    end.connection = connection
    opened(connection, end.lane)
  }

  private func add(_ lane: BulkLane, _ way: BulkConnection.Way) -> BulkConnection {
    nextID += 1
    let connection = BulkConnection(nextID, lane, way)
    outgoing[nextID] = connection
    return connection
  }

  private func opened(_ connection: BulkConnection?, _ lane: BulkLane) {
    lane.opening -= 1
    guard lanes[lane.node] === lane, !isStopped else {
      connection?.close(LinkEnd(.closedHere, "the node has gone"))
      return
    }
    if let connection {
      lane.connections.append(connection)
      logger.debug(
        "connection \(lane.connections.count) for objects to node \(lane.node.index) is ready")
    }
    if lane.connections.isEmpty && lane.opening == 0 {
      // For a while objects go with everything else.
      unreachable[lane.node] = MonotonicClock.now + .seconds(5)
      end(lane)
    } else {
      schedule()
    }
  }

  /// A connection has ended, of either direction.
  func closed(_ id: BulkThread.ID, _ reason: LinkEnd) {
    if let link = incoming.removeValue(forKey: id) { return incomingClosed(link, reason) }
    guard let connection = outgoing.removeValue(forKey: id) else { return }
    for (pin, _) in connection.underWay { if let pin { shell.core.pointee.unpin(pin) } }
    connection.underWay = []
    // Those of a lane that has ended are ended from here.
    let isNews = connection.isOpen
    connection.isOpen = false
    if isNews { ended(connection.lane, reason) }
  }

  fileprivate func ended(_ lane: BulkLane, _ reason: LinkEnd) {
    guard lanes[lane.node] === lane, !isStopped else { return }
    logger.warning("a connection for objects to node \(lane.node.index) ended: \(reason)")
    end(lane)
  }
}

/// This side of a connection that objects leave by, as long as it is a link.
private final class BulkEnd: LinkDelegate, @unchecked Sendable {
  let lanes: BulkLanes
  let lane: BulkLane
  /// When it stays a link.
  var connection: BulkConnection?
  private var last: UInt64?

  init(_ lanes: BulkLanes, _ lane: BulkLane) {
    self.lanes = lanes
    self.lane = lane
  }

  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    do throws(FrameError) {
      var frames = FrameRun(frames)
      while let frame = try frames.next() {
        let receipt = try ChunkReceipt.decode(frame, after: last, sent: connection?.sent ?? 0)
        let isFirst = last == nil
        last = receipt.taken
        if isFirst, let link = link as? SocketLink {
          lanes.ready(link, self)
        } else if let connection {
          lanes.chunksReceived(receipt.taken, connection)
        }
      }
    } catch {
      let text = "\(link.peer) sent what it may not: \(error)"
      lanes.logger.warning("closing a connection for objects: \(text)")
      link.close(reason: text)
    }
  }

  func linkBecameWritable(_ link: Link) { lanes.schedule() }

  func linkClosed(_ link: Link, reason: LinkEnd) {
    if let connection {
      lanes.closed(connection.id, reason)
    } else {
      lanes.ended(lane, reason)
    }
  }
}
