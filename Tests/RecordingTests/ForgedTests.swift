import Primitives
import RuntimeCore
import Scheduling
import Testing

@testable import Recording

/// Single records that cannot be meant, as the fuzz once found them.
@Suite("forged records")
struct ForgedTests {
  private func failure(
    _ write: (inout RecordWriter) -> Void, _ read: (inout RecordReader) throws -> Void
  ) -> String {
    var writer = RecordWriter()
    write(&writer)
    var reader = RecordReader(writer.bytes, at: 0)
    do {
      try read(&reader)
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test(
    "a machine, a log entry and a copy without a node are damage: each is sent to or kept by it")
  func noNode() {
    let driver = MachineDescription.driver(
      .driver(1), node: .none, worker: .none, root: TaskHandle(0), incarnation: 0,
      freeDelay: .zero)
    #expect(failure({ $0.machine(driver) }, { _ = try $0.machine() }).contains("no node"))
    let object = ObjectHandle(producer: TaskHandle(0), index: 0)
    let payloads = MessagePayloads.allocate()
    defer { payloads.deallocate() }
    let messages: [Message] = [
      .taskLogged(TaskHandle(0), .none), .locationAdded(object, .none, .value, .zero),
      .nodeLost(.none), .actorCreated(TaskHandle(0), .none),
    ]
    for message in messages {
      let text = failure(
        { message.walk(&$0, payloads) }, { _ = try $0.message(message.kind, [], payloads) })
      #expect(text.contains("no node"), "\(message.kind): \(text)")
    }
    // Nowhere is an answer.
    let answer = Message.objectLocated(object, .none, .nodeDied, .zero)
    let text = failure(
      { answer.walk(&$0, payloads) }, { _ = try $0.message(answer.kind, [], payloads) })
    #expect(text.isEmpty)
  }

  @Test("a report with more than all of a node's resources, or with averages that are no numbers")
  func report() {
    var report = Heartbeat(
      node: NodeID(0), total: ResourceVector(cpus: 2), available: ResourceVector(cpus: 2),
      queueLength: 0, placementsReceived: 0, averageTaskSeconds: 0.1, averageBandwidth: 1e9)
    func failure(_ report: Heartbeat) -> String {
      self.failure({ report.walk(&$0) }, { _ = try $0.heartbeat() })
    }
    #expect(failure(report).isEmpty)
    report.available = ResourceVector(cpus: 3)
    #expect(failure(report).contains("such resources"))
    report.available = .zero
    report.averageTaskSeconds = .nan
    #expect(failure(report).contains("averages"))
  }

  @Test("a task that runs becomes an actor's method, or a constructor: its end cannot be meant")
  func otherTask() throws {
    let specs = TaskSpecTable.allocate()
    let payloads = MessagePayloads.allocate()
    defer {
      specs.deallocate()
      payloads.deallocate()
    }
    let parameters = Parameters()
    var raylet = Raylet(
      node: NodeID(0),
      description: NodeDescription(
        resources: ResourceVector(cpus: 1), store: ByteCount(1_000_000)),
      parameters: parameters,
      map: ControlStoreMap(shards: parameters.gcsShards, chainLength: parameters.chainLength),
      spillover: try PolicyRegistry.spillover(PolicySpec("NeverEscalate")),
      dispatch: try PolicyRegistry.dispatch(PolicySpec("FIFO")), specs: specs,
      payloads: payloads, seed: 1)
    var effects = EffectBuffer<Effect>()
    raylet.start(at: .zero, into: &effects)
    var spec = TaskSpec(
      id: TaskID(high: 1, low: 1), function: FunctionID(0),
      shape: specs.shape(ResourceVector(cpus: 1)), returns: 1)
    spec.submitter = Address.driver(0).raw
    let task = TaskHandle(0)
    func place() {
      specs.place(
        spec, isStub: false, arguments: UnsafeBufferPointer(start: nil, count: 0), at: task)
    }
    place()
    raylet.receive(
      .taskSubmitted(task, notice: .none), from: .driver(0), at: .zero, into: &effects)
    var worker: WorkerID?
    for i in 0..<effects.count {
      if case .execute(_, let on) = effects[i] { worker = on }
    }
    let end = Message.taskFinished(task, try #require(worker), .value)
    let source = Address.raylet(NodeID(0))
    #expect(raylet.problem(with: end, from: source) == nil)
    spec.kind = .actorMethod
    spec.actor = task
    place()
    #expect(raylet.problem(with: end, from: source)?.contains("no method") == true)
    spec.kind = .actorCreation
    spec.actor = .none
    place()
    #expect(raylet.problem(with: end, from: source)?.contains("no actor") == true)
  }
}
