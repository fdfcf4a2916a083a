import Glibc
import Primitives
import RuntimeCore
import Synchronization

/// A worker as its node sees it: a thread of its process (`ThreadWorker`), or what stands for a process
/// (`ProcessWorker`).
class Worker: @unchecked Sendable {
  final let number: WorkerID
  final let commands: RecordRing<WorkerCommand>
  final let reports: RecordRing<WorkerReport>
  /// What its programs say to the node, and the node's port for that.
  final let clientRing: FrameRing
  final let port: UInt32
  /// Wakes whoever reads the commands.
  private final let wake: @Sendable () -> Void
  fileprivate final let grant = Atomic<Int>(0)
  /// Written by the node before `grant` says so.
  private final var room: StoredValue?
  /// What the worker was asked to stop.
  final let cancellation: CancellationInbox

  /// - Parameters:
  ///   - capacity: how many tasks may be under way to it.
  ///   - isProcess: somebody passes on what it is asked to stop.
  init(
    number: WorkerID, capacity: Int, clientRing: FrameRing, port: UInt32, isProcess: Bool = false,
    wake: @escaping @Sendable () -> Void
  ) {
    self.number = number
    self.clientRing = clientRing
    self.port = port
    self.wake = wake
    cancellation = CancellationInbox(keepsNews: isProcess, wake: wake)
    commands = .allocate(capacity: capacity)
    reports = .allocate(capacity: capacity * 2)
  }

  deinit {
    commands.deallocate()
    reports.deallocate()
  }

  /// Lets the worker see what was appended to `commands`.
  final func publish() { if commands.publish() { wake() } }

  /// Answers a wish for room: where it is, or nil for none.
  final func granted(_ value: StoredValue?) {
    room = value
    grant.store(value == nil ? -1 : 1, ordering: .releasing)
    wake()
  }

  // MARK: The worker's side

  /// Whether the last wish for room has been answered.
  final var hasGrant: Bool { grant.load(ordering: .acquiring) != 0 }

  /// Before a wish.
  final func clearGrant() { grant.store(0, ordering: .relaxed) }

  /// The answer, when there is one: the room, or nil for none.
  final func takeGrant() -> StoredValue?? {
    switch grant.load(ordering: .acquiring) {
    case 0: return nil
    case 1:
      clearGrant()
      return .some(room)
    default:
      clearGrant()
      return .some(nil)
    }
  }
}

/// A worker as a thread: runs what its raylet sends it, in order.
final class ThreadWorker: Worker, Pump, @unchecked Sendable {
  let thread: PumpThread
  private let functions: FunctionTable
  /// Wakes the node that reads the reports.
  private let wakeNode: @Sendable () -> Void
  /// Arguments whose last reader has gone.
  private let returned: ReturnedLoans
  /// The state of the actor that this worker serves.
  private var actor: AnyObject?
  private var results: UnsafeMutablePointer<StoredValue?>
  private var resultCapacity = 16
  private let room: Room
  /// Where its programs speak to the node.
  private let memory: SegmentAccess
  private let address: Address
  private let client: ThreadClient
  /// In a process of its own: how to ask the node for room.
  private let remoteRoom: ((Int) -> StoredValue?)?
  /// The worker reads no further command before its program has ended.
  private(set) var isInProgram = false
  private var isBound = false

  private final class Room: ResultRoom, @unchecked Sendable {
    /// Its owner.
    unowned(unsafe) var worker: ThreadWorker!
    var segment: SharedSegment { worker.memory.segment }
    func reserve(_ byteCount: Int) throws(StoreIsFull) -> StoredValue {
      guard let value = worker.reserve(byteCount) else {
        throw StoreIsFull(asked: ByteCount(UInt64(byteCount)))
      }
      return value
    }
  }

  init(
    number: WorkerID, functions: FunctionTable, capacity: Int,
    wakeNode: @escaping @Sendable () -> Void, thread: PumpThread, client: ThreadClient,
    clientRing: FrameRing, address: Address, port: UInt32, memory: SegmentAccess,
    remoteRoom: ((Int) -> StoredValue?)? = nil
  ) {
    self.memory = memory
    self.thread = thread
    self.client = client
    self.address = address
    self.functions = functions
    self.wakeNode = wakeNode
    self.remoteRoom = remoteRoom
    results = .allocate(capacity: resultCapacity)
    results.initialize(repeating: nil, count: resultCapacity)
    let parker = thread.parker
    returned = ReturnedLoans { parker.wake() }
    room = Room()
    super.init(
      number: number, capacity: capacity, clientRing: clientRing, port: port,
      wake: { parker.wake() })
    room.worker = self
  }

  deinit { results.deallocate() }

  var hasWork: Bool {
    !returned.isEmpty
      || (isInProgram ? client.hasWork || cancellation.hasNews : !commands.isEmpty)
  }

  /// What runs on this thread can ask whether it was cancelled.
  private func bind() {
    isBound = true
    RunningTask.bind(cancellation)
  }

  func pump() -> Bool {
    if !isBound { bind() }
    if !returned.isEmpty { returnLoans() }
    if isInProgram {
      if cancellation.mustReachChildren() { client.client?.cancelChildren() }
      return client.pump()
    }
    var count = 0
    while !isInProgram, let command = commands.popFirst() {
      count += 1
      execute(command)
      // Neither the node nor the submitter waits for a whole batch, which may have no end.
      if count & 63 == 0 {
        commands.release()
        publishReports()
      }
    }
    if count > 0 {
      commands.release()
      publishReports()
    }
    return count > 0
  }

  private func returnLoans() {
    reportLoans()
    publishReports()
  }

  private func reportLoans() {
    for number in returned.take() {
      report(
        WorkerReport(
          task: .none, index: 0, kind: .loanReturned, status: .value, hasValue: false,
          value: StoredValue(.segment, at: nil, count: 0, key: number)))
    }
  }

  private func execute(_ command: WorkerCommand) {
    if command.task == .none {
      actor = nil
      return
    }
    var input = command.arguments?.pointee.input ?? ArgumentBlock.none
    if let block = command.arguments, !block.pointee.loans.isEmpty {
      input.owners = ArgumentOwners(
        block.pointee.loans.map { number in
          number == 0 ? nil : SegmentLoan(number, memory.segment, returned)
        })
    }
    cancellation.current = command.task
    if cancellation.concerns(command.task) {
      finish(command, .taskCancelled)
      return
    }
    let function = functions.body(command.function)
    if Int(command.returns) > resultCapacity { growResults(to: Int(command.returns)) }
    var output = CallOutput(room: room, results: results, count: Int(command.returns))
    do {
      switch function.pointee {
      case .modelled: try model(command, &output)
      case .function(let body): try body(input, &output)
      case .constructor(let body): actor = try body(input)
      case .method(let body):
        guard let actor else { preconditionFailure("a method came before its actor") }
        try body(actor, input, &output)
      case .program(let make):
        start(command, make, input)
        return
      }
      giveUp(&input)
      finish(command, .value)
    } catch {
      giveUp(&input)
      fail(command, error)
    }
  }

  /// The call is over: the node hears of arguments that nobody keeps before it hears of the end, so
  /// that their room can be used from then on.
  private func giveUp(_ input: inout CallInput) {
    if input.owners == nil { return }
    input.owners = nil
    reportLoans()
  }

  private func growResults(to count: Int) {
    results.deallocate()
    results = .allocate(capacity: count)
    results.initialize(repeating: nil, count: count)
    resultCapacity = count
  }

  private func model(_ command: WorkerCommand, _ output: inout CallOutput) throws {
    let begin = MonotonicClock.now
    let size = Int(command.outputSize.bytes)
    for index in 0..<Int(command.returns) {
      // Large ones lie in pages that are zero, or hold what an earlier object left.
      try output.store(index, byteCount: size) { memory in
        if size < StoredValue.segmentThreshold {
          memory.initializeMemory(as: UInt8.self, repeating: 0)
        }
      }
    }
    // Writing its results is part of the task's time.
    ModelledWork.spend(until: begin + command.work)
  }

  private func start(
    _ command: WorkerCommand,
    _ make: @Sendable (Client, CallInput) throws -> FunctionBody.Program, _ input: CallInput
  ) {
    isInProgram = true
    let session = client.begin(command.id, address: address, worker: number)
    let program = Result { try make(session, input) }
    let running = Task(executorPreference: thread) { [self] in
      do {
        let result = try await program.get()()
        ended(command, .success(result))
      } catch {
        ended(command, .failure(error))
      }
    }
    cancellation.begin(running, of: command.task)
  }

  /// The program of `command` has ended.
  private func ended(
    _ command: WorkerCommand, _ result: Result<FunctionBody.ProgramResult, any Error>
  ) {
    client.end()
    isInProgram = false
    cancellation.endProgram()
    var output = CallOutput(room: room, results: results, count: Int(command.returns))
    do {
      try result.get()(&output)
      finish(command, .value)
    } catch {
      fail(command, error)
    }
    publishReports()
  }

  private func finish(_ command: WorkerCommand, _ status: ObjectStatus) {
    var first: StoredValue?
    for index in 0..<Int(command.returns) {
      guard let value = results[index] else { continue }
      results[index] = nil
      if index == 0 {
        first = value
        continue
      }
      report(
        WorkerReport(
          task: command.task, index: Int32(index), kind: .result, status: status, hasValue: true,
          value: value))
    }
    report(
      WorkerReport(
        task: command.task, index: 0, kind: .finished, status: status, hasValue: first != nil,
        value: first ?? StoredValue(.inline, at: nil, count: 0)))
  }

  /// The task threw: each result carries the error, whose text takes the place of the value.
  private func fail(_ command: WorkerCommand, _ error: any Error) {
    for index in 0..<Int(command.returns) {
      guard let value = results[index] else { continue }
      results[index] = nil
      if value.form == .segment {
        report(
          WorkerReport(
            task: .none, index: 0, kind: .roomReturned, status: .value, hasValue: true,
            value: value))
      }
      value.deallocate()
    }
    var status = ObjectStatus.taskFailed
    if error is StoreIsFull || error is StoreError { status = .storeFull }
    if cancellation.concerns(command.task) { status = .taskCancelled }
    var text = "\(functions.name(command.function)): \(error)"
    text.withUTF8 { text in
      let bytes = UnsafeRawBufferPointer(text)
      for index in 0..<Int(command.returns) { results[index] = StoredValue(copying: bytes) }
    }
    finish(command, status)
  }

  private func report(_ report: WorkerReport) {
    while !reports.append(report) {
      publishReports()
      sched_yield()
    }
  }

  private func publishReports() { if reports.publish() { wakeNode() } }

  /// Asks the node for room in shared memory and waits for it.
  private func reserve(_ byteCount: Int) -> StoredValue? {
    if let remoteRoom { return remoteRoom(byteCount) }
    clearGrant()
    report(
      WorkerReport(
        task: .none, index: 0, kind: .roomWanted, status: .value, hasValue: false,
        value: StoredValue(.segment, at: nil, count: byteCount)))
    publishReports()
    while true {
      // Fresh pages are made by the writer.
      if let answer = takeGrant() { return answer }
      thread.parker.park(until: nil) { hasGrant }
    }
  }
}
