import Primitives
import Scheduling
import Testing

@testable import RuntimeCore

/// A global scheduler by itself, with what it sends.
private final class LoneScheduler {
  let specs = TaskSpecTable.allocate()
  let payloads = MessagePayloads.allocate()
  let scheduler: UnsafeMutablePointer<GlobalScheduler>
  var effects = EffectBuffer<Effect>()
  var sent: [(message: Message, to: Address)] = []
  var count = 0

  init(_ nodes: [ResourceVector], placement: String = "LowestWait[tie=first]") throws {
    scheduler = .allocate(capacity: 1)
    scheduler.initialize(
      to: GlobalScheduler(
        number: 0, nodes: nodes, parameters: Parameters(),
        map: ControlStoreMap(shards: 1, chainLength: 2),
        placement: try PolicyRegistry.placement(PolicySpec(parsing: placement)), specs: specs,
        payloads: payloads, seed: 1))
  }

  deinit {
    scheduler.deinitialize(count: 1).deallocate()
    specs.deallocate()
    payloads.deallocate()
  }

  func task(_ inputs: [ObjectHandle] = [], cpus: Int = 1) -> TaskHandle {
    count += 1
    let spec = TaskSpec(
      id: TaskID(high: 0, low: UInt64(count)), function: FunctionID(0),
      shape: specs.shape(ResourceVector(cpus: cpus)))
    return inputs.withUnsafeBufferPointer { specs.insert(spec, arguments: $0) }
  }

  func tell(_ message: Message, at now: Instant = .zero) {
    sent = []
    scheduler.pointee.receive(message, from: .raylet(NodeID(0)), at: now, into: &effects)
    for i in 0..<effects.count {
      if case .send(let message, let to) = effects[i] { sent.append((message, to)) }
    }
    effects.removeAll()
  }

  func heartbeat(
    _ node: Int, total: ResourceVector, available: ResourceVector, queue: UInt32 = 0,
    received: UInt64
  ) {
    tell(
      .heartbeat(
        payloads.insert(
          Heartbeat(
            node: NodeID(node), total: total, available: available, queueLength: queue,
            placementsReceived: received, averageTaskSeconds: 1, averageBandwidth: 1e6))))
  }

  /// Where the last message placed a task.
  var placements: [Int] {
    sent.compactMap { if case .taskPlaced = $0.message { $0.to.number } else { nil } }
  }
}

@Suite("a global scheduler by itself")
struct GlobalSchedulerTests {
  static let one = ResourceVector(cpus: 1)

  @Test("what was sent and not yet counted by the node weighs as much as its queue")
  func ledger() throws {
    let lone = try LoneScheduler([Self.one, Self.one])
    var places: [Int] = []
    for _ in 0..<4 {
      lone.tell(.taskEscalated(lone.task()))
      places += lone.placements
    }
    #expect(places.filter { $0 == 0 }.count == 2 && places.filter { $0 == 1 }.count == 2)
    // Node 0 reports before the tasks reach it: it looks idle, but the ledger knows (ray#1180).
    lone.heartbeat(0, total: Self.one, available: Self.one, received: 0)
    lone.heartbeat(1, total: Self.one, available: Self.one, received: 2)
    lone.tell(.taskEscalated(lone.task()))
    #expect(lone.placements == [1])
  }

  @Test("a task with unknown inputs waits for the object table, and goes where they are")
  func locality() throws {
    let lone = try LoneScheduler([Self.one, Self.one, Self.one])
    let input = ObjectHandle(producer: lone.task(), index: 0)
    let other = ObjectHandle(producer: lone.task(), index: 0)
    let reader = lone.task([input, other])
    lone.tell(.taskEscalated(reader))
    #expect(lone.placements.isEmpty)
    // Asked once each, at the tail of the chain.
    #expect(lone.sent.count == 2 && lone.sent.allSatisfy { $0.to == .replica(1) })
    lone.tell(.taskEscalated(lone.task([input])))
    #expect(lone.sent.isEmpty)
    // All holders are told before the task is placed: the first is not taken for the only one.
    lone.tell(.objectLocated(input, NodeID(2), .value, ByteCount(50_000_000)))
    #expect(lone.placements.isEmpty)
    lone.tell(.locationsListed(input))
    #expect(lone.placements == [2])
    lone.tell(.locationsListed(other))
    #expect(lone.placements == [2])
    // Known now: no further question.
    lone.tell(.taskEscalated(lone.task([input, other])))
    #expect(lone.placements.count == 1)
    // The copy at node 2 went, another appeared.
    lone.tell(.locationLost(input, NodeID(2)))
    lone.tell(.objectLocated(input, NodeID(1), .value, ByteCount(5_000_000_000)))
    lone.tell(.taskEscalated(lone.task([input])))
    #expect(lone.placements == [1])
  }

  @Test("what was on its way to a lost node is logged there before the loss is told")
  func lost() throws {
    let lone = try LoneScheduler([Self.one, Self.one])
    let (first, second) = (lone.task(), lone.task())
    lone.tell(.taskEscalated(first))
    lone.tell(.taskEscalated(second))
    lone.heartbeat(0, total: Self.one, available: Self.one, received: 1)
    lone.tell(.nodeLost(NodeID(1)))
    let kinds = lone.sent.map(\.message.kind)
    #expect(kinds == [.taskLogged, .nodeLost])
    if case .taskLogged(let task, let node) = lone.sent[0].message {
      #expect(task == second && node == NodeID(1))
    }
    // Nothing more goes there.
    for _ in 0..<3 {
      lone.tell(.taskEscalated(lone.task()))
      #expect(lone.placements == [0])
    }
  }

  @Test("nothing goes to a node that drains, though it reports on; its tasks wait for another one")
  func draining() throws {
    let lone = try LoneScheduler([Self.one, Self.one])
    lone.tell(.nodeDraining(NodeID(1)))
    lone.heartbeat(1, total: Self.one, available: Self.one, received: 0)
    for _ in 0..<3 {
      lone.tell(.taskEscalated(lone.task()))
      #expect(lone.placements == [0])
    }
    lone.tell(.nodeDraining(NodeID(0)))
    lone.tell(.taskEscalated(lone.task()))
    #expect(lone.placements.isEmpty)
    lone.heartbeat(2, total: Self.one, available: Self.one, received: 0)
    #expect(lone.placements == [2])
  }

  @Test("a node that joins later is known by its first heartbeat, however high its number")
  func joined() throws {
    let lone = try LoneScheduler([.zero])
    lone.tell(.taskEscalated(lone.task()))
    #expect(lone.placements.isEmpty)
    lone.heartbeat(200, total: Self.one, available: Self.one, received: 0)
    #expect(lone.placements == [200])
  }

  @Test("the directory forgets a freed object and gives its reference back")
  func freed() throws {
    let lone = try LoneScheduler([Self.one])
    let producer = lone.task()
    let input = ObjectHandle(producer: producer, index: 0)
    let reader = lone.task([input])
    lone.tell(.taskEscalated(reader))
    lone.specs.release(producer)
    // A task that still waits for the answer goes on: its raylet will find out.
    lone.tell(.objectFreed(input))
    #expect(lone.placements == [0])
    lone.specs.release(reader)
    // Held until the node says that it has come.
    #expect(lone.specs.count == 2)
    lone.heartbeat(0, total: Self.one, available: Self.one, received: 1)
    #expect(lone.specs.count == 0)
    lone.tell(.objectFreed(input))
    #expect(lone.sent.isEmpty)
  }

  @Test("a task that no node could run stays, and goes when a node has grown")
  func infeasible() throws {
    let lone = try LoneScheduler([Self.one, Self.one])
    let large = lone.task(cpus: 3)
    lone.tell(.taskEscalated(large))
    #expect(lone.placements.isEmpty && lone.scheduler.pointee.infeasibleTasks == [large])
    lone.heartbeat(0, total: Self.one, available: Self.one, received: 0)
    #expect(lone.scheduler.pointee.infeasibleTasks == [large])
    let grown = ResourceVector(cpus: 4)
    lone.heartbeat(1, total: grown, available: grown, received: 0)
    #expect(lone.placements == [1] && lone.scheduler.pointee.infeasibleTasks == [])
  }
}
