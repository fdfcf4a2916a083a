import Glibc
import Primitives
import RuntimeCore
import WireFormat

/// A worker process's link to its node: everything happens on the one thread that runs the tasks, but
/// for the news of what is to stop (`cancel`).
///
/// Reading never blocks, writing may: the node reads always.
final class NodeConnection: Pump, Outlet, @unchecked Sendable {
  private let descriptor: Int32
  private let functions: FunctionTable
  private let segment: SharedSegment
  private let progress: ProgressPage
  private let thread: PumpThread
  private let client: ThreadClient
  private var worker: ThreadWorker!

  private var input: UnsafeMutableRawBufferPointer
  /// What has been read and not handled yet.
  private var filled = 0
  private var output = FrameWriter()
  private var lastSent = MonotonicClock.nanoseconds

  /// Tasks that have come, and the one that runs.
  private var tasks = RingQueue<WorkerCommand>()
  private var current: WorkerCommand?
  private var begun: UInt64 = 0
  /// The answer to the latest wish for room: key, offset.
  private var grant: (UInt64, UInt64)?

  /// Results of tasks that are longer than this leave before the next task begins.
  private static let sendInterval: UInt64 = 50_000
  private static let sendBytes = 64 << 10

  /// - Throws: `StoreError` when the node's segment cannot be mapped, `ThreadError`, `PolicyError`.
  init(
    _ descriptor: Int32, _ welcome: WorkerWelcome, _ functions: FunctionTable,
    _ progress: ProgressPage, _ leftover: [UInt8]
  ) throws {
    self.descriptor = descriptor
    self.functions = functions
    self.progress = progress
    segment = try SharedSegment.attach(path: welcome.segment, writable: true)
    thread = PumpThread(
      name: "worker \(welcome.worker)", spin: welcome.spin,
      parker: try Parker(watching: descriptor))
    let plan = try welcome.settings.plan(
      node: welcome.node, description: NodeDescription(resources: .zero, store: .zero),
      nodes: welcome.nodes)
    let outlet = LateOutlet()
    let unused = FrameRing.allocate(capacity: 4096)
    client = ThreadClient(
      thread: thread, incoming: unused, outlet: outlet, plan: plan,
      memory: SegmentAccess(segment), isInNode: false, incarnation: welcome.incarnation)
    input = .allocate(byteCount: max(256 << 10, leftover.count), alignment: 16)
    leftover.withUnsafeBytes { input.copyMemory(from: $0) }
    filled = leftover.count
    outlet.connection = self
    worker = ThreadWorker(
      number: WorkerID(Int(welcome.worker)), functions: functions, capacity: 1024,
      wakeNode: { [unowned self] in takeReports() }, thread: thread, client: client,
      clientRing: unused, address: Address(raw: welcome.address), port: 0,
      memory: SegmentAccess(segment), remoteRoom: { [unowned self] in room($0) })
  }

  deinit { input.deallocate() }

  func start() throws(ThreadError) { try thread.start(self) }

  /// Made before the connection that it belongs to.
  private final class LateOutlet: Outlet {
    unowned(unsafe) var connection: NodeConnection!
    func send(_ frames: UnsafeRawBufferPointer) -> Int { connection.send(frames) }
    func flush() { connection.flush() }
  }

  /// A task is to stop: the one that runs, or one that is still to come or has ended already. From any
  /// thread.
  func cancel(_ number: TaskHandle, isRecursive: Bool) {
    worker.cancellation.request(number, isRecursive: isRecursive)
  }

  // MARK: Turns

  var hasWork: Bool { worker.isInProgram ? worker.hasWork : !tasks.isEmpty }

  func pump() -> Bool {
    var worked = receive()
    while true {
      if worker.isInProgram {
        if worker.pump() { worked = true }
        break
      }
      guard let task = tasks.popFirst() else { break }
      worked = true
      run(task)
    }
    flush()
    return worked
  }

  private func run(_ task: WorkerCommand) {
    if task.task == .none {
      _ = worker.commands.append(task)
      _ = worker.commands.publish()
      _ = worker.pump()
      return
    }
    // Seen by the node when this process ends in the midst of it.
    begun += 1
    progress.begun = begun
    current = task
    guard Int(task.function.index) < functions.count else { return refuse(task) }
    _ = worker.commands.append(task)
    _ = worker.commands.publish()
    _ = worker.pump()
    let now = MonotonicClock.nanoseconds
    if now &- lastSent > Self.sendInterval || output.count > Self.sendBytes {
      flush()
      lastSent = now
    }
  }

  /// A function that the node has registered since this process was started.
  private func refuse(_ task: WorkerCommand) {
    var text =
      "function \(task.function.index) is not known to the worker process: register all functions "
      + "before the cluster starts"
    text.withUTF8 { text in
      for index in stride(from: Int32(task.returns) - 1, through: 0, by: -1) {
        _ = worker.reports.append(
          WorkerReport(
            task: task.task, index: index, kind: index == 0 ? .finished : .result,
            status: .taskFailed, hasValue: true,
            value: StoredValue(copying: UnsafeRawBufferPointer(text))))
        if worker.reports.publish() { takeReports() }
      }
      if task.returns > 0 { return }
      _ = worker.reports.append(
        WorkerReport(
          task: task.task, index: 0, kind: .finished, status: .taskFailed, hasValue: false,
          value: StoredValue(.inline, at: nil, count: 0)))
      if worker.reports.publish() { takeReports() }
    }
  }

  // MARK: To the node

  func send(_ frames: UnsafeRawBufferPointer) -> Int {
    do throws(FrameError) {
      try output.append(contentsOf: frames)
    } catch {
      fail("\(error)")
    }
    if output.count > Self.sendBytes { flush() }
    return frames.count
  }

  /// What the worker has done becomes frames.
  private func takeReports() {
    while let report = worker.reports.popFirst() {
      do throws(FrameError) {
        switch report.kind {
        case .result, .finished:
          try WorkerFrame.encode(report, into: &output)
          if report.hasValue { report.value.deallocate() }
          if report.kind == .finished { letGo() }
        case .roomReturned:
          try StoreFrame.encode(
            WorkerFrame.roomReturned, report.value.key, from: WorkerFrame.nobody,
            to: WorkerFrame.nobody, into: &output)
        case .roomWanted, .loanReturned, .started, .abandoned, .lost:
          preconditionFailure("a report of a node's side in a worker process")
        }
      } catch {
        fail("\(error)")
      }
    }
    worker.reports.release()
  }

  private func letGo() {
    guard let task = current else { return }
    task.arguments?.deallocate()
    current = nil
    // A request may have come too late.
    worker.cancellation.forget { !WorkerFrame.isLater($0, than: task.task) }
  }

  func flush() {
    if output.isEmpty { return }
    do {
      try Self.send(output.bytes, to: descriptor)
    } catch {
      // Nobody is there to hear of it.
      _exit(0)
    }
    output.removeAll()
  }

  /// Sends all, waiting as long as the other side does not read.
  static func send(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws {
    var sent = 0
    while sent < bytes.count {
      let count = Glibc.send(
        descriptor, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      if count < 0 {
        if errno == EINTR { continue }
        throw WorkerProcessError("its node is gone: \(errorText(errno))")
      }
      sent += count
    }
  }

  // MARK: From the node

  /// Reads what is there and sorts it; true when there was anything. Runs nothing.
  private func receive() -> Bool {
    var any = false
    while true {
      sort()
      let count = recv(
        descriptor, input.baseAddress! + filled, input.count - filled, Int32(MSG_DONTWAIT))
      if count > 0 {
        filled += count
        any = true
        if filled < input.count {
          sort()
          return true
        }
        continue
      }
      if count == 0 || (errno != EAGAIN && errno != EINTR) { _exit(0) }
      return any
    }
  }

  /// Takes whole frames from the input.
  private func sort() {
    var start = 0
    do throws(FrameError) {
      while filled - start >= FrameHeader.byteCount {
        let rest = UnsafeRawBufferPointer(rebasing: input[start..<filled])
        guard let length = try FrameHeader.frameLength(in: rest, limit: Int(Int32.max))
        else { break }
        if length > rest.count {
          if length > input.count { grow(to: length) }
          break
        }
        try take(UnsafeRawBufferPointer(rebasing: input[start..<(start + length)]))
        start += length
      }
    } catch {
      fail("its node sent \(error)")
    }
    if start == 0 { return }
    if filled > start {
      memmove(input.baseAddress!, input.baseAddress! + start, filled - start)
    }
    filled -= start
  }

  private func grow(to count: Int) {
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<filled]))
    input.deallocate()
    input = larger
  }

  private func take(_ frame: UnsafeRawBufferPointer) throws(FrameError) {
    switch frame[4] {
    case WorkerFrame.task:
      let (command, isCancelled) = try WorkerFrame.decode(task: frame, segment)
      if isCancelled { worker.cancellation.request(command.task, isRecursive: false) }
      tasks.append(command)
    case WorkerFrame.roomGranted:
      let (key, offset, _) = try StoreFrame.decode(frame)
      grant = (key, offset)
    default:
      // Without a program it is meant for one that has ended.
      try client.client?.receive(frame)
    }
  }

  // MARK: Large results

  /// Asks the node for room and waits for it.
  private func room(_ byteCount: Int) -> StoredValue? {
    grant = nil
    do throws(FrameError) {
      try StoreFrame.encode(
        WorkerFrame.roomWanted, UInt64(byteCount), from: WorkerFrame.nobody,
        to: WorkerFrame.nobody, into: &output)
    } catch {
      fail("\(error)")
    }
    flush()
    while grant == nil {
      var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      _ = poll(&polled, 1, -1)
      _ = receive()
    }
    guard let (key, offset) = grant, key != StoreFrame.denied,
      byteCount <= segment.byteCount, offset <= UInt64(segment.byteCount - byteCount)
    else { return nil }
    return StoredValue(.segment, at: segment.base + Int(offset), count: byteCount, key: key)
  }

  private func fail(_ text: String) -> Never {
    var line = "error: worker process \(getpid()): \(text)\n"
    line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    _exit(1)
  }
}
