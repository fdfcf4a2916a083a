import Primitives
import RuntimeCore

extension MessageDecoder {
  /// Reads a write to the GCS that carries no specification.
  func plainUpdate(
    _ kind: MessageKind, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    switch kind {
    case .taskCompleted: return try completed(&reader, &borrowed)
    case .locationAdded:
      try reader.requireExactly(33, "object location")
      let object = object(&reader, &borrowed)
      let node = try node(&reader)
      let size = try size(&reader)
      return .locationAdded(object, node, try status(&reader), size)
    case .locationRemoved:
      try reader.requireExactly(24, "object location")
      let object = object(&reader, &borrowed)
      return .locationRemoved(object, try node(&reader))
    case .actorCreated:
      try reader.requireExactly(20, "actor location")
      let creation = task(reader.loadTask(), &borrowed)
      return .actorCreated(creation, try node(&reader))
    case .functionRegistered:
      try reader.requireExactly(4, "function")
      return .functionRegistered(try function(&reader))
    case .nodeRegistered:
      try reader.requireExactly(4, "node")
      return .nodeRegistered(try node(&reader))
    case .nodeLost:
      try reader.requireExactly(4, "node")
      return .nodeLost(try node(&reader))
    case .jobEnded:
      try reader.requireExactly(4, "job")
      return .jobEnded(JobID(reader.load(UInt32.self)))
    case .objectsFreed: return .objectsFreed(try batch(&reader, &borrowed))
    default: throw .make(.notAllowed, "update", kind.rawValue)
    }
  }

  /// Reads an update on its way down a chain. It holds no other such message, so nothing recurses.
  mutating func update(
    _ flags: UInt8, _ reader: inout FrameReader, _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    let demand = try announcement(flags, &reader)
    guard flags & ~FrameFlags.announcesShape == 0 else {
      throw .make(.mismatch, "flags", flags, FrameFlags.announcesShape)
    }
    try reader.require(16, "update")
    let raw = reader.load(UInt8.self)
    guard let kind = MessageKind(rawValue: raw) else {
      throw .make(.unknownValue, "kind of update", raw)
    }
    guard kind.isUpdate else { throw .make(.notAllowed, "update", raw) }
    let inner = reader.load(UInt8.self)
    let reserved = reader.load(UInt16.self)
    guard reserved == 0 else {
      throw .make(.mismatch, "reserved part of an update", reserved, 0)
    }
    let client = Address(raw: reader.load(UInt32.self))
    let role = try bounds.role(client, "client of an update")
    if acceptance == .fromPeers {
      guard kind.travels(from: role, to: .replica) else {
        throw .make(.notAllowed, "update", raw)
      }
    }
    let sequence = SequenceNumber(reader.load(UInt32.self))
    let epoch = reader.load(UInt32.self)
    let message: Message
    if kind == .taskLogged {
      try reader.require(4, "logged task")
      let node = try node(&reader)
      guard inner & FrameFlags.isLikeLast == 0 else {
        throw .make(.mismatch, "flags of an update", inner, 0)
      }
      let task = try specification(
        inner, demand: demand, isModel: false, &reader, &borrowed)
      message = .taskLogged(task, node)
    } else {
      guard demand == nil, inner == 0 else {
        throw .make(.mismatch, "flags of an update", inner, 0)
      }
      message = try plainUpdate(kind, &reader, &borrowed)
    }
    let record = UpdateRecord(
      update: message, client: client, sequence: sequence, epoch: epoch)
    return .updatePropagated(payloads.insert(record), sequence)
  }

  /// The receiver knows what sizes were expected; these are the true ones.
  private func completed(
    _ reader: inout FrameReader, _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    try reader.require(23, "completed task")
    let task = task(reader.loadTask(), &borrowed)
    let node = try nodeIfAny(&reader)
    let status = try status(&reader)
    let count = Int(reader.load(UInt16.self))
    try reader.requireExactly(8 * count, "sizes of return values")
    // Nothing is known of a stub's return values, so nothing can be noted.
    let isKnown = !specs[task].isStub
    if isKnown && count != Int(specs[task].returns) {
      throw .make(.mismatch, "number of return values", count, Int(specs[task].returns))
    }
    let sizes = reader
    for _ in 0..<count { _ = try size(&reader) }
    reader = sizes
    if count == 1 {
      var ahead = reader
      model.pointee.size = try size(&ahead)
    }
    guard isKnown else { return .taskCompleted(task, node, status) }
    for index in 0..<Int32(count) {
      let size = try size(&reader)
      let object = ObjectHandle(producer: task, index: index)
      if specs.outputSize(object) != size { specs.setOutputSize(size, of: object) }
    }
    return .taskCompleted(task, node, status)
  }
}
