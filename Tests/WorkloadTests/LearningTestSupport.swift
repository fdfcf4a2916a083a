import Heliostat
import Primitives
import RuntimeCore
import Scheduling
import Simulation
import Testing

@testable import Workload

/// What a program of a test gave: figures, and the error that it ended with.
struct ProgramOutcome {
  var sink: MeasureSink
  var error: (any Error)?

  func figure(_ name: String) throws -> Double { try #require(sink.figure(name)) }
}

/// Reads a program's parameters as if written in `w.yaml` after `v: `.
func program<Program: WorkloadProgram>(_ type: Program.Type, _ with: String) throws -> Program {
  var reader = try value(with).mapping()
  let program = try Program(&reader)
  try reader.finish()
  return program
}

/// Runs a program to its end on node 0 of a small simulated cluster, checked after every event.
func run(
  _ program: some WorkloadProgram, nodes: Int = 2, cpus: Int = 4,
  latency: TimeSpan = .microseconds(100), seed: UInt64 = 1
) throws -> ProgramOutcome {
  let node = SimulatedNode(
    NodeDescription(resources: ResourceVector(cpus: cpus), store: ByteCount(1_000_000_000)))
  var configuration = ClusterConfiguration(
    nodes: [SimulatedNode](repeating: node, count: nodes), head: NodeID(0),
    topology: try .star(
      nodes: nodes, nic: DuplexBandwidth(Bandwidth(bytesPerSecond: 1e9)), latency: latency),
    network: .fifoNIC,
    spillover: try PolicyRegistry.spillover(PolicySpec(parsing: "QueueThreshold")),
    placement: try PolicyRegistry.placement(PolicySpec(parsing: "LowestWait")),
    dispatch: try PolicyRegistry.dispatch(PolicySpec(parsing: "FIFO")))
  configuration.seed = seed
  let cluster = SimulatedCluster(configuration, isChecked: true)
  let sink = MeasureSink()
  let library = FunctionLibrary()
  let prepared = program.prepared(in: library)
  let runtime = ProgramRuntime(
    driverNode: NodeID(0), library: library, announcesLibrary: prepared.announcesFunctions
  ) { ray in try await prepared.run(ray, sink) }
  let end = cluster.run(
    runtime, until: Instant(nanoseconds: 3_600_000_000_000), maximumEvents: 2_000_000)
  #expect(end == .finished)
  return ProgramOutcome(sink: sink, error: runtime.error)
}
