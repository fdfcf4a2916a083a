import Primitives
import RuntimeCore

/// What the machines hear of nodes that come and go.
extension NodeCore {
  /// So many nodes take part from now on, this one included.
  mutating func count(nodes: Int) {
    handle(
      Envelope(
        message: .nodesCounted(UInt32(nodes)), source: rayletAddress, target: rayletAddress))
  }

  /// A node has gone: machines of this process hear of it.
  mutating func lose(_ node: NodeID) {
    handle(Envelope(message: .nodeLost(node), source: rayletAddress, target: rayletAddress))
    sweepArrivals()
    for i in 0..<schedulerCount {
      handle(
        Envelope(
          message: .nodeLost(node), source: rayletAddress, target: .globalScheduler(i)))
    }
  }

  /// A node will leave: machines of this process hear of it.
  mutating func drain(_ node: NodeID) {
    if node == plan.node {
      handle(Envelope(message: .nodeDraining(node), source: rayletAddress, target: rayletAddress))
    }
    for i in 0..<schedulerCount {
      handle(
        Envelope(
          message: .nodeDraining(node), source: rayletAddress, target: .globalScheduler(i)))
    }
  }

  /// This node leaves, and another one is there to take objects of it.
  mutating func handOver(atMost count: UInt32, to keeper: NodeID) {
    handle(
      Envelope(
        message: .objectsDue(keeper, count), source: rayletAddress, target: rayletAddress))
  }

  /// When the global schedulers of this node last heard of a node; `zero` for never.
  func lastHeartbeat(of node: NodeID) -> Instant { schedulers?[0].lastHeartbeat(of: node) ?? .zero }
}
