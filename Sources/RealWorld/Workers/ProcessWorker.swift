import Glibc
import NIOCore
import NIOPosix
import Primitives
import RuntimeCore
import WireFormat

/// One worker process, as its node's event loop sees it: starts it, moves frames between its link and the
/// rings of its worker, and tells the node how it ended.
final class ProcessWorker: @unchecked Sendable {
  /// A task that was sent to the process and has not been reported as finished.
  struct TaskUnderWay: BitwiseCopyable {
    var task: TaskHandle
    var function: FunctionID
    var returns: UInt16
  }

  enum State {
    case starting, running
    /// Cannot be started: its tasks fail with this text.
    case broken(String, since: Instant)
    case over
  }

  let worker: Worker
  let address: Address
  /// Holds this worker until it is over.
  let home: ProcessWorkers
  let toClient: FrameRing
  /// Frames of its programs, for the node.
  let outlet: RingOutlet
  private var announces: Bool

  var state = State.starting
  var link: SocketLink?
  private var identifier: pid_t = 0
  private var progress: ProgressPage?
  /// What the process is to stop.
  var cancellations: CancellationWriter?
  /// Attempts in a row to start it.
  private var attempts = 0
  /// Why this side ended it, or could not begin with it.
  var complaint: String?
  private var isRefused = false
  /// How its link ended, if it failed: told when the process itself does not end.
  var linkFailure: LinkEnd?

  var underWay = RingQueue<TaskUnderWay>()
  var finishedCount: UInt64 = 0
  /// Room that it was given and has not used.
  var rooms: [StoredValue] = []
  /// What the node's rings could not take: frames go before reports.
  var backlogFrames = FrameWriter()
  var backlogFramesSent = 0
  var backlog = RingQueue<WorkerReport>()

  private static let mostAttempts = 6
  /// A worker that could not be started is tried again after this, when it is asked for.
  private static let restPeriod = TimeSpan.seconds(30)
  private static let handshakeTimeout = TimeSpan.seconds(60)

  init(
    _ worker: Worker, address: Address, toClient: FrameRing, announces: Bool,
    _ home: ProcessWorkers
  ) {
    self.worker = worker
    self.address = address
    self.toClient = toClient
    self.announces = announces
    self.home = home
    outlet = RingOutlet(worker.clientRing, wake: home.wakeNode)
  }

  var isOver: Bool { if case .over = state { backlog.isEmpty } else { false } }

  private var name: String { "worker \(worker.number.index) of node \(home.plan.node.index)" }
  private var nameWithProcess: String {
    identifier == 0 ? name : "\(name) (process \(identifier))"
  }

  // MARK: Start

  func start() {
    if home.isStopping { return over() }
    attempts += 1
    complaint = nil
    linkFailure = nil
    state = .starting
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      return failedToStart("no link to it: \(errorText(errno))")
    }
    defer { close(ends[1]) }
    do throws(ProcessSpawn.Failure) {
      let progress = try ProgressPage()
      self.progress = progress
      let (cancellations, reader) = try CancellationWriter.open()
      self.cancellations = cancellations
      defer { close(reader) }
      identifier = try ProcessSpawn.start(
        [home.launch.executable] + home.launch.arguments,
        environment: home.launch.environment.merging(
          [WorkerProcess.variable: "\(ProcessSpawn.linkDescriptor)"], uniquingKeysWith: { $1 }),
        link: ends[1], progress: progress.descriptor, cancellations: reader)
    } catch {
      close(ends[0])
      return failedToStart("\(error)")
    }
    open(ends[0])
  }

  private func open(_ descriptor: Int32) {
    var configuration = TransportConfiguration()
    configuration.maximumFrame = Int(Int32.max)
    configuration.handshakeTimeout = Self.handshakeTimeout
    let chosen = configuration
    ClientBootstrap(group: home.loop)
      .channelOption(
        .writeBufferWaterMark,
        value: .init(low: chosen.lowWaterMark, high: chosen.highWaterMark)
      )
      .channelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture {
          let hello = Hello(
            role: .node, process: "node \(home.plan.node.index)", processID: getpid(),
            functions: home.functions.names)
          try channel.pipeline.syncOperations.addHandler(
            ConnectionHandler(
              side: .responder, local: hello, address: name, owner: self, configuration: chosen,
              logger: home.logger, version: Handshake.version))
        }
      }
      .withConnectedSocket(descriptor)
      .whenFailure { [self] error in
        complaint = "its link failed: \(error)"
        reap()
      }
  }

  private func failedToStart(_ text: String) {
    let most = isRefused ? attempts : Self.mostAttempts
    guard attempts < most else {
      let text = "\(nameWithProcess) cannot be started: \(text)"
      home.logger.error("\(text); its tasks fail")
      state = .broken(text, since: MonotonicClock.now)
      identifier = 0
      attempts = 0
      announce()
      _ = pump()
      return
    }
    let pause = home.pause(attempts)
    home.logger.warning("\(nameWithProcess) could not be started: \(text); next try in \(pause)")
    identifier = 0
    home.loop.scheduleTask(in: TimeAmount(pause)) { self.start() }
  }

  /// The raylet may give it tasks.
  private func announce() {
    guard announces else { return }
    announces = false
    report(.started)
    publish()
  }

  /// A broken worker that is asked for after a while gets another chance.
  func shouldTryAgain(_ since: Instant) -> Bool {
    MonotonicClock.now.since(since) > Self.restPeriod
  }

  // MARK: The end

  /// Ends the process for what it did.
  func condemn(_ reason: String) {
    complaint = reason
    if identifier != 0 { kill(identifier, SIGKILL) }
    link?.close(reason: reason)
  }

  /// The node stops.
  func stop() {
    if identifier == 0 { return over() }
    guard let link else {
      kill(identifier, SIGKILL)
      return
    }
    link.close(reason: "the node stops")
    home.loop.scheduleTask(in: .seconds(2)) { [self] in
      if identifier != 0 { kill(identifier, SIGKILL) }
    }
  }

  private func over() {
    state = .over
    home.removeEnded()
  }

  /// Waits for the end of the process, whose link has ended: it comes at once, or by force.
  private func reap(_ tries: Int = 0) {
    var status: Int32 = 0
    let found = waitpid(identifier, &status, WNOHANG)
    if found == identifier { return hasEnded("\(ExitStatus(status))") }
    // Somebody else in this process has waited for it.
    if found < 0 && errno != EINTR { return hasEnded("is gone") }
    if tries == 100 {
      if complaint == nil {
        complaint = linkFailure.map { "its link failed: \($0)" } ?? "it had closed its link"
      }
      kill(identifier, SIGKILL)
    }
    home.loop.scheduleTask(in: .milliseconds(1)) { self.reap(tries + 1) }
  }

  private func hasEnded(_ how: String) {
    defer { link = nil }
    guard !home.isStopping else {
      identifier = 0
      return over()
    }
    guard case .running = state else {
      return failedToStart(complaint ?? "its process \(how) before it was ready")
    }
    let hasWorked = finishedCount > 0 || !underWay.isEmpty
    home.ended(hasWorked: hasWorked)
    var text = "\(nameWithProcess) \(how)"
    if let complaint { text += ": \(complaint)" }
    let running = takeUnderWay(text)
    if let running { text += " while it ran '\(home.functions.name(running))'" }
    home.logger.error("\(text)")
    for room in rooms { report(.roomReturned, value: room) }
    rooms = []
    report(.lost)
    identifier = 0
    state = .over
    publish()
    home.removeEnded()
  }

  /// Tells the node what becomes of the tasks that the process had; the function that it ran.
  private func takeUnderWay(_ text: String) -> FunctionID? {
    let begun = progress?.begun ?? 0
    guard let first = underWay.first else { return nil }
    // Reports of tasks that have ended may not have left: the one that ran is the last begun.
    let at = Int(clamping: begun &- finishedCount) - 1
    let running = at >= 0 && at < underWay.count ? underWay[at].function : nil
    let end = text + (running.map { " while it ran '\(home.functions.name($0))'" } ?? "")
    if case .method = home.functions.body(first.function).pointee {
      // The actor is dead, and all of it with it.
      while let task = underWay.popFirst() { report(.abandoned, task.task) }
      return running
    }
    // The raylet ends the first of those that are left, and lets the others run elsewhere.
    for _ in 0..<max(0, min(at, underWay.count - 1)) {
      guard let task = underWay.popFirst() else { break }
      reportError("\(end), and the result of this task was lost with it", of: task, isEnd: true)
    }
    if let task = underWay.first { reportError(end, of: task, isEnd: false) }
    while let task = underWay.popFirst() { report(.abandoned, task.task) }
    return running
  }

  /// Puts a text in the place of all results of a task; the raylet hears of its end if `isEnd`.
  func reportError(_ text: String, of task: TaskUnderWay, isEnd: Bool) {
    var text = text
    text.withUTF8 { text in
      let bytes = UnsafeRawBufferPointer(text)
      for index in 0..<Int32(task.returns) where index > 0 || !isEnd {
        report(
          .result, task.task, index: index, .workerCrashed, value: StoredValue(copying: bytes))
      }
      if !isEnd { return }
      report(
        .finished, task.task, .workerCrashed,
        value: task.returns > 0 ? StoredValue(copying: bytes) : nil)
    }
  }
}

// MARK: The link's beginning and end

extension ProcessWorker: ConnectionOwner {
  func accept(_ peer: Hello) -> Acceptance {
    guard peer.role == .worker else { return .refuse("only a worker is expected here") }
    let plan = home.plan
    let settings = ClusterSettings(
      seed: plan.seed, parameters: plan.parameters, resourceNames: plan.resourceNames)
    return .accept(
      payload: WorkerWelcome(
        worker: worker.number.index, node: plan.node, address: address.raw,
        incarnation: home.nextIncarnation(), settings: settings, nodes: plan.roster.nodes,
        segment: home.segment.path, spin: home.spin
      ).encodedBytes())
  }

  func connectionEstablished(_ connection: ConnectionHandler, _ link: SocketLink) {
    link.delegate = self
    link.spinner = home.spinner
    self.link = link
    attempts = 0
    state = .running
    home.logger.debug("\(nameWithProcess) is ready")
    announce()
    _ = pump()
  }

  func connectionFailed(_ connection: ConnectionHandler, _ failure: HandshakeFailure) {
    switch failure.reason {
    case .connectionLost: return
    case .timeout:
      complaint =
        "\(failure); its program must call WorkerProcess.runIfStarted once its functions are "
        + "registered"
    default:
      isRefused = true
      complaint = "\(failure)"
    }
  }

  func connectionEnded(_ connection: ConnectionHandler) { reap() }

  /// How the process ended says more: a link is also reset when a process dies that has not read all.
  var reportsEnds: Bool { true }
}
