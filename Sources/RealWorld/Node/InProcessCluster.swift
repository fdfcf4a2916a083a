import Logging
import Primitives
import RuntimeCore
import Scheduling

/// A cluster of the real world in one process: a node with its workers, which may be processes of their
/// own, and programs on threads of their own, connected by rings.
public final class InProcessCluster: @unchecked Sendable {
  private let node: NodeShell
  private let thread: PumpThread
  private let spin: TimeSpan
  private let programs = RunningPrograms()

  /// - Throws: `StoreError` when there is no shared memory, `ThreadError`, `WorkerProcessError`.
  public init(
    _ plan: NodePlan, functions: FunctionTable, spin: TimeSpan = .microseconds(50),
    workers: NodeWorkers = .threads, logger: Logger = Logger(label: "heliostat")
  ) throws {
    self.spin = spin
    thread = PumpThread(name: "node", spin: spin)
    let host = thread
    // Worker processes read and write large objects in place.
    let sharesMemory = if case .processes = workers { true } else { false }
    node = try NodeShell(
      plan, functions: functions, spin: spin, sharesMemory: sharesMemory, host: host,
      processes: try ProcessWorkers.maker(
        workers, plan, functions: functions, spin: spin, logger: logger,
        wakeNode: { host.wake() }), logger: logger)
    try node.start()
    try thread.start(node)
  }

  /// Runs a program to its end on a thread of its own. A cancelled caller cancels it.
  ///
  /// - Throws: what the program throws; `ClusterStopped`; `ProgramLimit`, `ThreadError`.
  public func run<Result: Sendable>(
    _ program: @escaping @Sendable (Client) async throws -> Result
  ) async throws -> Result {
    try await programs.run { number in
      let thread = PumpThread(name: "driver", spin: spin)
      let threadClient = try node.connect(thread: thread)
      let client = threadClient.client!
      try thread.start(threadClient)
      programs.onStop(of: number) { reason in
        // The client goes by its host without holding it.
        withExtendedLifetime(threadClient) { client.end(reason) }
      }
      let task = Task(executorPreference: thread) {
        defer { threadClient.end() }
        return try await program(client)
      }
      return RunningPrograms.Program(task: task) {
        thread.stop()
        self.node.disconnect(threadClient)
      }
    }
  }

  /// What the node has now: after the end of a program, without that.
  public func status() async -> NodeStatus {
    await withCheckedContinuation { continuation in
      node.askStatus { continuation.resume(returning: $0) }
    }
  }

  /// Ends the node and its workers. Programs that still run are told that the connection is gone,
  /// and waited for, but by one of themselves.
  public func stop() async {
    await programs.stop { [self] in
      // The node sees to the programs that have gone, and asks what runs for them to stop, before
      // it answers; it has carried that out when it answers again. Else workers might run for ever.
      _ = await status()
      _ = await status()
      thread.stop()
      node.stopWorkers()
      node.core.pointee.endRecording()
    }
  }
}
