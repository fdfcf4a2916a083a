import Primitives
import RuntimeCore

@testable import WireFormat

/// Draws valid messages over a table.
struct RandomMessages {
  let specs: TaskSpecTable
  let payloads: MessagePayloads
  var random: SplitMix

  init(_ specs: TaskSpecTable, _ payloads: MessagePayloads, seed: UInt64) {
    self.specs = specs
    self.payloads = payloads
    random = SplitMix(state: seed)
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }
  mutating func bit() -> Bool { Bool.random(using: &random) }
  mutating func word() -> UInt32 { UInt32.random(in: 0..<1000, using: &random) }
  mutating func id() -> TaskID { TaskID(high: random.next(), low: random.next()) }
  mutating func size() -> ByteCount { ByteCount(random.next() >> UInt64(22 + below(40))) }
  mutating func status() -> ObjectStatus { ObjectStatus(rawValue: UInt8(below(10)))! }

  /// A reference that the caller holds.
  mutating func stub() -> TaskHandle { specs.intern(id()) }

  mutating func object(_ task: TaskHandle) -> ObjectHandle {
    ObjectHandle(producer: task, index: Int32(truncatingIfNeeded: random.next()))
  }

  /// A task with everything that a specification may hold; the caller has one reference.
  mutating func task() -> TaskHandle {
    let kind = TaskKind(rawValue: UInt8(below(4)))!
    let hasActor = kind == .actorMethod
    let actor = hasActor ? stub() : .none
    let demand = ResourceVector(cpus: below(5), gpus: below(3))
    var spec = TaskSpec(
      id: id(), function: FunctionID(below(100)), shape: specs.shape(demand),
      work: TimeSpan(nanoseconds: random.next()), outputSize: size(), returns: below(4),
      valueBytes: bit() ? 0 : below(60), kind: kind, body: TaskBody(rawValue: UInt8(below(3)))!,
      submitter: Address.driver(below(9)).raw, actor: actor, sequence: word())
    spec.attempt = UInt8(below(256))
    spec.caller = random.next()
    let producers = (0..<(bit() ? 0 : below(9))).map { _ in stub() }
    let arguments = producers.map { object($0) }
    let handle = arguments.withUnsafeBufferPointer { specs.insert(spec, arguments: $0) }
    for producer in producers { specs.release(producer) }
    if hasActor { specs.release(actor) }
    if bit() {
      let bytes = (0..<(1 + below(70))).map { _ in UInt8(below(256)) }
      bytes.withUnsafeBytes { specs.setValueArguments($0, of: handle) }
    }
    return handle
  }

  mutating func batch() -> BatchHandle {
    var batch = Batch()
    for _ in 0..<below(Batch.capacity + 1) {
      let producer = stub()
      batch.append(object(producer))
    }
    return payloads.insert(batch)
  }

  mutating func heartbeat() -> HeartbeatHandle {
    let total = ResourceVector(cpus: 8 + below(8), gpus: 4)
    return payloads.insert(
      Heartbeat(
        node: NodeID(below(9)), total: total,
        available: total - ResourceVector(cpus: below(20), gpus: below(3)), queueLength: word(),
        placementsReceived: random.next(), averageTaskSeconds: Double(below(99)) / 7,
        averageBandwidth: Double(below(99)) * 1e9))
  }

  /// A message and the references that the caller still has to release.
  mutating func next(_ kind: MessageKind) -> (Message, own: [TaskHandle]) {
    switch kind {
    case .taskSubmitted:
      let notice = ResultNotice(rawValue: UInt8(below(3))) ?? .none
      return (.taskSubmitted(task(), notice: notice), [])
    case .taskEscalated: return (.taskEscalated(task()), [])
    case .taskPlaced: return (.taskPlaced(task()), [])
    case .referencesFreed: return (.referencesFreed(batch()), [])
    case .objectsFreed: return (.objectsFreed(batch()), [])
    case .heartbeat: return (.heartbeat(heartbeat()), [])
    case .updatePropagated:
      let updates = MessageKind.allCases.filter(\.isUpdate)
      let (update, own) = next(updates[below(updates.count)])
      // Along a chain a logged task is the tables' own.
      if case .taskLogged(let task, _) = update { specs.release(task) }
      let sequence = SequenceNumber(word())
      let record = UpdateRecord(
        update: update, client: .raylet(NodeID(below(9))), sequence: sequence, epoch: word())
      return (.updatePropagated(payloads.insert(record), sequence), own)
    case .taskLogged, .taskCompleted:
      let task = task()
      let node = NodeID(below(9))
      // This reference is the message's, the other one the caller's.
      if kind == .taskLogged { specs.retain(task) }
      let message: Message =
        kind == .taskLogged ? .taskLogged(task, node) : .taskCompleted(task, node, status())
      return (message, [task])
    case .workerBlocked: return (.workerBlocked(WorkerID(below(99))), [])
    case .workerUnblocked: return (.workerUnblocked(WorkerID(below(99))), [])
    case .workerStarted: return (.workerStarted(WorkerID(below(99))), [])
    case .polled: return (.polled(TimerToken(purpose: word(), subject: word())), [])
    case .pollAnswered: return (.pollAnswered(TimerToken(purpose: word(), subject: word())), [])
    case .timerFired: return (.timerFired(TimerToken(purpose: word(), subject: word())), [])
    case .roomRequested: return (.roomRequested(size()), [])
    case .objectRestored: return (.objectRestored(word()), [])
    case .chunkSent: return (.chunkSent(PushID(word())), [])
    case .functionRegistered: return (.functionRegistered(FunctionID(below(99))), [])
    case .functionPublished: return (.functionPublished(FunctionID(below(99))), [])
    case .nodeRegistered: return (.nodeRegistered(NodeID(below(9))), [])
    case .nodeLost: return (.nodeLost(NodeID(below(9))), [])
    case .driverLost: return (.driverLost(.driver(below(9)), JobID(word())), [])
    case .jobEnded: return (.jobEnded(JobID(word())), [])
    case .workerLost: return (.workerLost(WorkerID(below(99))), [])
    case .nodeDraining: return (.nodeDraining(NodeID(below(9))), [])
    case .objectsDue: return (.objectsDue(NodeID(below(9)), word()), [])
    case .nodesCounted: return (.nodesCounted(word()), [])
    case .functionsFollowed: return (.functionsFollowed, [])
    case .updatesAcknowledged: return (.updatesAcknowledged(SequenceNumber(word())), [])
    default:
      let task = stub()
      return (about(kind, task, object(task)), [task])
    }
  }

  private mutating func about(
    _ kind: MessageKind, _ task: TaskHandle, _ object: ObjectHandle
  ) -> Message {
    let node = NodeID(below(9))
    switch kind {
    case .objectWanted: return .objectWanted(object, bit() ? .local : .existence)
    case .taskForwarded: return .taskForwarded(task)
    case .cancellationRequested: return .cancellationRequested(task, isRecursive: bit())
    case .objectPut: return .objectPut(object, size())
    case .taskFinished: return .taskFinished(task, WorkerID(below(99)), status())
    case .objectPinned: return .objectPinned(object)
    case .objectUnpinned: return .objectUnpinned(object)
    case .objectReady: return .objectReady(object, status())
    case .objectRequested: return .objectRequested(object)
    case .objectRefused: return .objectRefused(object)
    case .objectOffered: return .objectOffered(object)
    case .objectKept: return .objectKept(object, status())
    case .chunkArrived:
      let index = below(65_535)
      return .chunkArrived(
        object, index: UInt16(index), count: UInt16(index + 1), status(), size())
    case .locationAdded: return .locationAdded(object, node, status(), size())
    case .locationRemoved: return .locationRemoved(object, node)
    case .actorCreated: return .actorCreated(task, node)
    case .objectLookedUp:
      return .objectLookedUp(object, bit() ? .anyLocation : .everyLocation)
    case .actorLookedUp: return .actorLookedUp(task)
    case .writesCommitted: return .writesCommitted(task)
    case .objectLocated: return .objectLocated(object, bit() ? node : .none, status(), size())
    case .locationLost: return .locationLost(object, node)
    case .locationsListed: return .locationsListed(object)
    case .objectFreed:
      // This reference is the message's, the other one the caller's.
      specs.retain(task)
      return .objectFreed(object)
    case .actorLocated: return .actorLocated(task, bit() ? node : .none)
    default: preconditionFailure("\(kind) is drawn elsewhere")
    }
  }
}

/// A small generator of the same numbers everywhere.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return mix64(state)
  }
}
