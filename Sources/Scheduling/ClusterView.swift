import Primitives

/// What a placement policy may know of one node: its last heartbeat, and what this scheduler has
/// sent there since.
@frozen
public struct NodeView: Sendable, BitwiseCopyable {
  /// What tasks can ever get there: everything the node has, but for what actors hold for life or have
  /// been promised.
  public var total: ResourceVector
  /// Free at the last heartbeat.
  public var available: ResourceVector
  /// Tasks queued on the node (not running) at the last heartbeat.
  public var queueLength: UInt32
  /// Tasks assigned by this scheduler that the last heartbeat did not yet include: the in-flight
  /// ledger, cleared by the node's own count of arrivals and not by the heartbeat as such.
  public var inFlight: UInt32
  /// Smoothed execution time on the node, in seconds.
  public var averageTaskSeconds: Double
  /// When the last heartbeat arrived; its age is the staleness of this view.
  public var heardAt: Instant
  public var isAlive: Bool

  @inlinable public init(total: ResourceVector) {
    self.total = total
    available = total
    queueLength = 0
    inFlight = 0
    averageTaskSeconds = 0
    heardAt = .zero
    isAlive = true
  }
}

/// What a placement policy may see: the nodes as this scheduler knows them.
@frozen
public struct ClusterView {
  public let nodes: UnsafeBufferPointer<NodeView>
  /// Smoothed execution time over all nodes, in seconds.
  public var averageTaskSeconds: Double
  /// Smoothed transfer bandwidth, bytes per second.
  public var averageBandwidth: Double
  public var now: Instant

  @inlinable public init(
    nodes: UnsafeBufferPointer<NodeView>, averageTaskSeconds: Double, averageBandwidth: Double,
    now: Instant
  ) {
    self.nodes = nodes
    self.averageTaskSeconds = averageTaskSeconds
    self.averageBandwidth = averageBandwidth
    self.now = now
  }
}

/// A task to be placed.
@frozen
public struct PlacementRequest {
  public var demand: ResourceVector
  /// For each node the input bytes that it lacks; empty when the task has no sizeable inputs.
  public var remoteBytes: UnsafeBufferPointer<UInt64>

  @inlinable public init(demand: ResourceVector, remoteBytes: UnsafeBufferPointer<UInt64>) {
    self.demand = demand
    self.remoteBytes = remoteBytes
  }
}

/// What a spillover policy may see: the node where the task was created.
@frozen
public struct LocalView: Sendable, BitwiseCopyable {
  /// What tasks can ever get here: everything the node has, but for what actors hold for life or have
  /// been promised. What does not fit in it is escalated without asking.
  public var total: ResourceVector
  public var available: ResourceVector
  /// Tasks waiting for inputs or for resources here.
  public var queueLength: Int
  public var workers: Int
  /// Inputs of the task that are not in the local store.
  public var missingInputs: Int
  /// Smoothed execution time here, in seconds; before the first task has ended, a prior guess.
  public var averageTaskSeconds: Double
  /// Other nodes that a task could go to.
  public var peers: Int

  @inlinable public init(
    total: ResourceVector, available: ResourceVector, queueLength: Int, workers: Int,
    missingInputs: Int, averageTaskSeconds: Double, peers: Int
  ) {
    self.total = total
    self.available = available
    self.queueLength = queueLength
    self.workers = workers
    self.missingInputs = missingInputs
    self.averageTaskSeconds = averageTaskSeconds
    self.peers = peers
  }
}

/// The bottom-up step: what the node where a task is created does with it.
public enum SpilloverDecision: Sendable, Equatable {
  /// Queue it here.
  case keep
  /// Hand it to a global scheduler.
  case escalate
}

/// Decides whether a freshly submitted task stays on its node. Called once per submission.
public protocol SpilloverPolicy: Sendable {
  /// The policy with every parameter in force: what results print.
  var spec: PolicySpec { get }
  func decide(demand: ResourceVector, view: LocalView) -> SpilloverDecision
}

/// Chooses the node for an escalated task; nil when no live node could ever run it.
public protocol PlacementPolicy: Sendable {
  var spec: PolicySpec { get }
  mutating func place(
    _ request: PlacementRequest, view: ClusterView, random: inout RandomStream
  ) -> NodeID?
}

/// In which order a free worker takes ready tasks of equal feasibility.
public enum DispatchOrder: String, Sendable, CaseIterable {
  case fifo
  case lifo
}

/// Chooses which ready task a free worker gets.
public protocol DispatchPolicy: Sendable {
  var spec: PolicySpec { get }
  var order: DispatchOrder { get }
}
