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
  private let specs: TaskSpecTable
  private let payloads: MessagePayloads
  private let map: ControlStoreMap
  private var placement: any PlacementPolicy
  private let records: Bool
  private var random: RandomStream
  private let nodeCount: Int
  private let nodes: UnsafeMutablePointer<NodeView>
  private let sent: UnsafeMutablePointer<UInt64>
  private let remoteBytes: UnsafeMutablePointer<UInt64>
  private var directory: ObjectDirectory
  private var pending = SlotTable<Pending>()
  private var infeasible = RingQueue<TaskHandle>()
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
    nodes = .allocate(capacity: max(1, nodeCount))
    for (i, total) in totals.enumerated() {
      var view = NodeView(total: total)
      view.averageTaskSeconds = parameters.priorTaskTime.seconds
      (nodes + i).initialize(to: view)
    }
    sent = .allocate(capacity: max(1, nodeCount))
    sent.initialize(repeating: 0, count: max(1, nodeCount))
    directory = ObjectDirectory(nodes: nodeCount)
    remoteBytes = .allocate(capacity: directory.words * 64)
    remoteBytes.initialize(repeating: 0, count: directory.words * 64)
    averageTaskSeconds = parameters.priorTaskTime.seconds
    averageBandwidth = parameters.priorBandwidth.bytesPerSecond
  }

  deinit {
    nodes.deallocate()
    sent.deallocate()
    remoteBytes.deallocate()
  }

  /// Tasks that no node could ever run, in order of arrival.
  public var infeasibleTasks: [TaskHandle] {
    (0..<infeasible.count).map { infeasible[$0] }
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
      if specs[task].argumentCount == 0 {
        place(task, at: now, into: &effects)
      } else {
        lookUpInputs(of: task, at: now, into: &effects)
      }
    case .heartbeat(let handle):
      heard(payloads.take(handle), at: now, into: &effects)
    case .objectLocated(let object, let node, let size, _):
      guard let slot = directory.find(object) else { return }
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

  private mutating func answered(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    var waiting = directory.markKnown(slot)
    while let index = directory.pop(&waiting) {
      let entry = pending.pointer(index)
      entry.pointee.missing -= 1
      if entry.pointee.missing == 0 {
        let task = entry.pointee.task
        pending.remove(index)
        place(task, at: now, into: &effects)
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
    let node = nodes + index
    let inFlight = sent[index] - heartbeat.placementsReceived
    let changed = node.pointee.total != heartbeat.total
    node.pointee.total = heartbeat.total
    node.pointee.queueLength = heartbeat.queueLength
    node.pointee.inFlight = UInt32(truncatingIfNeeded: inFlight)
    node.pointee.available = heartbeat.available
    node.pointee.averageTaskSeconds = heartbeat.averageTaskSeconds
    node.pointee.heardAt = now
    node.pointee.isAlive = true
    let weight = parameters.averageWeight
    averageTaskSeconds += weight * (heartbeat.averageTaskSeconds - averageTaskSeconds)
    averageBandwidth += weight * (heartbeat.averageBandwidth - averageBandwidth)
    // Feasibility depends on what a node has, not on how busy it is: with no change, no new try.
    guard changed else { return }
    for _ in 0..<infeasible.count {
      place(infeasible.popFirst().unsafelyUnwrapped, at: now, into: &effects)
    }
  }
}
