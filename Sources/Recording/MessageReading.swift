import Primitives
import RuntimeCore

extension RecordReader {
  // MARK: Parts

  mutating func task() throws(RecordingError) -> TaskHandle {
    let start = offset
    let index = try number("task", upTo: UInt64(UInt32.max))
    if let defined, !defined.pointee.contains(index) {
      throw RecordingError(at: start, "task \(index) is named before it is described")
    }
    return TaskHandle(UInt32(index))
  }

  mutating func object() throws(RecordingError) -> ObjectHandle {
    let producer = try task()
    let start = offset
    guard let index = Int32(exactly: try signed("object")) else {
      throw RecordingError(at: start, "the number of a return value is out of range")
    }
    return ObjectHandle(producer: producer, index: index)
  }

  mutating func node() throws(RecordingError) -> NodeID {
    let start = offset
    let node = try nodeIfAny()
    guard node != .none else { throw RecordingError(at: start, "no node; expected one") }
    return node
  }

  /// A node, or none.
  mutating func nodeIfAny() throws(RecordingError) -> NodeID {
    // One more than the number, so that `none` is 0.
    let value = try number("node", upTo: 1 << 20)
    return value == 0 ? .none : NodeID(Int(value) - 1)
  }

  mutating func worker() throws(RecordingError) -> WorkerID {
    let value = try number("worker", upTo: 1 << 24)
    return value == 0 ? .none : WorkerID(Int(value) - 1)
  }

  mutating func size() throws(RecordingError) -> ByteCount {
    // 8 TiB, as `MessageDecoder.largestObject`: sums of sizes stay far from overflow.
    ByteCount(try number("size", upTo: 1 << 43))
  }

  mutating func status() throws(RecordingError) -> ObjectStatus {
    try choice("status") { ObjectStatus(rawValue: $0) }
  }

  /// A value of an enumeration of bytes.
  mutating func choice<Value>(
    _ what: StaticString, _ make: (UInt8) -> Value?
  ) throws(RecordingError) -> Value {
    let start = offset
    let raw = try number(what, upTo: 255)
    guard let value = make(UInt8(raw)) else {
      throw RecordingError(at: start, "\(what) \(raw) is not known")
    }
    return value
  }

  mutating func address() throws(RecordingError) -> Address {
    let value = try number("address", upTo: UInt64(UInt32.max))
    return Address(raw: UInt32(value & 3) << 29 | UInt32(value >> 2) & 0x1FFF_FFFF)
  }

  mutating func real(_ what: StaticString) throws(RecordingError) -> Double {
    Double(bitPattern: try word(what))
  }

  mutating func token() throws(RecordingError) -> TimerToken {
    let purpose = try small("purpose of a timer")
    return TimerToken(purpose: purpose, subject: try small("subject of a timer"))
  }

  mutating func batch() throws(RecordingError) -> Batch {
    let count = try number("number of objects", upTo: UInt64(Batch.capacity))
    var batch = Batch()
    for _ in 0..<count { batch.append(try object()) }
    return batch
  }

  mutating func heartbeat() throws(RecordingError) -> Heartbeat {
    let start = offset
    let node = try node()
    let total = try vector("resources")
    let available = try vector("resources")
    let queueLength = try small("queue length")
    let placements = try number("placements")
    let seconds = try real("average task time")
    let bandwidth = try real("average bandwidth")
    // As `MessageDecoder` demands: a node may be overdrawn, but never have more than all of it.
    guard total.lanes.min() >= 0, available.fits(in: total),
      available.lanes.min() >= -Int32.max / 2
    else { throw RecordingError(at: start, "a node cannot have such resources") }
    guard seconds >= 0, seconds.isFinite, bandwidth >= 0 else {
      throw RecordingError(at: start, "a node cannot have averages of \(seconds) and \(bandwidth)")
    }
    return Heartbeat(
      node: node, total: total, available: available, queueLength: queueLength,
      placementsReceived: placements, averageTaskSeconds: seconds, averageBandwidth: bandwidth)
  }

  // MARK: Messages

  mutating func kind(_ kinds: [MessageKind?]) throws(RecordingError) -> MessageKind {
    let start = offset
    let raw = Int(try number("kind of message", upTo: 255))
    guard raw < kinds.count, let kind = kinds[raw] else {
      throw RecordingError(at: start, "kind of message \(raw) is not known")
    }
    return kind
  }

  /// Reads the parts of a message; its body, if it has one, is the caller's to remove.
  mutating func message(
    _ kind: MessageKind, _ kinds: [MessageKind?], _ payloads: MessagePayloads
  ) throws(RecordingError) -> Message {
    guard kind == .updatePropagated else { return try plainMessage(kind, payloads) }
    let client = try address()
    let sequence = SequenceNumber(try small("sequence number"))
    let epoch = try small("epoch")
    let start = offset
    let inner = try self.kind(kinds)
    switch inner {
    case .taskLogged, .taskCompleted, .locationAdded, .locationRemoved, .actorCreated,
      .functionRegistered, .nodeRegistered, .objectsFreed, .nodeLost, .jobEnded:
      break
    default: throw RecordingError(at: start, "\(inner.name) is no update")
    }
    let record = UpdateRecord(
      update: try plainMessage(inner, payloads), client: client, sequence: sequence, epoch: epoch)
    return .updatePropagated(payloads.insert(record), sequence)
  }

  private mutating func plainMessage(
    _ kind: MessageKind, _ payloads: MessagePayloads
  ) throws(RecordingError) -> Message {
    switch kind {
    case .taskSubmitted:
      let task = try task()
      return .taskSubmitted(
        task, notice: try choice("notice") { ResultNotice(rawValue: $0) })
    case .objectWanted:
      let object = try object()
      return .objectWanted(object, try choice("want") { Want(rawValue: $0) })
    case .objectPut:
      let object = try object()
      return .objectPut(object, try size())
    case .referencesFreed: return .referencesFreed(payloads.insert(try batch()))
    case .objectsFreed: return .objectsFreed(payloads.insert(try batch()))
    case .workerBlocked: return .workerBlocked(try worker())
    case .workerUnblocked: return .workerUnblocked(try worker())
    case .workerStarted: return .workerStarted(try worker())
    case .workerLost: return .workerLost(try worker())
    case .polled: return .polled(try token())
    case .pollAnswered: return .pollAnswered(try token())
    case .timerFired: return .timerFired(try token())
    case .taskFinished:
      let task = try task()
      let worker = try worker()
      return .taskFinished(task, worker, try status())
    case .nodeLost: return .nodeLost(try node())
    case .nodeDraining: return .nodeDraining(try node())
    case .objectsDue:
      let node = try node()
      return .objectsDue(node, try small("number of objects"))
    case .objectOffered: return .objectOffered(try object())
    case .objectKept:
      let object = try object()
      return .objectKept(object, try status())
    case .nodesCounted: return .nodesCounted(try small("number of nodes"))
    case .nodeRegistered: return .nodeRegistered(try node())
    case .driverLost:
      let driver = try address()
      return .driverLost(driver, JobID(try small("job")))
    case .jobEnded: return .jobEnded(JobID(try small("job")))
    case .cancellationRequested:
      let task = try task()
      return .cancellationRequested(
        task, isRecursive: try number("reach of a cancellation", upTo: 1) == 1)
    case .roomRequested: return .roomRequested(try size())
    case .objectPinned: return .objectPinned(try object())
    case .objectUnpinned: return .objectUnpinned(try object())
    case .objectRequested: return .objectRequested(try object())
    case .objectRefused: return .objectRefused(try object())
    case .locationsListed: return .locationsListed(try object())
    case .objectFreed: return .objectFreed(try object())
    case .objectRestored: return .objectRestored(try small("slot"))
    case .objectReady:
      let object = try object()
      return .objectReady(object, try status())
    case .taskForwarded: return .taskForwarded(try task())
    case .taskEscalated: return .taskEscalated(try task())
    case .taskPlaced: return .taskPlaced(try task())
    case .actorLookedUp: return .actorLookedUp(try task())
    case .writesCommitted: return .writesCommitted(try task())
    case .heartbeat: return .heartbeat(payloads.insert(try heartbeat()))
    case .chunkArrived:
      let object = try object()
      let index = UInt16(try number("chunk", upTo: UInt64(UInt16.max)))
      let count = UInt16(try number("chunks", upTo: UInt64(UInt16.max)))
      let size = try size()
      return .chunkArrived(object, index: index, count: count, try status(), size)
    case .chunkSent: return .chunkSent(PushID(try small("push")))
    case .taskLogged:
      let task = try task()
      return .taskLogged(task, try node())
    case .actorCreated:
      let task = try task()
      return .actorCreated(task, try node())
    case .actorLocated:
      let task = try task()
      return .actorLocated(task, try nodeIfAny())
    case .taskCompleted:
      let task = try task()
      let node = try nodeIfAny()
      return .taskCompleted(task, node, try status())
    case .locationAdded:
      let object = try object()
      let node = try node()
      let size = try size()
      return .locationAdded(object, node, try status(), size)
    case .objectLocated:
      let object = try object()
      let node = try nodeIfAny()
      let size = try size()
      return .objectLocated(object, node, try status(), size)
    case .locationRemoved:
      let object = try object()
      return .locationRemoved(object, try node())
    case .locationLost:
      let object = try object()
      return .locationLost(object, try node())
    case .functionRegistered: return .functionRegistered(FunctionID(Int(try small("function"))))
    case .functionPublished: return .functionPublished(FunctionID(Int(try small("function"))))
    case .objectLookedUp:
      let object = try object()
      return .objectLookedUp(object, try choice("mode") { LookupMode(rawValue: $0) })
    case .functionsFollowed: return .functionsFollowed
    case .updatesAcknowledged:
      return .updatesAcknowledged(SequenceNumber(try small("sequence number")))
    case .updatePropagated: throw failure("an update within an update")
    }
  }
}
