import Primitives
import RuntimeCore
import Scheduling

/// One node of a simulated cluster.
public struct SimulatedNode: Sendable {
  public var description: NodeDescription
  /// How much faster than the profile's reference it executes tasks.
  public var speed: Double

  public init(_ description: NodeDescription, speed: Double = 1) {
    self.description = description
    self.speed = speed
  }
}

/// Everything that a simulated run depends on, besides its application. The same configuration,
/// application and seed give the same run, on any machine.
public struct ClusterConfiguration: Sendable {
  public var nodes: [SimulatedNode]
  /// The node where the global schedulers and the GCS live, with a chain of one. Chains with more
  /// members have a host for each member.
  public var head: NodeID
  public var topology: Topology
  public var network: BulkNetworkModel
  /// Chunks of at most this size travel like control messages: latency and serialisation only.
  public var smallTransfer = ByteCount(64_000)
  /// Between two processes of one host.
  public var localLatency = TimeSpan.zero
  public var parameters = Parameters()
  public var service = ServiceTimes()
  public var client = ClientCosts()
  public var worker = WorkerCosts()
  public var spillover: any SpilloverPolicy
  public var placement: any PlacementPolicy
  public var dispatch: any DispatchPolicy
  /// What drivers want to hear of results that they do not wait for: nothing, as in the paper, or
  /// what the real world's programs ask for (`ifKept`).
  public var resultNotice = ResultNotice.none
  public var seed: UInt64 = 1
  /// The names behind the lanes of every resource vector.
  public var resourceNames = ResourceNames()

  public init(
    nodes: [SimulatedNode], head: NodeID, topology: Topology, network: BulkNetworkModel,
    spillover: any SpilloverPolicy, placement: any PlacementPolicy, dispatch: any DispatchPolicy
  ) {
    self.nodes = nodes
    self.head = head
    self.topology = topology
    self.network = network
    self.spillover = spillover
    self.placement = placement
    self.dispatch = dispatch
  }
}
