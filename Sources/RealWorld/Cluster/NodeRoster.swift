import Primitives
import Synchronization

/// What each node of a cluster has, by its number, as this process knows it. Numbers are given once:
/// the place of a node that is lost or has left stays, and has nothing.
public final class NodeRoster: Sendable {
  private let entries: Mutex<[ResourceVector]>

  public init(_ nodes: [ResourceVector]) { entries = Mutex(nodes) }

  /// By node number.
  public var nodes: [ResourceVector] { entries.withLock { $0 } }

  /// - Parameter resources: nil for a node that has gone.
  func set(_ node: NodeID, _ resources: ResourceVector?) {
    entries.withLock { entries in
      let index = Int(node.index)
      while entries.count <= index { entries.append(.zero) }
      entries[index] = resources ?? .zero
    }
  }
}
