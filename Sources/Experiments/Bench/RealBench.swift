import Heliostat
import Measurement
import Primitives
import RealWorld

/// What the real world can do on this machine: medians of several runs, in wall time, because
/// several threads and processes work together. Each raw limit is measured in the same run.
public struct RealBench: Sendable {
  public enum Subject: String, Sendable, CaseIterable {
    case tasks, latency, actors, workers, store, network, cluster, queue
  }

  public typealias Report = @Sendable (BenchmarkResult) -> Void

  /// Runs of each benchmark; the median counts.
  public var runs: Int
  /// Shortens every benchmark, for smoke tests: fewer tasks, smaller objects.
  public var scale: Double
  /// The program, and the arguments in front of others, that runs `BenchNode.main`.
  public var nodeCommand: [String]

  public init(runs: Int = 5, scale: Double = 1, nodeCommand: [String]) {
    self.runs = runs
    self.scale = scale
    self.nodeCommand = nodeCommand
  }

  /// The results of a subject, in the order in which they come.
  public static func names(of subject: Subject) -> [String] {
    switch subject {
    case .tasks:
      [
        "tasks.in_process", "tasks.two_processes", "tasks.two_processes_per_core",
        "tasks.two_nodes", "tasks.two_nodes_per_core",
      ]
    case .latency:
      [
        "latency.in_process_p50", "latency.in_process_p99", "latency.two_processes_p50",
        "latency.two_processes_p99", "latency.open_loop_p50", "latency.open_loop_p99",
      ]
    case .actors: ["actors.in_process", "actors.two_processes"]
    case .workers:
      [
        "tasks.worker_processes", "latency.worker_processes_p50", "latency.worker_processes_p99",
      ]
    case .store:
      [
        "store.put_1kb", "store.put_1kb_ipc", "store.put_fresh_1gb",
        "store.put_fresh_1gb_ipc", "store.put_fresh_1gb_ipc_at_once", "store.put_1gb_ipc",
        "store.put_1gb", "store.get_1gb", "store.transfer_1gb", "store.transfer_latency_p50",
        "store.transfer_latency_p99",
      ]
    case .network: ["network.frames", "network.round_trip", "network.stream"]
    case .cluster: ["cluster.start_four_nodes", "cluster.idle_memory", "cluster.idle_cpu"]
    case .queue: ["queue.drain_ratio", "queue.bytes_per_task"]
    }
  }

  public static var names: [String] { Subject.allCases.flatMap(names(of:)) }

  /// Runs the benchmarks of a subject and hands each result over as it comes.
  ///
  /// - Throws: what the cluster throws, and `BenchError` when an answer is wrong or a process that
  ///   was started does not answer.
  public func run(_ subject: Subject, _ report: Report) async throws {
    switch subject {
    case .tasks: try await tasks(report)
    case .latency: try await latency(report)
    case .actors: try await actors(report)
    case .workers: try await workers(report)
    case .store: try await store(report)
    case .network: try await network(report)
    case .cluster: try await cluster(report)
    case .queue: try await queue(report)
    }
  }

  // MARK: Shared by the subjects

  /// Tasks submitted before the results of the batch before them are asked for.
  public static let batch = 2000
  /// The same where driver and node share memory: two of these keep one node busy for 5 ms, and each
  /// thread has that long until it waits for another.
  static let largeBatch = 8000
  /// "1 GB", and "1 kB".
  static let largeObject = 1_000_000_000
  static let smallObject = 1000

  func scaled(_ count: Int, least: Int = 1) -> Int {
    max(least, Int(Double(count) * scale))
  }

  /// The median of `runs` samples.
  func median(_ sample: () async throws -> Double) async rethrows -> Double {
    var samples: [Double] = []
    for _ in 0..<runs { samples.append(try await sample()) }
    return Summary(samples)?.median ?? .nan
  }

  /// The medians of several figures that each run gives together.
  func medians<Key: Hashable>(
    _ sample: () async throws -> [Key: Double]
  ) async rethrows -> [Key: Double] {
    var samples: [Key: [Double]] = [:]
    for _ in 0..<runs {
      for (key, value) in try await sample() { samples[key, default: []].append(value) }
    }
    return samples.mapValues { Summary($0)?.median ?? .nan }
  }

  /// A cluster of one node in this process for the time of `body`.
  func inProcess<Result: Sendable>(
    _ functions: BenchFunctions, store: Int = 1 << 30, workers: NodeWorkers = .threads,
    _ program: @escaping @Sendable (Session) async throws -> Result
  ) async throws -> Result {
    let cluster = try Cluster.inProcess(
      cpus: 2, store: ByteCount(UInt64(store)), library: functions.library, workers: workers)
    return try await cluster.runAndStop(program)
  }

  /// Nodes in processes of their own, the first the head; all ended when `body` returns.
  func withNodes<Result>(
    _ options: [BenchNode.Options], _ body: ([BenchProcess]) async throws -> Result
  ) async throws -> Result {
    var processes: [BenchProcess] = []
    defer { for process in processes.reversed() { process.stop() } }
    for var options in options {
      options.join = processes.first?.line
      let process = try BenchProcess(nodeCommand + options.arguments)
      processes.append(process)
      try process.readLine()
    }
    return try await body(processes)
  }

  /// A driver in this process, connected to a node of `withNodes`, for the time of a program.
  func connected<Result: Sendable>(
    to process: BenchProcess, _ functions: BenchFunctions,
    _ program: @escaping @Sendable (Session) async throws -> Result
  ) async throws -> Result {
    try await connect(to: process, functions).runAndStop(program)
  }

  func connect(to process: BenchProcess, _ functions: BenchFunctions) async throws -> Cluster {
    try await Cluster.connect(
      to: try Endpoint(parsing: process.line), library: functions.library,
      logger: BenchNode.logger)
  }

  /// Seconds since `start`, which is a reading of the monotonic clock.
  static func seconds(since start: UInt64) -> Double {
    Double(MonotonicClock.nanoseconds - start) * 1e-9
  }
}

/// A benchmark could not be made, or its results were wrong.
public struct BenchError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
