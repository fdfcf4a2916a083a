import Primitives
import RuntimeCore
import Scheduling

/// Where the blocks of a process's streams go. Called by any thread, a whole block at a time.
public protocol RecordingOutput: AnyObject, Sendable {
  /// The number of a new stream.
  func openStream() -> UInt32
  func write(_ block: UnsafeRawBufferPointer)
}

/// Writes down what the machines of one thread hear, and what they order: one stream of a
/// recording.
///
/// Handles are written as they are, and what a task is, where a handle first names it: so a replay
/// has every task at the same place, and tables that go by place keep their order. Nothing is
/// retained, released or taken: recording changes nothing that a machine could see.
///
/// The order of calls for each input: `heard`, `started` or one of the driver's calls; then the
/// machine itself; then `caused` with its effects, before the world carries them out.
public struct StreamRecorder: ~Copyable {
  /// What the recording says of a handle so far.
  private struct Known: BitwiseCopyable {
    var id: TaskID
    var outputSize: ByteCount
    var isStub: Bool
    var isDefined: Bool
  }

  private let specs: TaskSpecTable
  private let payloads: MessagePayloads
  private let output: any RecordingOutput
  private let stream: UInt32
  private var writer = RecordWriter()
  private var known: UnsafeMutablePointer<Known>
  private var knownCapacity = 256
  private var shapeCount = 0
  private var undefined = RingQueue<TaskHandle>()
  private var lastTime: UInt64 = 0
  private var lastFlush: UInt64 = 0
  private var hasEnded = false

  /// At most so long is what happened kept back, in ns of the recorded clock, while something
  /// happens.
  static let flushPeriod: Int64 = 250_000_000

  /// - Parameter parameters: what holds for all machines of the stream.
  public init(
    specs: TaskSpecTable, payloads: MessagePayloads, parameters: Parameters,
    to output: any RecordingOutput
  ) {
    self.specs = specs
    self.payloads = payloads
    self.output = output
    stream = output.openStream()
    known = .allocate(capacity: knownCapacity)
    known.initialize(repeating: Self.unknown, count: knownCapacity)
    beginBlock()
    writer.byte(RecordTag.parameters.rawValue)
    writer.parameters(parameters)
  }

  deinit {
    known.deallocate()
  }

  private static var unknown: Known {
    Known(id: TaskID(high: 0, low: 0), outputSize: .zero, isStub: false, isDefined: false)
  }

  // MARK: Blocks

  private mutating func beginBlock() {
    writer.removeAll()
    writer.reserve(RecordingFormat.blockHeadByteCount)
    for _ in 0..<RecordingFormat.blockHeadByteCount { writer.byte(0) }
  }

  /// Hands on what has been recorded so far. Between two inputs only.
  public mutating func flush() { writeBlock(flags: 0) }

  private mutating func writeBlock(flags: UInt16) {
    if writer.count == RecordingFormat.blockHeadByteCount && flags == 0 { return }
    RecordingFormat.sealBlock(
      UnsafeMutableRawBufferPointer(start: writer.base, count: writer.count), stream: stream,
      flags: flags)
    output.write(writer.bytes)
    beginBlock()
  }

  /// Ends the stream: nothing more will be recorded.
  public mutating func finish() {
    if hasEnded { return }
    hasEnded = true
    writeBlock(flags: RecordingFormat.endsStream)
  }

  /// Begins the record of an input.
  @inline(__always) private mutating func begin(_ now: Instant) {
    if writer.count >= RecordingFormat.blockByteCount
      || Int64(bitPattern: now.nanoseconds &- lastFlush) >= Self.flushPeriod
    {
      lastFlush = now.nanoseconds
      writeBlock(flags: 0)
    }
  }

  @inline(__always) private mutating func head(_ tag: RecordTag, _ target: Address, _ now: Instant)
  {
    writer.byte(tag.rawValue)
    writer.address(target)
    writer.signed(Int64(bitPattern: now.nanoseconds &- lastTime))
    lastTime = now.nanoseconds
  }

  // MARK: Machines

  public mutating func addRaylet(
    _ node: NodeID, _ description: NodeDescription, spillover: any SpilloverPolicy,
    dispatch: any DispatchPolicy, seed: UInt64
  ) {
    add(
      .raylet(
        node, description, spillover: spillover.spec, dispatch: dispatch.spec, seed: seed))
  }

  public mutating func addGlobalScheduler(
    _ number: Int, nodes: [ResourceVector], placement: any PlacementPolicy, seed: UInt64
  ) {
    add(.globalScheduler(number, nodes: nodes, placement: placement.spec, seed: seed))
  }

  public mutating func addReplica(_ number: UInt32, shard: UInt32, position: UInt32) {
    add(.replica(number, shard: shard, position: position))
  }

  public mutating func addDriver(
    _ address: Address, node: NodeID, worker: WorkerID, root: TaskHandle, incarnation: UInt32,
    freeDelay: TimeSpan
  ) {
    mention(root)
    add(
      .driver(
        address, node: node, worker: worker, root: root, incarnation: incarnation,
        freeDelay: freeDelay))
  }

  private mutating func add(_ machine: MachineDescription) {
    writer.byte(RecordTag.machine.rawValue)
    writer.machine(machine)
  }

  public mutating func removeMachine(_ address: Address) {
    writer.byte(RecordTag.machineEnded.rawValue)
    writer.address(address)
  }

  // MARK: Inputs

  public mutating func heard(
    _ message: Message, from source: Address, to target: Address, at now: Instant
  ) {
    begin(now)
    mention(message)
    head(.message, target, now)
    writer.address(source)
    writer.kind(message.kind)
    message.walk(&writer, payloads)
  }

  public mutating func started(_ target: Address, at now: Instant) {
    begin(now)
    head(.started, target, now)
  }

  private mutating func call(_ call: DriverCall, _ target: Address, _ now: Instant) {
    head(.call, target, now)
    writer.byte(call.rawValue)
  }

  public mutating func submitted(
    _ task: TaskHandle, notice: ResultNotice, by driver: Address, at now: Instant
  ) {
    begin(now)
    mention(task)
    call(.submit, driver, now)
    writer.task(task)
    writer.byte(notice.rawValue)
  }

  public mutating func put(_ size: ByteCount, by driver: Address, at now: Instant) {
    begin(now)
    call(.put, driver, now)
    writer.size(size)
  }

  public mutating func requested(
    _ objects: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool,
    timeout: TimeSpan?, by driver: Address, at now: Instant
  ) {
    begin(now)
    for object in objects { mention(object.producer) }
    call(.request, driver, now)
    writer.number(UInt64(objects.count))
    for object in objects { writer.object(object) }
    writer.number(UInt64(needed))
    writer.byte((isGet ? 1 : 0) | (fetch ? 2 : 0) | (timeout == nil ? 0 : 4))
    if let timeout { writer.span(timeout) }
  }

  public mutating func freed(_ object: ObjectHandle, by driver: Address, at now: Instant) {
    begin(now)
    mention(object.producer)
    call(.free, driver, now)
    writer.object(object)
  }

  public mutating func flushed(by driver: Address, at now: Instant) {
    begin(now)
    call(.flush, driver, now)
  }

  public mutating func cancelled(
    _ task: TaskHandle, isRecursive: Bool, by driver: Address, at now: Instant
  ) {
    begin(now)
    mention(task)
    call(.cancel, driver, now)
    writer.task(task)
    writer.number(isRecursive ? 1 : 0)
  }

  public mutating func registered(_ function: FunctionID, by driver: Address, at now: Instant) {
    begin(now)
    call(.register, driver, now)
    writer.number(UInt64(function.index))
  }

  // MARK: Effects

  /// What the last input caused.
  public mutating func caused(_ effects: borrowing EffectBuffer<Effect>) {
    for i in 0..<effects.count {
      writer.byte(RecordTag.effect.rawValue)
      let start = writer.count
      writer.byte(0)
      writer.effect(effects[i], payloads)
      writer.setLength(at: start)
    }
  }

  // MARK: Tasks

  @inline(__always) private mutating func mention(_ message: Message) {
    switch message {
    case .taskFinished(let task, _, _), .taskCompleted(let task, _, _):
      mention(task)
      if specs[task].returns != 1 { mentionSizes(task) }
    default:
      var sink = MentionSink()
      message.walk(&sink, payloads)
      for i in 0..<sink.count { mention(sink.tasks[i]) }
      if let count = sink.listed { for i in 0..<count { mention(listed(i, in: message)) } }
    }
  }

  private func listed(_ i: Int, in message: Message) -> TaskHandle {
    switch message {
    case .referencesFreed(let batch), .objectsFreed(let batch):
      return payloads.batch(batch).pointee[i].producer
    case .updatePropagated(let update, _): return listed(i, in: payloads.update(update).update)
    default: preconditionFailure("\(message.kind) has no list of objects")
    }
  }

  /// Writes down what stands behind a handle, unless the recording says so already.
  @inline(__always) private mutating func mention(_ task: TaskHandle) {
    let index = Int(task.index)
    if index < knownCapacity && known[index].isDefined && known[index].id == specs[task].id
      && known[index].isStub == specs[task].isStub
      && known[index].outputSize == specs[task].outputSize
    {
      return
    }
    define(task)
  }

  @inline(never) private mutating func define(_ task: TaskHandle) {
    let index = Int(task.index)
    if index < knownCapacity && known[index].isDefined && known[index].id == specs[task].id
      && known[index].isStub == specs[task].isStub
    {
      known[index].outputSize = specs[task].outputSize
      writeSize(ObjectHandle(producer: task, index: 0), specs[task].outputSize)
      return
    }
    // Inputs of inputs too, without recursion.
    undefined.append(task)
    while let next = undefined.popFirst() {
      if isKnown(next) { continue }
      note(next)
      write(task: next)
    }
  }

  private func isKnown(_ task: TaskHandle) -> Bool {
    let index = Int(task.index)
    return index < knownCapacity && known[index].isDefined && known[index].id == specs[task].id
      && known[index].isStub == specs[task].isStub
  }

  private mutating func note(_ task: TaskHandle) {
    let index = Int(task.index)
    if index >= knownCapacity {
      let capacity = max(index + 1, knownCapacity * 2)
      let larger = UnsafeMutablePointer<Known>.allocate(capacity: capacity)
      larger.initialize(repeating: Self.unknown, count: capacity)
      larger.update(from: known, count: knownCapacity)
      known.deallocate()
      known = larger
      knownCapacity = capacity
    }
    known[index] = Known(
      id: specs[task].id, outputSize: specs[task].outputSize, isStub: specs[task].isStub,
      isDefined: true)
  }

  private mutating func write(task: TaskHandle) {
    let spec = specs[task]
    while !spec.isStub && shapeCount <= Int(spec.shape) {
      writer.byte(RecordTag.shape.rawValue)
      writer.vector(specs.demand(shape: UInt16(shapeCount)))
      shapeCount += 1
    }
    writer.byte(RecordTag.task.rawValue)
    writer.task(task)
    writer.specification(spec, task, specs)
    if spec.actor != .none { undefined.append(spec.actor) }
    for i in 0..<spec.argumentCount { undefined.append(specs.argument(task, i).producer) }
  }

  private mutating func mentionSizes(_ task: TaskHandle) {
    for index in 0..<Int32(specs[task].returns) {
      let object = ObjectHandle(producer: task, index: index)
      if specs.outputSize(object) != specs[task].outputSize {
        writeSize(object, specs.outputSize(object))
      }
    }
  }

  private mutating func writeSize(_ object: ObjectHandle, _ size: ByteCount) {
    writer.byte(RecordTag.outputSize.rawValue)
    writer.object(object)
    writer.size(size)
  }
}

extension RecordWriter {
  /// An effect, as it is recorded and compared.
  @inline(__always) mutating func effect(_ effect: Effect, _ payloads: MessagePayloads) {
    byte(effect.kind.rawValue)
    effect.walk(&self, payloads)
  }

  mutating func specification(_ spec: TaskSpec, _ task: TaskHandle, _ specs: TaskSpecTable) {
    word(spec.id.high)
    word(spec.id.low)
    let hasActor = spec.actor != .none
    byte((spec.isStub ? 1 : 0) | (hasActor ? 2 : 0))
    if spec.isStub { return }
    number(spec.work.nanoseconds)
    number(spec.outputSize.bytes)
    number(UInt64(spec.shape))
    number(UInt64(spec.returns))
    byte(spec.kind.rawValue)
    byte(spec.body.rawValue)
    byte(spec.attempt)
    number(UInt64(spec.submitter))
    number(UInt64(spec.valueBytes))
    number(UInt64(spec.function.index))
    number(UInt64(spec.sequence))
    word(spec.caller)
    if hasActor { self.task(spec.actor) }
    number(UInt64(spec.argumentCount))
    for i in 0..<spec.argumentCount { object(specs.argument(task, i)) }
  }
}

/// The tasks that a message names; of a list only how many there are.
private struct MentionSink: PartSink {
  var tasks: InlineArray<2, TaskHandle> = .init(repeating: .none)
  var count = 0
  var listed: Int?

  mutating func task(_ task: TaskHandle) {
    if count < 2 && listed == nil {
      tasks[count] = task
      count += 1
    }
  }
  mutating func object(_ object: ObjectHandle) { task(object.producer) }
  mutating func list(_ count: Int) { listed = count }
  func number(_ value: UInt64, _ name: StaticString) {}
  func node(_ node: NodeID) {}
  func worker(_ worker: WorkerID) {}
  func size(_ size: ByteCount) {}
  func span(_ span: TimeSpan) {}
  func address(_ address: Address) {}
  func status(_ status: ObjectStatus) {}
  func kind(_ kind: MessageKind) {}
  func vector(_ vector: ResourceVector, _ name: StaticString) {}
  func real(_ value: Double, _ name: StaticString) {}
}
