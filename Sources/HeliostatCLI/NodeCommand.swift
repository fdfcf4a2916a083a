import ArgumentParser
import Dispatch
import Experiments
import Foundation
import Heliostat
import Logging
import NIOPosix
import Primitives
import RealWorld
import RuntimeCore
import ServiceLifecycle
import Synchronization
import Workload

struct NodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node", abstract: "Run a node of a real cluster: its head, or one that joins it.",
    discussion: """
      Prints one line when it takes part, and stays until SIGTERM or SIGINT, or until its head is gone \
      (exit code 1). A signal lets it finish what it has, and hand its objects to other nodes; the \
      head lets the whole cluster finish. Exit code 0 when that was done in time, else 1. A second \
      signal ends it at once. Programs are taken only when they have the same functions: give \
      all nodes and programs the same workload file.
      """)

  @Option(
    help: ArgumentHelp(
      "Where others reach this node; port 0 takes a free one.",
      discussion: "127.0.0.1:7600 for a head by default; for others any free port of the address "
        + "that this machine has towards the head.",
      valueName: "address"))
  var listen: String?

  @Option(
    help: ArgumentHelp("The head to join; without, this node is a head.", valueName: "address"))
  var join: String?

  @Option(parsing: .unconditional, help: "CPUs: its workers; the machine's cores by default.")
  var cpus: Int?

  @Option(parsing: .unconditional, help: "GPUs, by name only.")
  var gpus = 0

  @Option(
    help: ArgumentHelp(
      "A custom resource; all nodes need the same ones in the same order, 0 where there is none.",
      valueName: "name=amount"))
  var resource: [String] = []

  @Option(help: ArgumentHelp("Object store in shared memory.", valueName: "size"))
  var store = "1GiB"

  @Option(
    help: ArgumentHelp(
      "Where objects go that do not fit into the store; a directory of its own is made there.",
      discussion: "By default what the head says, or the directory in TMPDIR, or /tmp.",
      valueName: "directory"))
  var spillDir: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Connections to each other node for objects alone; 0 sends them with everything else.",
      valueName: "count"))
  var bulkConnections = 2

  @Option(help: "The cluster's name: peers that name another one are refused.")
  var name = "heliostat"

  @Option(help: WorkersOption.help)
  var workers = WorkersOption.threads

  @OptionGroup var security: SecurityOptions

  @Option(
    help: ArgumentHelp(
      "Register the functions of this file; a head takes its policies and parameters too.",
      valueName: "file"))
  var workload: String?

  @Option(help: ArgumentHelp("As for run.", valueName: "role=policy"))
  var policy: [String] = []

  @Option(help: ArgumentHelp("As for run.", valueName: "key=value"))
  var set: [String] = []

  @Option(parsing: .unconditional, help: "The seed of programs that do not bring their own.")
  var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp(
      "How long SIGTERM leaves to tasks and programs, and then again to objects.",
      valueName: "time"))
  var grace = "10s"

  @Option(
    help: ArgumentHelp(
      "For a head: a node that says nothing for so long counts as lost; 30s by default.",
      valueName: "time"))
  var silence: String?

  @Option(help: "The least severe messages to show: trace, debug, info, warning or error.")
  var log = "info"

  @Option(
    help: ArgumentHelp(
      "Write down everything that the node's machines hear, for replay.", valueName: "folder"))
  var record: String?

  @Flag(help: "Remove the recordings of earlier runs in that folder, which are refused otherwise.")
  var overwrite = false

  @Option(parsing: .unconditional, help: .hidden) var cell = 0
  @Flag(help: .hidden) var untilStdinCloses = false

  func run() throws {
    var (options, library) = try prepared()
    guard let level = Logger.Level(rawValue: log) else {
      throw BadInput("--log \(log): expected trace, debug, info, warning or error")
    }
    let logger = RealOptions.logger(level)
    let recording = NodeRecording()
    if overwrite && record == nil { throw BadInput("--overwrite is for recordings: give --record") }
    if let record {
      let earlier: EarlierRecordings
      do {
        earlier = try RecordingFolder.earlier(
          in: record, isOverwriting: overwrite, isShared: true)
      } catch {
        throw BadInput("--record \(error)")
      }
      options.recording = { node in
        try earlier.remove()
        return try recording.start(node.index, in: RecordingFolder(record))
      }
    }
    let ending = NodeEnding(grace: try RealOptions.span(grace, "--grace"))
    let service = NodeService(options, library, recording, ending, logger)
    let reportsEnd = untilStdinCloses
    do {
      try waitForResult {
        let group = ServiceGroup(
          configuration: .init(
            services: [
              .init(
                service: service, successTerminationBehavior: .gracefullyShutdownGroup,
                failureTerminationBehavior: .gracefullyShutdownGroup)
            ], gracefulShutdownSignals: [.sigterm, .sigint], logger: RealOptions.logger(.error)))
        if reportsEnd {
          Thread.detachNewThread {
            var byte: UInt8 = 0
            while read(0, &byte, 1) > 0 {}
            ending.endsAtOnce.store(true, ordering: .relaxed)
            Task { await group.triggerGracefulShutdown() }
            // Whatever the node does then, it does not outlive its parent for long.
            sleep(3)
            ending.leave()
          }
        }
        try await group.run()
      }
    } catch let error as TransportError where error.kind == .configuration {
      throw BadInput("\(error)")
    } catch let error as TransportError where error.kind == .addressInUse {
      FileHandle.standardError.write(Data("error: --listen: \(error)\n".utf8))
      throw ExitCode(1)
    } catch {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      throw ExitCode(1)
    }
  }

  private func prepared() throws -> (NodeProcess.Options, FunctionLibrary) {
    let library = FunctionLibrary()
    var settings = ClusterSettings()
    if let workload {
      let file = try RunCommand.load(workload, policy: policy, set: set)
      let cells = try file.cells()
      guard cells.indices.contains(cell) else {
        throw BadInput("--cell \(cell): \(workload) has \(cells.count)")
      }
      let prepared = try PreparedCell(cells[cell])
      settings = try prepared.realSettings()
      _ = prepared.real.prepared(in: library)
    } else if !policy.isEmpty || !set.isEmpty {
      throw BadInput("--policy and --set change what --workload says: give that file")
    }
    settings.name = name
    settings.seed = seed
    if silence != nil && join != nil {
      throw BadInput("--silence is for a head, which says it to all that join: give it there")
    }
    let silence = silence ?? "30s"
    settings.silenceLimit = try RealOptions.span(silence, "--silence")
    guard settings.silenceLimit >= settings.parameters.heartbeat * 10 else {
      throw BadInput(
        "--silence \(silence): nodes report every \(settings.parameters.heartbeat); expected at least "
          + "ten times that")
    }
    let count = cpus ?? ProcessInfo.processInfo.activeProcessorCount
    for (option, value) in [("--cpus", count), ("--gpus", gpus)] where !(0...1024).contains(value) {
      throw BadInput("\(option) is \(value); expected 0 to 1024")
    }
    var resources = ResourceVector(cpus: count, gpus: gpus)
    for (name, text) in try RunCommand.pairs(resource, "--resource", form: "name=amount") {
      guard let amount = Double(text), (0...200_000).contains(amount) else {
        throw BadInput("--resource \(name)=\(text): expected a number from 0 to 200000")
      }
      guard !["cpu", "gpu", "cpus", "gpus"].contains(name.lowercased()) else {
        throw BadInput("--resource \(name): use --cpus or --gpus")
      }
      guard let lane = settings.resourceNames.lane(of: name) else {
        throw BadInput(
          "--resource \(name) is one kind too many; at most \(ResourceVector.kindCount), CPU and "
            + "GPU among them")
      }
      resources.lanes[lane] = ResourceVector.units(amount)
    }
    let head = try join.map { try RealOptions.endpoint($0, "--join") }
    var options = NodeProcess.Options(
      endpoint: try endpoint(head), head: head,
      description: NodeDescription(
        resources: resources, store: try RealOptions.size(store, "--store")))
    if let spillDir {
      try RealOptions.check(directory: spillDir, "--spill-dir")
      options.spillDirectory = spillDir
      if join == nil { settings.spillDirectory = spillDir }
    }
    guard (0...64).contains(bulkConnections) else {
      throw BadInput("--bulk-connections is \(bulkConnections); expected 0 to 64")
    }
    options.settings = settings
    if workers == .processes {
      let command = WorkerCommand.command(workload: workload, policy: policy, set: set)
      options.workers = .processes(
        WorkerLaunch(
          executable: command[0], arguments: command.dropFirst() + ["--cell", "\(cell)"]))
    }
    options.transport = try security.transport()
    options.transport.bulkConnections = bulkConnections
    return (options, library)
  }

  /// Where this node listens.
  private func endpoint(_ head: Endpoint?) throws -> Endpoint {
    if let listen { return try RealOptions.endpoint(listen, "--listen") }
    guard let head else { return .tcp(host: "127.0.0.1", port: 7600) }
    let endpoint: Endpoint
    do {
      endpoint = try head.listenerOfThisHost()
    } catch {
      throw BadInput("--join \(head): \(error)")
    }
    guard endpoint.isThisHost || security.secretFile != nil else {
      throw BadInput(
        "--join \(head): this node would listen on \(endpoint), where other machines can reach it: "
          + "give the cluster's --secret-file")
    }
    return endpoint
  }
}

/// The recording of a node, from when it knows its number.
private final class NodeRecording: Sendable {
  private let file = Mutex<RecordingFile?>(nil)

  func start(_ number: UInt32, in folder: RecordingFolder) throws -> RecordingFile {
    let started = try folder.file("node-\(number)", origin: "node \(number)")
    file.withLock { $0 = started }
    return started
  }

  func finish() throws { try file.withLock { $0 }?.finish() }
}

/// A node for the time that its process lives.
private struct NodeService: Service {
  private let options: NodeProcess.Options
  private let library: FunctionLibrary
  private let recording: NodeRecording
  private let ending: NodeEnding
  private let logger: Logger

  init(
    _ options: NodeProcess.Options, _ library: FunctionLibrary, _ recording: NodeRecording,
    _ ending: NodeEnding, _ logger: Logger
  ) {
    self.ending = ending
    self.recording = recording
    self.options = options
    self.library = library
    self.logger = logger
  }

  func run() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let process: NodeProcess
    do {
      process = try await NodeProcess.start(
        options, library: library, on: group.next(), logger: logger)
    } catch {
      try? await group.shutdownGracefully()
      throw error
    }
    print(
      "node \(process.node.index) of cluster '\(process.settings.name)' listens on "
        + "\(process.endpoint)")
    fflush(nil)
    let questions = Self.answerQuestions(to: process)
    defer { questions.cancel() }
    ending.watch(process)
    let (ends, continuation) = AsyncStream.makeStream(of: NodeProcess.End.self)
    process.ended.whenSuccess { end in
      continuation.yield(end)
      continuation.finish()
    }
    let reason = await withGracefulShutdownHandler {
      await ends.first { _ in true }
    } onGracefulShutdown: {
      continuation.finish()
    }
    var left = NodeProcess.Leftovers()
    if reason == nil && !ending.endsAtOnce.load(ordering: .relaxed) {
      logger.info("node \(process.node.index) finishes what it has, for at most \(ending.grace)")
      left = await process.drain(grace: ending.grace)
      // A task that does not end must not keep the node.
      if left.tasks > 0 { ending.end(process, ending.text(left)) }
    }
    logger.info("node \(process.node.index) stops")
    ending.endSoon(process)
    await process.stop()
    try recording.finish()
    try? await group.shutdownGracefully()
    if !left.isEmpty { throw NodeEnded(description: ending.text(left)) }
    if let reason, !reason.isOrderly { throw NodeEnded(description: reason.description) }
  }
}

/// How a node that was told to end does so.
private final class NodeEnding: @unchecked Sendable {
  let grace: TimeSpan
  /// Its parent is gone or wants it gone: nobody is there to finish for.
  let endsAtOnce = Atomic<Bool>(false)
  private let signals = Atomic<Int>(0)
  /// Once it takes part.
  private let process = Mutex<NodeProcess?>(nil)
  /// Set once, before the signals can come.
  private var sources: [any DispatchSourceSignal] = []

  init(grace: TimeSpan) { self.grace = grace }

  func text(_ left: NodeProcess.Leftovers) -> String {
    "not all was finished within \(grace); left: \(left)"
  }

  /// The second signal ends the process at once. The first one is the service group's.
  func watch(_ process: NodeProcess) {
    self.process.withLock { $0 = process }
    for number in [SIGTERM, SIGINT] {
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [unowned self] in
        // On a busy machine one event stands for several signals.
        let count = signals.add(max(1, Int(source.data)), ordering: .relaxed).newValue
        if endsAtOnce.load(ordering: .relaxed) { leave() }
        guard count >= 2 else { return }
        end(process, "ended by a second signal")
      }
      source.resume()
      sources.append(source)
    }
  }

  /// A task that does not end must not keep a node that stops.
  func endSoon(_ process: NodeProcess) {
    DispatchQueue.global().asyncAfter(deadline: .now() + 5) { [self] in
      end(process, "a task does not end")
    }
  }

  /// The parent does not wait for tasks that run on, and knows why: this process goes.
  func leave() -> Never {
    process.withLock { $0?.removeNames() }
    _exit(1)
  }

  /// Ends the process, whatever its workers do.
  func end(_ process: NodeProcess, _ text: String) -> Never {
    if endsAtOnce.load(ordering: .relaxed) { leave() }
    FileHandle.standardError.write(Data("error: \(text)\n".utf8))
    process.removeNames()
    _exit(1)
  }
}

extension NodeService {
  /// On SIGUSR1 the node says what it holds, on standard error: nodes of a local cluster are heard there.
  fileprivate static func answerQuestions(
    to process: NodeProcess
  ) -> any DispatchSourceSignal {
    signal(SIGUSR1, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: SIGUSR1)
    source.setEventHandler {
      Task {
        guard let status = try? await process.status() else { return }
        FileHandle.standardError.write(
          Data("node \(process.node.index) holds \(status)\n".utf8))
      }
    }
    source.activate()
    return source
  }
}

/// The node cannot go on.
private struct NodeEnded: Error, CustomStringConvertible {
  let description: String
}
