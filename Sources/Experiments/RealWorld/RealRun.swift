import Dispatch
import Foundation
import Heliostat
import Primitives
import RealWorld
import Recording
import RuntimeCore
import Synchronization
import Workload

extension PreparedCell {
  /// Runs the cell under a seed in the real world: a new cluster for each run, or one that is there.
  public func run(
    seed: UInt64, in world: RealWorldOptions, _ options: RunOptions = RunOptions()
  ) -> RunResult {
    let begin = DispatchTime.now().uptimeNanoseconds
    let sink = MeasureSink()
    sink.progress = options.progress
    var failure: String?
    let nodes = Mutex<String?>(nil)
    let settings = Mutex<ClusterSettings?>(nil)
    var unavailable: ClusterUnavailable?
    var recordings = options.recordings
    var temporary: String?
    if options.traceLimit > 0 && recordings == nil {
      temporary =
        FileManager.default.temporaryDirectory
        .appendingPathComponent("heliostat-trace-\(UUID().uuidString)").path
      recordings = temporary
    }
    defer { if let temporary { try? FileManager.default.removeItem(atPath: temporary) } }
    do {
      try runReal(seed: seed, world, sink, recordings, options.earlierRecordings) { text in
        nodes.withLock { $0 = text }
      } connected: { theirs in
        settings.withLock { $0 = theirs }
      }
    } catch {
      failure = "\(error)"
      unavailable = error as? ClusterUnavailable
    }
    var result = RunResult(
      figures: sink.figures, latencies: sink.latencies.map { ($0.name, $0.values.recorder) },
      fingerprint: 0, events: 0, virtualTime: Instant(nanoseconds: 0),
      wallSeconds: Double(DispatchTime.now().uptimeNanoseconds - begin) * 1e-9, trace: nil,
      failure: failure, unavailable: unavailable)
    result.connectedNodes = nodes.withLock { $0 }
    result.connectedSettings = settings.withLock { $0 }
    if options.traceLimit > 0, unavailable == nil, let recordings {
      do {
        result.trace = try trace(of: recordings, world, limit: options.traceLimit)
      } catch {
        result.missingTrace = "\(error)"
      }
    }
    return result
  }

  private func trace(
    of recordings: String, _ world: RealWorldOptions, limit: Int
  ) throws -> RunTrace {
    let plan = try RealPlan(self, world)
    let library = FunctionLibrary()
    _ = real.prepared(in: library)
    // The folder may hold others.
    var names = plan.nodes.indices.map { "node-\($0)" }
    if case .processes = world.place { names.append("driver") }
    return try RecordedTimeline.trace(
      of: names.map { "\(recordings)/\($0)\(RecordingFile.suffix)" }, functions: library.names,
      cpus: plan.nodes.reduce(0) { $0 + $1.resources.amount(ResourceVector.cpuLane) },
      limit: limit)
  }

  private func runReal(
    seed: UInt64, _ world: RealWorldOptions, _ sink: MeasureSink, _ recordings: String?,
    _ earlier: EarlierRecordings?, found: @escaping @Sendable (String) -> Void,
    connected: @escaping @Sendable (ClusterSettings) -> Void
  ) throws {
    func recording(_ name: String, _ origin: String) -> LateRecording? {
      recordings.map { path in
        LateRecording {
          try earlier?.remove()
          return try RecordingFolder(path).file(name, origin: origin)
        }
      }
    }
    let plan = try RealPlan(self, world)
    let library = FunctionLibrary()
    let driver = real.prepared(in: library)
    switch world.place {
    case .inProcess:
      var settings = plan.settings
      settings.seed = seed
      let node = plan.nodes[0]
      let recording = recording("node-0", "node 0 and its programs")
      var workers = NodeWorkers.threads
      if let command = world.workerCommand, let program = command.first {
        workers = .processes(
          WorkerLaunch(
            executable: program, arguments: command.dropFirst() + ["--cell", "\(cell.index)"]))
      }
      try Self.drive(driver, sink, recording) { [settings, workers] in
        try Cluster.inProcess(
          node, settings: settings, library: library, workers: workers, recording: recording,
          logger: world.logger)
      }
    case .processes:
      let names = plan.settings.resourceNames
      let mustOverwrite = earlier.map { !$0.isEmpty } ?? false
      let local: LocalCluster
      do {
        local = try LocalCluster(
          command: world.nodeCommand + ["--cell", "\(cell.index)"],
          flags: plan.nodes.indices.map { number in
            // The head comes first, and removes what was there when it begins its own.
            plan.flags(number, seed: seed) + (recordings.map { ["--record", $0] } ?? [])
              + (number == 0 && mustOverwrite ? ["--overwrite"] : [])
          },
          resources: plan.nodes.map { names.describe($0.resources) })
      } catch {
        throw ClusterUnavailable(cause: error)
      }
      defer { local.stop() }
      world.started?(local)
      let home = Int(driver.node?.index ?? 0) % local.nodes.count
      let endpoint = local.nodes[home].endpoint
      let recording = recording("driver", "driver")
      try Self.drive(driver, sink, recording) {
        try await Cluster.connect(
          to: endpoint, library: library, recording: recording, logger: world.logger)
      }
    case .cluster(let endpoint):
      let recording = recording("driver", "driver")
      let names = plan.settings.resourceNames
      let met = RealWorkload.Driver(node: driver.node) { ray, sink in
        // Those that have gone have nothing.
        let nodes = (0..<ray.nodeCount).map { ray.resources(of: NodeID($0)) }
        found(RealPlan.describe(nodes.filter { $0 != .zero }, names))
        try await driver.run(ray, sink)
      }
      try Self.drive(met, sink, recording) {
        try await Cluster.connect(
          to: endpoint, library: library, name: world.clusterName, seed: seed,
          transport: world.transport, recording: recording, logger: world.logger)
      } connected: { settings in
        try self.check(settings, of: endpoint, has: world.fixed)
        connected(settings)
      }
    }
  }

  /// Runs the driver to its end on a cluster, leaves that, and ends the recording.
  private static func drive(
    _ driver: RealWorkload.Driver, _ sink: MeasureSink, _ recording: LateRecording?,
    _ connect: @escaping @Sendable () async throws -> Cluster,
    connected: @escaping @Sendable (ClusterSettings) throws -> Void = { _ in }
  ) throws {
    try waitForResult {
      let cluster: Cluster
      do {
        cluster = try await connect()
      } catch {
        recording?.discard()
        throw ClusterUnavailable(cause: error)
      }
      do {
        try connected(cluster.settings)
        try recording?.begin()
      } catch {
        recording?.discard()
        await cluster.stop()
        throw error
      }
      let result: Result<Void, any Error>
      do {
        result = .success(try await cluster.run { ray in try await driver.run(ray, sink) })
      } catch {
        result = .failure(error)
      }
      await cluster.stop()
      try recording?.finish()
      try result.get()
    }
  }
}

/// Runs `body` to its end while the calling thread, which must not be one of the concurrency
/// runtime's, waits.
public func waitForResult<Value: Sendable>(
  _ body: @escaping @Sendable () async throws -> Value
) throws -> Value {
  let outcome = Outcome<Value>()
  Task.detached {
    do {
      outcome.end(.success(try await body()))
    } catch {
      outcome.end(.failure(error))
    }
  }
  return try outcome.wait()
}

private final class Outcome<Value: Sendable>: @unchecked Sendable {
  private let done = DispatchSemaphore(value: 0)
  private var result: Result<Value, any Error>?

  func end(_ result: Result<Value, any Error>) {
    self.result = result
    done.signal()
  }

  func wait() throws -> Value {
    done.wait()
    // Set before the signal.
    return try result!.get()
  }
}
