import Primitives
import RuntimeCore
import WireFormat

/// What the shell has to see to after a turn.
enum NodeNews: Sendable {
  /// No node has what these tasks need: they wait for one that comes.
  case infeasible(FunctionID, demand: ResourceVector)
  /// The worker's process has ended, and the machines know.
  case lost(port: UInt32)
  /// The worker's process sent what it may not.
  case faulty(port: UInt32, String)
}

/// Workers that are processes of their own.
extension NodeCore {
  /// Hears what only processes report.
  mutating func processReported(_ report: WorkerReport, of worker: Worker) {
    switch report.kind {
    case .started:
      handle(
        Envelope(
          message: .workerStarted(worker.number), source: rayletAddress, target: rayletAddress))
    case .abandoned: dropArguments(of: report.task)
    case .lost: lose(worker)
    case .result, .finished, .roomWanted, .roomReturned, .loanReturned: break
    }
  }

  private mutating func dropArguments(of task: TaskHandle) {
    arguments.remove(UInt64(task.index))?.deallocate()
  }

  /// The process has ended: what it said last counts, what was still to reach it does not.
  private mutating func lose(_ worker: Worker) {
    drainClient(of: worker)
    // Nobody else reads these any more.
    _ = worker.commands.publish()
    while let command = worker.commands.popFirst() { dropArguments(of: command.task) }
    abandonHeld(for: worker.number)
    if let address = port(worker.port).pointee.client { disconnect(address) }
    closePort(worker.port)
    news.append(.lost(port: worker.port))
    handle(
      Envelope(
        message: .workerLost(worker.number), source: rayletAddress, target: rayletAddress))
    // What had not begun goes elsewhere, and is not to run there either.
    let requests = worker.cancellation.takeAll()
    cancellations -= requests.count
    for request in requests {
      handle(
        Envelope(
          message: .cancellationRequested(request.task, isRecursive: request.isRecursive),
          source: rayletAddress, target: rayletAddress))
    }
  }

  /// Handles what came through a ring: a run of frames, or a reference to a frame too long for one.
  mutating func receive(
    ringRun run: UnsafeRawBufferPointer, from number: UInt32
  ) throws(FrameError) {
    guard run.count == 32, run[4] == RingOutlet.referenceKind else {
      return try receive(run, from: number)
    }
    let frame = RingOutlet.frame(of: run)
    defer { frame.deallocate() }
    try receive(UnsafeRawBufferPointer(frame), from: number)
  }

  /// A client of this host sent what it may not: for a thread that is an error of this very program.
  mutating func faulted(_ number: UInt32, _ error: FrameError) {
    if port(number).pointee.isThread { fatalError("a client of this process sent \(error)") }
    news.append(.faulty(port: number, "\(error)"))
  }

  /// What programs of a worker process may say besides what drivers say.
  func isAllowed(_ message: Message, of worker: WorkerID?) -> Bool {
    guard let worker else { return false }
    return switch message {
    case .workerBlocked(worker): raylet.pointee.isRunning(worker)
    case .workerUnblocked(worker): raylet.pointee.isBlocked(worker)
    default: false
    }
  }
}
