import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Synchronization
import Testing
import WorkerFixture

/// Where actors start: on two nodes, simulated or joined by sockets, or on one, whose workers are threads
/// or processes.
enum StartWorld: CaseIterable, Sendable {
  case simulated, threads, processes, network

  func run(
    _ program: @escaping @Sendable (Session, StartFunctions) async throws -> Void
  ) async throws {
    switch self {
    case .simulated:
      let library = FunctionLibrary()
      let functions = StartFunctions(library)
      let run = try TestCluster().run(library) { ray in try await program(ray, functions) }
      run.expectSuccess()
    case .threads:
      let functions = FixtureFunctions()
      let cluster = try Cluster.inProcess(
        cpus: 2, store: ByteCount(64 << 20), library: functions.library)
      try await cluster.runAndStop { ray in try await program(ray, functions.start) }
    case .processes:
      let cluster = try ProcessCluster(cpus: 2)
      let functions = cluster.functions.start
      try await cluster.run { ray in try await program(ray, functions) }
    case .network:
      try await SocketNodes.with(2) { nodes in
        let functions = nodes.functions.start
        try await nodes.run(on: 1) { ray in try await program(ray, functions) }
      }
    }
  }
}

/// What a program does with such actors, and what it must find.
struct StartCase: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let run: @Sendable (Session, StartFunctions) async throws -> Void

  init(
    _ description: String, _ run: @escaping @Sendable (Session, StartFunctions) async throws -> Void
  ) {
    testDescription = description
    self.run = run
  }

  /// Calls before the constructor has ended and after it, and its own future, carry `error`.
  private static func expect(
    _ error: RuntimeError, from actor: ActorRef<Int>, _ ray: Session, _ functions: StartFunctions
  ) async {
    let early = (0..<3).map { _ in ray.call(actor, functions.next) }
    for call in early { #expect(await ray.error(of: call) == error) }
    await #expect(throws: error) { try await ray.get(actor.created) }
    #expect(await ray.error(of: ray.call(actor, functions.next)) == error)
  }

  static let all = [
    StartCase("by value: each actor starts with its own") { ray, functions async throws in
      let actors = [5, 70].map { ray.create(functions.counter, .value($0)) }
      let counts = actors.flatMap { actor in
        (0..<3).map { _ in ray.call(actor, functions.next) }
      }
      #expect(try await ray.get(counts) == [6, 7, 8, 71, 72, 73])
    },
    StartCase("by future: calls wait in order for an actor whose input is late") {
      ray, functions async throws in
      let start = ray.submit(functions.late, .ref(ray.submit(functions.late, .value(5))))
      let actor = ray.create(functions.counter, .ref(start))
      let early = (0..<50).map { _ in ray.call(actor, functions.next) }
      try await ray.get(actor.created)
      let later = (0..<50).map { _ in ray.call(actor, functions.next) }
      #expect(try await ray.get(early + later) == Array(6...105))
    },
    StartCase("an object that is there already, for several actors") {
      ray, functions async throws in
      let start = try await ray.put(5)
      let actors = (0..<4).map { _ in ray.create(functions.counter, .ref(start)) }
      let counts = actors.map { ray.call($0, functions.next) }
      #expect(try await ray.get(counts) == [6, 6, 6, 6])
    },
    StartCase("several inputs, large ones and futures among them") { ray, functions async throws in
      let numbers = Vector((0..<20_000).map { Double($0) })
      let count = ray.submit(functions.late, .value(7))
      let put = try await ray.put(numbers)
      let first = ray.create(
        functions.record, .value("first"), .ref(count), .value(numbers), .value(count))
      let second = ray.create(
        functions.record, .ref(ray.submit(functions.text)), .value(8), .ref(put), .value(count))
      let lines = try await ray.get([first, second].map { ray.call($0, functions.read) })
      #expect(lines[0] == ["first", "7", "20000", "199990000.0", "0"])
      #expect(lines[1] == ["five", "8", "20000", "199990000.0", "0"])
    },
    StartCase("an actor keeps a large array that it was given, when the program has freed it") {
      ray, functions async throws in
      for round in 1...5 {
        let put = try await ray.put(Vector([Double](repeating: Double(round), count: 1_000_000)))
        let actor = ray.create(functions.keeper, .ref(put))
        #expect(try await ray.get(ray.call(actor, functions.sum)) == 1e6 * Double(round))
        ray.free([put])
        let other = try await ray.put(Vector([Double](repeating: -1, count: 1_000_000)))
        #expect(try await ray.get(ray.call(actor, functions.sum)) == 1e6 * Double(round))
        ray.free([other])
      }
    },
    StartCase("options of one actor") { ray, functions async throws in
      let actor = ray.create(
        functions.counter, .value(1), options: TaskOptions(resources: ResourceVector(cpus: 1)))
      #expect(try await ray.get(ray.call(actor, functions.next)) == 2)
      let refused = ray.create(functions.counter, .value(1), options: .custom("nowhere", 1))
      await #expect {
        try await ray.get(refused.created)
      } throws: { error in
        if case .unknownResource("nowhere", _)? = error as? RuntimeError { return true }
        return false
      }
    },
    StartCase("an input that failed: its error is that of every call") {
      ray, functions async throws in
      let bad = ray.submit(functions.fail, .value("too bad"))
      let actor = ray.create(functions.counter, .ref(bad))
      await expect(.taskFailed("start.fail: too bad"), from: actor, ray, functions)
      let late = ray.submit(functions.late, .ref(ray.submit(functions.fail, .value("worse"))))
      let other = ray.create(functions.counter, .ref(late))
      await expect(.taskFailed("start.fail: worse"), from: other, ray, functions)
    },
    StartCase("an input that was cancelled: so is every call") { ray, functions async throws in
      let never = ray.submit(functions.never)
      let actor = ray.create(functions.counter, .ref(never))
      let early = ray.call(actor, functions.next)
      ray.cancel(never)
      #expect(await ray.error(of: early) == .taskCancelled)
      await expect(.taskCancelled, from: actor, ray, functions)
    },
    StartCase("a creation that is cancelled while it waits for its input") {
      ray, functions async throws in
      let actor = ray.create(functions.counter, .ref(ray.submit(functions.never)))
      let early = ray.call(actor, functions.next)
      ray.cancel(actor.created)
      #expect(await ray.error(of: early) == .taskCancelled)
      await expect(.taskCancelled, from: actor, ray, functions)
    },
    StartCase("a constructor that throws for its arguments") { ray, functions async throws in
      let error = RuntimeError.taskFailed("start.Counter: -3 is below zero")
      let actor = ray.create(functions.counter, .value(-3))
      await expect(error, from: actor, ray, functions)
      let late = ray.submit(functions.late, .value(-3))
      await expect(error, from: ray.create(functions.counter, .ref(late)), ray, functions)
    },
  ]
}

@Suite("Actors that start with arguments", .timeLimit(.minutes(10)))
struct ActorArgumentTests {
  @Test("Programs find the same in every world", arguments: StartWorld.allCases, StartCase.all)
  func table(_ world: StartWorld, _ one: StartCase) async throws {
    try await world.run(one.run)
  }

  @Test("Inputs of one node, an actor on another: values arrive, and errors fail the calls")
  func acrossNodes() async throws {
    try await SocketNodes.with(2) { nodes in
      let functions = nodes.functions.start
      try await nodes.run(on: 1) { ray async throws in
        let away = TaskOptions.cpus(0).custom("r0", 0.1)
        let here = TaskOptions.cpus(0).custom("r1", 0.1)
        for start in [5, 50] {
          let late = ray.submit(functions.late, .value(start), options: here)
          let actor = ray.create(functions.counter, .ref(late), options: away)
          let counts = (0..<3).map { _ in ray.call(actor, functions.next) }
          #expect(try await ray.get(counts) == [start + 1, start + 2, start + 3])
        }
        let put = try await ray.put(Vector([Double](repeating: 1, count: 100_000)))
        let keeper = ray.create(functions.keeper, .ref(put), options: away)
        #expect(try await ray.get(ray.call(keeper, functions.sum)) == 100_000)
        let bad = ray.submit(functions.fail, .value("too bad"), options: here)
        let never = ray.create(functions.counter, .ref(bad), options: away)
        let negative = ray.create(functions.counter, .value(-1), options: away)
        await #expect(throws: RuntimeError.taskFailed("start.Counter: -1 is below zero")) {
          try await ray.get(negative.created)
        }
        for (actor, words) in [
          (never, "start.fail: too bad"), (negative, "start.Counter: -1 is below zero"),
        ] {
          let error = await ray.error(of: ray.call(actor, functions.next))
          #expect(error == .taskFailed(words))
        }
      }
    }
  }

  /// A simulated future is a place in the run itself and has no bytes that could be read as another.
  @Test(
    "A future of another type fails the actor, with both types in the words",
    arguments: [StartWorld.threads, .processes, .network])
  func wrongType(_ world: StartWorld) async throws {
    try await world.run { ray, functions async throws in
      let text = ray.submit(functions.text)
      let number = try EncodedValue.read(
        ObjectRef<Int>.self, from: EncodedValue.bytes(of: text))
      let actor = ray.create(functions.counter, .ref(number))
      let error = RuntimeError.taskFailed(
        "start.Counter: expected a value of type Int, found one of type String")
      #expect(await ray.error(of: ray.call(actor, functions.next)) == error)
      let good = ray.create(functions.counter, .value(1))
      #expect(try await ray.get(ray.call(good, functions.next)) == 2)
    }
  }

  @Test(
    "An actor that waits for its input leaves its share to the tasks that make it",
    arguments: TestWorld.allCases)
  func sharesWhileItWaits(_ world: TestWorld) async throws {
    let library = FunctionLibrary()
    let isQueued = Flag()
    let one = library.remote("one") { 1 }
    let two = library.program("two") { (ray: Session) in
      while !isQueued.value.load(ordering: .acquiring) { await ray.sleep(.milliseconds(1)) }
      return try await ray.get(ray.submit(one)) + ray.get(ray.submit(one))
    }
    let whole = TaskOptions(resources: ResourceVector(cpus: 2))
    let counter = library.actorClass("Counter", whole) { (start: Int) in start }
    let read = library.method("read", of: counter) { (count: inout Int) in count }
    try await world.run(cpus: 2, library) { ray async throws in
      let actor = ray.create(counter, .ref(ray.submit(two)))
      // Behind the creation on its way to the node.
      equal(try await ray.get(ray.submit(one, options: TaskOptions(resources: .zero))), 1)
      isQueued.value.store(true, ordering: .releasing)
      equal(try await ray.get(ray.call(actor, read), timeout: .seconds(300)), 2)
    }
  }

  @Test(
    "Actors that wait on a node with room for one go to others when their inputs come",
    arguments: 0..<20 as Range<UInt64>)
  func handedOver(seed: UInt64) throws {
    var cluster = TestCluster()
    cluster.nodes = 4
    cluster.cpus = 1
    cluster.seed = seed
    cluster.spillover = "NeverEscalate"
    let run = try cluster.run { ray async throws in
      let counter = ray.actorClass("Counter") { (start: Int) in start }
      let next = ray.method("next", of: counter) { (count: inout Int) in
        count += 1
        return count
      }
      let slow = ray.remote("slow", TaskOptions(resources: .zero)) { (x: Int) in x }
      var random = RandomStream(seed: seed, stream: 0x4143)
      let actors = (0..<5).map { i in
        let options = TaskOptions(
          duration: .milliseconds(100 + random.below(100)), resources: .zero)
        return ray.create(counter, .ref(ray.submit(slow, .value(10 * i), options: options)))
      }
      let first = actors.map { ray.call($0, next) }
      let second = actors.map { ray.call($0, next) }
      // Four CPUs: the fifth actor waits for another one's end.
      let (ready, rest) = try await ray.wait(second, count: 5, timeout: .seconds(10))
      #expect(ready.count == 4 && rest.count == 1)
      for (i, call) in second.enumerated() where call != rest[0] {
        #expect(try await ray.get([first[i], call]) == [10 * i + 1, 10 * i + 2])
      }
    }
    run.expectSuccess()
    for node in 0..<4 { #expect(run.cluster.available(of: NodeID(node)) == .zero) }
  }

  @Test("A program that ends leaves nothing of an actor that never started")
  func driverEnds() async throws {
    let library = FunctionLibrary()
    let functions = StartFunctions(library)
    let cluster = try Cluster.inProcess(cpus: 2, store: ByteCount(64 << 20), library: library)
    for _ in 0..<3 {
      try await cluster.run { ray async throws in
        let actor = ray.create(functions.counter, .ref(ray.submit(functions.never)))
        _ = ray.call(actor, functions.next)
        let other = ray.create(functions.counter, .ref(ray.submit(functions.late, .value(1))))
        equal(try await ray.get(ray.call(other, functions.next)), 2)
      }
    }
    while let status = await cluster.status(),
      !status.isEmpty || status.available != ResourceVector(cpus: 2) || status.names > 0
    {}
    await cluster.stop()
  }
}

/// A flag that closures share.
private final class Flag: Sendable {
  let value = Atomic<Bool>(false)
}
