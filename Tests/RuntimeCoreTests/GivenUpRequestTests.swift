import Primitives
import RuntimeCore
import Testing

@Suite("Requests that are given up")
struct GivenUpRequestTests {
  @Test("They end once, as by their time limit, leave nothing behind and let a worker go on")
  func ends() throws {
    let specs = TaskSpecTable.allocate(interning: true)
    let payloads = MessagePayloads.allocate()
    defer {
      specs.deallocate()
      payloads.deallocate()
    }
    let root = specs.insert(
      TaskSpec(id: .root(driver: 0, seed: 1), function: FunctionID(0), shape: 0, kind: .driver))
    var driver = Driver(
      address: .driver(0), node: NodeID(0), worker: WorkerID(3), root: root, specs: specs,
      payloads: payloads)
    var effects = EffectBuffer<Effect>()
    let objects = (1...4).map { number in
      let task = specs.insert(
        TaskSpec(
          id: specs[root].id.child(UInt64(number)), function: FunctionID(1), shape: 0,
          kind: .task))
      return ObjectHandle(producer: task, index: 0)
    }
    func request(_ isGet: Bool, _ timeout: TimeSpan?) -> RequestID {
      objects.withUnsafeBufferPointer {
        driver.request(
          $0, needed: isGet ? 4 : 1, isGet: isGet, timeout: timeout, at: .zero, into: &effects)
      }
    }
    func ended() -> [RequestID] {
      defer { effects.removeAll() }
      return (0..<effects.count).compactMap {
        guard case .requestEnded(let request, .timedOut) = effects[$0] else { return nil }
        return request
      }
    }

    var memory = 0
    for round in 0..<1000 {
      // The first one is not at hand any more when it is given up.
      let first = request(true, nil)
      let second = request(round % 2 == 0, round % 3 == 0 ? .seconds(1) : nil)
      #expect(ended() == [])
      for request in [first, second] {
        let found = driver.deadline(of: request)
        let deadline = try #require(found)
        driver.receive(.timerFired(deadline), from: .driver(0), at: .zero, into: &effects)
        let unblocked = (0..<effects.count).contains {
          if case .send(.workerUnblocked(WorkerID(3)), _) = effects[$0] { true } else { false }
        }
        #expect(unblocked == (request == second))
        #expect(ended() == [request])
        let later = driver.deadline(of: request)
        #expect(later == nil)
        // Its own time limit may still come.
        driver.receive(.timerFired(deadline), from: .driver(0), at: .zero, into: &effects)
        let count = effects.count
        #expect(count == 0)
      }
      if round == 10 { memory = driver.memoryBytes }
    }
    let grown = driver.memoryBytes
    #expect(grown == memory)

    let last = request(true, nil)
    effects.removeAll()
    for object in objects {
      driver.receive(
        .objectReady(object, .value), from: .raylet(NodeID(0)), at: .zero, into: &effects)
    }
    let outcomes = (0..<effects.count).compactMap { index -> RequestID? in
      if case .requestEnded(let request, .satisfied) = effects[index] { request } else { nil }
    }
    #expect(outcomes == [last])
  }
}
