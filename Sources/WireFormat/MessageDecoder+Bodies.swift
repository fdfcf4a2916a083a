import Primitives
import RuntimeCore

extension MessageDecoder {
  /// Reads what comes behind the header. After any error only `borrowed` has grown.
  @inline(__always)
  mutating func body(
    _ kind: MessageKind, _ flags: UInt8, _ target: Address.Role, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    switch kind {
    case .taskSubmitted:
      guard let notice = ResultNotice(rawValue: flags >> FrameFlags.noticeShift) else {
        throw .make(.unknownValue, "result notice", flags >> FrameFlags.noticeShift)
      }
      let task = try specification(kind, flags & ~FrameFlags.notice, &reader, &borrowed)
      specs.retain(task)
      return .taskSubmitted(task, notice: notice)
    case .taskEscalated:
      let task = try specification(kind, flags, &reader, &borrowed)
      specs.retain(task)
      return .taskEscalated(task)
    case .taskPlaced:
      let task = try specification(kind, flags, &reader, &borrowed)
      specs.retain(task)
      return .taskPlaced(task)
    case .objectReady where flags == 0:
      // Here and not with the other plain messages: every task ends with one.
      try reader.requireExactly(21, "object report")
      let object = object(&reader, &borrowed)
      return .objectReady(object, try status(&reader))
    case .taskLogged:
      return try logged(kind, flags, &reader, &borrowed)
    case .updatePropagated:
      return try update(flags, &reader, &borrowed)
    default:
      guard flags == 0 else { throw .make(.mismatch, "flags", flags, 0) }
      return try plainBody(kind, target, &reader, &borrowed)
    }
  }

  private mutating func logged(
    _ kind: MessageKind, _ flags: UInt8, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    let demand = try announcement(flags, &reader)
    try reader.require(4, "logged task")
    let node = try node(&reader)
    let task = try specification(
      flags & ~FrameFlags.announcesShape, demand: demand, &reader, &borrowed)
    specs.retain(task)
    return .taskLogged(task, node)
  }

  /// A message without flags and specification.
  private mutating func plainBody(
    _ kind: MessageKind, _ target: Address.Role, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    switch kind {
    case .objectWanted:
      try reader.requireExactly(21, "object wanted")
      let object = object(&reader, &borrowed)
      let raw = reader.load(UInt8.self)
      guard let want = Want(rawValue: raw) else { throw .make(.unknownValue, "want", raw) }
      return .objectWanted(object, want)
    case .objectLookedUp:
      try reader.requireExactly(21, "object look-up")
      let object = object(&reader, &borrowed)
      let raw = reader.load(UInt8.self)
      guard let mode = LookupMode(rawValue: raw) else {
        throw .make(.unknownValue, "mode of a look-up", raw)
      }
      return .objectLookedUp(object, mode)
    case .objectPut:
      try reader.requireExactly(28, "object put")
      let object = object(&reader, &borrowed)
      return .objectPut(object, try size(&reader))
    case .objectLocated:
      try reader.requireExactly(33, "object location")
      let object = object(&reader, &borrowed)
      let node = try nodeIfAny(&reader)
      let size = try size(&reader)
      return .objectLocated(object, node, try status(&reader), size)
    case .chunkArrived: return try chunkArrived(&reader, &borrowed)
    case .locationLost:
      try reader.requireExactly(24, "object location")
      let object = object(&reader, &borrowed)
      return .locationLost(object, try node(&reader))
    case .objectRequested: return .objectRequested(try lone(&reader, &borrowed))
    case .objectRefused: return .objectRefused(try lone(&reader, &borrowed))
    case .objectOffered: return .objectOffered(try lone(&reader, &borrowed))
    case .objectKept:
      try reader.requireExactly(21, "object kept")
      let object = object(&reader, &borrowed)
      return .objectKept(object, try status(&reader))
    case .objectPinned: return .objectPinned(try lone(&reader, &borrowed))
    case .objectUnpinned: return .objectUnpinned(try lone(&reader, &borrowed))
    case .locationsListed: return .locationsListed(try lone(&reader, &borrowed))
    case .objectFreed:
      let object = try lone(&reader, &borrowed)
      if target == .raylet { specs.retain(object.producer) }
      return .objectFreed(object)
    case .referencesFreed: return .referencesFreed(try batch(&reader, &borrowed))
    case .heartbeat: return .heartbeat(try heartbeat(&reader))
    case .taskForwarded:
      try reader.requireExactly(16, "task forwarded")
      return .taskForwarded(task(reader.loadTask(), &borrowed))
    case .cancellationRequested:
      try reader.requireExactly(17, "cancellation")
      let task = task(reader.loadTask(), &borrowed)
      let raw = reader.load(UInt8.self)
      guard raw <= 1 else { throw .make(.unknownValue, "reach of a cancellation", raw) }
      return .cancellationRequested(task, isRecursive: raw == 1)
    case .writesCommitted:
      try reader.requireExactly(16, "task")
      return .writesCommitted(task(reader.loadTask(), &borrowed))
    case .actorLookedUp:
      try reader.requireExactly(16, "task")
      return .actorLookedUp(task(reader.loadTask(), &borrowed))
    case .actorLocated:
      try reader.requireExactly(20, "actor location")
      let creation = task(reader.loadTask(), &borrowed)
      return .actorLocated(creation, try nodeIfAny(&reader))
    case .taskFinished:
      try reader.requireExactly(21, "task end")
      let task = task(reader.loadTask(), &borrowed)
      let worker = try worker(&reader)
      return .taskFinished(task, worker, try status(&reader))
    case .taskCompleted, .locationAdded, .locationRemoved, .actorCreated, .functionRegistered,
      .nodeRegistered, .nodeLost, .jobEnded, .objectsFreed:
      return try plainUpdate(kind, &reader, &borrowed)
    default:
      return try words(kind, &reader)
    }
  }

  /// A message that names no task.
  private func words(
    _ kind: MessageKind, _ reader: inout FrameReader
  ) throws(FrameError) -> Message {
    switch kind {
    case .workerBlocked:
      try reader.requireExactly(4, "worker")
      return .workerBlocked(try worker(&reader))
    case .workerUnblocked:
      try reader.requireExactly(4, "worker")
      return .workerUnblocked(try worker(&reader))
    case .workerStarted:
      try reader.requireExactly(4, "worker")
      return .workerStarted(try worker(&reader))
    case .workerLost:
      try reader.requireExactly(4, "worker")
      return .workerLost(try worker(&reader))
    case .nodeDraining:
      try reader.requireExactly(4, "node")
      return .nodeDraining(try node(&reader))
    case .objectsDue:
      try reader.requireExactly(8, "objects due")
      let node = try node(&reader)
      return .objectsDue(node, reader.load(UInt32.self))
    case .nodesCounted:
      try reader.requireExactly(4, "number of nodes")
      return .nodesCounted(reader.load(UInt32.self))
    case .objectRestored:
      try reader.requireExactly(4, "slot")
      return .objectRestored(reader.load(UInt32.self))
    case .chunkSent:
      try reader.requireExactly(4, "push")
      return .chunkSent(PushID(reader.load(UInt32.self)))
    case .functionPublished:
      try reader.requireExactly(4, "function")
      return .functionPublished(try function(&reader))
    case .updatesAcknowledged:
      try reader.requireExactly(4, "sequence number")
      return .updatesAcknowledged(SequenceNumber(reader.load(UInt32.self)))
    case .polled: return .polled(try token(&reader))
    case .pollAnswered: return .pollAnswered(try token(&reader))
    case .timerFired: return .timerFired(try token(&reader))
    case .roomRequested:
      try reader.requireExactly(8, "room")
      return .roomRequested(try size(&reader))
    case .driverLost:
      try reader.requireExactly(8, "driver")
      let driver = Address(raw: reader.load(UInt32.self))
      guard try bounds.role(driver, "driver") == .driver else {
        throw .make(.mismatch, "role of a driver", driver.raw)
      }
      return .driverLost(driver, JobID(reader.load(UInt32.self)))
    case .functionsFollowed:
      try reader.requireExactly(0, "message")
      return .functionsFollowed
    default:
      throw .make(.unknownValue, "kind of message", kind.rawValue)
    }
  }

  private func token(_ reader: inout FrameReader) throws(FrameError) -> TimerToken {
    try reader.requireExactly(8, "timer")
    let purpose = reader.load(UInt32.self)
    return TimerToken(purpose: purpose, subject: reader.load(UInt32.self))
  }

  /// A message that is one object and nothing else.
  @inline(__always)
  private func lone(
    _ reader: inout FrameReader, _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> ObjectHandle {
    try reader.requireExactly(20, "object")
    return object(&reader, &borrowed)
  }

  private func chunkArrived(
    _ reader: inout FrameReader, _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    try reader.requireExactly(33, "chunk")
    let object = object(&reader, &borrowed)
    let index = reader.load(UInt16.self)
    let count = reader.load(UInt16.self)
    guard index < count else { throw .make(.aboveLimit, "chunk number", index, Int(count) - 1) }
    let size = try size(&reader)
    return .chunkArrived(object, index: index, count: count, try status(&reader), size)
  }

  private func heartbeat(_ reader: inout FrameReader) throws(FrameError) -> HeartbeatHandle {
    try reader.requireExactly(96, "heartbeat")
    let node = try node(&reader)
    let total = reader.loadVector()
    guard total.lanes.min() >= 0 else {
      throw .make(.negative, "amount of a resource", total.lanes.min())
    }
    let available = reader.loadVector()
    // A node may be overdrawn, but never hold more than it has.
    guard available.fits(in: total), available.lanes.min() >= -Int32.max / 2 else {
      throw .make(.aboveLimit, "available resource", available.lanes.max(), total.lanes.max())
    }
    let queueLength = reader.load(UInt32.self)
    let placements = reader.load(UInt64.self)
    let seconds = reader.loadDouble()
    let bandwidth = reader.loadDouble()
    guard seconds >= 0, seconds.isFinite else {
      throw .make(.unknownValue, "average task time", seconds.bitPattern)
    }
    guard bandwidth >= 0 else {
      throw .make(.unknownValue, "average bandwidth", bandwidth.bitPattern)
    }
    return payloads.insert(
      Heartbeat(
        node: node, total: total, available: available, queueLength: queueLength,
        placementsReceived: placements, averageTaskSeconds: seconds, averageBandwidth: bandwidth))
  }

  /// Reads freed objects; the message brings a reference of each one's producer.
  func batch(
    _ reader: inout FrameReader, _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> BatchHandle {
    try reader.require(4, "batch")
    let count = Int(reader.load(UInt32.self))
    guard count <= Batch.capacity else {
      throw .make(.aboveLimit, "objects of a batch", count, Batch.capacity)
    }
    try reader.requireExactly(20 * count, "batch")
    var batch = Batch()
    for _ in 0..<count {
      let object = object(&reader, &borrowed)
      specs.retain(object.producer)
      batch.append(object)
    }
    return payloads.insert(batch)
  }
}
