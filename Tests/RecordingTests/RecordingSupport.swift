import Heliostat
import Logging
import NIOCore
import NIOPosix
import Primitives
import RealWorld
import Recording
import RuntimeCore
import Scheduling
import Simulation
import Synchronization
import Testing

/// A recording in memory.
final class MemoryRecording: RecordingOutput {
  private struct State: Sendable {
    var bytes: [UInt8]
    var streams: UInt32 = 0
  }
  private let state: Mutex<State>

  init(origin: String = "test") { state = Mutex(State(bytes: recordingPreface(origin: origin))) }

  func openStream() -> UInt32 {
    state.withLock { state in
      defer { state.streams += 1 }
      return state.streams
    }
  }

  func write(_ block: UnsafeRawBufferPointer) {
    state.withLock { $0.bytes.append(contentsOf: block) }
  }

  /// Everything so far, as a file that was not finished.
  var part: [UInt8] { state.withLock { $0.bytes } }
  /// Everything, as a finished file.
  var whole: [UInt8] { part + recordingEnd() }
}

func replay(_ bytes: [UInt8], _ replay: Replay = Replay()) throws -> ReplayResult {
  try bytes.withUnsafeBytes { bytes throws(RecordingError) in try replay.run(bytes) }
}

/// Every input of a recording, in words.
func listing(_ bytes: [UInt8]) throws -> [RecordingListing.Entry] {
  var entries: [RecordingListing.Entry] = []
  try bytes.withUnsafeBytes {
    try RecordingListing().run($0) {
      entries.append($0)
      return true
    }
  }
  return entries
}

/// The replay agrees with every input; some of each kind of machine were there.
func expectSame(
  _ result: ReplayResult, _ roles: [Address.Role], _ location: SourceLocation = #_sourceLocation
) {
  #expect(result.isComplete && result.cutBytes == 0, sourceLocation: location)
  for machine in result.machines {
    #expect(machine.difference == nil, sourceLocation: location)
  }
  for role in roles {
    let inputs = result.machines.filter { $0.machine.role == role }.reduce(0) { $0 + $1.inputs }
    #expect(inputs > 0, "\(role)", sourceLocation: location)
  }
}

/// The first lines that differ, side by side; nil when all are the same.
func difference(_ a: [String], _ b: [String]) -> String? {
  for (a, b) in zip(a, b) where a != b { return "'\(a)' and '\(b)'" }
  return a.count == b.count ? nil : "\(a.count) and \(b.count) lines"
}

/// What a cluster that runs a script is made of.
struct ScriptCluster {
  var nodes = 1
  var cpus = 2
  var store = ByteCount(64 << 20)
  var settings: ClusterSettings = {
    var settings = ClusterSettings()
    settings.parameters.freeDelay = .milliseconds(1)
    settings.parameters.heartbeat = .milliseconds(5)
    return settings
  }()
  var seed: UInt64 = 1

  // MARK: In the simulated world

  func configuration() throws -> ClusterConfiguration {
    let node = NodeDescription(resources: ResourceVector(cpus: cpus), store: store)
    var configuration = ClusterConfiguration(
      nodes: Array(repeating: SimulatedNode(node), count: nodes), head: NodeID(0),
      topology: try .star(
        nodes: nodes, nic: DuplexBandwidth(Bandwidth(bytesPerSecond: 1e9)),
        latency: .microseconds(50)),
      network: .fifoNIC,
      spillover: try PolicyRegistry.spillover(PolicySpec(parsing: settings.spillover)),
      placement: try PolicyRegistry.placement(PolicySpec(parsing: settings.placement)),
      dispatch: try PolicyRegistry.dispatch(PolicySpec(parsing: settings.dispatch)))
    configuration.parameters = settings.parameters
    configuration.resultNotice = .ifKept
    configuration.seed = seed
    return configuration
  }

  /// Runs a script on a simulated cluster; its lines, and what it recorded.
  func simulate(
    _ script: Script, _ configuration: ClusterConfiguration? = nil, isChecked: Bool = true
  ) throws -> (lines: [String], recording: [UInt8]) {
    let recording = MemoryRecording(origin: "simulated")
    let cluster = SimulatedCluster(
      try configuration ?? self.configuration(), isChecked: isChecked, recording: recording)
    let library = FunctionLibrary()
    let functions = ScriptFunctions(library)
    let lines = Mutex<[String]>([])
    let runtime = ProgramRuntime(driverNode: NodeID(0), library: library) { ray in
      let found = try await script.run(ray, functions)
      lines.withLock { $0 = found }
    }
    let end = cluster.run(runtime, until: Instant.zero + .seconds(3600), maximumEvents: 3_000_000)
    #expect(end == .finished)
    if let error = runtime.error { throw error }
    // As in the real world, where a program that has ended leaves: what it left behind goes.
    cluster.endDriver(0)
    _ = cluster.resume(Afterwards(), maximumEvents: 3_000_000)
    cluster.endRecording()
    return (lines.withLock { $0 }, recording.whole)
  }

  // MARK: In the real world

  /// Runs a script on a node in this process.
  func runInProcess(_ script: Script) async throws -> (lines: [String], recording: [UInt8]) {
    let recording = MemoryRecording(origin: "in process")
    let library = FunctionLibrary()
    let functions = ScriptFunctions(library)
    var settings = settings
    settings.seed = seed
    let cluster = try Cluster.inProcess(
      NodeDescription(resources: ResourceVector(cpus: cpus), store: store), settings: settings,
      library: library, recording: recording)
    let lines = try await cluster.runAndStop { ray in try await script.run(ray, functions) }
    return (lines, recording.whole)
  }

  /// Runs a script on several nodes that reach each other, and the program them, over sockets.
  func runOverSockets(
    _ script: Script
  ) async throws -> (lines: [String], recordings: [[UInt8]]) {
    let started = try await SocketCluster(self)
    let library = FunctionLibrary()
    let functions = ScriptFunctions(library)
    let recording = MemoryRecording(origin: "driver")
    let cluster = try await Cluster.connect(
      to: started.processes[0].endpoint, library: library, recording: recording,
      logger: SocketCluster.logger)
    let result: Result<[String], any Error> = await .capturing {
      try await cluster.runAndStop { ray in try await script.run(ray, functions) }
    }
    try await started.stop()
    return (try result.get(), started.recordings.map(\.whole) + [recording.whole])
  }

  /// Runs tasks and actors on several nodes, the last of which ends before they have all been asked
  /// for; what each node recorded.
  func runAndLoseANode() async throws -> [[UInt8]] {
    let started = try await SocketCluster(self)
    let library = FunctionLibrary()
    let functions = ScriptFunctions(library)
    let cluster = try await Cluster.connect(
      to: started.processes[0].endpoint, library: library, logger: SocketCluster.logger)
    let result: Result<Int, any Error> = await .capturing {
      try await cluster.runAndStop { ray in
        let actors = (0..<6).map { _ in ray.create(functions.accumulator, .value(UInt64(0))) }
        let leaves = (UInt64(0)..<60).map { ray.submit(functions.leaf, .value($0)) }
        _ = try await ray.wait(leaves, count: 40, fetch: false)
        let calls = actors.map { ray.call($0, functions.fold, .value(UInt64(1))) }
        await started.processes[nodes - 1].stop()
        let mixed = leaves.map { ray.submit(functions.mix, .ref($0), .ref($0)) }
        var ended = 0
        for ref in calls + mixed {
          // A value, or the error of what went with the node.
          _ = try? await ray.get(ref)
          ended += 1
        }
        return ended
      }
    }
    try await started.stop()
    #expect(try result.get() == 66)
    return started.recordings.map(\.whole)
  }
}

extension Result where Failure == any Error {
  static func capturing(_ body: () async throws -> Success) async -> Result {
    do { return .success(try await body()) } catch { return .failure(error) }
  }
}

/// Nodes of this process that reach each other over sockets, each with a recording of its own.
final class SocketCluster: Sendable {
  let processes: [NodeProcess]
  let recordings: [MemoryRecording]
  /// A node does not keep its library alive.
  private let libraries: [FunctionLibrary]
  private let group: MultiThreadedEventLoopGroup

  static var logger: Logger {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }

  init(_ cluster: ScriptCluster) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: cluster.nodes)
    var settings = cluster.settings
    settings.seed = cluster.seed
    var processes: [NodeProcess] = []
    var recordings: [MemoryRecording] = []
    var libraries: [FunctionLibrary] = []
    for number in 0..<cluster.nodes {
      let library = FunctionLibrary()
      _ = ScriptFunctions(library)
      var options = NodeProcess.Options(
        endpoint: try Endpoint(parsing: "127.0.0.1:0"), head: processes.first?.endpoint,
        description: NodeDescription(
          resources: ResourceVector(cpus: cluster.cpus), store: cluster.store))
      options.settings = settings
      let recording = MemoryRecording(origin: "node \(number)")
      options.recording = { _ in recording }
      recordings.append(recording)
      libraries.append(library)
      processes.append(
        try await NodeProcess.start(
          options, library: library, on: group.next(), logger: Self.logger))
    }
    self.group = group
    self.processes = processes
    self.recordings = recordings
    self.libraries = libraries
  }

  /// The head first, so that nobody hears of a node's end: it is the end of the run.
  func stop() async throws {
    for process in processes { await process.stop() }
    try await group.shutdownGracefully()
  }
}

/// Nothing that anybody waits for.
final class Afterwards: Application {
  var isFinished: Bool { false }
  func start(on cluster: SimulatedCluster) {}
}
