import Dispatch
import Heliostat
import Measurement
import Primitives
import RealWorld
import RuntimeCore
import Simulation
import Workload

/// What one run (a cell under a seed) gave.
public struct RunResult: Sendable {
  public var figures: [MeasureSink.Figure]
  public var latencies: [(name: String, recorder: LatencyRecorder)]
  public var fingerprint: UInt64
  public var events: UInt64
  public var virtualTime: Instant
  public var wallSeconds: Double
  public var trace: RunTrace?
  /// Why there is none although one was asked for.
  public var missingTrace: String?
  /// Why the run did not end well; nil when it did.
  public var failure: String?
  /// Set when that was because there was no cluster to run on.
  public var unavailable: ClusterUnavailable?
  /// The nodes of a cluster that ran already, in a few words.
  public var connectedNodes: String?
  /// What a cluster that ran already has for policies and parameters.
  public var connectedSettings: ClusterSettings?

  func figure(_ name: String) -> Double? { figures.first { $0.name == name }?.value }
}

/// What was recorded of a run's tasks.
public struct RunTrace: Sendable {
  public var timeline: TaskTimeline
  /// Running time times CPUs, of all recorded tasks.
  public var processorTime: TimeSpan
  /// The cluster's CPUs.
  public var cpus: Double
  /// True when the run had more tasks than were to be recorded.
  public var isCut: Bool

  /// No schedule of these tasks on this cluster is shorter: their CPU time over all its CPUs.
  public var workBound: TimeSpan {
    cpus > 0 ? TimeSpan(seconds: processorTime.seconds / cpus) : .zero
  }
}

/// Options of a run that are not part of what is simulated: they never change a fingerprint.
public struct RunOptions: Sendable {
  /// Show at most this many tasks in a trace; 0 for none. In the real world its recordings are needed.
  public var traceLimit = 0
  public var progress: (@Sendable (String) -> Void)?
  /// The folder in which to write down what every machine hears; nil for none.
  public var recordings: String?
  /// What is to be removed before that.
  public var earlierRecordings: EarlierRecordings?
  public init() {}
}

extension PreparedCell {
  /// Runs the cell under a seed in the simulated world, on the calling thread.
  public func run(seed: UInt64, _ options: RunOptions = RunOptions()) -> RunResult {
    let begin = DispatchTime.now().uptimeNanoseconds
    var configuration = configuration
    configuration.seed = seed
    configuration.parameters.recordsTransitions = options.traceLimit > 0
    let sink = MeasureSink()
    sink.progress = options.progress
    var recording: RecordingFile?
    var failure: String?
    do {
      try options.earlierRecordings?.remove()
      recording = try options.recordings.map {
        try RecordingFolder($0).file("simulated", origin: "simulated cluster")
      }
    } catch {
      failure = "\(error)"
    }
    let started = self.begin(seed: seed, sink)
    let cluster = SimulatedCluster(configuration, recording: recording)
    let recorder =
      options.traceLimit > 0 ? TraceRecorder(cluster, limit: options.traceLimit) : nil
    let end = cluster.run(started.application)
    cluster.endRecording()
    do { try recording?.finish() } catch { failure = "\(error)" }
    switch end {
    case .finished: failure = started.failure().map { "\($0)" } ?? failure
    case .stalled: failure = Self.explain(cluster)
    case .limited: failure = "the limit of events was reached"
    }
    return RunResult(
      figures: sink.figures, latencies: sink.latencies.map { ($0.name, $0.values.recorder) },
      fingerprint: cluster.fingerprint, events: cluster.eventCount, virtualTime: cluster.clock,
      wallSeconds: Double(DispatchTime.now().uptimeNanoseconds - begin) * 1e-9,
      trace: recorder?.finish(names: started.functionNames()), failure: failure)
  }

  /// Why nothing more can happen: the tasks that no node could run, or the nodes that hold some back.
  private static func explain(_ cluster: SimulatedCluster) -> String {
    let names = cluster.configuration.resourceNames
    if let task = cluster.infeasibleTasks.first {
      let count = cluster.infeasibleTasks.count
      let demand = cluster.specs.demand(task)
      let isHeld = cluster.configuration.nodes.contains {
        demand.fits(in: $0.description.resources)
      }
      return "\(count) task(s) stay pending: no node has \(names.describe(demand))"
        + (isHeld ? " that actors do not hold for life" : "")
    }
    var parts: [String] = []
    for index in 0..<cluster.configuration.nodes.count {
      let node = NodeID(index)
      let length = cluster.queueLength(of: node)
      if length > 0 {
        let free = names.describe(cluster.available(of: node))
        parts.append("node \(index) holds \(length) task(s) back with \(free) free")
      }
      if parts.count == 3 { break }
    }
    let reason = parts.isEmpty ? "no task is queued anywhere" : parts.joined(separator: "; ")
    return "the workload waits, but nothing more can happen: \(reason)"
  }
}
