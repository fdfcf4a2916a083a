import Primitives
import RuntimeCore

extension MessageDecoder {
  /// The demand in front of a body that announces one.
  @inline(__always)
  func announcement(
    _ flags: UInt8, _ reader: inout FrameReader
  ) throws(FrameError) -> ResourceVector? {
    guard flags & FrameFlags.announcesShape != 0 else { return nil }
    try reader.require(FrameFlags.announcementByteCount, "resource demand")
    let demand = reader.loadVector()
    guard demand.lanes.min() >= 0 else {
      throw .make(.negative, "demand of a resource", demand.lanes.min())
    }
    return demand
  }

  /// Reads the body of a message that is a specification and nothing else.
  @inline(__always)
  mutating func specification(
    _ kind: MessageKind, _ flags: UInt8, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> TaskHandle {
    let demand = try announcement(flags, &reader)
    return try specification(
      flags & ~FrameFlags.announcesShape, demand: demand, &reader, &borrowed)
  }

  /// Reads a specification up to the end of the frame and interns it with all that it names. A task
  /// that is known already stays as it is: specifications never change.
  ///
  /// - Parameter isModel: the next one may say only how it differs from this one.
  mutating func specification(
    _ flags: UInt8, demand: ResourceVector?, isModel: Bool = true, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> TaskHandle {
    guard flags & ~FrameFlags.ofSpecification == 0 else {
      throw .make(.mismatch, "flags", flags, FrameFlags.ofSpecification)
    }
    if flags & FrameFlags.isLikeLast != 0 {
      return try difference(flags, demand, &reader, &borrowed)
    }
    let hasActor = flags & FrameFlags.hasActor != 0
    var spec = try wholeSpecification(&reader)
    let count = try argumentCount(&reader)
    guard hasActor || spec.kind != .actorMethod else {
      throw .make(.mismatch, "actors of a method", 0, 1)
    }
    try requireArguments(count, flags, spec.valueBytes, &reader, actors: hasActor ? 1 : 0)
    let actor = hasActor ? reader.loadTask() : TaskID(high: 0, low: 0)
    spec.shape = try localShape(spec.shape, demand)
    if isModel {
      model.pointee = SpecificationModel(
        isThere: true, hasActor: hasActor, spec: spec, actor: actor, size: model.pointee.size)
    }

    let id = spec.id
    let known = specs.find(id)
    if let known, !specs[known].isStub { return borrow(known, &borrowed) }
    if hasActor { spec.actor = try named(actor, by: id, &borrowed) }
    let list = try arguments(count, of: id, &reader, &borrowed)
    let handle: TaskHandle
    if let known {
      handle = borrow(known, &borrowed)
      specs.define(known, spec, arguments: list)
    } else {
      handle = specs.insert(spec, arguments: list)
      borrowed.append(handle)
    }
    setValues(flags, spec.valueBytes, &reader, of: handle)
    return handle
  }

  /// A specification that says only how it differs from the last one.
  @inline(__always)
  private mutating func difference(
    _ flags: UInt8, _ demand: ResourceVector?, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> TaskHandle {
    try reader.require(FrameFlags.differenceByteCount, "difference of specifications")
    let hasActor = flags & FrameFlags.hasActor != 0
    guard model.pointee.isThere, demand == nil, hasActor == model.pointee.hasActor else {
      throw .make(.mismatch, "specification before this one", 0, 1)
    }
    let id = TaskID(high: model.pointee.spec.id.high, low: reader.load(UInt64.self))
    let sequence = reader.load(UInt32.self)
    let valueBytes = reader.load(UInt32.self)
    let count = try argumentCount(&reader)
    try requireArguments(count, flags, valueBytes, &reader, actors: 0)

    let known = specs.find(id)
    if let known, !specs[known].isStub { return borrow(known, &borrowed) }
    let actor = hasActor ? try named(model.pointee.actor, by: id, &borrowed) : .none
    let list = try arguments(count, of: id, &reader, &borrowed)
    let handle: TaskHandle
    if let known {
      handle = borrow(known, &borrowed)
      var spec = model.pointee.spec
      spec.id = id
      spec.sequence = sequence
      spec.valueBytes = valueBytes
      spec.actor = actor
      specs.define(known, spec, arguments: list)
    } else {
      handle = withUnsafePointer(to: &model.pointee.spec) {
        specs.insert(
          like: $0, id: id, sequence: sequence, actor: actor, valueBytes: valueBytes,
          arguments: list)
      }
      borrowed.append(handle)
    }
    setValues(flags, valueBytes, &reader, of: handle)
    return handle
  }

  @inline(__always)
  func borrow(
    _ known: TaskHandle, _ borrowed: inout EffectBuffer<TaskHandle>
  ) -> TaskHandle {
    specs.retain(known)
    borrowed.append(known)
    return known
  }

  @inline(__always)
  private func argumentCount(_ reader: inout FrameReader) throws(FrameError) -> Int {
    let count = Int(reader.load(UInt32.self))
    guard count <= Self.mostArguments else {
      throw .make(.aboveLimit, "number of arguments", count, Self.mostArguments)
    }
    return count
  }

  /// What remains has to be the names of `actors` and of `count` objects, and the values that the flags
  /// announce.
  @inline(__always)
  private func requireArguments(
    _ count: Int, _ flags: UInt8, _ valueBytes: UInt32, _ reader: inout FrameReader, actors: Int
  ) throws(FrameError) {
    let values = flags & (FrameFlags.hasValues | FrameFlags.hasFiller)
    guard values == 0 || values.nonzeroBitCount == 1 && valueBytes > 0 else {
      throw .make(.mismatch, "flags", flags, 0)
    }
    try reader.requireExactly(
      16 * actors + 20 * count + (values == 0 ? 0 : Int(valueBytes)), "arguments of a task")
  }

  /// The objects that a task needs. Valid until the next call.
  @inline(__always)
  private mutating func arguments(
    _ count: Int, of id: TaskID, _ reader: inout FrameReader,
    _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> UnsafeBufferPointer<ObjectHandle> {
    if count > argumentCapacity { growArguments(count) }
    for i in 0..<count {
      let argument = reader.loadObject()
      (arguments + i).initialize(
        to: ObjectHandle(
          producer: try named(argument.producer, by: id, &borrowed), index: argument.index))
    }
    return UnsafeBufferPointer(start: arguments, count: count)
  }

  @inline(__always)
  private func setValues(
    _ flags: UInt8, _ valueBytes: UInt32, _ reader: inout FrameReader, of task: TaskHandle
  ) {
    if flags & FrameFlags.hasValues != 0 {
      specs.setValueArguments(reader.loadBytes(Int(valueBytes)), of: task)
    }
  }

  /// The fixed part of a specification that travels whole, up to the number of its arguments, with the
  /// sender's number of its demand.
  @inline(__always)
  private mutating func wholeSpecification(
    _ reader: inout FrameReader
  ) throws(FrameError) -> TaskSpec {
    try reader.require(FrameFlags.specificationByteCount, "specification")
    let id = reader.loadTask()
    let work = TimeSpan(nanoseconds: reader.load(UInt64.self))
    let outputSize = try size(&reader)
    let remoteShape = reader.load(UInt16.self)
    let returns = reader.load(UInt16.self)
    let rawKind = reader.load(UInt8.self)
    guard let kind = TaskKind(rawValue: rawKind) else {
      throw .make(.unknownValue, "kind of task", rawKind)
    }
    let rawBody = reader.load(UInt8.self)
    guard let body = TaskBody(rawValue: rawBody) else {
      throw .make(.unknownValue, "body of a task", rawBody)
    }
    let attempt = reader.load(UInt8.self)
    let reserved = reader.load(UInt8.self)
    guard reserved == 0 else {
      throw .make(.mismatch, "reserved part of a specification", reserved, 0)
    }
    let submitter = Address(raw: reader.load(UInt32.self))
    guard try bounds.role(submitter, "submitter") == .driver else {
      throw .make(.unknownValue, "submitter", submitter.raw)
    }
    let function = try function(&reader)
    let sequence = reader.load(UInt32.self)
    let valueCount = Int(reader.load(UInt32.self))
    let caller = reader.load(UInt64.self)
    var spec = TaskSpec(
      id: id, function: function, shape: remoteShape, work: work,
      outputSize: outputSize, returns: Int(returns), valueBytes: valueCount, kind: kind, body: body,
      submitter: submitter.raw, sequence: sequence)
    spec.attempt = attempt
    spec.caller = caller
    return spec
  }

  /// Interns a task that the specification of `id` names: never itself, for it would then hold
  /// itself alive for ever.
  @inline(__always)
  private func named(
    _ other: TaskID, by id: TaskID, _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> TaskHandle {
    guard other != id else { throw .make(.unknownValue, "input of a task", other.low) }
    return task(other, &borrowed)
  }

  private mutating func growArguments(_ count: Int) {
    arguments.deallocate()
    argumentCapacity = count
    arguments = .allocate(capacity: count)
  }

  // MARK: Demands

  @inline(__always)
  private mutating func localShape(
    _ number: UInt16, _ demand: ResourceVector?
  ) throws(FrameError) -> UInt16 {
    if let demand { return try learn(number, demand) }
    guard Int(number) < shapeCapacity, shapes[Int(number)] != Self.unknownShape else {
      throw .make(.unknownValue, "number of a demand", number)
    }
    return shapes[Int(number)]
  }

  @inline(never)
  private mutating func learn(
    _ number: UInt16, _ demand: ResourceVector
  ) throws(FrameError) -> UInt16 {
    guard shapeCount < Self.mostShapes, specs.shapeCount < Int(UInt16.max) - 1 else {
      throw .make(.aboveLimit, "number of demands", shapeCount + 1, Self.mostShapes)
    }
    if Int(number) >= shapeCapacity {
      let capacity = max(Int(number) + 1, shapeCapacity * 2)
      let larger = UnsafeMutablePointer<UInt16>.allocate(capacity: capacity)
      larger.initialize(repeating: Self.unknownShape, count: capacity)
      larger.update(from: shapes, count: shapeCapacity)
      shapes.deallocate()
      shapes = larger
      shapeCapacity = capacity
    }
    guard shapes[Int(number)] == Self.unknownShape else {
      throw .make(.mismatch, "announcement of a demand", number, 0)
    }
    shapes[Int(number)] = specs.shape(demand)
    shapeCount += 1
    return shapes[Int(number)]
  }
}
