import Primitives
import RuntimeCore
import Simulation

/// Independent tasks in a closed loop: each submitter keeps `window` tasks under way and submits the
/// next when one has ended (Fig 8b: "embarrassingly parallel empty tasks"). The fast path: no coroutine
/// and no value for each task.
public final class IndependentTasks: Application {
  public struct Options: Sendable {
    public var tasks = 100_000
    public var window = 64
    /// Submitters on each worker node; 0 for a single one on the head node.
    public var submittersPerNode = 2
    public var duration = Distribution.constant(0)
    public var outputSize = ByteCount(8)
    public var demand = ResourceVector(cpus: 1)

    public init() {}

    public init(_ with: inout MappingReader) throws(WorkloadError) {
      tasks = try with.int("tasks", in: 1...10_000_000_000)
      window = try with.int("window", default: 64, in: 1...10_000_000)
      submittersPerNode = try with.int("submitters-per-node", default: 2, in: 0...1000)
      duration = try with.distribution("duration", of: .duration, default: .constant(0))
      outputSize = try with.size("output-size", default: ByteCount(8))
    }
  }

  /// What a run reports.
  public static let measures = [Measure("makespan", "s"), Measure("throughput", "tasks/s")]

  public let options: Options
  private let sink: MeasureSink
  private let latencies: LatencyLog
  private var cluster: SimulatedCluster!
  private var random: RandomStream
  private let constantWork: TimeSpan?
  private var submittedAt: UnsafeMutablePointer<UInt64>
  private var capacity = 1 << 16
  /// What all tasks have in common.
  private let model: UnsafeMutablePointer<TaskSpec>
  private var submitted = 0
  private var completed = 0
  /// Progress is told each time this many more tasks have ended.
  private let stride: Int

  public init(_ options: Options, seed: UInt64, _ sink: MeasureSink) {
    self.options = options
    self.sink = sink
    latencies = sink.latency("task latency")
    random = RandomStream(seed: seed, stream: 0x494E44)
    if case .constant(let seconds) = options.duration {
      constantWork = TimeSpan(seconds: seconds)
    } else {
      constantWork = nil
    }
    submittedAt = .allocate(capacity: capacity)
    model = .allocate(capacity: 1)
    stride = max(1, options.tasks / 20)
  }

  deinit {
    submittedAt.deallocate()
    model.deallocate()
  }

  public var isFinished: Bool { completed == options.tasks }

  public func start(on cluster: SimulatedCluster) {
    self.cluster = cluster
    model.initialize(
      to: TaskSpec(
        id: TaskID(high: 0, low: 0), function: FunctionID(0),
        shape: cluster.specs.shape(options.demand), outputSize: options.outputSize))
    var drivers: [Int] = []
    if options.submittersPerNode == 0 {
      drivers.append(cluster.addDriver(on: cluster.configuration.head))
    } else {
      for (i, node) in cluster.configuration.nodes.enumerated()
      where options.demand.fits(in: node.description.resources) {
        for _ in 0..<options.submittersPerNode { drivers.append(cluster.addDriver(on: NodeID(i))) }
      }
    }
    // Round by round, so that a run with few tasks uses every node.
    for _ in 0..<options.window {
      for driver in drivers where submitted < options.tasks { submit(at: driver) }
    }
  }

  private func submit(at driver: Int) {
    submitted += 1
    let work = constantWork ?? TimeSpan(seconds: options.duration.draw(&random))
    let called = cluster.now(of: driver)
    let task = cluster.submit(like: model, work: work, wanted: true, at: driver)
    let index = Int(task.index)
    if index >= capacity { grow(to: index + 1) }
    submittedAt[index] = called.nanoseconds
  }

  private func grow(to needed: Int) {
    let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: max(needed, capacity * 2))
    larger.update(from: submittedAt, count: capacity)
    submittedAt.deallocate()
    submittedAt = larger
    capacity = max(needed, capacity * 2)
  }

  public func resultArrived(_ object: ObjectHandle, _ status: ObjectStatus, at driver: Int) {
    completed += 1
    let start = Instant(nanoseconds: submittedAt[Int(object.producer.index)])
    latencies.record(cluster.now(of: driver).since(start))
    cluster.free(object, at: driver)
    if submitted < options.tasks { submit(at: driver) }
    if completed % stride == 0 {
      sink.progress?("\(completed) of \(options.tasks) tasks")
    }
    if completed == options.tasks {
      let seconds = cluster.now(of: driver).seconds
      sink.report("makespan", seconds, unit: "s")
      sink.report("throughput", Double(completed) / seconds, unit: "tasks/s")
    }
  }
}
