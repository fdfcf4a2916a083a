import Primitives
import RuntimeCore

/// Parts in words, with the tasks' identities in place of handles.
struct TextSink: PartSink {
  let specs: TaskSpecTable
  private(set) var text = ""

  init(_ specs: TaskSpecTable) { self.specs = specs }

  private mutating func add(_ part: String) { text += text.isEmpty ? part : " " + part }

  /// The first eight digits of an identity tell the tasks of a run apart.
  private func name(_ task: TaskHandle) -> String {
    guard Int(task.index) < specs.slotCount else { return "#\(task.index)" }
    return String(specs[task].id.description.prefix(8))
  }

  mutating func task(_ task: TaskHandle) { add("task \(name(task))") }
  mutating func object(_ object: ObjectHandle) {
    let index = object.index < 0 ? "put\(-Int(object.index))" : "\(object.index)"
    add("object \(name(object.producer)).\(index)")
  }
  mutating func number(_ value: UInt64, _ name: StaticString) {
    add(value == UInt64(UInt32.max) ? "\(name) none" : "\(name) \(value)")
  }
  mutating func list(_ count: Int) { add("\(count) objects:") }
  mutating func node(_ node: NodeID) { add(node == .none ? "no node" : "node \(node.index)") }
  mutating func worker(_ worker: WorkerID) {
    add(worker == .none ? "no worker" : "worker \(worker.index)")
  }
  mutating func size(_ size: ByteCount) { add("\(size)") }
  mutating func span(_ span: TimeSpan) { add("after \(span)") }
  mutating func address(_ address: Address) { add("\(address):") }
  mutating func status(_ status: ObjectStatus) { add(hyphenated("\(status)")) }
  mutating func kind(_ kind: MessageKind) { add(kind.name) }
  mutating func vector(_ vector: ResourceVector, _ name: StaticString) {
    add("\(name) \(ResourceNames().describe(vector))")
  }
  mutating func real(_ value: Double, _ name: StaticString) { add("\(name) \(value)") }
}

extension RecordedStream {
  func text(_ message: Message) -> String {
    var sink = TextSink(specs)
    sink.kind(message.kind)
    message.walk(&sink, payloads)
    return sink.text
  }

  func text(_ input: RecordedInput) -> String {
    switch input.content {
    case .message(let message, let source):
      return text(message) + (source == input.target ? "" : " from \(source)")
    case .started: return "started"
    case .submit(let task, let notice):
      var sink = TextSink(specs)
      sink.task(task)
      return "call submit \(sink.text) notice \(hyphenated("\(notice)"))"
    case .put(let size): return "call put \(size)"
    case .request(let objects, let needed, let isGet, let fetch, let timeout):
      var sink = TextSink(specs)
      for object in objects.prefix(16) { sink.object(object) }
      let more = objects.count > 16 ? " and \(objects.count - 16) more" : ""
      let limit = timeout.map { ", timeout \($0)" } ?? ""
      return "call \(isGet ? "get" : "wait for \(needed) of")\(fetch ? "" : " news of") "
        + "\(sink.text)\(more)\(limit)"
    case .free(let object):
      var sink = TextSink(specs)
      sink.object(object)
      return "call free \(sink.text)"
    case .flush: return "call flush"
    case .cancel(let task, let isRecursive):
      var sink = TextSink(specs)
      sink.task(task)
      return "call cancel \(sink.text)" + (isRecursive ? " recursively" : "")
    case .register(let function): return "call register function \(function.index)"
    }
  }

  /// An effect out of its bytes, in words; bytes that are no effect say so.
  func text(effect bytes: UnsafeRawBufferPointer) -> String {
    do throws(RecordingError) {
      var reader = RecordReader(bytes, at: 0)
      let kind = try reader.choice("kind of effect") { EffectKind(rawValue: $0) }
      guard let effect = try reader.effect(kind, kinds, payloads) else {
        return "record step \(try reader.number("step"))"
      }
      return text(effect)
    } catch {
      return "no effect: \(error.text)"
    }
  }

  func text(_ effect: Effect) -> String {
    var sink = TextSink(specs)
    effect.walk(&sink, payloads)
    effect.discardBody(payloads)
    return "\(effect.kind.name) \(sink.text)"
  }
}
