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
    var spec: TaskSpec
    let hasActor = flags & FrameFlags.hasActor != 0
    var actor = model.pointee.actor
    if flags & FrameFlags.isLikeLast != 0 {
      spec = try difference(hasActor, demand, &reader)
    } else {
      spec = try wholeSpecification(&reader)
    }
    let argumentCount = Int(reader.load(UInt32.self))
    guard argumentCount <= Self.mostArguments else {
      throw .make(.aboveLimit, "number of arguments", argumentCount, Self.mostArguments)
    }
    guard hasActor || spec.kind != .actorMethod else {
      throw .make(.mismatch, "actors of a method", 0, 1)
    }
    let valueCount = Int(spec.valueBytes)
    let values = flags & (FrameFlags.hasValues | FrameFlags.hasFiller)
    guard values == 0 || values.nonzeroBitCount == 1 && valueCount > 0 else {
      throw .make(.mismatch, "flags", flags, 0)
    }
    let namesActor = hasActor && flags & FrameFlags.isLikeLast == 0
    try reader.requireExactly(
      (namesActor ? 16 : 0) + 20 * argumentCount + (values == 0 ? 0 : valueCount),
      "arguments of a task")
    if namesActor { actor = reader.loadTask() }
    if flags & FrameFlags.isLikeLast == 0 {
      spec.shape = try localShape(spec.shape, demand)
      if isModel {
        model.pointee = SpecificationModel(
          isThere: true, hasActor: hasActor, spec: spec, actor: actor)
      }
    }

    let id = spec.id
    let known = specs.find(id)
    if let known, !specs[known].isStub {
      specs.retain(known)
      borrowed.append(known)
      return known
    }
    if hasActor { spec.actor = try named(actor, by: id, &borrowed) }
    if argumentCount > argumentCapacity { growArguments(argumentCount) }
    for i in 0..<argumentCount {
      let argument = reader.loadObject()
      (arguments + i).initialize(
        to: ObjectHandle(
          producer: try named(argument.producer, by: id, &borrowed), index: argument.index))
    }
    let list = UnsafeBufferPointer(start: arguments, count: argumentCount)
    let handle: TaskHandle
    if let known {
      specs.retain(known)
      specs.define(known, spec, arguments: list)
      handle = known
    } else {
      handle = specs.insert(spec, arguments: list)
    }
    borrowed.append(handle)
    if flags & FrameFlags.hasValues != 0 {
      specs.setValueArguments(reader.loadBytes(valueCount), of: handle)
    }
    return handle
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

  /// A specification that says only how it differs from the last one, up to the number of its
  /// arguments.
  @inline(__always)
  private mutating func difference(
    _ hasActor: Bool, _ demand: ResourceVector?, _ reader: inout FrameReader
  ) throws(FrameError) -> TaskSpec {
    try reader.require(FrameFlags.differenceByteCount, "difference of specifications")
    guard model.pointee.isThere, demand == nil, hasActor == model.pointee.hasActor else {
      throw .make(.mismatch, "specification before this one", 0, 1)
    }
    var spec = model.pointee.spec
    spec.id.low = reader.load(UInt64.self)
    spec.sequence = reader.load(UInt32.self)
    spec.valueBytes = reader.load(UInt32.self)
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
