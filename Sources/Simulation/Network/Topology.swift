import Primitives

/// The two directions of a full-duplex link, seen from the node's side.
public struct DuplexBandwidth: Hashable, Sendable {
  /// Away from the node or rack.
  public var up: Bandwidth
  /// Towards the node or rack.
  public var down: Bandwidth

  public init(up: Bandwidth, down: Bandwidth) {
    self.up = up
    self.down = down
  }

  /// The same bandwidth both ways.
  public init(_ both: Bandwidth) { self.init(up: both, down: both) }

  public static var unlimited: DuplexBandwidth { DuplexBandwidth(.unlimited) }
}

/// Why a topology was refused.
public enum TopologyError: Error, Equatable, CustomStringConvertible {
  case noNodes
  case tooManyNodes(Int)
  /// `link` is the name of the offending link, `value` its bandwidth in bytes per second.
  case badBandwidth(link: String, value: Double)
  case rackListLength(expected: Int, got: Int)
  case rackOutOfRange(node: Int, rack: Int, racks: Int)

  public var description: String {
    switch self {
    case .noNodes:
      "a topology needs at least one node"
    case .tooManyNodes(let count):
      "a topology holds at most \(Topology.maximumNodes) nodes, got \(count)"
    case .badBandwidth(let link, let value):
      "the bandwidth of \(link) must be above zero, got \(value) bytes/s"
    case .rackListLength(let expected, let got):
      "the rack of each of the \(expected) nodes must be given, got \(got) entries"
    case .rackOutOfRange(let node, let rack, let racks):
      "node \(node) is in rack \(rack), but there are only racks 0 ..< \(racks)"
    }
  }
}

/// Who talks to whom: nodes on a tree of links.
///
/// Each node has a network interface card (NIC), each rack an uplink, and all racks meet in a core.
/// A flow within a rack crosses the sender's NIC up and the receiver's NIC down. A flow between racks
/// also crosses its rack's uplink up, the core, and the other rack's uplink down. A link with
/// unlimited bandwidth never constrains anything.
public struct Topology: Sendable {
  /// More nodes than any simulated cluster needs, few enough for 32-bit link numbers.
  public static let maximumNodes = 1 << 24

  /// The NIC of each node.
  public let nics: [DuplexBandwidth]
  /// The rack of each node.
  public let rackOfNode: [Int]
  /// The uplink of each rack.
  public let rackUplinks: [DuplexBandwidth]
  /// What all flows between racks share, in bytes per second.
  public let core: Bandwidth
  /// The most that one flow (one connection) can carry, in bytes per second.
  public let flowCap: Bandwidth
  public let latencyWithinNode: TimeSpan
  public let latencyWithinRack: TimeSpan
  public let latencyAcrossRacks: TimeSpan

  /// A tree of racks.
  ///
  /// - Parameters:
  ///   - nics: the NIC of each node; its length is the number of nodes.
  ///   - rackOfNode: the rack of each node.
  ///   - rackUplinks: the uplink of each rack; its length is the number of racks.
  ///   - latencyAcrossRacks: one way, from the sender's NIC to the receiver's NIC.
  /// - Throws: `TopologyError` for a bandwidth that is not above zero, a missing or unknown rack, or
  ///   no nodes.
  public init(
    nics: [DuplexBandwidth], rackOfNode: [Int], rackUplinks: [DuplexBandwidth],
    core: Bandwidth = .unlimited, flowCap: Bandwidth = .unlimited,
    latencyWithinNode: TimeSpan = .zero, latencyWithinRack: TimeSpan, latencyAcrossRacks: TimeSpan
  ) throws(TopologyError) {
    if nics.isEmpty { throw .noNodes }
    if nics.count > Topology.maximumNodes { throw .tooManyNodes(nics.count) }
    if rackOfNode.count != nics.count {
      throw .rackListLength(expected: nics.count, got: rackOfNode.count)
    }
    func check(_ bandwidth: Bandwidth, _ link: @autoclosure () -> String) throws(TopologyError) {
      // Written so that NaN fails too.
      if !(bandwidth.bytesPerSecond > 0) {
        throw .badBandwidth(link: link(), value: bandwidth.bytesPerSecond)
      }
    }
    for (node, nic) in nics.enumerated() {
      try check(nic.up, "node \(node)'s NIC, up")
      try check(nic.down, "node \(node)'s NIC, down")
    }
    for (rack, uplink) in rackUplinks.enumerated() {
      try check(uplink.up, "rack \(rack)'s uplink, up")
      try check(uplink.down, "rack \(rack)'s uplink, down")
    }
    try check(core, "the core")
    try check(flowCap, "one flow")
    for (node, rack) in rackOfNode.enumerated() where !rackUplinks.indices.contains(rack) {
      throw .rackOutOfRange(node: node, rack: rack, racks: rackUplinks.count)
    }
    self.nics = nics
    self.rackOfNode = rackOfNode
    self.rackUplinks = rackUplinks
    self.core = core
    self.flowCap = flowCap
    self.latencyWithinNode = latencyWithinNode
    self.latencyWithinRack = latencyWithinRack
    self.latencyAcrossRacks = latencyAcrossRacks
  }

  /// All nodes in one rack behind a switch that never blocks.
  public static func star(
    nodes: Int, nic: DuplexBandwidth, latency: TimeSpan, flowCap: Bandwidth = .unlimited
  ) throws(TopologyError) -> Topology {
    if nodes < 1 { throw .noNodes }
    if nodes > maximumNodes { throw .tooManyNodes(nodes) }
    return try Topology(
      nics: Array(repeating: nic, count: nodes), rackOfNode: Array(repeating: 0, count: nodes),
      rackUplinks: [.unlimited], flowCap: flowCap, latencyWithinRack: latency,
      latencyAcrossRacks: latency)
  }

  public var nodeCount: Int { nics.count }

  /// One-way latency between two nodes (or inside one).
  public func latency(from: NodeID, to: NodeID) -> TimeSpan {
    if from == to { return latencyWithinNode }
    return rackOfNode[Int(from.index)] == rackOfNode[Int(to.index)]
      ? latencyWithinRack : latencyAcrossRacks
  }

  /// The most that a lone flow between two different nodes gets: its narrowest link, or `flowCap`.
  public func bottleneck(from: NodeID, to: NodeID) -> Bandwidth {
    let (sender, receiver) = (Int(from.index), Int(to.index))
    var least = min(flowCap, min(nics[sender].up, nics[receiver].down))
    let (here, there) = (rackOfNode[sender], rackOfNode[receiver])
    if here != there {
      least = min(least, min(core, min(rackUplinks[here].up, rackUplinks[there].down)))
    }
    return least
  }
}
