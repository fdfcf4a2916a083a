import Synchronization

/// A program was to run on a cluster that was stopped already.
public struct ClusterStopped: Error, CustomStringConvertible {
  public var description: String {
    "the program has stopped the cluster; start or connect anew"
  }
}

/// The programs of one connection to a cluster, so that its end can wait for theirs.
final class RunningPrograms: Sendable {
  /// A program that was started, and what is to be done when it has ended.
  struct Program<Result: Sendable> {
    var task: Task<Result, any Error>
    var ended: () -> Void = {}
  }

  typealias Interrupt = @Sendable (_ reason: String) -> Void

  private struct State: Sendable {
    var latest: UInt64 = 0
    /// By number, with what tells it of the end.
    var running: [UInt64: Interrupt] = [:]
    var isStopped = false
    /// Who stops, and waits for the last program.
    var waiting: CheckedContinuation<Void, Never>?
    /// Left to the last program, because it was one of them that stopped.
    var finish: (@Sendable () async -> Void)?
  }

  static let reason = "the cluster was stopped (Cluster.stop) while the program ran"

  /// The connections whose programs the present code belongs to.
  @TaskLocal private static var around: [ObjectIdentifier] = []

  private let state = Mutex(State())

  /// Runs the program that `start` starts to its end; `start` is given its number.
  ///
  /// - Throws: what the program throws, or `start`; `ClusterStopped`.
  func run<Result: Sendable>(_ start: (UInt64) throws -> Program<Result>) async throws -> Result {
    let number = try state.withLock { state in
      if state.isStopped { throw ClusterStopped() }
      state.latest += 1
      state.running[state.latest] = { _ in }
      return state.latest
    }
    let result: Swift.Result<Result, any Error>
    do {
      let program = try Self.$around.withValue(Self.around + [ObjectIdentifier(self)]) {
        try start(number)
      }
      let task = program.task
      result = await withTaskCancellationHandler {
        await task.result
      } onCancel: {
        task.cancel()
      }
      program.ended()
    } catch {
      result = .failure(error)
    }
    await ended(number)
    return try result.get()
  }

  /// Who is to be told when the program of this number has to end; at once, when it has.
  func onStop(of number: UInt64, _ interrupt: @escaping Interrupt) {
    let isStopped = state.withLock { state in
      state.running[number] = interrupt
      return state.isStopped
    }
    if isStopped { interrupt(Self.reason) }
  }

  private func ended(_ number: UInt64) async {
    let (waiting, finish) = state.withLock { state in
      state.running[number] = nil
      guard state.running.isEmpty else { return (nil, nil) as Remaining }
      defer {
        state.waiting = nil
        state.finish = nil
      }
      return (state.waiting, state.finish)
    }
    waiting?.resume()
    if let finish { await Self.apart(finish) }
  }

  private typealias Remaining = (
    waiting: CheckedContinuation<Void, Never>?, finish: (@Sendable () async -> Void)?
  )

  /// Tells all programs that the cluster goes, waits for them and then does the rest. Called by one
  /// of the programs it does not wait, which would be for ever: the last one to end does the rest.
  /// Of several stops only the first does anything.
  ///
  /// - Parameter interrupt: tells the programs, beside what each has named for itself.
  func stop(
    _ interrupt: Interrupt = { _ in }, finish: @escaping @Sendable () async -> Void
  ) async {
    let isOwn = Self.around.contains(ObjectIdentifier(self))
    let told: [Interrupt]? = state.withLock { state in
      if state.isStopped { return nil }
      state.isStopped = true
      if isOwn && !state.running.isEmpty { state.finish = finish }
      return Array(state.running.values)
    }
    guard let told else { return }
    interrupt(Self.reason)
    for interrupt in told { interrupt(Self.reason) }
    // Without any running, what was left over of a program does the rest itself.
    if isOwn && !told.isEmpty { return }
    await withCheckedContinuation { continuation in
      let isLast = state.withLock { state in
        if state.running.isEmpty { return true }
        state.waiting = continuation
        return false
      }
      if isLast { continuation.resume() }
    }
    await Self.apart(finish)
  }

  /// Runs `finish` on none of the threads that it may end.
  private static func apart(_ finish: @escaping @Sendable () async -> Void) async {
    await Task.detached { await finish() }.value
  }
}
