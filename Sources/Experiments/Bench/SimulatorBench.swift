import CAllocationCounter
import Dispatch
import Foundation
import Measurement
import Primitives
import RuntimeCore
import Scheduling
import Simulation
import Workload

/// What the simulator can do on this machine, on one core: medians of several runs.
public struct SimulatorBench: Sendable {
  public var runs: Int
  /// Shortens every benchmark, for smoke tests.
  public var scale: Double

  public init(runs: Int = 5, scale: Double = 1) {
    self.runs = runs
    self.scale = scale
  }

  public static let names = [
    "simulator.events_1k", "simulator.events_100k", "simulator.events_1m",
    "simulator.master_worker", "simulator.flows_1000", "simulator.protocol_1core",
    "simulator.mallocs_per_event", "simulator.bytes_per_task", "simulator.bytes_per_worker",
  ]

  private func scaled(_ count: Int) -> Int { max(1000, Int(Double(count) * scale)) }

  /// Events or tasks per second of this thread's processor time: other processes do not count.
  private func median(_ count: Int, _ body: () -> Void) -> Double {
    let rates = (0..<runs).map { _ in
      let start = Self.threadSeconds()
      body()
      return Double(count) / (Self.threadSeconds() - start)
    }
    return Summary(rates)?.median ?? 0
  }

  static func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// Runs the benchmarks and hands each result over as it comes.
  public func run(_ report: (BenchmarkResult) -> Void) {
    var raw = 0.0
    for (name, pending) in [("1k", 1_000), ("100k", 100_000), ("1m", 1_000_000)] {
      let events = max(pending, scaled(5_000_000))
      let rate = median(events) { _ = runHoldModel(pending: pending, events: events, seed: 1) }
      if pending == 1_000 { raw = rate }
      report(BenchmarkResult(name: "simulator.events_\(name)", value: rate, unit: "events/s"))
    }
    let tasks = scaled(2_000_000)
    let masterWorker = median(tasks) { _ = runMasterWorker(hosts: 100, tasks: tasks, seed: 1) }
    report(
      BenchmarkResult(
        name: "simulator.master_worker", value: masterWorker, unit: "tasks/s", limit: raw / 3,
        limitMeaning: "bare events at 3 a task"))
    let flows = scaled(200_000)
    let flowRate = median(flows) {
      _ = runFlowBenchmark(hosts: 100, inFlight: 1000, flows: flows, seed: 1)
    }
    report(BenchmarkResult(name: "simulator.flows_1000", value: flowRate, unit: "flows/s"))
    protocolBenchmarks(raw: raw, report)
    memoryBenchmarks(report)
  }

  // MARK: Fig 8b at 100 nodes of 64 cores

  /// The cluster of the protocol benchmarks: `count` nodes of 64 cores and a head.
  public static func cluster(nodes count: Int) -> ClusterConfiguration {
    let resources = ResourceVector(cpus: 64)
    var nodes = (0..<count).map { _ in
      SimulatedNode(NodeDescription(resources: resources, store: ByteCount(77_000_000_000)))
    }
    nodes.append(SimulatedNode(NodeDescription(resources: .zero, store: ByteCount(1 << 36))))
    let nic = DuplexBandwidth(Bandwidth(bytesPerSecond: 3.125e9))
    // The constants are valid by inspection: nothing here comes from a user.
    var cluster = ClusterConfiguration(
      nodes: nodes, head: NodeID(count),
      topology: try! .star(nodes: count + 1, nic: nic, latency: .microseconds(30)),
      network: .maxMin,
      spillover: try! PolicyRegistry.spillover(PolicySpec("QueueThreshold")),
      placement: try! PolicyRegistry.placement(PolicySpec("LowestWait")),
      dispatch: try! PolicyRegistry.dispatch(PolicySpec("FIFO")))
    cluster.parameters.gcsShards = 16
    cluster.localLatency = .microseconds(5)
    cluster.service.set(.raylet, to: .microseconds(1))
    cluster.service[.raylet, .taskSubmitted] = .microseconds(28)
    cluster.service[.raylet, .taskFinished] = .microseconds(28)
    cluster.service.set(.replica, to: .microseconds(3))
    cluster.service.set(.driver, to: .microseconds(20))
    cluster.client.submit = .microseconds(35)
    cluster.worker.dispatch = .microseconds(20)
    cluster.worker.finish = .microseconds(20)
    return cluster
  }

  static func options(tasks: Int, window: Int) -> IndependentTasks.Options {
    var options = IndependentTasks.Options()
    options.tasks = tasks
    options.window = window
    return options
  }

  private func protocolBenchmarks(raw: Double, _ report: (BenchmarkResult) -> Void) {
    let tasks = scaled(2_000_000)
    var eventsPerTask = 1.0
    let rate = median(tasks) {
      let cluster = SimulatedCluster(Self.cluster(nodes: 100))
      let application = IndependentTasks(
        Self.options(tasks: tasks, window: 64), seed: 1, MeasureSink())
      _ = cluster.run(application)
      eventsPerTask = Double(cluster.eventCount) / Double(tasks)
    }
    report(
      BenchmarkResult(
        name: "simulator.protocol_1core", value: rate, unit: "tasks/s",
        limit: raw / eventsPerTask,
        limitMeaning: "bare events at \(Quantity(eventsPerTask)) a task"))
    guard heliostat_allocations_available() != 0 else { return }
    // The first half brings every table to its size, the last tenth is the run's end: what lies
    // between must do without allocations.
    let cluster = SimulatedCluster(Self.cluster(nodes: 100))
    let count = scaled(1_000_000)
    let application = IndependentTasks(
      Self.options(tasks: count, window: 64), seed: 1, MeasureSink())
    let all = Double(count) * eventsPerTask
    _ = cluster.run(application, maximumEvents: UInt64(all * 0.5))
    let before = cluster.eventCount
    heliostat_allocations_start()
    _ = cluster.resume(application, maximumEvents: UInt64(all * 0.9))
    let mallocs = heliostat_allocations_stop()
    let events = max(1, cluster.eventCount - before)
    report(
      BenchmarkResult(
        name: "simulator.mallocs_per_event", value: Double(mallocs) / Double(events),
        unit: "mallocs/event", limit: 0, limitMeaning: "none"))
  }

  private struct Quantity: CustomStringConvertible {
    let value: Double
    init(_ value: Double) { self.value = value }
    var description: String { String(format: "%.1f", value) }
  }

  private func memoryBenchmarks(_ report: (BenchmarkResult) -> Void) {
    // Many more tasks than workers, so that nearly all of them wait in queues.
    let live = min(1_000_000, max(100_000, scaled(1_000_000)))
    let idle = SimulatedCluster(Self.cluster(nodes: 100)).memoryBytes
    let workers = 100 * 64
    var configuration = Self.cluster(nodes: 100)
    configuration.spillover = try! PolicyRegistry.spillover(PolicySpec("NeverEscalate"))
    let cluster = SimulatedCluster(configuration)
    var options = Self.options(tasks: live * 2, window: live / 200)
    options.duration = .constant(100)
    let application = IndependentTasks(options, seed: 1, MeasureSink())
    _ = cluster.run(application, until: Instant(nanoseconds: 20_000_000_000))
    report(
      BenchmarkResult(
        name: "simulator.bytes_per_task",
        value: Double(cluster.memoryBytes - idle) / Double(cluster.specs.count), unit: "bytes"))
    report(
      BenchmarkResult(
        name: "simulator.bytes_per_worker", value: Double(idle) / Double(workers), unit: "bytes"))
  }
}
