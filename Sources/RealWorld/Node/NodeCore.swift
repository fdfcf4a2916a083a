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
  private let schedulers: UnsafeMutablePointer<GlobalScheduler>?
  private let schedulerCount: Int

  var queue = RingQueue<Envelope>()
  private var effects = EffectBuffer<Effect>()
  /// What a GCS member of this node answers to the raylet's message of the moment.
  private var replies = EffectBuffer<Effect>()
  var orders = EffectBuffer<Order>()
  var borrowed = EffectBuffer<TaskHandle>()
  /// The moment of this turn.
  var now = MonotonicClock.now
  /// Hears each input and its effects; nil when nothing is recorded.
  private(set) var recorder: UnsafeMutablePointer<StreamRecorder>?

  /// Peers by port number; nil at a number that is free.
  private(set) var ports: UnsafeMutablePointer<UnsafeMutablePointer<Port>?>
  /// Numbers that were given out: as many as there ever were peers at once.
  private(set) var portCount = 0
  /// Numbers of peers that have gone, and of those the ones that may be given out again.
  private var closedPorts: [UInt32] = []
  private var freePorts: [UInt32] = []
  private var portCapacity = 16
  /// Port numbers by address: drivers, and the raylets of other nodes.
  private var driverPorts = WordMap<UInt32>()
  private var nodePorts = WordMap<UInt32>()

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
  private(set) var workers: UnsafeMutablePointer<Unmanaged<Worker>?>
  /// The way to each: beside the worker, so that a task sent there counts no reference.
  private var commands: UnsafeMutablePointer<RecordRing<WorkerCommand>?>
  private var workerCapacity = 16
  private var touchedWorkers = RingQueue<UInt32>()
  /// The arguments of tasks under way, by task.
  var arguments = WordMap<UnsafeMutablePointer<ArgumentBlock>>()
  /// For the shell, of workers that are processes.
  var workerNews: [WorkerNews] = []
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

  // MARK: Peers

  /// Adds a peer; its number is the answer.
  mutating func addPort(_ port: consuming Port) -> UInt32 {
    let place = UnsafeMutablePointer<Port>.allocate(capacity: 1)
    place.initialize(to: port)
    if let number = freePorts.popLast() {
      ports[Int(number)] = place
      return number
    }
    if portCount == portCapacity {
      let larger = UnsafeMutablePointer<UnsafeMutablePointer<Port>?>.allocate(
        capacity: portCapacity * 2)
      larger.initialize(repeating: nil, count: portCapacity * 2)
      larger.update(from: ports, count: portCapacity)
      ports.deallocate()
      ports = larger
      portCapacity *= 2
    }
    ports[portCount] = place
    portCount += 1
    return UInt32(portCount - 1)
  }

  /// The peer has gone. Its number is another's when the turn has ended and nothing names it.
  mutating func closePort(_ number: UInt32) {
    guard let port = ports[Int(number)], port.pointee.isOpen else { return }
    port.pointee.isOpen = false
    port.pointee.writer.removeAll()
    takeBack(from: number)
    closedPorts.append(number)
  }

  /// Frees the places of peers that have gone. Whoever waits for the disk in the name of one is
  /// answered first, with nothing: the answer must not reach the next one.
  private mutating func freeClosedPorts() {
    var named: [UInt32] = []
    for number in closedPorts {
      if disk.names(number) {
        named.append(number)
        continue
      }
      ports[Int(number)]?.deinitialize(count: 1).deallocate()
      ports[Int(number)] = nil
      freePorts.append(number)
    }
    closedPorts = named
  }

  func port(_ number: UInt32) -> UnsafeMutablePointer<Port> { ports[Int(number)]! }

  mutating func connect(_ address: Address, to port: UInt32) {
    if address.role == .driver {
      driverPorts.set(UInt64(address.raw), port)
    } else {
      nodePorts.set(UInt64(address.number), port)
    }
  }

  mutating func disconnect(_ address: Address) {
    if address.role == .driver {
      driverPorts.remove(UInt64(address.raw))
    } else {
      nodePorts.remove(UInt64(address.number))
    }
  }

  /// The way to another node.
  func controlPort(to node: NodeID) -> UInt32? { nodePorts[UInt64(node.index)] }

  private func portNumber(of target: Address) -> UInt32? {
    switch target.role {
    case .driver: driverPorts[UInt64(target.raw)]
    case .raylet: nodePorts[UInt64(target.number)]
    case .replica: nodePorts[UInt64(plan.replicaHomes[target.number].index)]
    case .globalScheduler: nodePorts[UInt64(plan.head.index)]
    }
  }

  // MARK: Workers

  mutating func setWorker(_ worker: Worker) {
    let index = Int(worker.number.index)
    if index >= workerCapacity {
      let capacity = max(index + 1, workerCapacity * 2)
      let larger = UnsafeMutablePointer<Unmanaged<Worker>?>.allocate(capacity: capacity)
      larger.initialize(repeating: nil, count: capacity)
      larger.update(from: workers, count: workerCapacity)
      workers.deallocate()
      workers = larger
      let rings = UnsafeMutablePointer<RecordRing<WorkerCommand>?>.allocate(capacity: capacity)
      rings.initialize(repeating: nil, count: capacity)
      rings.update(from: commands, count: workerCapacity)
      commands.deallocate()
      commands = rings
      workerCapacity = capacity
    }
    workers[index]?.release()
    workers[index] = .passRetained(worker)
    commands[index] = worker.commands
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
        message = try port.pointee.decoder.successor(of: message, borrowing: &borrowed)
      }
    }
  }

  /// A program of another process may only say what drivers say, and only for itself.
  private func check(
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

  /// Lets the machines of this process answer each other until nothing is left.
  @inline(__always)
  mutating func drain() { while let next = queue.popFirst() { step(next) } }

  private mutating func step(_ envelope: Envelope) {
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
      } else {
        send(envelope.message, to: envelope.target, from: envelope.source)
      }
    case .driver:
      send(envelope.message, to: envelope.target, from: envelope.source)
    }
    perform(from: envelope.target)
  }

  /// So many nodes take part from now on, this one included.
  mutating func count(nodes: Int) {
    handle(
      Envelope(
        message: .nodesCounted(UInt32(nodes)), source: rayletAddress, target: rayletAddress))
  }

  /// A node has gone: machines of this process hear of it.
  mutating func lose(_ node: NodeID) {
    handle(Envelope(message: .nodeLost(node), source: rayletAddress, target: rayletAddress))
    sweepArrivals()
    for i in 0..<schedulerCount {
      handle(
        Envelope(
          message: .nodeLost(node), source: rayletAddress, target: .globalScheduler(i)))
    }
  }

  /// A node will leave: machines of this process hear of it.
  mutating func drain(_ node: NodeID) {
    if node == plan.node {
      handle(Envelope(message: .nodeDraining(node), source: rayletAddress, target: rayletAddress))
    }
    for i in 0..<schedulerCount {
      handle(
        Envelope(
          message: .nodeDraining(node), source: rayletAddress, target: .globalScheduler(i)))
    }
  }

  /// This node leaves, and another one is there to take objects of it.
  mutating func handOver(atMost count: UInt32, to keeper: NodeID) {
    handle(
      Envelope(
        message: .objectsDue(keeper, count), source: rayletAddress, target: rayletAddress))
  }

  /// When the global schedulers of this node last heard of a node; `zero` for never.
  func lastHeartbeat(of node: NodeID) -> Instant { schedulers?[0].lastHeartbeat(of: node) ?? .zero }

  mutating func start() {
    recorder?.pointee.started(rayletAddress, at: now)
    raylet.pointee.start(at: now, into: &effects)
    perform(from: rayletAddress)
    drain()
  }

  /// Carries out what a machine ordered.
  private mutating func perform(from source: Address) {
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
      case .spill(let object): spill(object)
      case .restore(let object, let slot, _): restore(object, slot)
      case .endActor(_, let worker): endActor(on: worker)
      case .cancel(let task, let worker, let isRecursive):
        cancel(task, on: worker, isRecursive: isRecursive)
      case .transfer(let transfer): send(transfer)
      default: orders.append(Order(effect: effects[i], source: source))
      }
    }
    effects.removeAll()
  }

  @inline(__always)
  private mutating func passOnReplies(of replica: Address) {
    for i in 0..<replies.count {
      // A GCS member orders messages and nothing else.
      guard case .send(let message, let target) = replies[i] else { continue }
      pass(message, from: replica, to: target)
    }
    replies.removeAll()
  }

  @inline(__always)
  private mutating func pass(_ message: Message, from source: Address, to target: Address) {
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

  private mutating func send(_ message: Message, to target: Address, from source: Address) {
    guard let number = portNumber(of: target), port(number).pointee.isOpen else {
      dropMessage(message, to: target, from: source)
      return
    }
    let port = port(number)
    do throws(FrameError) {
      if case .objectReady(let object, _) = message, let value = values.pointer(object.key),
        object.index >= 0 || specs[object.producer].id != port.pointee.root
      {
        try announce(value, of: object, from: source, to: target, port)
      } else if case .objectReady(let object, let status) = message, status == .taskFailed,
        let text = cause(of: object)
      {
        try announce(text, of: object, from: source, to: target, port)
      }
      try port.pointee.encoder.encode(
        message, from: source, to: target, into: &port.pointee.writer)
    } catch {
      dropMessage(message, to: target, from: source)
    }
  }

  /// What the task said that failed first among those whose results this one needed.
  private func cause(of object: ObjectHandle) -> UnsafeMutablePointer<StoredValue>? {
    var task = object.producer
    for _ in 0..<64 {
      let count = specs[task].argumentCount
      var next: TaskHandle?
      if specs[task].kind == .actorMethod {
        let creation = ObjectHandle(producer: specs[task].actor, index: 0)
        if raylet.pointee.status(creation) == .taskFailed {
          if let text = values.pointer(creation.key) { return text }
          next = creation.producer
        }
      }
      for i in 0..<count {
        let input = specs.argument(task, i)
        guard raylet.pointee.status(input) == .taskFailed else { continue }
        if let text = values.pointer(input.key) { return text }
        if next == nil { next = input.producer }
      }
      guard let next else { return nil }
      task = next
    }
    return nil
  }

  /// The peer has gone: what the message held is let go.
  private mutating func dropMessage(
    _ message: Message, to target: Address, from source: Address
  ) {
    var writer = FrameWriter()
    var encoder = MessageEncoder(specs: specs, payloads: payloads)
    try? encoder.encode(message, from: source, to: target, into: &writer)
  }

  // MARK: Workers

  @inline(__always)
  private mutating func execute(_ task: TaskHandle, on worker: WorkerID) {
    if disk.isUsed, !canStart(task, on: worker) { return }
    start(task, on: worker)
  }

  mutating func start(_ task: TaskHandle, on worker: WorkerID) {
    let spec = specs[task]
    var command = WorkerCommand(
      task: task, function: spec.function, returns: spec.returns, work: spec.work,
      outputSize: spec.outputSize, arguments: nil, id: spec.id)
    if spec.argumentCount > 0 || spec.valueBytes > 0 {
      command.arguments = gather(task, for: worker)
    }
    if !commands[Int(worker.index)]!.append(command) {
      preconditionFailure("worker \(worker.index) was sent more tasks than it takes")
    }
    touchedWorkers.append(worker.index)
    if spec.body == .program {
      beginProgram(
        spec.id, at: workers[Int(worker.index)]!._withUnsafeGuaranteedRef { $0.port })
    }
  }

  private mutating func cancel(_ task: TaskHandle, on worker: WorkerID, isRecursive: Bool) {
    let isNew = workers[Int(worker.index)]?._withUnsafeGuaranteedRef {
      $0.cancellation.request(task, isRecursive: isRecursive)
    }
    if isNew == true { cancellations += 1 }
  }

  /// The worker lets its actor go, in the order of its commands.
  private mutating func endActor(on worker: WorkerID) {
    guard let ring = commands[Int(worker.index)] else { return }
    precondition(
      ring.append(.endActor), "worker \(worker.index) was sent more tasks than it takes")
    touchedWorkers.append(worker.index)
  }

  /// Another program speaks at this port from now on, with demands numbered anew.
  private func beginProgram(_ root: TaskID, at number: UInt32) {
    let port = port(number)
    port.pointee.root = root
    port.pointee.decoder = MessageDecoder(
      specs: specs, payloads: payloads, bounds: port.pointee.decoder.bounds)
  }

  /// Puts the arguments of a task where its worker reads them.
  private mutating func gather(
    _ task: TaskHandle, for worker: WorkerID
  ) -> UnsafeMutablePointer<ArgumentBlock>? {
    let count = specs[task].argumentCount
    let stride = MemoryLayout<UnsafeRawBufferPointer>.stride
    let head = MemoryLayout<ArgumentBlock>.stride
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: head + count * (stride + StoredValue.inlineLimit + 8), alignment: 16)
    let block = memory.bindMemory(to: ArgumentBlock.self, capacity: 1)
    let spans = (memory + head).bindMemory(to: UnsafeRawBufferPointer.self, capacity: count)
    var copies = memory + head + count * stride
    let numbers = (memory + head + count * (stride + StoredValue.inlineLimit)).bindMemory(
      to: UInt64.self, capacity: count)
    numbers.initialize(repeating: 0, count: count)
    var hasLoans = false
    // A worker process copies what it reads: its raylet keeps the inputs in place while it runs.
    let lends = workers[Int(worker.index)]?._withUnsafeGuaranteedRef { $0 is ThreadWorker } ?? false
    for i in 0..<count {
      let object = specs.argument(task, i)
      guard let value = values.pointer(object.key) else {
        (spans + i).initialize(to: UnsafeRawBufferPointer(start: nil, count: 0))
        continue
      }
      var bytes = value.bytes
      if value.pointee.form == .inline, let base = bytes.baseAddress {
        // The record may move: a small value is copied.
        copies.copyMemory(from: base, byteCount: bytes.count)
        bytes = UnsafeRawBufferPointer(start: copies, count: bytes.count)
        copies += StoredValue.inlineLimit
      } else if value.pointee.form == .segment && lends {
        numbers[i] = lend(value.pointee.key, of: object, to: worker)
        hasLoans = true
      }
      (spans + i).initialize(to: bytes)
    }
    block.initialize(
      to: ArgumentBlock(
        values: specs.valueArguments(task),
        objects: UnsafeBufferPointer(start: spans, count: count),
        loans: UnsafeBufferPointer(start: numbers, count: hasLoans ? count : 0)))
    arguments.set(UInt64(task.index), block)
    return block
  }

  /// Hears what the workers did; true when there was anything.
  mutating func readReports(of worker: Worker) -> Bool {
    var count = 0
    while let report = worker.reports.popFirst() {
      count += 1
      switch report.kind {
      case .finished:
        if specs[report.task].body == .program { drainClient(of: worker) }
        if report.hasValue { keep(report.value, of: report.task, index: 0, report.status) }
        if specs[report.task].argumentCount > 0 || specs[report.task].valueBytes > 0,
          let block = arguments.remove(UInt64(report.task.index))
        {
          block.deallocate()
        }
        if cancellations > 0 && worker.cancellation.forget(report.task) { cancellations -= 1 }
        handle(
          Envelope(
            message: .taskFinished(report.task, worker.number, report.status),
            source: rayletAddress, target: rayletAddress))
      case .result:
        keep(report.value, of: report.task, index: report.index, report.status)
      case .roomWanted: roomWanted(report.value.count, by: worker)
      case .roomReturned: giveBack(report.value)
      case .started, .abandoned, .lost: processReported(report, of: worker)
      case .loanReturned: loanReturned(report.value.key, by: worker.port)
      }
    }
    if count > 0 { worker.reports.release() }
    return count > 0
  }

  /// What a program said last comes before the news that it has ended.
  mutating func drainClient(of worker: Worker) {
    while let run = worker.clientRing.next() {
      do throws(FrameError) {
        try receive(ringRun: run, from: worker.port)
      } catch {
        faulted(worker.port, error)
      }
      worker.clientRing.release()
    }
  }

  private mutating func roomWanted(_ count: Int, by worker: Worker) {
    wish(DiskWork.Wish(asker: .worker(worker.number.index), count: count))
  }

  /// A worker reads an argument in place: the task's time, or as long as something of it lives on.
  private mutating func lend(
    _ key: UInt64, of object: ObjectHandle, to worker: WorkerID
  ) -> UInt64 {
    guard (try? memory.get(key)) != nil,
      let port = workers[Int(worker.index)]?._withUnsafeGuaranteedRef({ $0.port })
    else { return 0 }
    nextLoan += 1
    loans.set(nextLoan, Loan(port: port, object: object, memoryKey: key))
    specs.retain(object.producer)
    queue.append(
      Envelope(message: .objectPinned(object), source: rayletAddress, target: rayletAddress))
    return nextLoan
  }

  func grant(_ value: StoredValue?, toWorker index: UInt32) {
    workers[Int(index)]?._withUnsafeGuaranteedRef { $0.granted(value) }
  }

  private mutating func keep(
    _ value: StoredValue, of task: TaskHandle, index: Int32, _ status: ObjectStatus
  ) {
    let object = ObjectHandle(producer: task, index: index)
    values.set(object.key, value)
    if value.form == .segment { _ = sealed(value.key) }
    if status == .value { specs.setOutputSize(ByteCount(UInt64(value.count)), of: object) }
  }

  mutating func drop(_ object: ObjectHandle) {
    guard let value = values.remove(object.key) else { return }
    if !disk.unspilled.isEmpty { disk.unspilled[object.key] = nil }
    letGo(value)
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
