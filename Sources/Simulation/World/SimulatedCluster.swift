import Primitives
import Recording
import RuntimeCore
import Scheduling

/// A simulated cluster: the machines of `RuntimeCore` in virtual time.
///
/// The application calls it as a driver would (`submit`, `get`, `put`, …); a call costs the driver's
/// process time (`ClientCosts`), so virtual time passes for that driver only.
public final class SimulatedCluster {
  private let fabric: UnsafeMutablePointer<Fabric>
  public let configuration: ClusterConfiguration
  /// All task specifications of the run.
  public let specs: TaskSpecTable

  /// Hears of every step in the life of tasks and objects, with `Parameters.recordsTransitions`.
  public var onTransition: ((Transition, Instant) -> Void)?

  /// - Parameters:
  ///   - isChecked: checks the machines' invariants after every event: slow, for tests.
  ///   - recording: where everything that the machines hear is written down.
  public init(
    _ configuration: ClusterConfiguration, isChecked: Bool = false,
    recording: (any RecordingOutput)? = nil
  ) {
    self.configuration = configuration
    fabric = .allocate(capacity: 1)
    fabric.initialize(to: Fabric(configuration, isChecked: isChecked))
    specs = fabric.pointee.specs
    if let recording { fabric.pointee.startRecording(to: recording) }
    for node in 0..<configuration.nodes.count {
      fabric.pointee.count(nodes: configuration.nodes.count, at: NodeID(node))
      fabric.pointee.recorder?.pointee.started(.raylet(NodeID(node)), at: .zero)
      fabric.pointee.raylets[node].start(at: .zero, into: &fabric.pointee.effects)
      fabric.pointee.perform(from: .raylet(NodeID(node)), at: .zero)
    }
  }

  /// What has been recorded is handed on; nothing may happen after that.
  public func endRecording() { fabric.pointee.recorder?.pointee.finish() }

  deinit {
    endRecording()
    fabric.deinitialize(count: 1)
    fabric.deallocate()
  }

  // MARK: Running

  /// Runs until the application is finished, nothing more can happen, or a limit is reached.
  public func run(
    _ application: any Application, until limit: Instant = .never,
    maximumEvents: UInt64 = .max
  ) -> RunEnd {
    application.start(on: self)
    return resume(application, until: limit, maximumEvents: maximumEvents)
  }

  /// Goes on with a run that a limit stopped.
  public func resume(
    _ application: any Application, until limit: Instant = .never,
    maximumEvents: UInt64 = .max
  ) -> RunEnd {
    deliver(to: application)
    while !application.isFinished {
      if fabric.pointee.foreground == 0 { return .stalled }
      guard fabric.pointee.run(until: limit, maximumEvents: maximumEvents) else { return .limited }
      deliver(to: application)
    }
    return .finished
  }

  private func deliver(to application: any Application) {
    var next = 0
    while next < fabric.pointee.notifications.count {
      let notification = fabric.pointee.notifications[next]
      next += 1
      switch notification {
      case .resultArrived(let object, let status, let driver):
        application.resultArrived(object, status, at: Int(driver))
      case .requestEnded(let request, let outcome, let driver):
        application.requestEnded(request, outcome, at: Int(driver))
      case .computing(let task, let worker, let node, let end):
        let status = application.compute(task)
        fabric.pointee.computed(task, worker, node, status, at: end)
      case .programStarted(let task, let worker, let node, let driver):
        application.programStarted(task, on: worker, of: node, at: Int(driver))
      case .cancellationRequested(let task, let isRecursive):
        application.cancellationRequested(task, isRecursive: isRecursive)
      case .actorEnded(let creation): application.actorEnded(creation)
      case .recorded(let transition, let moment):
        onTransition?(transition, moment)
      }
    }
    fabric.pointee.notifications.removeAll()
  }

  // MARK: What a driver does

  /// Adds a driver program on a node; its number is the answer.
  public func addDriver(on node: NodeID) -> Int {
    // Numbers of programs that ended are used again; identities are not.
    let root = specs.insert(
      TaskSpec(
        id: .root(driver: Int(fabric.pointee.driverIncarnations), seed: configuration.seed),
        function: FunctionID(0),
        shape: specs.shape(.zero), returns: 0, kind: .driver))
    return fabric.pointee.addDriver(node: node, worker: .none, root: root)
  }

  /// The driver's own moment: it may be ahead of the cluster's clock while its calls take time.
  public func now(of driver: Int) -> Instant {
    max(fabric.pointee.busyUntil(.driver(driver)), fabric.pointee.clock)
  }

  /// The driver computes for `span`: nothing else happens in its process meanwhile.
  public func compute(_ span: TimeSpan, at driver: Int) {
    _ = fabric.pointee.occupy(.driver(driver), for: span)
  }

  /// The specification of a new task of this driver, to be completed and submitted.
  public func newTask(
    of driver: Int, function: FunctionID, shape: UInt16, kind: TaskKind = .task
  ) -> TaskSpec {
    var spec = TaskSpec(
      id: machine(driver).pointee.nextTaskID(), function: function, shape: shape, kind: kind,
      submitter: Address.driver(driver).raw)
    spec.caller = machine(driver).pointee.rootID.word
    return spec
  }

  /// The number of this driver's next call on an actor.
  public func nextCall(on actor: TaskHandle, of driver: Int) -> UInt32 {
    machine(driver).pointee.nextCall(on: actor)
  }

  /// Submits a task; see `Driver.submit` for `wanted`. The answer is valid until its objects are
  /// freed.
  @discardableResult
  public func submit(
    _ spec: TaskSpec, arguments: UnsafeBufferPointer<ObjectHandle> = .init(start: nil, count: 0),
    wanted: Bool = false, at driver: Int
  ) -> TaskHandle {
    submit(specs.insert(spec, arguments: arguments), wanted: wanted, at: driver)
  }

  /// Submits a task like `model`, which lasts `work` and takes no arguments, with the next identity of
  /// this driver: for programs of very many tasks.
  @discardableResult
  public func submit(
    like model: UnsafePointer<TaskSpec>, work: TimeSpan, wanted: Bool = false, at driver: Int
  ) -> TaskHandle {
    let machine = machine(driver)
    let task = specs.insert(
      like: model, id: machine.pointee.nextTaskID(), work: work,
      submitter: Address.driver(driver).raw, caller: machine.pointee.rootID.word)
    return submit(task, wanted: wanted, at: driver)
  }

  @inline(__always)
  private func submit(_ task: TaskHandle, wanted: Bool, at driver: Int) -> TaskHandle {
    let now = fabric.pointee.occupy(.driver(driver), for: configuration.client.submit)
    let notice = wanted ? ResultNotice.localCopy : configuration.resultNotice
    fabric.pointee.recorder?.pointee.submitted(task, notice: notice, by: .driver(driver), at: now)
    machine(driver).pointee.submit(task, notice: notice, into: &fabric.pointee.effects)
    fabric.pointee.perform(from: .driver(driver), at: now)
    return task
  }

  public func put(_ size: ByteCount, at driver: Int) -> ObjectHandle {
    let now = fabric.pointee.occupy(.driver(driver), for: configuration.client.put(size))
    fabric.pointee.recorder?.pointee.put(size, by: .driver(driver), at: now)
    let object = machine(driver).pointee.put(size, into: &fabric.pointee.effects)
    fabric.pointee.perform(from: .driver(driver), at: now)
    return object
  }

  public func register(_ function: FunctionID, at driver: Int) {
    let now = fabric.pointee.occupy(.driver(driver), for: configuration.client.call)
    fabric.pointee.recorder?.pointee.registered(function, by: .driver(driver), at: now)
    machine(driver).pointee.register(function, fabric.pointee.map, into: &fabric.pointee.effects)
    fabric.pointee.perform(from: .driver(driver), at: now)
  }

  /// Starts a `get` (all objects, ends early at an error) or a `wait` (`needed` of them); its end is
  /// reported by `Application.requestEnded`.
  public func request(
    _ objects: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool = true,
    timeout: TimeSpan? = nil, at driver: Int
  ) -> RequestID {
    let now = fabric.pointee.occupy(.driver(driver), for: configuration.client.call)
    fabric.pointee.recorder?.pointee.requested(
      objects, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout, by: .driver(driver),
      at: now)
    let id = machine(driver).pointee.request(
      objects, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout, at: now,
      into: &fabric.pointee.effects)
    fabric.pointee.perform(from: .driver(driver), at: now)
    return id
  }

  /// Ends a request, unless it has ended, as if its time limit had passed now: the program waits
  /// for it no longer.
  public func giveUp(_ request: RequestID, at driver: Int) {
    guard let deadline = machine(driver).pointee.deadline(of: request) else { return }
    fabric.pointee.push(
      .timerFired(deadline), to: .driver(driver), from: .driver(driver), at: now(of: driver))
  }

  /// See `Driver.cancel`.
  public func cancel(_ task: TaskHandle, isRecursive: Bool, at driver: Int) {
    let now = fabric.pointee.occupy(.driver(driver), for: configuration.client.call)
    fabric.pointee.recorder?.pointee.cancelled(
      task, isRecursive: isRecursive, by: .driver(driver), at: now)
    machine(driver).pointee.cancel(task, isRecursive: isRecursive, into: &fabric.pointee.effects)
    fabric.pointee.perform(from: .driver(driver), at: now)
  }

  /// Cancels what a program had submitted that was cancelled itself: see `Driver.openChildren`.
  public func cancelChildren(at driver: Int) {
    for task in machine(driver).pointee.openChildren {
      cancel(task, isRecursive: true, at: driver)
    }
  }

  public func status(_ object: ObjectHandle, at driver: Int) -> ObjectStatus? {
    machine(driver).pointee.status(object)
  }

  /// See `Driver.free`: gathered, and sent in batches.
  public func free(_ object: ObjectHandle, at driver: Int) {
    fabric.pointee.recorder?.pointee.freed(object, by: .driver(driver), at: now(of: driver))
    machine(driver).pointee.free(object, into: &fabric.pointee.effects)
    if !fabric.pointee.effects.isEmpty {
      fabric.pointee.perform(from: .driver(driver), at: now(of: driver))
    }
  }

  /// Sends what `free` has gathered.
  public func flushFreed(at driver: Int) {
    fabric.pointee.recorder?.pointee.flushed(by: .driver(driver), at: now(of: driver))
    machine(driver).pointee.flush(into: &fabric.pointee.effects)
    fabric.pointee.perform(from: .driver(driver), at: now(of: driver))
  }

  /// A program task has ended on its worker.
  public func endProgram(
    _ task: TaskHandle, on worker: WorkerID, of node: NodeID, status: ObjectStatus, at driver: Int
  ) {
    flushFreed(at: driver)
    // After everything that the program sent to its raylet.
    let end = now(of: driver) + configuration.worker.finish + configuration.localLatency
    fabric.pointee.push(
      .taskFinished(task, worker, status), to: .raylet(node), from: .raylet(node), at: end)
    fabric.pointee.removeDriver(driver)
  }

  /// The process of a driver program ends, whatever it was doing, and its job with it: see
  /// `Message.driverLost`. The run's table keeps the names of what it had not freed.
  public func endDriver(_ driver: Int) {
    let job = specs[machine(driver).pointee.root].id.job
    let raylet = Address.raylet(node(of: driver))
    fabric.pointee.push(
      .driverLost(.driver(driver), job), to: raylet, from: raylet,
      at: now(of: driver) + configuration.localLatency)
    fabric.pointee.removeDriver(driver, isReused: false)
  }

  private func machine(_ driver: Int) -> UnsafeMutablePointer<Driver> {
    fabric.pointee.drivers[driver]!
  }

  public func node(of driver: Int) -> NodeID { machine(driver).pointee.node }

  // MARK: Looking in

  /// The time of the last event.
  public var clock: Instant { fabric.pointee.clock }
  public var eventCount: UInt64 { fabric.pointee.eventCount }

  /// A hash over time, source, target and kind of every event: equal runs have equal fingerprints.
  public var fingerprint: UInt64 { mix64(fabric.pointee.fingerprint) }

  /// Sees every message at its arrival: (arrival, source, target, message).
  public func observe(_ observer: @escaping (Instant, Address, Address, Message) -> Void) {
    fabric.pointee.observer = observer
  }

  public var infeasibleTasks: [TaskHandle] {
    (0..<configuration.parameters.globalSchedulers).flatMap {
      fabric.pointee.schedulers[$0].infeasibleTasks
    }
  }

  public func queueLength(of node: NodeID) -> Int {
    fabric.pointee.raylets[Int(node.index)].queueLength
  }
  public func storedBytes(of node: NodeID) -> ByteCount {
    fabric.pointee.raylets[Int(node.index)].storedBytes
  }
  public func available(of node: NodeID) -> ResourceVector {
    fabric.pointee.raylets[Int(node.index)].availableResources
  }
  public func isQuiescent(_ node: NodeID) -> Bool {
    fabric.pointee.raylets[Int(node.index)].isQuiescent
  }

  /// Applied updates, and updates under way, of a member of a shard's chain.
  public func chainState(shard: Int, member: Int) -> (
    applied: UInt32, sent: Int, tasks: Int, objects: Int
  ) {
    let index = shard * configuration.parameters.chainLength + member
    return (
      fabric.pointee.replicas[index].history.value, fabric.pointee.replicas[index].sentCount,
      fabric.pointee.replicas[index].taskCount, fabric.pointee.replicas[index].objectCount
    )
  }

  /// Bytes of heap that the simulator holds for machines, tables and events.
  public var memoryBytes: Int {
    var sum = specs.memoryBytes + fabric.pointee.payloads.memoryBytes
    sum += fabric.pointee.queue.memoryBytes
    for i in 0..<configuration.nodes.count { sum += fabric.pointee.raylets[i].memoryBytes }
    for i in 0..<configuration.parameters.globalSchedulers {
      sum += fabric.pointee.schedulers[i].memoryBytes
    }
    for i in 0..<fabric.pointee.replicaCount { sum += fabric.pointee.replicas[i].memoryBytes }
    for i in 0..<fabric.pointee.driverCount {
      if let driver = fabric.pointee.drivers[i] { sum += driver.pointee.memoryBytes }
    }
    return sum
  }
}
