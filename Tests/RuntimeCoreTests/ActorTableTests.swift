import Primitives
import Testing

@testable import RuntimeCore

@Suite("the order of an actor's methods")
struct ActorTableTests {
  @Test("methods of each caller run in order, however they arrive and become ready")
  func order() {
    for seed in UInt64(0)..<100 {
      var random = RandomStream(seed: seed, stream: 0)
      let specs = TaskSpecTable.allocate()
      defer { specs.deallocate() }
      var tasks = SlotTable<LocalTask>()
      var table = ActorTable()
      let creation = specs.insert(
        TaskSpec(id: .root(driver: 0, seed: 1), function: FunctionID(0), shape: 0))
      let actor = table.add(creation)
      #expect(table.find(creation) == actor)
      let callers = 1 + Int(random.below(3))
      var arriving: [(caller: Int, sequence: UInt32)] = []
      for caller in 0..<callers {
        for sequence in 0..<(1 + UInt32(random.below(20))) { arriving.append((caller, sequence)) }
      }
      arriving.shuffle(using: &random)
      var waiting: [UInt32] = []
      var ran: [Int: [UInt32]] = [:]
      func run() {
        while let slot = table.takeNext(actor, tasks) {
          let spec = specs[tasks.pointer(slot).pointee.handle]
          ran[Int(spec.submitter), default: []].append(spec.sequence)
        }
      }
      let total = arriving.count
      var isAlive = false
      while ran.values.map(\.count).reduce(0, +) < total {
        if !isAlive && random.below(4) == 0 {
          isAlive = true
          table.pointer(actor).pointee.isAlive = true
          run()
        }
        if let next = arriving.popLast() {
          var spec = TaskSpec(
            id: TaskID(high: 0, low: 0), function: FunctionID(0), shape: 0, kind: .actorMethod,
            submitter: UInt32(next.caller), actor: creation, sequence: next.sequence)
          spec.caller = mix64(UInt64(next.caller) + 1)
          let slot = tasks.insert(
            LocalTask(
              handle: specs.insert(spec), worker: 0, next: 0, arrival: 0, missing: 1, shape: 0,
              state: .waitingForInputs, inputError: .value, notifiesSubmitter: false))
          table.enqueue(slot, specs, tasks)
          waiting.append(slot)
        }
        if !waiting.isEmpty && random.below(2) == 0 {
          let slot = waiting.remove(at: Int(random.below(UInt64(waiting.count))))
          tasks.pointer(slot).pointee.state = .ready
          table.advance(slot, actor: actor, specs, tasks)
          if isAlive { run() }
        }
      }
      for (_, sequences) in ran { #expect(sequences == Array(0..<UInt32(sequences.count))) }
    }
  }

  @Test("a busy actor, and one that is not there yet, gives out no method")
  func busy() {
    let specs = TaskSpecTable.allocate()
    defer { specs.deallocate() }
    var tasks = SlotTable<LocalTask>()
    var table = ActorTable()
    let creation = specs.insert(
      TaskSpec(id: .root(driver: 0, seed: 1), function: FunctionID(0), shape: 0))
    let actor = table.add(creation)
    let method = specs.insert(
      TaskSpec(
        id: TaskID(high: 0, low: 0), function: FunctionID(0), shape: 0, kind: .actorMethod,
        actor: creation))
    let slot = tasks.insert(
      LocalTask(
        handle: method, worker: 0, next: 0, arrival: 0, missing: 0, shape: 0, state: .ready,
        inputError: .value, notifiesSubmitter: false))
    table.enqueue(slot, specs, tasks)
    table.advance(slot, actor: actor, specs, tasks)
    #expect(table.takeNext(actor, tasks) == nil)
    table.pointer(actor).pointee.isAlive = true
    table.pointer(actor).pointee.running = 1
    #expect(table.takeNext(actor, tasks) == nil)
    table.pointer(actor).pointee.running = 0
    #expect(table.takeNext(actor, tasks) == slot)
    #expect(table.takeNext(actor, tasks) == nil)
  }
}
