import Primitives
import Scheduling

/// What one node is made of.
public struct NodeDescription: Sendable, Equatable {
  public var resources: ResourceVector
  public var store: ByteCount

  public init(resources: ResourceVector, store: ByteCount) {
    self.resources = resources
    self.store = store
  }
}

/// The daemon of one node: local scheduler and object manager (OSDI'18 §4.2, Fig 5 and 6).
///
/// Life of a task here:
///
///     submitted ──keep──► waiting for inputs ──► ready ──► running ⇄ blocked ──► finished
///         │ escalate          ▲                  │
///         ▼                   │ placed           └ an input carries an error ──► finished
///     global scheduler ───────┘
///
/// Invariants: what is available and what is held sum to what the node has; no task runs before all
/// its inputs are in the local store and pinned; a task is in one queue only. `checkInvariants` checks
/// the bounds that follow for resources and counts, and the store's bookkeeping.
///
/// It holds no lock, reads no clock and talks to nobody: see ARCHITECTURE.md, "The seam". It does
/// not yet recover from the loss of a node or a worker: what they had ends with an error. Attempts and
/// epochs are carried for recovery.
public struct Raylet: ~Copyable {
  enum Timer {
    /// Drivers use slot numbers as purposes: this one is none.
    static let heartbeat = UInt32.max
    static let free: UInt32 = 1
  }

  // First what nearly every message touches: a raylet spans some twenty cache lines, and what
  // lies together is fetched together.
  public let node: NodeID
  let youngestFirst: Bool
  let records: Bool
  /// A timer will report the freed objects.
  var isReportingFreed = false
  /// A job has ended: what comes must be looked at.
  var knowsEndedJobs = false
  /// This node will leave; see `Raylet+Draining.swift`.
  var isDraining = false
  /// Actors hold resources for life; see `heldForLife`.
  private(set) var holdsForLife = false
  let map: ControlStoreMap
  let specs: TaskSpecTable
  let payloads: MessagePayloads
  let cpuCount: Int
  var waitingCount = 0
  /// Completions that the GCS has not yet committed.
  var uncommitted = 0
  var arrivals: UInt32 = 0
  var averageTaskSeconds: Double
  /// Other nodes that take part in the cluster.
  var peers = 0
  /// How many tasks a worker may have before it; see `Parameters.pipelineTime`.
  var pipelineDepth = 1
  /// No worker takes a further task until one has finished.
  var pipelinesAreFull = false
  /// What tasks can ever get here: what the node has, but for what actors hold for life or have been
  /// promised.
  private(set) var assignable: ResourceVector
  var available: ResourceVector { didSet { ready.resourcesChanged() } }
  let spillover: any SpilloverPolicy
  var ready = ReadyQueues()
  var tasks = SlotTable<LocalTask>()
  var workers = WorkerPool()
  var store: ObjectStore
  var dependencies = DependencyManager()
  /// Freed objects not yet reported, a batch for each shard.
  var freed: UnsafeMutablePointer<Batch>

  let parameters: Parameters
  let total: ResourceVector
  var random: RandomStream
  var gpus: GPUInstances
  var actors = ActorTable()
  /// Where actors of other nodes live, by creation task; `none` while the GCS is asked.
  var actorNodes = WordMap<NodeID>()
  var methodsAwaitingActor = RingQueue<TaskHandle>()
  /// Methods that went to actors of other nodes and are not known to have ended, each with a reference.
  var sentMethods = WordMap<NodeID>()
  /// Nodes that have ended; few, and searched only on the way to another node.
  var lostNodes: [NodeID] = []
  var endedJobs = EndedJobs()
  /// Methods in `methodsAwaitingActor` that were cancelled, and whether recursively.
  var cancelledMethods = WordMap<Bool>()
  /// What actors hold, those that are yet to be constructed included.
  var heldForLife = ResourceVector.zero {
    didSet {
      holdsForLife = !heldForLife.isZero
      assignable = total - heldForLife
    }
  }
  var handover = Handover()
  var pulls: PullManager
  var pushes = PushManager()
  var averageBandwidth: Double
  var placements: UnsafeMutablePointer<UInt64>

  public init(
    node: NodeID, description: NodeDescription, parameters: Parameters, map: ControlStoreMap,
    spillover: any SpilloverPolicy, dispatch: any DispatchPolicy, specs: TaskSpecTable,
    payloads: MessagePayloads, seed: UInt64
  ) {
    self.node = node
    var parameters = parameters
    parameters.pipelineLimit = min(parameters.pipelineLimit, WorkerPool.longestQueue)
    parameters.actorPipelineLimit = min(parameters.actorPipelineLimit, WorkerPool.longestQueue)
    self.parameters = parameters
    self.specs = specs
    self.payloads = payloads
    self.map = map
    self.spillover = spillover
    youngestFirst = dispatch.order == .lifo
    records = parameters.recordsTransitions
    random = RandomStream(seed: seed, stream: 0x5241_594C << 32 | UInt64(node.index))
    total = description.resources
    assignable = description.resources
    available = description.resources
    gpus = GPUInstances(count: Int(description.resources.gpuUnits / ResourceVector.unitsPerOne))
    cpuCount = Int(description.resources.cpuUnits / ResourceVector.unitsPerOne)
    store = ObjectStore(capacity: description.store)
    pulls = PullManager(
      quota: ByteCount(description.store.bytes / 100 * UInt64(parameters.pullQuotaPercent)))
    freed = .allocate(capacity: Int(map.shards))
    freed.initialize(repeating: Batch(), count: Int(map.shards))
    averageTaskSeconds = parameters.priorTaskTime.seconds
    averageBandwidth = parameters.priorBandwidth.bytesPerSecond
    placements = .allocate(capacity: parameters.globalSchedulers)
    placements.initialize(repeating: 0, count: parameters.globalSchedulers)
    for _ in 0..<cpuCount { _ = workers.add(isReady: true) }
  }

  deinit {
    freed.deallocate()
    placements.deallocate()
  }

  /// Tasks that wait here, for inputs or for resources.
  public var queueLength: Int { waitingCount + ready.count }
  /// Bytes in the local store's memory.
  public var storedBytes: ByteCount { store.used }
  public var storedObjects: Int { store.count }
  /// Tasks queued or running here.
  public var taskCount: Int { tasks.count }
  public var availableResources: ResourceVector { available }
  /// Actors here, dead ones that are still named included.
  public var actorCount: Int { actors.count }

  /// Whether chunks of this object are expected.
  public func isPulling(_ object: ObjectHandle) -> Bool { pulls.pull(object) != nil }
  /// Whether a task or client of this node waits for it.
  public func awaits(_ object: ObjectHandle) -> Bool { dependencies.interest(object) != nil }
  /// Whether the local store has it.
  public func holds(_ object: ObjectHandle) -> Bool { store.find(object) != nil }

  /// How an object of the local store stands; nil when it is not there.
  public func status(_ object: ObjectHandle) -> ObjectStatus? {
    store.find(object).map { store[$0].status }
  }

  /// Bytes of heap that this raylet holds.
  public var memoryBytes: Int {
    tasks.memoryBytes + workers.memoryBytes + actors.memoryBytes + store.memoryBytes
      + dependencies.memoryBytes + pulls.memoryBytes + pushes.memoryBytes
      + actorNodes.memoryBytes + Int(map.shards) * MemoryLayout<Batch>.stride
  }

  /// The node joins: registers itself, follows the function table, starts its heartbeat.
  public mutating func start(at now: Instant, into effects: inout EffectBuffer<Effect>) {
    effects.append(.send(.nodeRegistered(node), to: map.head(map.systemShard)))
    effects.append(.send(.functionsFollowed, to: map.tail(map.systemShard)))
    sendHeartbeats(into: &effects)
  }

  public mutating func receive(
    _ message: Message, from source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    // What every task brings has a short way: the rest saves and restores many registers.
    switch message {
    case .taskSubmitted(let task, let notice):
      submitted(task, notice, at: now, into: &effects)
    case .taskFinished(let task, let worker, let status):
      finished(task, worker, status, at: now, into: &effects)
    case .writesCommitted(let task):
      specs.release(task)
      uncommitted -= 1
      // Every other reason to start a task was looked at when it came.
      if uncommitted == parameters.uncommittedLimit - 1 { dispatch(at: now, into: &effects) }
    default: receiveOther(message, from: source, at: now, into: &effects)
    }
  }

  @inline(never)
  private mutating func receiveOther(
    _ message: Message, from source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    switch message {
    case .taskPlaced(let task):
      placed(task, by: source, at: now, into: &effects)
    case .objectWanted(let object, let want):
      wanted(object, want, by: source, at: now, into: &effects)
    case .objectPut(let object, let size):
      put(object, size, by: source, at: now, into: &effects)
    case .objectLocated(let object, let holder, let status, let size):
      located(object, holder, size, status, at: now, into: &effects)
    case .objectRequested(let object):
      requested(object, by: source.node, at: now, into: &effects)
    case .objectRefused(let object):
      refused(object, at: now, into: &effects)
    case .chunkArrived(let object, _, let count, let status, let size):
      chunkArrived(object, count, size, status, from: source.node, at: now, into: &effects)
    case .chunkSent(let push):
      chunkSent(push, into: &effects)
    case .referencesFreed(let batch):
      free(batch, at: now, into: &effects)
    case .objectFreed(let object):
      dropFreed(object, at: now, into: &effects)
    case .workerBlocked(let worker):
      blocked(worker, at: now, into: &effects)
    case .workerUnblocked(let worker):
      unblocked(worker)
    case .polled(let token):
      effects.append(.send(.pollAnswered(token), to: source))
    case .objectRestored(let slot):
      restored(slot, at: now, into: &effects)
    case .roomRequested(let size):
      makeRoom(for: size, into: &effects)
    case .objectPinned(let object):
      if let held = store.find(object) { store.pin(held) }
    case .objectUnpinned(let object):
      if let held = store.find(object) { unpin(held, into: &effects) }
    case .workerStarted(let worker):
      workers.started(worker)
      dispatch(at: now, into: &effects)
    case .actorLocated(let creation, let home):
      actorLocated(creation, home, at: now, into: &effects)
    case .workerLost(let worker):
      workerLost(worker, at: now, into: &effects)
    case .nodeLost(let lost):
      nodeLost(lost, at: now, into: &effects)
    case .driverLost(let driver, let job):
      driverLost(driver, job, at: now, into: &effects)
    case .cancellationRequested(let task, let isRecursive):
      cancellationRequested(
        task, isRecursive: isRecursive, by: source, at: now, into: &effects)
    case .jobEnded(let job):
      endJob(job, at: now, into: &effects)
    case .nodeDraining(let leaving):
      if leaving == node { isDraining = true }
    case .objectsDue(let keeper, let count):
      offerObjects(to: keeper, atMost: count, into: &effects)
    case .objectOffered(let object):
      offered(object, by: source.node, at: now, into: &effects)
    case .objectKept(let object, let status):
      kept(object, status, by: source.node)
    case .nodesCounted(let count):
      peers = max(0, Int(count) - 1)
    case .timerFired(let token):
      timerFired(token, at: now, into: &effects)
    case .functionPublished, .locationLost, .locationsListed:
      break
    default:
      preconditionFailure("raylet \(node.index) does not understand \(message.kind) from \(source)")
    }
  }

  // MARK: Heartbeats and timers

  private mutating func timerFired(
    _ token: TimerToken, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    switch token.purpose {
    case Timer.heartbeat:
      sendHeartbeats(into: &effects)
    case Timer.free:
      flushFreed(into: &effects)
    default:
      preconditionFailure("raylet \(node.index): timer with unknown purpose \(token.purpose)")
    }
  }

  private mutating func sendHeartbeats(into effects: inout EffectBuffer<Effect>) {
    for scheduler in 0..<parameters.globalSchedulers {
      sendHeartbeat(to: scheduler, into: &effects)
    }
    effects.append(
      .startTimer(TimerToken(purpose: Timer.heartbeat), after: parameters.heartbeat))
  }

  func sendHeartbeat(to scheduler: Int, into effects: inout EffectBuffer<Effect>) {
    let assignable = assignable
    let free = ResourceVector(lanes: pointwiseMin(available.lanes, assignable.lanes))
    let heartbeat = Heartbeat(
      node: node, total: assignable, available: free, queueLength: UInt32(queueLength),
      placementsReceived: placements[scheduler], averageTaskSeconds: averageTaskSeconds,
      averageBandwidth: averageBandwidth)
    effects.append(
      .send(.heartbeat(payloads.insert(heartbeat)), to: .globalScheduler(scheduler)))
  }

  /// Exponential smoothing, `new = old + weight × (sample − old)`.
  func smoothed(_ average: Double, _ sample: Double) -> Double {
    average + parameters.averageWeight * (sample - average)
  }

  func shard(_ task: TaskHandle) -> UInt32 { map.shard(specs[task].id) }

  /// True for the timers and reports that go on for ever: a world that holds only these is idle.
  public static func isBackground(_ message: Message) -> Bool {
    switch message {
    case .heartbeat: true
    case .timerFired(let token): token.purpose == Timer.heartbeat
    default: false
    }
  }

  /// Slow; for tests and checked runs.
  public func checkInvariants() {
    store.checkInvariants()
    let shown = ResourceVector(lanes: pointwiseMax(available.lanes, .zero))
    ready.checkInvariants(tasks, specs, available: shown, gpus: gpus)
    precondition(
      available.fits(in: total),
      "raylet \(node.index): more is available (\(available.lanes)) than there is (\(total.lanes))")
    precondition(waitingCount >= 0, "raylet \(node.index): \(waitingCount) tasks wait")
  }

  /// At the end of a run that left nothing pending, everything has been given back.
  public var isQuiescent: Bool {
    queueLength == 0 && pushes.count == 0 && pulls.activeCount == 0 && dependencies.count == 0
  }
}
