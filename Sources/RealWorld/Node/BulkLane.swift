import NIOCore
import Primitives
import RuntimeCore

/// The way to one node for the bytes of objects. On the node's loop.
final class BulkLane: @unchecked Sendable {
  /// What waits on the way to its connection.
  struct Waiting {
    var push: PushID
    var object: ObjectHandle
    var chunk: OutgoingChunk
    /// What keeps its bytes in place; nil when they are its own.
    var pin: UInt64?
  }

  struct Push {
    var object: ObjectHandle
    /// Chunks that were taken over and have not left.
    var outstanding = 0
    var next: UInt16 = 0
    var count: UInt16
  }

  let node: NodeID
  var connections: [BulkConnection] = []
  /// Connections that are not ready yet.
  var opening: Int
  var waiting: CircularBuffer<Waiting> = []
  var pushes: [PushID: Push] = [:]
  /// Pushes of chunks that have left.
  var left: [PushID] = []

  /// Whether some connections stay on the node's loop.
  var hasLinks: Bool {
    connections.contains { if case .link = $0.way { true } else { false } }
  }

  init(_ node: NodeID, opening: Int) {
    self.node = node
    self.opening = opening
  }
}

/// One connection that objects leave by. On the node's loop.
final class BulkConnection: @unchecked Sendable {
  enum Way {
    case thread(BulkThread)
    /// Where the socket alone is not the connection: with TLS, on the node's loop.
    case link(SocketLink)
  }

  let id: BulkThread.ID
  let lane: BulkLane
  let way: Way
  var isOpen = true
  /// Chunks that it has and that have not left: what keeps their bytes in place, and their pushes.
  var underWay: CircularBuffer<(pin: UInt64?, push: PushID)> = []
  /// Chunks that the peer has not received, for all that is known: whose they are.
  var unreceived: CircularBuffer<ObjectHandle> = []
  var sent: UInt64 = 0
  var received: UInt64 = 0

  /// The socket has the next chunk when it has taken one.
  static let chunksUnderWay = 2

  init(_ id: BulkThread.ID, _ lane: BulkLane, _ way: Way) {
    self.id = id
    self.lane = lane
    self.way = way
  }

  var hasRoom: Bool {
    guard isOpen, underWay.count < Self.chunksUnderWay else { return false }
    if case .link(let link) = way { return link.isOpen && link.isWritable }
    return true
  }

  /// Ends it, in whatever state it is; its owner hears of it.
  func close(_ reason: LinkEnd) {
    switch way {
    case .thread(let thread): thread.close(id, reason)
    case .link(let link):
      if reason.kind == .closedHere { link.close(reason: reason.text) } else { link.fail(reason) }
    }
  }
}
