import Glibc
import Logging
import NIOCore
import Primitives
import RuntimeCore
import WireFormat

/// A connection that objects of another node come by. On the node's loop.
final class BulkIncoming: @unchecked Sendable {
  let id: BulkThread.ID
  let node: NodeID
  /// Nil when the thread has it.
  let link: SocketLink?
  private let thread: BulkThread?
  /// Of the chunk whose bytes are coming; nil when nobody wants them.
  var landing: Landing?

  init(_ id: BulkThread.ID, _ node: NodeID, link: SocketLink) {
    (self.id, self.node, self.link, thread) = (id, node, link, nil)
  }

  init(_ id: BulkThread.ID, _ node: NodeID, thread: BulkThread) {
    (self.id, self.node, self.thread, link) = (id, node, thread, nil)
  }

  func close(_ reason: LinkEnd) {
    thread?.close(id, reason)
    if reason.kind == .closedHere { link?.close(reason: reason.text) } else { link?.fail(reason) }
  }
}

extension BulkLanes {
  /// Another node will send objects over this link: it waits until it hears that this node is ready.
  func receive(from node: NodeID, over link: SocketLink) {
    nextID += 1
    let id = nextID
    guard let thread = bulkThread() else { return keep(id, node, link) }
    link.delegate = BulkStranger()
    link.detach { [self] socket in
      guard let socket else { return keep(id, node, link) }
      guard !isStopped else {
        Glibc.close(socket)
        return
      }
      incoming[id] = BulkIncoming(id, node, thread: thread)
      thread.receive(id, over: socket, from: .raylet(node), at: .raylet(self.node))
    }
  }

  private func keep(_ id: BulkThread.ID, _ node: NodeID, _ link: SocketLink) {
    guard link.isOpen else { return }
    incoming[id] = BulkIncoming(id, node, link: link)
    let receiver = BulkReceiver(node, at: self.node, shell) { [self] reason in closed(id, reason) }
    link.delegate = receiver
    receiver.sign(on: link)
    link.flush()
  }

  /// The head of a chunk has come: its bytes are wanted somewhere, or nowhere.
  func begin(
    _ id: BulkThread.ID, _ chunk: ChunkFrame, _ payload: Int, _ thread: BulkThread
  ) {
    guard let link = incoming[id] else { return }
    do throws(FrameError) {
      let landing = try shell.core.pointee.beginChunk(chunk, payload, from: .raylet(link.node))
      guard let landing, let place = shell.core.pointee.hold(landing) else {
        return thread.land(id, at: nil)
      }
      link.landing = landing
      thread.land(id, at: place)
    } catch {
      link.close(LinkEnd(.badFrame, "the peer sent what it may not: \(error)"))
    }
  }

  func landed(_ id: BulkThread.ID) {
    guard let link = incoming[id], let landing = link.landing else { return }
    link.landing = nil
    shell.core.pointee.leave(landing)
    shell.core.pointee.endChunk(landing)
  }

  func failed(_ id: BulkThread.ID, _ error: StoreError) {
    guard let link = incoming[id], let landing = link.landing else { return }
    logger.warning("an object from node \(link.node.index) cannot be stored: \(error)")
    link.landing = nil
    shell.core.pointee.leave(landing)
    shell.core.pointee.failArrival(landing)
  }

  func incomingClosed(_ link: BulkIncoming, _ reason: LinkEnd) {
    if let landing = link.landing { shell.core.pointee.leave(landing) }
    link.landing = nil
    let isFault = reason.kind != .closedHere && reason.kind != .closedByPeer
    logger.log(
      level: isFault ? .warning : .debug,
      "a connection for objects from node \(link.node.index) ended: \(reason)")
  }
}

/// Nothing may come before this side has said that it is ready.
private final class BulkStranger: LinkDelegate {
  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    link.close(reason: "\(link.peer) sent something before it was asked to")
  }
  func linkClosed(_ link: Link, reason: LinkEnd) {}
}
