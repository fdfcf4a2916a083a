import Primitives
import RuntimeCore
import Scheduling
import Simulation

/// A cluster whose every cost is zero unless a test sets it.
func freeCluster(
  nodes: Int, cpus: Int, spillover: String = "NeverEscalate", placement: String = "LowestWait",
  dispatch: String = "FIFO", latency: TimeSpan = .zero
) throws -> ClusterConfiguration {
  var configuration = ClusterConfiguration(
    nodes: (0..<nodes).map { _ in
      SimulatedNode(
        NodeDescription(
          resources: ResourceVector(cpus: cpus), store: ByteCount(1_000_000_000_000)))
    },
    head: NodeID(0),
    topology: try .star(nodes: nodes, nic: .unlimited, latency: latency),
    network: .constant, spillover: try PolicyRegistry.spillover(PolicySpec(parsing: spillover)),
    placement: try PolicyRegistry.placement(PolicySpec(parsing: placement)),
    dispatch: try PolicyRegistry.dispatch(PolicySpec(parsing: dispatch)))
  configuration.parameters.heartbeat = .milliseconds(1)
  return configuration
}

/// A graph of modelled tasks, submitted at once.
struct TaskGraph {
  /// For each task its duration and the earlier tasks whose results it takes.
  var tasks: [(work: TimeSpan, inputs: [Int])] = []

  /// A random graph: each task takes results of up to three tasks of its recent past.
  static func random(tasks count: Int, _ random: inout RandomStream) -> TaskGraph {
    var graph = TaskGraph()
    let window = 1 + random.below(30)
    for i in 0..<count {
      var inputs: Set<Int> = []
      if i > 0 {
        for _ in 0..<random.below(4) { inputs.insert(max(0, i - 1 - Int(random.below(window)))) }
      }
      graph.tasks.append((.microseconds(1 + random.below(10_000)), inputs.sorted()))
    }
    return graph
  }

  /// The sum of all durations, in nanoseconds.
  var work: UInt64 { tasks.map(\.work.nanoseconds).reduce(0, +) }

  /// The longest chain of durations, in nanoseconds.
  var criticalPath: UInt64 {
    var ends: [UInt64] = []
    for task in tasks {
      ends.append((task.inputs.map { ends[$0] }.max() ?? 0) + task.work.nanoseconds)
    }
    return ends.max() ?? 0
  }
}

/// Submits a graph at the start and ends when every result has arrived.
final class GraphApplication: Application {
  let graph: TaskGraph
  private(set) var arrived = 0
  private(set) var submitted: [TaskHandle] = []
  private(set) var end = Instant.zero
  private var cluster: SimulatedCluster!
  private var driver = 0

  init(_ graph: TaskGraph) { self.graph = graph }

  var isFinished: Bool { arrived == graph.tasks.count }

  func start(on cluster: SimulatedCluster) {
    self.cluster = cluster
    driver = cluster.addDriver(on: NodeID(0))
    let shape = cluster.specs.shape(ResourceVector(cpus: 1))
    for task in graph.tasks {
      var spec = cluster.newTask(of: driver, function: FunctionID(0), shape: shape)
      spec.work = task.work
      spec.outputSize = ByteCount(8)
      let inputs = task.inputs.map { ObjectHandle(producer: submitted[$0], index: 0) }
      submitted.append(
        inputs.withUnsafeBufferPointer {
          cluster.submit(spec, arguments: $0, wanted: true, at: driver)
        })
    }
  }

  func resultArrived(_ object: ObjectHandle, _ status: ObjectStatus, at driver: Int) {
    arrived += 1
    end = max(end, cluster.clock)
  }
}
