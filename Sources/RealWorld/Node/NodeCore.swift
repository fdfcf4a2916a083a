import Primitives
import Recording
import RuntimeCore
import Scheduling
import WireFormat

/// A fact on its way to a machine of this process.
struct Envelope: BitwiseCopyable {
  var message: Message
  var source: Address
  var target: Address
}

/// An order that the shell carries out after the turn's messages.
struct Order: BitwiseCopyable {
  var effect: Effect
  var source: Address
}

/// Which machines live on this node, and where the others are.
public struct NodePlan: Sendable {
  public var node: NodeID
  public var description: NodeDescription
  /// What every node of the cluster has, this one included, in the order of their numbers.
  public var nodes: [ResourceVector]
  /// The same as it is later, for programs of this process.
  public var roster: NodeRoster
  public var parameters: Parameters
  /// The node that the global schedulers live on, and each GCS replica.
  public var head: NodeID
  public var replicaHomes: [NodeID]
  public var spillover: any SpilloverPolicy
  public var placement: any PlacementPolicy
  public var dispatch: any DispatchPolicy
  public var seed: UInt64
  /// The names behind the lanes of every resource vector.
  public var resourceNames = ResourceNames()
  /// Memory of the store that gets its pages ahead in the background while programs of other
  /// processes of this host are connected; at most an eighth of what the machine has left.
  public var storeAhead = ByteCount(1 << 30)
  /// Where objects go that do not fit into memory; must exist.
  public var spillDirectory = ClusterSettings.temporaryDirectory
  /// Where everything that the machines of this node and of its process's programs hear is written
  /// down; nil for nowhere.
  public var recording: (any RecordingOutput)?

  public init(
    node: NodeID, description: NodeDescription, nodes: [ResourceVector], parameters: Parameters,
    head: NodeID, replicaHomes: [NodeID], spillover: any SpilloverPolicy,
    placement: any PlacementPolicy, dispatch: any DispatchPolicy, seed: UInt64
  ) {
    self.node = node
    self.description = description
    self.nodes = nodes
    roster = NodeRoster(nodes)
    self.parameters = parameters
    self.head = head
    self.replicaHomes = replicaHomes
    self.spillover = spillover
    self.placement = placement
    self.dispatch = dispatch
    self.seed = seed
  }
}

/// The machines of one node and everything that happens for each message: one thread's own, without a
/// lock, and plain memory throughout.
///
/// A turn takes what has arrived, lets the machines answer until nothing is left, and then flushes
/// what goes to others. Handles that came by name are held until the end of the turn (`borrowed`).
struct NodeCore: ~Copyable {
  let plan: NodePlan
  let specs: TaskSpecTable
  let payloads: MessagePayloads
  let map: ControlStoreMap
  let raylet: UnsafeMutablePointer<Raylet>
  let rayletAddress: Address
  /// By number; nil for those of other nodes.
  let replicas: UnsafeMutablePointer<UnsafeMutablePointer<ChainReplica>?>
  let replicaCount: Int
  let schedulers: UnsafeMutablePointer<GlobalScheduler>?
  let schedulerCount: Int

  var queue = RingQueue<Envelope>()
  var effects = EffectBuffer<Effect>()
  /// What a GCS member of this node answers to the raylet's message of the moment.
  var replies = EffectBuffer<Effect>()
  var orders = EffectBuffer<Order>()
  var borrowed = EffectBuffer<TaskHandle>()
  /// The moment of this turn.
  var now = MonotonicClock.now
  /// Hears each input and its effects; nil when nothing is recorded.
  var recorder: UnsafeMutablePointer<StreamRecorder>?

  /// Peers by port number; nil at a number that is free.
  var ports: UnsafeMutablePointer<UnsafeMutablePointer<Port>?>
  /// Numbers that were given out: as many as there ever were peers at once.
  var portCount = 0
  /// Numbers of peers that have gone, and of those the ones that may be given out again.
  var closedPorts: [UInt32] = []
  var freePorts: [UInt32] = []
  var portCapacity = 16
  /// Port numbers by address: drivers, and the raylets of other nodes.
  var driverPorts = WordMap<UInt32>()
  var nodePorts = WordMap<UInt32>()

  var values = WordMap<StoredValue>()
  /// The bytes of large objects, in the segment that other processes of this host read.
  var memory: ObjectMemory
  var nextMemoryKey: UInt64 = 0
  /// What is on its way between memory and disk, and who waits for that.
  var disk = DiskWork()
  /// Programs that write into the segment from other processes of this host.
  var programs = 0
  /// Room that was given and not used yet, by memory key: whose it is, by port.
  var grants = WordMap<UInt32>()
  /// Values that clients read in place, by the loan's number.
  var loans = WordMap<Loan>()
  var nextLoan: UInt64 = 0
  /// Tasks that workers were asked to stop and have not ended yet.
  var cancellations = 0
  /// Transfers whose chunks the peer's way cannot take now: they have not left.
  var delayed = RingQueue<DelayedChunk>()
  /// The ways for objects alone, where there are any; goes after the core.
  unowned(unsafe) var bulk: (any BulkCarrier)?
  /// Pushes whose rest is not sent.
  var abandoned: Set<PushID> = []
  /// Objects on their way to this node, by key.
  var arrivals: [UInt64: Arrival] = [:]
  var nextArrival: UInt64 = 0
  var landings = Landings()
  /// Values that are kept in place because they are being sent.
  var sendingPins = 0
  /// By worker number.
  var workers: UnsafeMutablePointer<Unmanaged<Worker>?>
  /// The way to each: beside the worker, so that a task sent there counts no reference.
  var commands: UnsafeMutablePointer<RecordRing<WorkerCommand>?>
  var workerCapacity = 16
  var touchedWorkers = RingQueue<UInt32>()
  /// The arguments of tasks under way, by task.
  var arguments = WordMap<UnsafeMutablePointer<ArgumentBlock>>()
  /// For the shell.
  var news: [NodeNews] = []
  /// What each global scheduler here holds that no node can run, and of which tasks the shell knows.
  var infeasibleCounts: [Int] = []
  var knownInfeasible: Set<UInt64> = []
  /// For the shell: bodies of `MembershipNews` from other nodes.
  var membershipNews: [[UInt8]] = []

  init(_ plan: NodePlan, _ memory: consuming ObjectMemory) {
    self.plan = plan
    self.memory = memory
    let specs = TaskSpecTable.allocate(interning: true)
    let payloads = MessagePayloads.allocate()
    let parameters = plan.parameters
    let map = ControlStoreMap(shards: parameters.gcsShards, chainLength: parameters.chainLength)
    self.specs = specs
    self.payloads = payloads
    self.map = map
    rayletAddress = .raylet(plan.node)
    raylet = .allocate(capacity: 1)
    raylet.initialize(
      to: Raylet(
        node: plan.node, description: plan.description, parameters: parameters, map: map,
        spillover: plan.spillover, dispatch: plan.dispatch, specs: specs, payloads: payloads,
        seed: plan.seed))
    replicaCount = parameters.gcsShards * parameters.chainLength
    precondition(plan.replicaHomes.count == replicaCount, "every GCS replica needs a node")
    replicas = .allocate(capacity: replicaCount)
    replicas.initialize(repeating: nil, count: replicaCount)
    for i in 0..<replicaCount where plan.replicaHomes[i] == plan.node {
      let replica = UnsafeMutablePointer<ChainReplica>.allocate(capacity: 1)
      replica.initialize(
        to: ChainReplica(
          shard: UInt32(i / parameters.chainLength), position: UInt32(i % parameters.chainLength),
          map: map, specs: specs, payloads: payloads))
      replicas[i] = replica
    }
    if plan.head == plan.node {
      schedulerCount = parameters.globalSchedulers
      let schedulers = UnsafeMutablePointer<GlobalScheduler>.allocate(capacity: schedulerCount)
      for i in 0..<schedulerCount {
        (schedulers + i).initialize(
          to: GlobalScheduler(
            number: i, nodes: plan.nodes, parameters: parameters, map: map,
            placement: plan.placement, specs: specs, payloads: payloads, seed: plan.seed))
      }
      self.schedulers = schedulers
    } else {
      schedulers = nil
      schedulerCount = 0
    }
    ports = .allocate(capacity: portCapacity)
    ports.initialize(repeating: nil, count: portCapacity)
    workers = .allocate(capacity: workerCapacity)
    workers.initialize(repeating: nil, count: workerCapacity)
    commands = .allocate(capacity: workerCapacity)
    commands.initialize(repeating: nil, count: workerCapacity)
    if let recording = plan.recording { recorder = makeRecorder(recording) }
  }

  deinit {
    recorder?.pointee.finish()
    recorder?.deinitialize(count: 1).deallocate()
    raylet.deinitialize(count: 1).deallocate()
    for i in 0..<replicaCount { replicas[i]?.deinitialize(count: 1).deallocate() }
    replicas.deallocate()
    schedulers?.deinitialize(count: schedulerCount).deallocate()
    for i in 0..<portCount { ports[i]?.deinitialize(count: 1).deallocate() }
    ports.deallocate()
    for i in 0..<workerCapacity { workers[i]?.release() }
    workers.deallocate()
    commands.deallocate()
    specs.deallocate()
    payloads.deallocate()
  }

  /// What has been recorded is handed on; what happens from now on is not recorded.
  mutating func endRecording() {
    recorder?.pointee.finish()
    recorder?.deinitialize(count: 1).deallocate()
    recorder = nil
  }

  // MARK: Messages

  /// Handles one run of frames from a peer.
  ///
  /// - Throws: `FrameError` at the first frame that cannot be; those before it have been handled.
  mutating func receive(
    _ frames: UnsafeRawBufferPointer, from number: UInt32
  ) throws(FrameError) {
    let port = self.port(number)
    var frames = FrameRun(frames)
    while let frame = try frames.next() {
      if frame[4] >= FrameHeader.firstUpperKind {
        try receiveUpper(frame, from: number, port)
        drain()
        continue
      }
      let header = try FrameHeader(reading: frame)
      var message = try port.pointee.decoder.message(header, frame, borrowing: &borrowed)
      if let client = port.pointee.client {
        try check(message, header, from: client, port.pointee.worker)
      }
      var repeats = header.repeats
      while true {
        handle(Envelope(message: message, source: header.source, target: header.target))
        if repeats == 0 { break }
        repeats -= 1
        prefetchSubmission(after: message)
        message = try port.pointee.decoder.successor(of: message, borrowing: &borrowed)
      }
    }
  }

  /// A program of another process may only say what drivers say, and only for itself.
  func check(
    _ message: Message, _ header: FrameHeader, from client: Address, _ worker: WorkerID?
  ) throws(FrameError) {
    guard header.source == client, header.target == rayletAddress else {
      throw FrameError(
        .notAllowed, "source", found: UInt64(header.source.raw), expected: UInt64(client.raw))
    }
    switch message {
    case .taskSubmitted, .objectWanted, .objectPut, .referencesFreed, .polled,
      .cancellationRequested:
      return
    default:
      if isAllowed(message, of: worker) { return }
      throw FrameError(
        .notAllowed, "message of a driver", found: UInt64(message.kind.rawValue),
        expected: 0)
    }
  }

  /// Lets a machine of this process hear a fact, and then all that follows here.
  @inline(__always)
  mutating func handle(_ envelope: Envelope) {
    step(envelope)
    drain()
  }

  /// Lets the raylet of this node hear what its workers did, and then all that follows here.
  @inline(__always)
  mutating func tell(_ message: Message) {
    if recorder != nil {
      record(Envelope(message: message, source: rayletAddress, target: rayletAddress))
    }
    raylet.pointee.receive(message, from: rayletAddress, at: now, into: &effects)
    perform(from: rayletAddress)
    drain()
  }

  /// Lets the machines of this process answer each other until nothing is left.
  @inline(__always)
  mutating func drain() { while let next = queue.popFirst() { step(next) } }

  mutating func step(_ envelope: Envelope) {
    if recorder != nil { record(envelope) }
    let number = envelope.target.number
    switch envelope.target.role {
    case .raylet:
      if number == rayletAddress.number {
        raylet.pointee.receive(
          envelope.message, from: envelope.source, at: now, into: &effects)
      } else {
        send(envelope.message, to: envelope.target, from: envelope.source)
      }
    case .replica:
      if let replica = replicas[number] {
        replica.pointee.receive(
          envelope.message, from: envelope.source, at: now, into: &effects)
      } else {
        send(envelope.message, to: envelope.target, from: envelope.source)
      }
    case .globalScheduler:
      if let schedulers {
        schedulers[number].receive(
          envelope.message, from: envelope.source, at: now, into: &effects)
        let known = number < infeasibleCounts.count ? infeasibleCounts[number] : 0
        if schedulers[number].infeasibleCount != known { noteInfeasible(number) }
      } else {
        send(envelope.message, to: envelope.target, from: envelope.source)
      }
    case .driver:
      send(envelope.message, to: envelope.target, from: envelope.source)
    }
    perform(from: envelope.target)
  }

  mutating func start() {
    recorder?.pointee.started(rayletAddress, at: now)
    raylet.pointee.start(at: now, into: &effects)
    perform(from: rayletAddress)
    drain()
  }

  /// Carries out what a machine ordered.
  @inline(__always)
  mutating func perform(from source: Address) {
    if effects.count > 0 || recorder != nil { performAll(from: source) }
  }

  @inline(never)
  private mutating func performAll(from source: Address) {
    recorder?.pointee.caused(effects)
    for i in 0..<effects.count {
      switch effects[i] {
      case .send(let message, let target):
        if target.role == .replica && source == rayletAddress,
          let replica = replicas[target.number]
        {
          // Half of all messages: they need no place in the queue, for none of this way is there.
          if recorder != nil { record(Envelope(message: message, source: source, target: target)) }
          replica.pointee.receive(message, from: source, at: now, into: &replies)
          recorder?.pointee.caused(replies)
          passOnReplies(of: target)
        } else {
          pass(message, from: source, to: target)
        }
      case .execute(let task, let worker): execute(task, on: worker)
      case .drop(let object): drop(object)
      default: performRare(effects[i], from: source)
      }
    }
    effects.removeAll()
  }

  /// What few tasks need.
  @inline(never)
  private mutating func performRare(_ effect: Effect, from source: Address) {
    switch effect {
    case .spill(let object): spill(object)
    case .restore(let object, let slot, _): restore(object, slot)
    case .endActor(_, let worker): endActor(on: worker)
    case .cancel(let task, let worker, let isRecursive):
      cancel(task, on: worker, isRecursive: isRecursive)
    case .transfer(let transfer): send(transfer)
    case .inheritError(let task, let source): inheritError(task, from: source)
    default: orders.append(Order(effect: effect, source: source))
    }
  }

  @inline(__always)
  mutating func passOnReplies(of replica: Address) {
    for i in 0..<replies.count {
      // A GCS member orders messages and nothing else.
      guard case .send(let message, let target) = replies[i] else { continue }
      pass(message, from: replica, to: target)
    }
    replies.removeAll()
  }

  @inline(__always)
  mutating func pass(_ message: Message, from source: Address, to target: Address) {
    if isHere(target) {
      queue.append(Envelope(message: message, source: source, target: target))
    } else {
      send(message, to: target, from: source)
    }
  }

  @inline(__always)
  func isHere(_ target: Address) -> Bool {
    switch target.role {
    case .raylet: target == rayletAddress
    case .replica: replicas[target.number] != nil
    case .globalScheduler: schedulers != nil
    case .driver: false
    }
  }

  // MARK: Turns

  /// Sends everything on its way; true when nothing is left behind.
  mutating func flush() -> Bool {
    if disk.isDirty { serveWishes() }
    while let index = touchedWorkers.popFirst() {
      workers[Int(index)]?._withUnsafeGuaranteedRef { $0.publish() }
    }
    for i in 0..<borrowed.count { specs.release(borrowed[i]) }
    borrowed.removeAll()
    var isDone = true
    for i in 0..<portCount {
      guard let port = ports[i], !port.pointee.writer.isEmpty else { continue }
      if !port.pointee.flush() { isDone = false }
    }
    if !delayed.isEmpty { releaseDelayed() }
    if !closedPorts.isEmpty { freeClosedPorts() }
    return isDone
  }
}
