import Logging
import NIOPosix
import Primitives
import RealWorld
import Recording
import RuntimeCore
import Synchronization

/// A real cluster to run programs on: in this process, or reached over the network.
///
///     let cluster = try Cluster.inProcess(cpus: 2)
///     let square = cluster.library.remote("square") { (x: Int) in x * x }
///     let sum = try await cluster.run { ray in
///       let squares = (1...10).map { ray.submit(square, .value($0)) }
///       return try await ray.get(squares).reduce(0, +)
///     }
///     await cluster.stop()
public final class Cluster: Sendable {
  private enum Connection: Sendable {
    case inProcess(InProcessCluster)
    case remote(LoopClient, MultiThreadedEventLoopGroup)
  }

  /// The functions that can run here. Register all of them before a program needs them; for a cluster
  /// of several processes before connecting.
  public let library: FunctionLibrary
  /// The policies and parameters of the cluster: those of its head, where it runs elsewhere.
  public let settings: ClusterSettings
  private let connection: Connection
  private let isStopped = Atomic<Bool>(false)

  private init(
    _ connection: Connection, _ library: FunctionLibrary, _ settings: ClusterSettings
  ) {
    self.connection = connection
    self.library = library
    self.settings = settings
  }

  /// A cluster of one node inside this process.
  ///
  /// - Parameters:
  ///   - cpus: CPUs of the node, and so the workers that it starts with.
  ///   - custom: what else it has, by name; at most six kinds.
  ///   - store: capacity of its object store.
  ///   - spin: how long threads look for work before they sleep.
  ///   - workers: threads of this process, or processes; for these, all functions are in the library by
  ///     now, and the program has called `WorkerProcess.runIfStarted`.
  ///   - logger: hears of workers that end or cannot be started.
  /// - Throws: `StoreError` when there is no shared memory, `ThreadError`, `PolicyError`,
  ///   `WorkerProcessError`; `RuntimeError.invalidArgument` for too many kinds of resources and for an
  ///   amount of them that cannot be.
  public static func inProcess(
    cpus: Int, gpus: Int = 0, custom: [String: Double] = [:], store: ByteCount = ByteCount(1 << 30),
    settings: ClusterSettings = ClusterSettings(), library: FunctionLibrary = FunctionLibrary(),
    spin: TimeSpan = .microseconds(50), workers: NodeWorkers = .threads,
    logger: Logger = Logger(label: "heliostat")
  ) throws -> Cluster {
    var settings = settings
    var resources = ResourceVector(cpus: cpus, gpus: gpus)
    for (name, amount) in custom.sorted(by: { $0.key < $1.key }) {
      guard let lane = settings.resourceNames.lane(of: name) else {
        throw RuntimeError.invalidArgument(
          "'\(name)' is one kind of resource too many; a cluster has CPU, GPU and "
            + "\(ResourceVector.kindCount - 2) more")
      }
      guard let units = ResourceVector.checkedUnits(amount) else {
        throw RuntimeError.invalidArgument(
          "a node with \(amount) of \(name); an amount is 0 to 214748")
      }
      resources.lanes[lane] = units
    }
    return try inProcess(
      NodeDescription(resources: resources, store: store), settings: settings, library: library,
      spin: spin, workers: workers, logger: logger)
  }

  /// The same for a node with custom resources, whose names are among the settings.
  ///
  /// - Parameter recording: where everything that the machines of the cluster hear is written down.
  public static func inProcess(
    _ node: NodeDescription, settings: ClusterSettings = ClusterSettings(),
    library: FunctionLibrary = FunctionLibrary(), spin: TimeSpan = .microseconds(50),
    workers: NodeWorkers = .threads, recording: (any RecordingOutput)? = nil,
    logger: Logger = Logger(label: "heliostat")
  ) throws -> Cluster {
    var plan = try settings.plan(node: NodeID(0), description: node, nodes: [node.resources])
    plan.recording = recording
    return Cluster(
      .inProcess(
        try InProcessCluster(
          plan, functions: library.table, spin: spin, workers: workers, logger: logger)),
      library, settings)
  }

  /// Connects to a node of a running cluster.
  ///
  /// - Parameters:
  ///   - library: the same functions in the same order as the cluster's nodes have.
  ///   - seed: what the program's `Session.seed` is; nil for the cluster's own.
  ///   - recording: where everything that the program's driver hears is written down.
  /// - Throws: `TransportError`: nobody listens there, a wrong secret, another function table, with
  ///   what to do.
  public static func connect(
    to endpoint: Endpoint, library: FunctionLibrary, name: String = "", seed: UInt64? = nil,
    transport: TransportConfiguration = TransportConfiguration(),
    spin: TimeSpan = .microseconds(50), retry: RetryPolicy = .once,
    recording: (any RecordingOutput)? = nil, logger: Logger = Logger(label: "heliostat")
  ) async throws -> Cluster {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      let client = try await LoopClient.connect(
        to: endpoint, cluster: name, functions: library.table, seed: seed, transport: transport,
        spin: spin, retry: retry, recording: recording, on: group.next(), logger: logger)
      return Cluster(.remote(client, group), library, client.settings)
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
  }

  /// Runs a program to its end: it is the driver. Cancelling the Swift task that calls this cancels
  /// the program: its `get` and `wait` throw `CancellationError`.
  ///
  /// - Throws: what the program throws, and `RuntimeError.disconnected` when the cluster goes, or was
  ///   stopped already.
  public func run<Result: Sendable>(
    _ program: @escaping @Sendable (Session) async throws -> Result
  ) async throws -> Result {
    let library = library
    let body: @Sendable (Client) async throws -> Result = { client in
      try await program(Session(RealBackend(client, library: library)))
    }
    do {
      switch connection {
      case .inProcess(let cluster): return try await cluster.run(body)
      case .remote(let client, _): return try await client.run(body)
      }
    } catch let error as ClusterStopped {
      throw RuntimeError.disconnected("\(error)")
    }
  }

  /// Runs one program and stops, whatever comes of it.
  ///
  /// - Throws: as `run`.
  public func runAndStop<Result: Sendable>(
    _ program: @escaping @Sendable (Session) async throws -> Result
  ) async throws -> Result {
    let result: Swift.Result<Result, any Error>
    do { result = .success(try await run(program)) } catch { result = .failure(error) }
    await stop()
    return try result.get()
  }

  /// What a cluster in this process holds; nil for one elsewhere, and for one that was stopped.
  public func status() async -> NodeStatus? {
    guard case .inProcess(let cluster) = connection, !isStopped.load(ordering: .acquiring)
    else { return nil }
    return await cluster.status()
  }

  /// Ends a cluster in this process, or leaves one elsewhere, which goes on. Of several stops only the
  /// first does anything.
  ///
  /// Where programs still run, their `get`, `wait` and `put` throw `RuntimeError.disconnected` from
  /// now on, also those that they wait in, and a `sleep` ends. The stop waits until they have
  /// returned. A program that waits for something else, or computes for long, holds it up.
  ///
  /// Called within one of the programs, and be it by a Swift task that this has made, it waits for
  /// none and returns at once; the cluster ends with the last of them, before its `run` returns.
  public func stop() async {
    if isStopped.exchange(true, ordering: .acquiringAndReleasing) { return }
    switch connection {
    case .inProcess(let cluster): await cluster.stop()
    case .remote(let client, let group):
      await client.close { try? await group.shutdownGracefully() }
    }
  }
}
