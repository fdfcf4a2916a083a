import Primitives
import RuntimeCore

/// One input of a machine, as it was recorded.
struct RecordedInput {
  enum Content {
    /// The body, if there is one, belongs to whoever handles it.
    case message(Message, from: Address)
    case started
    case submit(TaskHandle, ResultNotice)
    case put(ByteCount)
    case request([ObjectHandle], needed: Int, isGet: Bool, fetch: Bool, timeout: TimeSpan?)
    case free(ObjectHandle)
    case flush
    case cancel(TaskHandle, isRecursive: Bool)
    case register(FunctionID)
  }

  var target: Address
  var time: Instant
  var content: Content
  /// In the file.
  var offset: Int
  /// Each effect's bytes, in order.
  var effects: [UnsafeRawBufferPointer]
}

/// What a stream says next.
enum RecordedEvent {
  case machine(MachineDescription, offset: Int)
  case machineEnded(Address)
  case input(RecordedInput)
}

/// Reads one stream, and keeps its table of tasks as it was at each moment.
final class RecordedStream {
  let specs = TaskSpecTable.allocate()
  let payloads = MessagePayloads.allocate()
  private(set) var parameters = Parameters()
  let kinds: [MessageKind?]
  private var lastTime: UInt64 = 0
  private let defined: UnsafeMutablePointer<DefinedHandles>
  private var arguments: [ObjectHandle] = []
  private var effects: [UnsafeRawBufferPointer] = []

  init(kinds: [MessageKind?]) {
    self.kinds = kinds
    defined = .allocate(capacity: 1)
    defined.initialize(to: DefinedHandles())
  }

  deinit {
    defined.deinitialize(count: 1).deallocate()
    specs.deallocate()
    payloads.deallocate()
  }

  /// A reader of a block of this stream.
  func reader(_ block: RecordingBlocks.Block) -> RecordReader {
    var reader = RecordReader(block.records, at: block.offset)
    reader.defined = UnsafePointer(defined)
    return reader
  }

  /// The next event in a block; nil at its end.
  func next(_ reader: inout RecordReader) throws(RecordingError) -> RecordedEvent? {
    while !reader.isAtEnd {
      let offset = reader.offset
      let raw = try reader.byte("kind of record")
      guard let tag = RecordTag(rawValue: raw) else {
        throw RecordingError(at: offset, "kind of record \(raw) is not known")
      }
      switch tag {
      case .shape:
        let vector = try reader.vector("demand")
        guard specs.shapeCount < 60_000 else {
          throw RecordingError(at: offset, "too many different demands")
        }
        _ = specs.shape(vector)
      case .task: try readTask(&reader)
      case .outputSize:
        let object = try reader.object()
        specs.setOutputSize(try reader.size(), of: object)
      case .parameters: parameters = try reader.parameters()
      case .machine: return .machine(try reader.machine(), offset: offset)
      case .machineEnded: return .machineEnded(try reader.address())
      case .message, .started, .call: return .input(try readInput(tag, at: offset, &reader))
      case .effect: throw RecordingError(at: offset, "an effect without an input")
      }
    }
    return nil
  }

  private func readInput(
    _ tag: RecordTag, at offset: Int, _ reader: inout RecordReader
  ) throws(RecordingError) -> RecordedInput {
    let target = try reader.address()
    lastTime = lastTime &+ UInt64(bitPattern: try reader.signed("time"))
    let content: RecordedInput.Content
    switch tag {
    case .message:
      let source = try reader.address()
      let kind = try reader.kind(kinds)
      content = .message(try reader.message(kind, kinds, payloads), from: source)
    case .call: content = try readCall(&reader)
    default: content = .started
    }
    effects.removeAll(keepingCapacity: true)
    while !reader.isAtEnd {
      var ahead = reader
      guard try ahead.byte("kind of record") == RecordTag.effect.rawValue else { break }
      reader = ahead
      effects.append(try reader.lengthAndBytes("effect"))
    }
    return RecordedInput(
      target: target, time: Instant(nanoseconds: lastTime), content: content, offset: offset,
      effects: effects)
  }

  private func readCall(
    _ reader: inout RecordReader
  ) throws(RecordingError) -> RecordedInput.Content {
    switch try reader.choice("call", { DriverCall(rawValue: $0) }) {
    case .submit:
      let task = try reader.task()
      return .submit(task, try reader.choice("notice") { ResultNotice(rawValue: $0) })
    case .put: return .put(try reader.size())
    case .request:
      var objects: [ObjectHandle] = []
      // Two bytes each at least.
      for _ in 0..<(try reader.number("number of objects", upTo: 1 << 28)) {
        objects.append(try reader.object())
      }
      let needed = Int(try reader.number("number needed", upTo: UInt64(UInt32.max)))
      let flags = try reader.byte("flags of a request")
      let timeout: TimeSpan? =
        flags & 4 == 0 ? nil : TimeSpan(nanoseconds: try reader.number("timeout"))
      return .request(
        objects, needed: needed, isGet: flags & 1 != 0, fetch: flags & 2 != 0, timeout: timeout)
    case .free: return .free(try reader.object())
    case .flush: return .flush
    case .cancel:
      let task = try reader.task()
      return .cancel(task, isRecursive: try reader.number("reach", upTo: 1) == 1)
    case .register: return .register(FunctionID(Int(try reader.small("function"))))
    }
  }

  private func readTask(_ reader: inout RecordReader) throws(RecordingError) {
    let handle = try reader.newHandle()
    let id = TaskID(high: try reader.word("identity"), low: try reader.word("identity"))
    let flags = try reader.byte("flags of a task")
    var spec = TaskSpec(id: id, function: FunctionID(0), shape: 0, returns: 0)
    arguments.removeAll(keepingCapacity: true)
    if flags & 1 == 0 {
      spec.work = TimeSpan(nanoseconds: try reader.number("work"))
      spec.outputSize = try reader.size()
      let start = reader.offset
      spec.shape = UInt16(try reader.number("demand", upTo: UInt64(UInt16.max)))
      guard Int(spec.shape) < specs.shapeCount else {
        throw RecordingError(at: start, "demand \(spec.shape) is named before it is described")
      }
      spec.returns = UInt16(try reader.number("number of return values", upTo: 65_535))
      spec.kind = try reader.choice("kind of task") { TaskKind(rawValue: $0) }
      spec.body = try reader.choice("body of a task") { TaskBody(rawValue: $0) }
      spec.attempt = try reader.byte("attempt")
      let submitter = reader.offset
      spec.submitter = try reader.small("submitter")
      guard spec.submitter >> 29 < UInt32(Address.Role.allCases.count) else {
        throw RecordingError(at: submitter, "the submitter is no machine")
      }
      spec.valueBytes = try reader.small("bytes by value")
      spec.function = FunctionID(Int(try reader.small("function")))
      spec.sequence = try reader.small("call number")
      spec.caller = try reader.word("caller")
      if flags & 2 != 0 { spec.actor = try reader.newHandle() }
      for _ in 0..<(try reader.number("number of arguments", upTo: 1 << 20)) {
        let producer = try reader.newHandle()
        guard let index = Int32(exactly: try reader.signed("argument")) else {
          throw reader.failure("the number of an argument is out of range")
        }
        arguments.append(ObjectHandle(producer: producer, index: index))
      }
    }
    arguments.withUnsafeBufferPointer {
      specs.place(spec, isStub: flags & 1 != 0, arguments: $0, at: handle)
    }
    defined.pointee.insert(handle.index)
  }
}

extension RecordReader {
  /// A handle that may not have been described yet.
  mutating func newHandle() throws(RecordingError) -> TaskHandle {
    // Handles are dense: far beyond those that were described there are none.
    let most = UInt64(4 * (defined?.pointee.count ?? 0) + 65_536)
    return TaskHandle(UInt32(try number("task", upTo: most)))
  }
}
