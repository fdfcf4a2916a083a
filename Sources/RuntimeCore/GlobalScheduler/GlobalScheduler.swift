import Primitives
import Scheduling

/// A replica of the global scheduler (OSDI'18 §4.2.2): places the tasks that raylets escalate.
///
///     escalated ──inputs unknown──► awaiting the object table ──► placed
///         └──────inputs known or none──────────────────────────────┘
///         └──no node could ever run it──► infeasible, tried again when a node changes
///
/// Sees nodes through heartbeats, inputs through the object table, and keeps an in-flight ledger of
/// what it has sent and a heartbeat has not yet counted: `sent − received by the node`.
public struct GlobalScheduler: ~Copyable {
  struct Pending: BitwiseCopyable {
    var task: TaskHandle
    var missing: UInt32
  }

  public let number: Int
  private let parameters: Parameters
  let specs: TaskSpecTable
  private let payloads: MessagePayloads
  let map: ControlStoreMap
  private var placement: any PlacementPolicy
  private let records: Bool
  private var random: RandomStream
  private var nodeCount: Int
  private var nodeCapacity: Int
  private var nodes: UnsafeMutablePointer<NodeView>
  /// By node: tasks sent to it that no heartbeat has counted yet, oldest first, each with a reference.
  private var inFlight: UnsafeMutablePointer<RingQueue<TaskHandle>>
  private var creationsInFlight = 0
  private var sent: UnsafeMutablePointer<UInt64>
  private var remoteBytes: UnsafeMutablePointer<UInt64>
  var directory: ObjectDirectory
  var pending = SlotTable<Pending>()
  var infeasible = RingQueue<TaskHandle>()
  var endedJobs = EndedJobs()
  var knowsEndedJobs = false
  /// Nodes that will leave: they report on and get nothing. Few, and most of the time none.
  private var draining: [NodeID] = []
  private var averageTaskSeconds: Double
  private var averageBandwidth: Double

  public init(
    number: Int, nodes totals: [ResourceVector], parameters: Parameters, map: ControlStoreMap,
    placement: any PlacementPolicy, specs: TaskSpecTable, payloads: MessagePayloads, seed: UInt64
  ) {
    self.number = number
    self.parameters = parameters
    self.specs = specs
    self.payloads = payloads
    self.map = map
    self.placement = placement
    records = parameters.recordsTransitions
    random = RandomStream(seed: seed, stream: 0x474C_4F42 << 32 | UInt64(number))
    nodeCount = totals.count
    // The directory keeps a bit for each node, in words: room for that many costs nothing more.
    nodeCapacity = max(1, (nodeCount + 63) / 64) * 64
    nodes = .allocate(capacity: nodeCapacity)
    sent = .allocate(capacity: nodeCapacity)
    inFlight = .allocate(capacity: nodeCapacity)
    for i in 0..<nodeCapacity {
      var view = NodeView(total: i < totals.count ? totals[i] : .zero)
      view.averageTaskSeconds = parameters.priorTaskTime.seconds
      (nodes + i).initialize(to: view)
      (inFlight + i).initialize(to: RingQueue())
    }
    sent.initialize(repeating: 0, count: nodeCapacity)
    directory = ObjectDirectory(nodes: nodeCapacity)
    remoteBytes = .allocate(capacity: nodeCapacity)
    remoteBytes.initialize(repeating: 0, count: nodeCapacity)
    averageTaskSeconds = parameters.priorTaskTime.seconds
    averageBandwidth = parameters.priorBandwidth.bytesPerSecond
  }

  deinit {
    nodes.deallocate()
    inFlight.deinitialize(count: nodeCapacity).deallocate()
    sent.deallocate()
    remoteBytes.deallocate()
  }

  public var infeasibleCount: Int { infeasible.count }

  /// Tasks that no node could ever run, in order of arrival.
  public var infeasibleTasks: [TaskHandle] {
    (0..<infeasible.count).map { infeasible[$0] }
  }

  /// When the last report of a node came; `zero` for never.
  public func lastHeartbeat(of node: NodeID) -> Instant {
    Int(node.index) < nodeCount ? nodes[Int(node.index)].heardAt : .zero
  }

  public var memoryBytes: Int {
    directory.memoryBytes + pending.memoryBytes + infeasible.memoryBytes
      + nodeCount * (MemoryLayout<NodeView>.stride + 16)
  }

  public mutating func receive(
    _ message: Message, from source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    switch message {
    case .taskEscalated(let task):
      if knowsEndedJobs && endedJobs.contains(specs[task].id) {
        specs.release(task)
      } else if specs[task].argumentCount == 0 {
        place(task, at: now, into: &effects)
      } else {
        lookUpInputs(of: task, at: now, into: &effects)
      }
    case .heartbeat(let handle):
      heard(payloads.take(handle), at: now, into: &effects)
    case .objectLocated(let object, let node, _, let size):
      guard let slot = directory.find(object), node != .none else { return }
      directory.setHolder(slot, node, size: size)
    case .locationsListed(let object):
      guard let slot = directory.find(object) else { return }
      answered(slot, at: now, into: &effects)
    case .locationLost(let object, let node):
      if let slot = directory.find(object) { directory.clearHolder(slot, node) }
    case .objectFreed(let object):
      guard let slot = directory.find(object) else { return }
      answered(slot, at: now, into: &effects)
      directory.remove(object)
      specs.release(object.producer)
    case .nodeLost(let node):
      lose(node, into: &effects)
    case .cancellationRequested(let task, _):
      cancellationRequested(task, by: source.node, into: &effects)
    case .writesCommitted(let task):
      specs.release(task)
    case .jobEnded(let job):
      endJob(job, at: now, into: &effects)
    case .nodeDraining(let node):
      if Int(node.index) >= nodeCount { addNodes(upTo: Int(node.index)) }
      draining.append(node)
      nodes[Int(node.index)].isAlive = false
    default:
      preconditionFailure("global scheduler \(number) does not understand \(message.kind)")
    }
  }

  // MARK: Inputs

  private mutating func lookUpInputs(
    of task: TaskHandle, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    var missing: UInt32 = 0
    var slot = UInt32.max
    for i in 0..<specs[task].argumentCount {
      let input = specs.argument(task, i)
      let entry: UInt32
      if let known = directory.find(input) {
        if directory[known].isKnown { continue }
        entry = known
      } else {
        entry = directory.add(input, assumedSize: parameters.unknownObjectSize)
        specs.retain(input.producer)
        effects.append(
          .send(
            .objectLookedUp(input, .everyLocation),
            to: map.tail(map.shard(specs[input.producer].id))
          ))
      }
      if missing == 0 { slot = pending.insert(Pending(task: task, missing: 0)) }
      missing += 1
      directory.addWaiting(entry, pending: slot)
    }
    if missing == 0 {
      place(task, at: now, into: &effects)
    } else {
      pending.pointer(slot).pointee.missing = missing
    }
  }

  mutating func answered(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    var waiting = directory.markKnown(slot)
    while let index = directory.pop(&waiting) {
      let entry = pending.pointer(index)
      entry.pointee.missing -= 1
      if entry.pointee.missing == 0 {
        let task = entry.pointee.task
        pending.remove(index)
        // Its job may have ended meanwhile.
        if task != .none { place(task, at: now, into: &effects) }
      }
    }
  }

  // MARK: Placement

  private mutating func place(
    _ task: TaskHandle, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let demand = specs.demand(task)
    let hasInputs = sumRemoteBytes(of: task)
    let request = PlacementRequest(
      demand: demand,
      remoteBytes: UnsafeBufferPointer(start: remoteBytes, count: hasInputs ? nodeCount : 0))
    let view = ClusterView(
      nodes: UnsafeBufferPointer(start: nodes, count: nodeCount),
      averageTaskSeconds: averageTaskSeconds, averageBandwidth: averageBandwidth, now: now)
    guard let node = placement.place(request, view: view, random: &random) else {
      infeasible.append(task)
      if records { effects.append(.record(.infeasible(task))) }
      return
    }
    let index = Int(node.index)
    nodes[index].inFlight += 1
    sent[index] += 1
    specs.retain(task)
    inFlight[index].append(task)
    if specs[task].kind == .actorCreation {
      // It holds them for life: they do not come free when other tasks end.
      creationsInFlight += 1
      nodes[index].total -= demand
    }
    if records { effects.append(.record(.placed(task, node))) }
    effects.append(.send(.taskPlaced(task), to: .raylet(node)))
  }

  /// For each node the input bytes that it lacks; false when there are none to speak of.
  private func sumRemoteBytes(of task: TaskHandle) -> Bool {
    var total: UInt64 = 0
    let count = specs[task].argumentCount
    for i in 0..<count {
      if let slot = directory.find(specs.argument(task, i)) { total += directory[slot].size.bytes }
    }
    if total == 0 { return false }
    for node in 0..<nodeCount { remoteBytes[node] = total }
    for i in 0..<count {
      if let slot = directory.find(specs.argument(task, i)) {
        directory.subtractHeld(slot, from: remoteBytes)
      }
    }
    return true
  }

  // MARK: Heartbeats

  private mutating func heard(
    _ heartbeat: Heartbeat, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let index = Int(heartbeat.node.index)
    if index >= nodeCount { addNodes(upTo: index) }
    let node = nodes + index
    let inFlight = sent[index] - heartbeat.placementsReceived
    while self.inFlight[index].count > Int(inFlight) {
      let counted = self.inFlight[index].popFirst().unsafelyUnwrapped
      if creationsInFlight > 0 && specs[counted].kind == .actorCreation { creationsInFlight -= 1 }
      specs.release(counted)
    }
    let total = heartbeat.total - heldByCreations(onTheirWayTo: index)
    let changed = node.pointee.total != total
    node.pointee.total = total
    node.pointee.queueLength = heartbeat.queueLength
    node.pointee.inFlight = UInt32(truncatingIfNeeded: inFlight)
    node.pointee.available = heartbeat.available
    node.pointee.averageTaskSeconds = heartbeat.averageTaskSeconds
    node.pointee.heardAt = now
    node.pointee.isAlive = draining.isEmpty || !draining.contains(heartbeat.node)
    let weight = parameters.averageWeight
    averageTaskSeconds += weight * (heartbeat.averageTaskSeconds - averageTaskSeconds)
    averageBandwidth += weight * (heartbeat.averageBandwidth - averageBandwidth)
    // Feasibility depends on what a node has, not on how busy it is: with no change, no new try.
    guard changed else { return }
    for _ in 0..<infeasible.count {
      place(infeasible.popFirst().unsafelyUnwrapped, at: now, into: &effects)
    }
  }

  /// What creations will hold that the node has not counted yet.
  private func heldByCreations(onTheirWayTo index: Int) -> ResourceVector {
    var held = ResourceVector.zero
    if creationsInFlight == 0 { return held }
    for i in 0..<inFlight[index].count {
      let task = inFlight[index][i]
      if specs[task].kind == .actorCreation { held += specs.demand(task) }
    }
    return held
  }

  // MARK: Nodes that come and go

  /// Nodes with numbers up to `index` have joined; those that have not reported yet have nothing.
  private mutating func addNodes(upTo index: Int) {
    if index >= nodeCapacity {
      let capacity = (index / 64 + 1) * 64
      directory.grow(nodes: capacity)
      func larger<T: ~Copyable>(_ old: UnsafeMutablePointer<T>) -> UnsafeMutablePointer<T> {
        let new = UnsafeMutablePointer<T>.allocate(capacity: capacity)
        new.moveInitialize(from: old, count: nodeCapacity)
        old.deallocate()
        return new
      }
      nodes = larger(nodes)
      inFlight = larger(inFlight)
      sent = larger(sent)
      remoteBytes = larger(remoteBytes)
      for i in nodeCapacity..<capacity {
        (nodes + i).initialize(to: NodeView(total: .zero))
        (inFlight + i).initialize(to: RingQueue())
        (sent + i).initialize(to: 0)
        (remoteBytes + i).initialize(to: 0)
      }
      nodeCapacity = capacity
    }
    nodeCount = max(nodeCount, index + 1)
  }

  /// A node ended. What was on its way there may not have been logged: the task table hears of it, and
  /// after that of the loss: every scheduler says both, and the table takes the second once.
  private mutating func lose(_ node: NodeID, into effects: inout EffectBuffer<Effect>) {
    let index = Int(node.index)
    guard index < nodeCount else { return }
    nodes[index].isAlive = false
    while let task = inFlight[index].popFirst() {
      if specs[task].kind == .actorCreation { creationsInFlight -= 1 }
      // The reference goes with the message.
      effects.append(.send(.taskLogged(task, node), to: map.head(map.shard(specs[task].id))))
    }
    for shard in 0..<map.shards { effects.append(.send(.nodeLost(node), to: map.head(shard))) }
  }

  // MARK: Recordings

  /// Why a message of a recording cannot be meant for this machine; nil when it can. Others need not
  /// ask: what they deliver was sent by machines.
  public func problem(with message: Message, from source: Address) -> String? {
    switch message {
    case .taskEscalated, .locationsListed, .locationLost, .objectFreed, .nodeLost, .jobEnded,
      .cancellationRequested, .writesCommitted:
      return nil
    case .nodeDraining(let node):
      return node != .none && node.index < 1 << 20 ? nil : "no node drains"
    case .objectLocated(_, let node, _, _):
      guard node == .none || Int(node.index) < nodeCapacity else {
        return "node \(node.index) has not reported"
      }
      return nil
    case .heartbeat(let handle):
      let heartbeat = payloads.heartbeat(handle).pointee
      let index = Int(heartbeat.node.index)
      guard heartbeat.node != .none, index < 1 << 20 else { return "a report of no node" }
      guard heartbeat.placementsReceived <= (index < nodeCapacity ? sent[index] : 0) else {
        return "node \(index) has received more tasks than were sent there"
      }
      return nil
    default: return "a global scheduler is not told \(message.kind.name)"
    }
  }

  /// How what a message is about stands here; see `Raylet.standing`.
  public func standing(of message: Message) -> String {
    switch message {
    case .taskEscalated(let task):
      return specs[task].argumentCount == 0 ? "no inputs" : "inputs"
    case .objectLocated(let object, _, _, _), .locationsListed(let object),
      .locationLost(let object, _), .objectFreed(let object):
      guard let slot = directory.find(object) else { return "unknown" }
      return directory[slot].isKnown ? "known" : "asked"
    default: return "-"
    }
  }
}
