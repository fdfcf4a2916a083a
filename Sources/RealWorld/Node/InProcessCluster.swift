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

  /// Runs a program to its end on a thread of its own.
  public func run<Result: Sendable>(
    _ program: @escaping @Sendable (Client) async throws -> Result
  ) async throws -> Result {
    let thread = PumpThread(name: "driver", spin: spin)
    let threadClient = try node.connect(thread: thread)
    let client = threadClient.client!
    try thread.start(threadClient)
    let task = Task(executorPreference: thread) {
      defer { threadClient.end() }
      return try await program(client)
    }
    let result = await task.result
    thread.stop()
    node.disconnect(threadClient)
    return try result.get()
  }

  /// What the node has now: after the end of a program, without that.
  public func status() async -> NodeStatus {
    await withCheckedContinuation { continuation in
      node.askStatus { continuation.resume(returning: $0) }
    }
  }

  public func stop() {
    thread.stop()
    node.stopWorkers()
    node.core.pointee.endRecording()
  }
}
