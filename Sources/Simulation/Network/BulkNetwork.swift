import Primitives

/// How the simulated network carries bulk data (object chunks). The choice decides results, so
/// every result names it.
public enum BulkNetworkModel: String, CaseIterable, Sendable {
  /// Every flow takes the latency and nothing else.
  case constant
  /// Latency plus size ÷ the narrowest bandwidth on the path; flows do not share.
  case latencyBandwidth = "latency-bandwidth"
  /// Store and forward through two first-in-first-out servers: see `FIFONetwork`.
  case fifoNIC = "fifo-nic"
  /// Exact max-min fair sharing of all links: see `MaxMinNetwork`.
  case maxMin = "max-min"
}

/// The bulk-data network of a simulated world.
///
/// It has no clock and schedules nothing: the world starts flows, keeps one wake-up event at
/// `nextCompletion`, calls `advance` when that moment comes, and looks at `nextCompletion` again
/// after every `start` and `advance`. Calls must come in order of time.
public struct BulkNetwork: ~Copyable {
  public let model: BulkNetworkModel
  public let topology: Topology
  private var fifo: FIFONetwork
  private var fair: MaxMinNetwork

  public init(model: BulkNetworkModel, topology: Topology) {
    self.model = model
    self.topology = topology
    fifo = FIFONetwork(topology: topology)
    fair = MaxMinNetwork(topology: topology)
  }

  /// The model's name, for results.
  public var name: String { model.rawValue }

  /// Starts a flow of `size` bytes between two different nodes.
  ///
  /// - Returns: the arrival of the last byte when it is already certain (always for `constant` and
  ///   `latencyBandwidth`, and for flows that no link constrains); `nil` when `advance` will report
  ///   it, with `token`.
  public mutating func start(
    from: NodeID, to: NodeID, size: ByteCount, token: UInt64, at now: Instant
  ) -> Instant? {
    precondition(
      from.index < topology.nodeCount && to.index < topology.nodeCount,
      "a flow from node \(from.index) to \(to.index), but there are \(topology.nodeCount) nodes")
    precondition(from != to, "a flow from node \(from.index) to itself")
    switch model {
    case .constant:
      return now + topology.latency(from: from, to: to)
    case .latencyBandwidth:
      let serialisation = topology.bottleneck(from: from, to: to).time(for: size)
      return now + serialisation + topology.latency(from: from, to: to)
    case .fifoNIC:
      fifo.start(
        from: from, to: to, size: size, token: token, at: now,
        latency: topology.latency(from: from, to: to))
      return nil
    case .maxMin:
      return fair.start(
        from: from, to: to, size: size, token: token, at: now,
        latency: topology.latency(from: from, to: to))
    }
  }

  /// When `advance` must be called next, given the present flows; `nil` when there are none.
  /// It changes only by `start` and `advance`. Starts at the same instant share one solution when
  /// this is read after the last of them.
  public var nextCompletion: Instant? {
    mutating get {
      switch model {
      case .constant, .latencyBandwidth: nil
      case .fifoNIC: fifo.nextCompletion
      case .maxMin: fair.nextCompletion
      }
    }
  }

  /// Reports every flow whose arrival becomes certain at or before `now`, in order of that moment,
  /// then of start. `body` gets the flow's token and when its last byte arrives (latency included:
  /// `now` or later when every wake-up is kept).
  public mutating func advance(to now: Instant, _ body: (UInt64, Instant) -> Void) {
    switch model {
    case .constant, .latencyBandwidth: break
    case .fifoNIC: fifo.advance(to: now, body)
    case .maxMin: fair.advance(to: now, body)
    }
  }

  /// Flows that `advance` has still to report.
  public var activeFlows: Int {
    switch model {
    case .constant, .latencyBandwidth: 0
    case .fifoNIC: fifo.activeFlows
    case .maxMin: fair.activeFlows
    }
  }

  /// The present rate of the flow with this token, in bytes per second; `nil` when there is none or
  /// the model has no rates. Slow (looks at every flow): for inspection and tests.
  public mutating func rate(ofToken token: UInt64) -> Bandwidth? {
    model == .maxMin ? fair.rate(ofToken: token) : nil
  }
}
