import Benchmark
import BenchmarkSupport
import Experiments
import Primitives
import Scheduling
import Simulation
import Workload

// The names and sizes are those of `heliostat bench simulator`, which prints the same rates.
let benchmarks: @Sendable () -> Void = {
  for (name, pending) in [("1k", 1_000), ("100k", 100_000), ("1m", 1_000_000)] {
    Benchmark.rate("events_\(name)", of: "Events", 5_000_000) {
      blackHole(runHoldModel(pending: pending, events: 5_000_000, seed: 1))
    }
  }
  Benchmark.rate("master_worker", of: "Tasks", 2_000_000) {
    blackHole(runMasterWorker(hosts: 100, tasks: 2_000_000, seed: 1))
  }
  Benchmark.rate("flows_1000", of: "Flows", 200_000) {
    blackHole(runFlowBenchmark(hosts: 100, inFlight: 1000, flows: 200_000, seed: 1))
  }
  Benchmark.rate("protocol_1core", of: "Tasks", 2_000_000) {
    let cluster = SimulatedCluster(SimulatorBench.cluster(nodes: 100))
    let end = cluster.run(emptyTasks(2_000_000))
    precondition(end == .finished, "the run ended early: \(end)")
  }
  protocolSteadyState()
  protocolMemory()
}

private func emptyTasks(_ count: Int) -> IndependentTasks {
  var options = IndependentTasks.Options()
  options.tasks = count
  options.window = 64
  return IndependentTasks(options, seed: 1, MeasureSink())
}

/// The second half of a run: the first has brought the tables to their sizes, so next to nothing is
/// left to allocate.
private func protocolSteadyState() {
  Benchmark(
    "protocol_steady_state",
    configuration: .init(
      metrics: [.allocations], warmupIterations: 0, maxIterations: 1,
      thresholds: BenchmarkThresholds.tolerances())
  ) { benchmark in
    let configuration = SimulatorBench.cluster(nodes: 100)
    let whole = SimulatedCluster(configuration)
    _ = whole.run(emptyTasks(1_000_000))
    let cluster = SimulatedCluster(configuration)
    let tasks = emptyTasks(1_000_000)
    _ = cluster.run(tasks, maximumEvents: whole.eventCount / 2)
    precondition(!tasks.isFinished, "nothing is left to measure")
    var end = RunEnd.stalled
    benchmark.countAllocations { end = cluster.resume(tasks) }
    precondition(end == .finished, "the run ended early: \(end)")
  }
}

/// The simulator's own account of its memory, hence the same on every machine: for each task under
/// way when nearly all of them wait in queues, and for each worker of an idle cluster.
private func protocolMemory() {
  Benchmark(
    "protocol_memory",
    configuration: .init(
      metrics: [.bytesPerTask, .bytesPerWorker, .peakMemoryResident], warmupIterations: 0,
      maxIterations: 1,
      thresholds: BenchmarkThresholds.tolerances(for: [.bytesPerTask, .bytesPerWorker]))
  ) { benchmark in
    let live = 1_000_000
    var configuration = SimulatorBench.cluster(nodes: 100)
    let idle = SimulatedCluster(configuration).memoryBytes
    configuration.spillover = try PolicyRegistry.spillover(PolicySpec("NeverEscalate"))
    let cluster = SimulatedCluster(configuration)
    var options = IndependentTasks.Options()
    options.tasks = live * 2
    options.window = live / 200
    options.duration = .constant(100)
    let tasks = IndependentTasks(options, seed: 1, MeasureSink())
    _ = cluster.run(tasks, until: Instant(nanoseconds: 20_000_000_000))
    precondition(cluster.specs.count >= live / 2, "only \(cluster.specs.count) tasks under way")
    benchmark.measurement(.bytesPerTask, (cluster.memoryBytes - idle) / cluster.specs.count)
    benchmark.measurement(.bytesPerWorker, idle / (100 * 64))
  }
}
