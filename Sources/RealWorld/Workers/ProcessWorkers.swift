import Glibc
import Logging
import NIOCore
import NIOPosix
import Primitives
import RuntimeCore
import Synchronization

/// The worker processes of a node. Everything happens on one event loop: the node's own, or where the
/// node is a thread one for them alone.
final class ProcessWorkers: Pump, @unchecked Sendable {
  let launch: WorkerLaunch
  let plan: NodePlan
  let functions: FunctionTable
  let segment: SharedSegment
  let loop: any EventLoop
  let spinner: LoopSpinner
  let spin: TimeSpan
  let logger: Logger
  private let host: LoopHost
  /// Wakes the node that reads what the workers report.
  let wakeNode: @Sendable () -> Void
  /// For a loop of its own: what to shut down at the end.
  private let group: MultiThreadedEventLoopGroup?

  // On the loop only.
  private var members: [ProcessWorker] = []
  private(set) var isStopping = false
  private var stopped: EventLoopPromise<Void>?
  /// Processes that came and went in a row without having run anything.
  private var idleEnds = 0
  private var starts: UInt32 = 0
  private var isRetrying = false
  private var isAttached = false

  /// The first pause before a process is started again, and the longest.
  private static let firstPause = TimeSpan.milliseconds(50)
  private static let longestPause = TimeSpan.seconds(10)

  /// - Parameter group: the loop's own, when it is for the workers alone.
  /// - Throws: `WorkerProcessError` in a process that is itself a worker.
  init(
    _ launch: WorkerLaunch, _ plan: NodePlan, functions: FunctionTable, segment: SharedSegment,
    spin: TimeSpan, on loop: any EventLoop, _ spinner: LoopSpinner,
    group: MultiThreadedEventLoopGroup? = nil, logger: Logger,
    wakeNode: @escaping @Sendable () -> Void
  ) throws(WorkerProcessError) {
    guard !WorkerProcess.isAsked else {
      throw WorkerProcessError(
        "this process was started as a worker process and starts some itself: call "
          + "WorkerProcess.runIfStarted before anything else, once the functions are registered")
    }
    self.launch = launch
    self.plan = plan
    self.functions = functions
    self.segment = segment
    self.spin = spin
    self.loop = loop
    self.spinner = spinner
    self.group = group
    self.logger = logger
    self.wakeNode = wakeNode
    host = LoopHost(loop, spinner)
  }

  /// What makes the worker processes of a node that is a thread, on a loop of their own; nil when its
  /// workers are threads.
  static func maker(
    _ workers: NodeWorkers, _ plan: NodePlan, functions: FunctionTable, spin: TimeSpan,
    logger: Logger, wakeNode: @escaping @Sendable () -> Void
  ) throws -> ((SharedSegment) throws -> ProcessWorkers)? {
    guard case .processes(let launch) = workers else { return nil }
    return { segment in
      let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
      do {
        return try ProcessWorkers(
          launch, plan, functions: functions, segment: segment, spin: spin, on: group.next(),
          try LoopSpinner.start(on: group.next(), window: spin).wait(), group: group,
          logger: logger, wakeNode: wakeNode)
      } catch {
        try? group.syncShutdownGracefully()
        throw error
      }
    }
  }

  // MARK: The node's side

  func wake() { host.wake() }

  /// Starts a process for a worker; from any thread.
  ///
  /// - Parameters:
  ///   - toClient: frames for its programs.
  ///   - announces: its raylet waits to hear that it has started.
  func add(
    _ worker: Worker, address: Address, toClient: FrameRing, announces: Bool
  ) {
    loop.execute { [self] in
      if isStopping { return }
      if !isAttached { host.attach(self) }
      isAttached = true
      let member = ProcessWorker(
        worker, address: address, toClient: toClient, announces: announces, self)
      members.append(member)
      let pause = pause(idleEnds)
      if pause == .zero { return member.start() }
      loop.scheduleTask(in: TimeAmount(pause)) { member.start() }
    }
  }

  /// Ends the process of a worker that sent its node what it may not; from any thread.
  func condemn(_ port: UInt32, _ reason: String) {
    loop.execute { [self] in
      members.first { $0.worker.port == port && !$0.isOver }?
        .condemn("it sent what it may not: \(reason)")
    }
  }

  /// Ends all processes. The future comes when they have been waited for.
  func stop() -> EventLoopFuture<Void> {
    loop.flatSubmit { [self] in
      if let stopped { return stopped.futureResult }
      let promise = loop.makePromise(of: Void.self)
      stopped = promise
      isStopping = true
      for member in members { member.stop() }
      removeEnded()
      return promise.futureResult
    }
  }

  /// The same for a thread that may wait; the loop goes too when it was for the workers alone.
  func stopAndWait() {
    try? stop().wait()
    guard let group else { return }
    try? spinner.close().wait()
    try? group.syncShutdownGracefully()
  }

  // MARK: Turns

  var hasWork: Bool { members.contains { $0.hasWork } }

  func pump() -> Bool {
    var worked = false
    for member in members where member.pump() { worked = true }
    return worked
  }

  /// The node's ring is full: tries again soon.
  func retrySoon() {
    if isRetrying { return }
    isRetrying = true
    loop.scheduleTask(in: .microseconds(100)) { [self] in
      isRetrying = false
      for member in members { member.sendBacklog() }
    }
  }

  // MARK: What members tell

  func nextIncarnation() -> UInt32 {
    starts &+= 1
    return starts << 16
  }

  /// How long to wait after so many failures in a row.
  func pause(_ failures: Int) -> TimeSpan {
    if failures == 0 { return .zero }
    return min(Self.firstPause * (UInt64(1) << UInt64(min(failures - 1, 20))), Self.longestPause)
  }

  /// A process that had been ready has ended.
  func ended(hasWorked: Bool) { idleEnds = hasWorked ? 0 : idleEnds + 1 }

  func removeEnded() {
    members.removeAll { $0.isOver }
    if isStopping, members.isEmpty {
      host.detach()
      stopped?.succeed()
    }
  }
}
