import Primitives
import RuntimeCore

extension MessageEncoder {
  /// What a message takes on the wire behind the header.
  struct Plan: BitwiseCopyable {
    var size: Int
    var flags: UInt8 = 0
    /// The shape that the other side has to know.
    var shape: UInt16?
    /// The task whose specification makes up the body, unless it travels within an update.
    var task = TaskHandle.none
  }

  @inline(__always) func plan(_ message: Message) -> Plan {
    switch message {
    case .taskSubmitted(let task, let notice):
      plan(task, extra: 0, flags: notice.rawValue << FrameFlags.noticeShift)
    case .taskEscalated(let task), .taskPlaced(let task):
      plan(task, extra: 0, flags: 0)
    case .taskLogged(let task, _):
      plan(task, extra: 4, flags: 0)
    case .objectReady, .objectWanted, .objectLookedUp, .taskFinished, .objectKept: Plan(size: 21)
    case .objectPut: Plan(size: 28)
    case .referencesFreed(let batch), .objectsFreed(let batch):
      Plan(size: 4 + 20 * payloads.batch(batch).pointee.count)
    case .workerBlocked, .workerUnblocked, .workerStarted, .workerLost, .objectRestored, .chunkSent,
      .functionRegistered, .functionPublished, .nodeRegistered, .nodeLost, .nodesCounted,
      .nodeDraining, .updatesAcknowledged, .jobEnded:
      Plan(size: 4)
    case .polled, .pollAnswered, .timerFired, .roomRequested, .driverLost, .objectsDue:
      Plan(size: 8)
    case .objectPinned, .objectUnpinned, .objectRequested, .objectRefused, .locationsListed,
      .objectFreed, .objectOffered, .actorCreated, .actorLocated:
      Plan(size: 20)
    case .heartbeat: Plan(size: 96)
    case .chunkArrived, .locationAdded, .objectLocated: Plan(size: 33)
    case .taskCompleted(let task, _, _): Plan(size: 23 + 8 * Int(specs[task].returns))
    case .locationRemoved, .locationLost: Plan(size: 24)
    case .actorLookedUp, .writesCommitted, .taskForwarded: Plan(size: 16)
    case .cancellationRequested: Plan(size: 17)
    case .functionsFollowed: Plan(size: 0)
    case .updatePropagated(let handle, _): plan(update: payloads.update(handle).update)
    }
  }

  /// The plan of an update within another message: its body behind 16 bytes of its own.
  private func plan(update: Message) -> Plan {
    var plan: Plan
    switch update {
    case .taskLogged(let task, _): plan = self.plan(task, extra: 4, flags: 0)
    case .taskCompleted(let task, _, _): plan = Plan(size: 23 + 8 * Int(specs[task].returns))
    case .locationAdded: plan = Plan(size: 33)
    case .locationRemoved: plan = Plan(size: 24)
    case .actorCreated: plan = Plan(size: 20)
    case .functionRegistered, .nodeRegistered, .nodeLost, .jobEnded: plan = Plan(size: 4)
    case .objectsFreed(let batch):
      plan = Plan(size: 4 + 20 * payloads.batch(batch).pointee.count)
    default: preconditionFailure("\(update.kind) is no update")
    }
    plan.size += 16
    // Its flags travel beside it.
    plan.flags = 0
    plan.task = .none
    return plan
  }

  @inline(__always) private func plan(_ task: TaskHandle, extra: Int, flags: UInt8) -> Plan {
    let spec = specs[task]
    var plan = Plan(
      size: FrameFlags.specificationByteCount + extra, flags: flags, shape: spec.shape, task: task)
    plan.size += 20 * spec.argumentCount
    if spec.actor != .none {
      plan.size += 16
      plan.flags |= FrameFlags.hasActor
    }
    if spec.valueBytes > 0 {
      let bytes = specs.valueArguments(task).count
      if bytes > 0 {
        plan.size += bytes
        plan.flags |= FrameFlags.hasValues
      } else if fillsModelledBytes {
        plan.size += Int(spec.valueBytes)
        plan.flags |= FrameFlags.hasFiller
      }
    }
    return plan
  }

  // MARK: Writing

  @inline(__always)
  mutating func write(_ message: Message, flags: UInt8, into output: inout FrameOutput) {
    switch message {
    case .taskSubmitted(let task, _), .taskEscalated(let task), .taskPlaced(let task):
      write(specification: task, flags, into: &output)
    case .taskLogged(let task, let node):
      output.put(node.index)
      write(specification: task, flags, into: &output)
    case .objectReady(let object, let status), .objectKept(let object, let status):
      write(object, into: &output)
      output.put(status.rawValue)
    case .objectWanted(let object, let want):
      write(object, into: &output)
      output.put(want.rawValue)
    case .objectLookedUp(let object, let mode):
      write(object, into: &output)
      output.put(mode.rawValue)
    case .taskFinished(let task, let worker, let status):
      output.put(specs[task].id)
      output.put(worker.index)
      output.put(status.rawValue)
    case .objectPut(let object, let size):
      write(object, into: &output)
      output.put(size.bytes)
    case .referencesFreed(let batch), .objectsFreed(let batch):
      write(batch, into: &output)
    case .workerBlocked(let worker), .workerUnblocked(let worker), .workerStarted(let worker),
      .workerLost(let worker):
      output.put(worker.index)
    case .objectRestored(let slot): output.put(slot)
    case .chunkSent(let push): output.put(push.slot)
    case .functionRegistered(let function), .functionPublished(let function):
      output.put(function.index)
    case .nodeRegistered(let node), .nodeLost(let node), .nodeDraining(let node):
      output.put(node.index)
    case .objectsDue(let node, let count):
      output.put(node.index)
      output.put(count)
    case .nodesCounted(let count): output.put(count)
    case .updatesAcknowledged(let sequence): output.put(sequence.value)
    case .polled(let token), .pollAnswered(let token), .timerFired(let token):
      output.put(token.purpose)
      output.put(token.subject)
    case .roomRequested(let size): output.put(size.bytes)
    case .driverLost(let driver, let job):
      output.put(driver.raw)
      output.put(job.number)
    case .jobEnded(let job): output.put(job.number)
    case .objectPinned(let object), .objectUnpinned(let object), .objectRequested(let object),
      .objectRefused(let object), .locationsListed(let object), .objectFreed(let object),
      .objectOffered(let object):
      write(object, into: &output)
    case .heartbeat(let handle): write(handle, into: &output)
    case .chunkArrived(let object, let index, let count, let status, let size):
      write(object, into: &output)
      output.put(index)
      output.put(count)
      output.put(size.bytes)
      output.put(status.rawValue)
    case .locationAdded(let object, let node, let status, let size),
      .objectLocated(let object, let node, let status, let size):
      write(object, into: &output)
      output.put(node.index)
      output.put(size.bytes)
      output.put(status.rawValue)
    case .taskCompleted(let task, let node, let status):
      write(completed: task, node, status, into: &output)
    case .locationRemoved(let object, let node), .locationLost(let object, let node):
      write(object, into: &output)
      output.put(node.index)
    case .actorCreated(let creation, let node), .actorLocated(let creation, let node):
      output.put(specs[creation].id)
      output.put(node.index)
    case .actorLookedUp(let task), .writesCommitted(let task), .taskForwarded(let task):
      output.put(specs[task].id)
    case .cancellationRequested(let task, let isRecursive):
      output.put(specs[task].id)
      output.put(UInt8(isRecursive ? 1 : 0))
    case .functionsFollowed: break
    case .updatePropagated(let handle, let sequence):
      write(payloads.update(handle), sequence, into: &output)
    }
  }

  @inline(__always) private func write(_ object: ObjectHandle, into output: inout FrameOutput) {
    output.put(specs[object.producer].id)
    output.put(object.index)
  }

  /// Whether the other side can make this specification from the last one that went out whole.
  @inline(__always) func isLikeLast(_ task: TaskHandle) -> Bool {
    let spec = specs[task]
    let last = model.pointee.spec
    return model.pointee.isThere && spec.id.high == last.id.high && spec.work == last.work
      && spec.outputSize == last.outputSize && spec.shape == last.shape
      && spec.returns == last.returns && spec.kind == last.kind && spec.body == last.body
      && spec.attempt == last.attempt && spec.submitter == last.submitter
      && spec.function == last.function && spec.caller == last.caller
      && (spec.actor == .none
        ? !model.pointee.hasActor
        : model.pointee.hasActor && specs[spec.actor].id == model.pointee.actor)
  }

  func remember(_ task: TaskHandle) {
    let actor = specs[task].actor
    model.pointee.isThere = true
    model.pointee.spec = specs[task]
    model.pointee.hasActor = actor != .none
    if actor != .none { model.pointee.actor = specs[actor].id }
  }

  /// The order of the fields is that of `MessageDecoder.specification`.
  @inline(__always)
  private func write(
    specification task: TaskHandle, _ flags: UInt8, into output: inout FrameOutput
  ) {
    precondition(!specs[task].isStub, "task \(task.index) is known by its identity only")
    if flags & FrameFlags.isLikeLast != 0 {
      output.put(specs[task].id.low)
      output.put(specs[task].sequence)
      output.put(specs[task].valueBytes)
      output.put(UInt32(specs[task].argumentCount))
      writeArguments(task, flags, into: &output)
      return
    }
    output.put(specs[task].id)
    output.put(specs[task].work.nanoseconds)
    output.put(specs[task].outputSize.bytes)
    output.put(specs[task].shape)
    output.put(specs[task].returns)
    output.put(specs[task].kind.rawValue)
    output.put(specs[task].body.rawValue)
    output.put(specs[task].attempt)
    output.put(UInt8(0))
    output.put(specs[task].submitter)
    output.put(specs[task].function.index)
    output.put(specs[task].sequence)
    output.put(specs[task].valueBytes)
    output.put(specs[task].caller)
    output.put(UInt32(specs[task].argumentCount))
    if flags & FrameFlags.hasActor != 0 { output.put(specs[specs[task].actor].id) }
    writeArguments(task, flags, into: &output)
  }

  @inline(__always)
  private func writeArguments(
    _ task: TaskHandle, _ flags: UInt8, into output: inout FrameOutput
  ) {
    for i in 0..<specs[task].argumentCount { write(specs.argument(task, i), into: &output) }
    if flags & FrameFlags.hasValues != 0 {
      output.put(specs.valueArguments(task))
    } else if flags & FrameFlags.hasFiller != 0 {
      output.putZeros(Int(specs[task].valueBytes))
    }
  }

  private func write(_ handle: BatchHandle, into output: inout FrameOutput) {
    let batch = payloads.batch(handle)
    output.put(UInt32(batch.pointee.count))
    for i in 0..<batch.pointee.count { write(batch.pointee[i], into: &output) }
  }

  private func write(_ handle: HeartbeatHandle, into output: inout FrameOutput) {
    let heartbeat = payloads.take(handle)
    output.put(heartbeat.node.index)
    output.put(heartbeat.total)
    output.put(heartbeat.available)
    output.put(heartbeat.queueLength)
    output.put(heartbeat.placementsReceived)
    output.put(heartbeat.averageTaskSeconds)
    output.put(heartbeat.averageBandwidth)
  }

  private func write(
    completed task: TaskHandle, _ node: NodeID, _ status: ObjectStatus,
    into output: inout FrameOutput
  ) {
    output.put(specs[task].id)
    output.put(node.index)
    output.put(status.rawValue)
    let returns = specs[task].returns
    output.put(returns)
    for index in 0..<Int32(returns) {
      output.put(specs.outputSize(ObjectHandle(producer: task, index: index)).bytes)
    }
  }

  private func write(
    _ record: UpdateRecord, _ sequence: SequenceNumber, into output: inout FrameOutput
  ) {
    assert(record.sequence == sequence, "update \(record.sequence) travels as \(sequence)")
    let update = record.update
    output.put(update.kind.rawValue)
    var flags: UInt8 = 0
    if case .taskLogged(let task, _) = update { flags = plan(task, extra: 4, flags: 0).flags }
    output.put(flags)
    output.put(UInt16(0))
    output.put(record.client.raw)
    output.put(sequence.value)
    output.put(record.epoch)
    switch update {
    case .taskLogged(let task, let node):
      output.put(node.index)
      write(specification: task, flags, into: &output)
    case .taskCompleted(let task, let node, let status):
      write(completed: task, node, status, into: &output)
    case .locationAdded(let object, let node, let status, let size):
      write(object, into: &output)
      output.put(node.index)
      output.put(size.bytes)
      output.put(status.rawValue)
    case .locationRemoved(let object, let node):
      write(object, into: &output)
      output.put(node.index)
    case .actorCreated(let creation, let node):
      output.put(specs[creation].id)
      output.put(node.index)
    case .functionRegistered(let function): output.put(function.index)
    case .nodeRegistered(let node), .nodeLost(let node): output.put(node.index)
    case .jobEnded(let job): output.put(job.number)
    case .objectsFreed(let batch): write(batch, into: &output)
    default: preconditionFailure("\(update.kind) is no update")
    }
  }
}
