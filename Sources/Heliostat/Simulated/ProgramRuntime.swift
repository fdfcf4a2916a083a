import Primitives
import RealWorld
import RuntimeCore
import Simulation

/// Runs programs — Swift `async` code against `Session` — on a simulated cluster.
///
/// The values of objects live here, beside the cluster, which models only their sizes.
public final class ProgramRuntime: Application, @unchecked Sendable {
  /// A program: the body of a driver.
  public typealias Program = @Sendable (Session) async throws -> Void

  private struct RequestKey: Hashable {
    var driver: Int
    var request: RequestID
  }

  private let program: Program
  private let announcesLibrary: Bool
  private let driverNode: NodeID
  let executor = DeterministicExecutor()
  var cluster: SimulatedCluster!
  private var continuations: [RequestKey: UnsafeContinuation<RequestOutcome, Never>] = [:]
  /// What can run here.
  public let library: FunctionLibrary
  let table = Backend.nextTable()
  /// Names by function number; 0 is the driver itself.
  public var functionNames: [String] { library.names }
  private var arguments: [UInt32: [StoredArgument]] = [:]
  private var values: [UInt64: any Sendable] = [:]
  private var failures: [UInt64: String] = [:]
  private var freed: Set<UInt64> = []
  private var actors: [UInt32: ActorState] = [:]
  private var outcome: Result<Void, any Error>?
  /// Programs that are tasks and run, by task, with their drivers.
  private var running: [UInt32: (program: Task<Void, Never>, driver: Int)] = [:]
  private var cancelled: Set<UInt32> = []

  /// - Parameters:
  ///   - library: functions registered beforehand; a program may add to them.
  ///   - announcesLibrary: the driver tells the cluster of them when it starts; without it, the
  ///     program does so by `Session.announce` when it likes.
  public init(
    driverNode: NodeID, library: FunctionLibrary = FunctionLibrary(),
    announcesLibrary: Bool = true, program: @escaping Program
  ) {
    self.driverNode = driverNode
    self.library = library
    self.announcesLibrary = announcesLibrary
    self.program = program
  }

  /// The error that the program threw, if it ended with one.
  public var error: (any Error)? {
    if case .failure(let error) = outcome { return error }
    return nil
  }

  // MARK: Application

  public var isFinished: Bool { outcome != nil }

  public func start(on cluster: SimulatedCluster) {
    self.cluster = cluster
    let driver = cluster.addDriver(on: driverNode)
    let session = Session(SimulatedBackend(self, driver: driver))
    if announcesLibrary {
      for number in 1..<library.names.count { cluster.register(FunctionID(number), at: driver) }
    }
    let program = program
    launch {
      do {
        try await program(session)
        session.flush()
        self.outcome = .success(())
      } catch {
        self.outcome = .failure(error)
      }
    }
  }

  private func launch(
    _ body: sending @escaping () async -> Void, started: (Task<Void, Never>) -> Void = { _ in }
  ) {
    let task = Task(executorPreference: executor) {
      await TaskContext.$current.withValue(.simulated) { await body() }
    }
    started(task)
    executor.drain()
  }

  public func cancellationRequested(_ task: TaskHandle, isRecursive: Bool) {
    guard let (program, driver) = running[task.index] else { return }
    cancelled.insert(task.index)
    program.cancel()
    if isRecursive { cluster.cancelChildren(at: driver) }
    executor.drain()
  }

  public func requestEnded(_ request: RequestID, _ outcome: RequestOutcome, at driver: Int) {
    let key = RequestKey(driver: driver, request: request)
    guard let continuation = continuations.removeValue(forKey: key) else { return }
    continuation.resume(returning: outcome)
    executor.drain()
  }

  public func compute(_ task: TaskHandle) -> ObjectStatus {
    var reader = reader(task)
    do {
      switch library.simulatedBody(cluster.specs[task].function) {
      case .modelled, .program: break
      case .function(let body): try storeOnly(try inWorld { try body(&reader) }, for: task)
      case .split(let body):
        let values = try inWorld { try body(&reader) }
        guard
          try ResultCountError.check(
            returned: values.count, asked: Int(cluster.specs[task].returns))
        else { break }
        for (i, value) in values.enumerated() { store(value, for: task, Int32(i)) }
      case .constructor(let body):
        actors[task.index] = try inWorld { try body(&reader) }
        store((), for: task)
      case .method(let body):
        let actor = actors[cluster.specs[task].actor.index]!
        store(try inWorld { try body(actor, &reader) }, for: task)
      }
      return .value
    } catch {
      fail(task, error)
      return .taskFailed
    }
  }

  /// Runs a function so that it knows its world.
  private func inWorld<Result>(_ body: () throws -> Result) rethrows -> Result {
    try TaskContext.$current.withValue(.simulated, operation: body)
  }

  public func actorEnded(_ creation: TaskHandle) { actors[creation.index] = nil }

  public func programStarted(
    _ task: TaskHandle, on worker: WorkerID, of node: NodeID, at driver: Int
  ) {
    guard case .program(let make) = library.simulatedBody(cluster.specs[task].function) else {
      preconditionFailure("task \(task.index) is no program")
    }
    var reader = reader(task)
    let session = Session(SimulatedBackend(self, driver: driver))
    let body = Result { try make(session, &reader) }
    launch {
      var status = ObjectStatus.value
      do {
        try self.storeOnly(try await body.get()(), for: task)
      } catch {
        self.fail(task, error)
        status = self.cancelled.contains(task.index) ? .taskCancelled : .taskFailed
      }
      self.running[task.index] = nil
      self.cancelled.remove(task.index)
      self.cluster.endProgram(task, on: worker, of: node, status: status, at: driver)
    } started: {
      running[task.index] = ($0, driver)
    }
  }

  // MARK: Values

  private func reader(_ task: TaskHandle) -> ArgumentReader {
    let stored = arguments.removeValue(forKey: task.index) ?? []
    return ArgumentReader(stored) { self.values[$0.key] }
  }

  /// Keeps a value, unless the program gave it up before it was made.
  private func store(_ value: any Sendable, for task: TaskHandle, _ index: Int32 = 0) {
    let key = ObjectHandle(producer: task, index: index).key
    if !freed.contains(key) { values[key] = value }
  }

  /// Keeps the only value that a function returns. Those that return nothing do so any number of times.
  private func storeOnly(_ value: any Sendable, for task: TaskHandle) throws {
    let asked = Int(cluster.specs[task].returns)
    if asked != 1 {
      if value is Void { return }
      guard try ResultCountError.check(returned: 1, asked: asked) else { return }
    }
    store(value, for: task)
  }

  private func fail(_ task: TaskHandle, _ error: any Error) {
    let reason = "\(library.name(cluster.specs[task].function)): \(error)"
    for index in 0..<Int32(cluster.specs[task].returns) {
      let key = ObjectHandle(producer: task, index: index).key
      if !freed.contains(key) { failures[key] = reason }
    }
  }

  func value(_ object: ObjectHandle) -> (any Sendable)? { values[object.key] }
  /// Why `object` carries an error: its own task's failure, or the first one among the inputs that
  /// kept the task from running.
  func failure(_ object: ObjectHandle) -> String? {
    if let own = failures[object.key] { return own }
    var seen: Set<UInt64> = [object.key]
    var open = [object]
    while let next = open.popLast() {
      guard next.index >= 0 else { continue }
      let spec = cluster.specs[next.producer]
      var inputs = (0..<spec.argumentCount).map { cluster.specs.argument(next.producer, $0) }
      if spec.kind == .actorMethod {
        inputs.insert(ObjectHandle(producer: spec.actor, index: 0), at: 0)
      }
      for input in inputs {
        if let cause = failures[input.key] { return cause }
      }
      for input in inputs.reversed() where seen.insert(input.key).inserted { open.append(input) }
    }
    return nil
  }
  /// A `put` made `object`, perhaps under the handle of one that an earlier program freed.
  func setValue(_ value: any Sendable, of object: ObjectHandle) {
    freed.remove(object.key)
    values[object.key] = value
  }

  func forget(_ object: ObjectHandle) {
    freed.insert(object.key)
    if values.isEmpty && failures.isEmpty { return }
    values[object.key] = nil
    failures[object.key] = nil
  }
  /// The program gave this object up and no newer one goes by its handle.
  func isFreed(_ object: ObjectHandle) -> Bool { freed.contains(object.key) }

  /// A new task goes by `task`, perhaps the handle of one whose results were freed.
  func submitted(_ task: TaskHandle, returns: Int) {
    arguments[task.index] = nil
    if freed.isEmpty { return }
    for index in 0..<returns {
      freed.remove(ObjectHandle(producer: task, index: Int32(index)).key)
    }
  }

  func setArguments(_ stored: [StoredArgument], of task: TaskHandle) {
    arguments[task.index] = stored
  }

  func wait(
    _ request: RequestID, _ driver: Int, isCancellable: Bool
  ) async -> RequestOutcome {
    let key = RequestKey(driver: driver, request: request)
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuations[key] = $0 }
    } onCancel: {
      if !isCancellable { return }
      executor.expectOwnThread()
      // A program that is itself a task is asked to stop, and its waiting goes on.
      if !wasGivenUp(driver) { cluster.giveUp(request, at: driver) }
    }
  }

  /// Whether the program of this driver is a task that was cancelled (`Session.cancel`).
  func wasGivenUp(_ driver: Int) -> Bool {
    !cancelled.isEmpty
      && running.contains { $0.value.driver == driver && cancelled.contains($0.key) }
  }
}
