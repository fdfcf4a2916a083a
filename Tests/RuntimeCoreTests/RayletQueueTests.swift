import Primitives
import Testing

@testable import RuntimeCore

@Suite("ready queues, dependencies and pulls of a raylet")
struct RayletQueueTests {
  private func task(_ arrival: UInt32, shape: UInt16) -> LocalTask {
    LocalTask(
      handle: TaskHandle(arrival), worker: 0, next: 0, arrival: arrival, missing: 0, shape: shape,
      state: .ready, inputError: .value, notifiesSubmitter: false)
  }

  @Test(
    "ready tasks leave by arrival, or youngest first, past shapes that do not fit",
    arguments: [false, true])
  func readyOrder(youngest: Bool) {
    let specs = TaskSpecTable.allocate()
    defer { specs.deallocate() }
    // Shape s demands s + 1 CPUs.
    let shapes = (0..<12).map { specs.shape(ResourceVector(cpus: $0 + 1)) }
    for seed in UInt64(0)..<40 {
      var random = RandomStream(seed: seed, stream: 0)
      var tasks = SlotTable<LocalTask>()
      var queues = ReadyQueues()
      var model: [(slot: UInt32, shape: UInt16, arrival: UInt32)] = []
      var free = 0
      // Near the end of its range, so that arrival numbers wrap around.
      var arrival = UInt32.max - 50
      for _ in 0..<400 {
        if random.below(2) == 0 {
          arrival &+= 1
          let shape = shapes[Int(random.below(12))]
          let slot = tasks.insert(task(arrival, shape: shape))
          queues.append(slot, shape: shape, atFront: youngest, tasks)
          model.append((slot, shape, arrival))
        } else {
          let before = free
          free = Int(random.below(13))
          // With no more than before, what did not fit does not fit.
          if free > before { queues.resourcesChanged() }
          let taken = queues.take(
            youngest: youngest, tasks, specs, available: ResourceVector(cpus: free),
            gpus: GPUInstances(count: 0))
          let fitting = model.filter { $0.shape < free }
          let expected = youngest ? fitting.last : fitting.first
          #expect(taken == expected?.slot, "seed \(seed)")
          model.removeAll { $0.slot == taken }
          if let taken { tasks.remove(taken) }
        }
        #expect(queues.count == model.count)
        queues.checkInvariants(
          tasks, specs, available: ResourceVector(cpus: free), gpus: GPUInstances(count: 0))
      }
    }
  }

  @Test("waiters are told in the order in which they came; existence alone can be told earlier")
  func dependencies() {
    var manager = DependencyManager()
    let object = ObjectHandle(producer: TaskHandle(1), index: 0)
    #expect(manager.add(.task(1), for: object) == true)
    #expect(manager.add(.client(.driver(0), .existence), for: object) == false)
    #expect(manager.urgency(object) == .taskArgument)
    #expect(manager.add(.client(.driver(1), .local), for: object) == false)
    #expect(manager.urgency(object) == .get)
    #expect(manager.add(.client(.driver(2), .existence), for: object) == false)
    func drain(_ list: UInt32) -> [String] {
      var list = list
      var names: [String] = []
      while let waiter = manager.pop(&list) { names.append("\(waiter)") }
      return names
    }
    let existence = drain(manager.takeExistenceWaiters(object))
    #expect(existence.count == 2 && existence[0].contains("driver 0"))
    #expect(manager.count == 1)
    let rest = drain(manager.takeAll(object))
    #expect(rest.count == 2 && rest[0].hasPrefix("task") && rest[1].contains("driver 1"))
    #expect(manager.count == 0 && manager.takeAll(object) == DependencyManager.end)
    // With nobody else waiting, taking the existence waiters ends the interest.
    _ = manager.add(.client(.driver(0), .existence), for: object)
    #expect(drain(manager.takeExistenceWaiters(object)).count == 1)
    #expect(manager.count == 0)
  }

  private func object(_ i: Int) -> ObjectHandle {
    ObjectHandle(producer: TaskHandle(UInt32(i)), index: 0)
  }

  private func activate(_ pulls: inout PullManager) -> [UInt32] {
    var started: [UInt32] = []
    while let (object, _) = pulls.activateNext(at: .zero) { started.append(object.producer.index) }
    return started
  }

  @Test("pulls for get go before those for arguments, in order, within the quota")
  func pullOrder() {
    var pulls = PullManager(quota: ByteCount(100))
    for (i, urgency) in [PullManager.Urgency.taskArgument, .get, .taskArgument, .get].enumerated() {
      pulls.add(object(i), size: ByteCount(40), from: NodeID(0), urgency)
    }
    #expect(activate(&pulls) == [1, 3])
    #expect(pulls.activeBytes == ByteCount(80) && pulls.activeCount == 2)
    pulls.finish(object(3))
    #expect(activate(&pulls) == [0])
    pulls.finish(object(1))
    pulls.finish(object(0))
    #expect(activate(&pulls) == [2])
    pulls.finish(object(2))
    pulls.finish(object(2))
    #expect(pulls.activeBytes == .zero && pulls.activeCount == 0)
  }

  @Test("one pull is always active, however large, and others wait for it")
  func atLeastOne() {
    var pulls = PullManager(quota: ByteCount(100))
    pulls.add(object(1), size: ByteCount(1000), from: NodeID(0), .taskArgument)
    pulls.add(object(2), size: ByteCount(1), from: NodeID(0), .taskArgument)
    #expect(activate(&pulls) == [1])
    pulls.finish(object(1))
    #expect(activate(&pulls) == [2])
  }

  @Test("a pull that ended before its turn is passed over; an argument can become a get")
  func changes() {
    var pulls = PullManager(quota: ByteCount(10))
    for i in 1...4 { pulls.add(object(i), size: ByteCount(10), from: NodeID(0), .taskArgument) }
    pulls.finish(object(1))
    pulls.raise(object(3))
    #expect(activate(&pulls) == [3])
    pulls.finish(object(3))
    #expect(activate(&pulls) == [2])
    pulls.finish(object(2))
    #expect(activate(&pulls) == [4])
  }
}
