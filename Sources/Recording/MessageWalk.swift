import Primitives
import RuntimeCore

/// What hears the parts of a message or an effect, in the order in which a recording has them.
protocol PartSink: ~Copyable {
  mutating func task(_ task: TaskHandle)
  mutating func object(_ object: ObjectHandle)
  mutating func number(_ value: UInt64, _ name: StaticString)
  /// So many objects follow.
  mutating func list(_ count: Int)
  mutating func node(_ node: NodeID)
  mutating func worker(_ worker: WorkerID)
  mutating func size(_ size: ByteCount)
  mutating func span(_ span: TimeSpan)
  mutating func address(_ address: Address)
  mutating func status(_ status: ObjectStatus)
  mutating func kind(_ kind: MessageKind)
  mutating func vector(_ vector: ResourceVector, _ name: StaticString)
  mutating func real(_ value: Double, _ name: StaticString)
}

extension Message {
  /// Names the parts behind the message's kind; bodies are read where they lie and stay there.
  @inline(__always)
  func walk<Sink: PartSink & ~Copyable>(_ sink: inout Sink, _ payloads: MessagePayloads) {
    switch self {
    case .updatePropagated(let handle, _):
      let record = payloads.update(handle)
      sink.address(record.client)
      sink.number(UInt64(record.sequence.value), "sequence")
      sink.number(UInt64(record.epoch), "epoch")
      sink.kind(record.update.kind)
      record.update.walkPlain(&sink, payloads)
    default: walkPlain(&sink, payloads)
    }
  }

  @inline(__always)
  private func walkPlain<Sink: PartSink & ~Copyable>(
    _ sink: inout Sink, _ payloads: MessagePayloads
  ) {
    switch self {
    case .taskSubmitted(let task, let notice):
      sink.task(task)
      sink.number(UInt64(notice.rawValue), "notice")
    case .objectWanted(let object, let want):
      sink.object(object)
      sink.number(UInt64(want.rawValue), "want")
    case .objectPut(let object, let size):
      sink.object(object)
      sink.size(size)
    case .referencesFreed(let handle), .objectsFreed(let handle):
      let batch = payloads.batch(handle)
      sink.list(batch.pointee.count)
      for i in 0..<batch.pointee.count { sink.object(batch.pointee[i]) }
    case .workerBlocked(let worker), .workerUnblocked(let worker), .workerStarted(let worker),
      .workerLost(let worker):
      sink.worker(worker)
    case .polled(let token), .pollAnswered(let token), .timerFired(let token):
      sink.number(UInt64(token.purpose), "purpose")
      sink.number(UInt64(token.subject), "subject")
    case .taskFinished(let task, let worker, let status):
      sink.task(task)
      sink.worker(worker)
      sink.status(status)
    case .driverLost(let driver, let job):
      sink.address(driver)
      sink.number(UInt64(job.number), "job")
    case .jobEnded(let job): sink.number(UInt64(job.number), "job")
    case .cancellationRequested(let task, let isRecursive):
      sink.task(task)
      sink.number(isRecursive ? 1 : 0, "recursive")
    case .nodeLost(let node), .nodeRegistered(let node), .nodeDraining(let node): sink.node(node)
    case .objectsDue(let node, let count):
      sink.node(node)
      sink.number(UInt64(count), "objects")
    case .nodesCounted(let count): sink.number(UInt64(count), "nodes")
    case .roomRequested(let size): sink.size(size)
    case .objectPinned(let object), .objectUnpinned(let object), .objectRequested(let object),
      .objectRefused(let object), .locationsListed(let object), .objectFreed(let object),
      .objectOffered(let object):
      sink.object(object)
    case .objectRestored(let slot): sink.number(UInt64(slot), "slot")
    case .objectReady(let object, let status), .objectKept(let object, let status):
      sink.object(object)
      sink.status(status)
    case .taskForwarded(let task), .taskEscalated(let task), .taskPlaced(let task),
      .actorLookedUp(let task), .writesCommitted(let task):
      sink.task(task)
    case .heartbeat(let handle): payloads.heartbeat(handle).pointee.walk(&sink)
    case .chunkArrived(let object, let index, let count, let status, let size):
      sink.object(object)
      sink.number(UInt64(index), "chunk")
      sink.number(UInt64(count), "chunks")
      sink.size(size)
      sink.status(status)
    case .chunkSent(let push): sink.number(UInt64(push.slot), "push")
    case .taskLogged(let task, let node), .actorCreated(let task, let node),
      .actorLocated(let task, let node):
      sink.task(task)
      sink.node(node)
    case .taskCompleted(let task, let node, let status):
      sink.task(task)
      sink.node(node)
      sink.status(status)
    case .locationAdded(let object, let node, let status, let size),
      .objectLocated(let object, let node, let status, let size):
      sink.object(object)
      sink.node(node)
      sink.size(size)
      sink.status(status)
    case .locationRemoved(let object, let node), .locationLost(let object, let node):
      sink.object(object)
      sink.node(node)
    case .functionRegistered(let function), .functionPublished(let function):
      sink.number(UInt64(function.index), "function")
    case .objectLookedUp(let object, let mode):
      sink.object(object)
      sink.number(UInt64(mode.rawValue), "mode")
    case .functionsFollowed: break
    case .updatesAcknowledged(let sequence): sink.number(UInt64(sequence.value), "sequence")
    // Its parts are named by `walk`; an update holds no other.
    case .updatePropagated: break
    }
  }
}

extension Heartbeat {
  func walk<Sink: PartSink & ~Copyable>(_ sink: inout Sink) {
    sink.node(node)
    sink.vector(total, "total")
    sink.vector(available, "available")
    sink.number(UInt64(queueLength), "queued")
    sink.number(placementsReceived, "placed here")
    sink.real(averageTaskSeconds, "average task")
    sink.real(averageBandwidth, "average bandwidth")
  }
}

extension Message {
  /// Part of it lies in `MessagePayloads`, until somebody takes it out.
  var hasBody: Bool {
    switch self {
    case .referencesFreed, .objectsFreed, .heartbeat, .updatePropagated: true
    default: false
    }
  }

  /// Removes the body of a message that nobody received.
  func discardBody(_ payloads: MessagePayloads) {
    switch self {
    case .referencesFreed(let batch), .objectsFreed(let batch): payloads.remove(batch)
    case .heartbeat(let handle): _ = payloads.take(handle)
    case .updatePropagated(let handle, _):
      if case .objectsFreed(let batch) = payloads.take(handle).update { payloads.remove(batch) }
    default: break
    }
  }
}
