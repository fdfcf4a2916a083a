import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import Synchronization
import Testing

/// Cancellation and time limits through the API: each program in both worlds.
@Suite("Cancellation", .timeLimit(.minutes(10)))
struct CancellationTests {
  @Test(
    "What waits for its inputs ends at once with its dependents; the rest has its results",
    arguments: TestWorld.allCases)
  func queued(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let double = library.remote("double") { (x: Int) in 2 * x }
    let gate = Counter()
    let held = held(by: gate, 1, library)
    try await world.run(cpus: 1, library) { ray in
      let blocker = ray.submit(held)
      let waiting = ray.submit(double, .ref(blocker))
      let kept = ray.submit(double, .ref(blocker))
      let dependent = ray.submit(double, .ref(waiting))
      ray.cancel(waiting)
      #expect(await ray.error(of: waiting) == .taskCancelled)
      #expect(await ray.error(of: dependent) == .taskCancelled)
      gate.value.store(1, ordering: .releasing)
      equal(try await ray.get(kept), 2)
      ray.cancel(kept)
      equal(try await ray.get(ray.submit(double, .ref(kept))), 4)
      let put = try await ray.put(7)
      ray.cancel(put)
      equal(try await ray.get(put), 7)
    }
  }

  @Test(
    "A program that runs sees that it is cancelled, and what it had submitted is, too",
    arguments: TestWorld.allCases)
  func program(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let idle = library.program("idle") { (ray: Session, _: Int) in
      while !TaskContext.isCancelled { await ray.sleep(.milliseconds(1)) }
      throw CancellationError()
    }
    let outer = library.program("outer") { (ray: Session) in
      let inner = (0..<8).map { ray.submit(idle, .value($0)) }
      try await ray.get(inner)
    }
    let double = library.remote("double") { (x: Int) in 2 * x }
    try await world.run(cpus: 2, library) { ray in
      let task = ray.submit(outer)
      await ray.sleep(.milliseconds(20))
      ray.cancel(task)
      await #expect(throws: RuntimeError.taskCancelled) { try await ray.get(task) }
      // The CPUs are free again.
      equal(try await ray.get(ray.submit(double, .value(4))), 8)
    }
  }

  @Test(
    "Without recursion the children of a cancelled program go on", arguments: TestWorld.allCases)
  func notRecursive(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let slow = library.program("slow") { (ray: Session) in
      await ray.sleep(.milliseconds(30))
      return 5
    }
    let begun = Counter()
    let outer = library.program("outer") { (ray: Session) in
      let child = ray.submit(slow)
      begun.value.add(1, ordering: .relaxed)
      return try await ray.get(child)
    }
    try await world.run(cpus: 2, library) { ray in
      let task = ray.submit(outer)
      while begun.value.load(ordering: .relaxed) == 0 { await ray.sleep(.milliseconds(1)) }
      ray.cancel(task, recursive: false)
      // It does not care, and its result is kept.
      equal(try await ray.get(task), 5)
    }
  }

  @Test(
    "A cancelled call is passed over, and the calls behind it keep their order",
    arguments: TestWorld.allCases)
  func method(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let gate = Counter()
    let held = held(by: gate, 10, library)
    let log = library.actorClass("log") { [Int]() }
    let add = library.method("add", of: log) { (state: inout [Int], x: Int) in
      state.append(x)
      return state
    }
    try await world.run(cpus: 2, library) { ray in
      let actor = ray.create(log)
      let ten = ray.submit(held)
      let calls = [
        ray.call(actor, add, .value(1)), ray.call(actor, add, .ref(ten)),
        ray.call(actor, add, .value(2)), ray.call(actor, add, .value(3)),
      ]
      ray.cancel(calls[2])
      #expect(await ray.error(of: calls[2]) == .taskCancelled)
      gate.value.store(1, ordering: .releasing)
      equal(try await ray.get(calls[3]), [1, 10, 3])
    }
  }

  @Test("A function that lasts long sees that it was asked to stop; one behind it does not begin")
  func function() async throws {
    let library = FunctionLibrary()
    let count = Counter()
    let spin = library.remote("spin") { (x: Int) -> Int in
      count.value.add(1, ordering: .relaxed)
      while !TaskContext.isCancelled {}
      throw CancellationError()
    }
    let double = library.remote("double") { (x: Int) in 2 * x }
    try await TestWorld.real.run(cpus: 1, library) { ray in
      // Short ones first, so that a worker is sent several tasks at once.
      _ = try await ray.get((0..<200).map { ray.submit(double, .value($0)) })
      let tasks = (0..<50).map { ray.submit(spin, .value($0)) }
      while count.value.load(ordering: .relaxed) == 0 { await ray.sleep(.milliseconds(1)) }
      // The one that runs last of all: else the next begins before it is cancelled itself.
      for task in tasks.reversed() { ray.cancel(task) }
      for task in tasks { #expect(await ray.error(of: task) == .taskCancelled) }
      #expect(count.value.load(ordering: .relaxed) == 1)
      equal(try await ray.get(ray.submit(double, .value(2))), 4)
    }
  }

  private final class Counter: Sendable {
    let value = Atomic<Int>(0)
  }

  /// A program that ends with `result` when the counter is no longer 0, or when it is cancelled.
  /// What a test does before that, it does in time on any machine.
  private func held(
    by gate: Counter, _ result: Int, _ library: FunctionLibrary
  ) -> RemoteFunction<Int> {
    library.program("held") { (ray: Session) in
      while gate.value.load(ordering: .acquiring) == 0, !TaskContext.isCancelled {
        await ray.sleep(.milliseconds(1))
      }
      return result
    }
  }

  @Test(
    "Time limits of get and wait pass in both worlds, and cancel nothing",
    arguments: TestWorld.allCases)
  func timeouts(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let gate = Counter()
    let held = held(by: gate, 3, library)
    try await world.run(cpus: 1, library) { ray in
      let task = ray.submit(held)
      for limit in [TimeSpan.zero, .milliseconds(2)] {
        await #expect(throws: RuntimeError.getTimedOut(after: limit)) {
          try await ray.get(task, timeout: limit)
        }
        let (ready, rest) = try await ray.wait([task], timeout: limit)
        #expect(ready.isEmpty && rest == [task])
        let (known, unknown) = try await ray.wait([task], timeout: limit, fetch: false)
        #expect(known.isEmpty && unknown == [task])
      }
      gate.value.store(1, ordering: .releasing)
      equal(try await ray.get(task, timeout: .seconds(60)), 3)
      let (ready, rest) = try await ray.wait([task], timeout: .zero)
      #expect(ready == [task] && rest.isEmpty)
    }
  }

  @Test(
    "More actors than a node has CPUs are spread; those beyond the cluster's wait",
    arguments: ["QueueThreshold", "NeverEscalate", "Immediate"])
  func actors(spillover: String) throws {
    let library = FunctionLibrary()
    let holder = library.actorClass("holder", TaskOptions(resources: ResourceVector(cpus: 1))) { 0 }
    let get = library.method("get", of: holder) { (state: inout Int) in state }
    var cluster = TestCluster()
    cluster.nodes = 3
    cluster.cpus = 2
    cluster.spillover = spillover
    try cluster.run(library) { ray in
      let actors = (0..<6).map { _ in ray.create(holder) }
      let answers = actors.map { ray.call($0, get) }
      equal(try await ray.get(answers), Array(repeating: 0, count: 6))
      let late = ray.create(holder)
      await #expect(throws: RuntimeError.getTimedOut(after: .seconds(1))) {
        try await ray.get(late.created, timeout: .seconds(1))
      }
      ray.cancel(late.created)
      await #expect(throws: RuntimeError.taskCancelled) { try await ray.get(late.created) }
    }.expectSuccess()
  }
}

func equal<Value: Equatable>(
  _ found: Value, _ expected: Value, _ location: SourceLocation = #_sourceLocation
) {
  #expect(found == expected, sourceLocation: location)
}
