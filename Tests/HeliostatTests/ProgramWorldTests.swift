import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing

@Suite("functions of a library, in both worlds")
struct ProgramWorldTests {
  /// Everything whose body runs as somebody's code, and what it finds its world to be.
  private struct Functions: Sendable {
    let plain: RemoteFunction<Bool>
    let split: RemoteFunction<Bool>
    let program: RemoteFunction<Bool>
    let type: ActorClass<Bool>
    let made: ActorMethod<Bool, Bool>
    let method: ActorMethod<Bool, Bool>

    init(_ library: FunctionLibrary) {
      let isSimulated: @Sendable () -> Bool = { TaskContext.world == .simulated }
      let plain = library.remote("plain") { isSimulated() }
      self.plain = plain
      split = library.remoteSplit("split") { [isSimulated(), isSimulated()] }
      program = library.program("program") { (ray: Session) in
        let before = isSimulated()
        let nested = try await ray.get(ray.submit(plain))
        // Answers differ only when something is wrong.
        return before == nested && nested == isSimulated() ? before : !nested
      }
      type = library.actorClass("Actor") { isSimulated() }
      made = library.method("made", of: type) { (state: inout Bool) in state }
      method = library.method("method", of: type) { (_: inout Bool) in isSimulated() }
    }

    func answers(_ ray: Session) async throws -> [Bool] {
      let actor = ray.create(type)
      let refs =
        [ray.submit(plain), ray.submit(program), ray.call(actor, made), ray.call(actor, method)]
        + ray.submit(split, returns: 2)
      return try await ray.get(refs) + [TaskContext.world == .simulated]
    }
  }

  @Test("all code of a simulated program finds the simulated world, and the thread afterwards none")
  func simulated() throws {
    let library = FunctionLibrary()
    let functions = Functions(library)
    let answers = Log<[Bool]>()
    let run = try TestCluster().run(library) { ray async throws in
      answers.add(try await functions.answers(ray))
    }
    run.expectSuccess()
    #expect(answers.entries == [[Bool](repeating: true, count: 7)])
    #expect(TaskContext.world == .real)
  }

  @Test("the same code in the real world finds that")
  func real() async throws {
    let library = FunctionLibrary()
    let functions = Functions(library)
    let cluster = try Cluster.inProcess(cpus: 3, store: ByteCount(16 << 20), library: library)
    let answers = try await cluster.runAndStop { ray in try await functions.answers(ray) }
    #expect(answers == [Bool](repeating: false, count: 7))
  }

  @Test("modelled time passes by the options in the simulated world and by itself in the real one")
  func spentTime() async throws {
    let span = TimeSpan.milliseconds(3)
    let library = FunctionLibrary()
    let work = library.remote("work", TaskOptions(duration: span)) { () -> Bool in
      TaskContext.spend(span)
      return true
    }
    let chain: @Sendable (Session) async throws -> TimeSpan = { ray in
      let start = ray.now
      for _ in 0..<3 { _ = try await ray.get(ray.submit(work)) }
      return ray.now.since(start)
    }
    let times = Log<TimeSpan>()
    try TestCluster().run(library) { ray async throws in times.add(try await chain(ray)) }
      .expectSuccess()
    // Spent twice, it would be 18 ms.
    #expect(times.entries.allSatisfy { $0 >= .milliseconds(9) && $0 < .milliseconds(12) })
    let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(16 << 20), library: library)
    let real = try await cluster.runAndStop(chain)
    #expect(real >= .milliseconds(9))
  }

  @Test("a call may depend on objects beside those that it reads")
  func furtherDependencies() async throws {
    let library = FunctionLibrary()
    let slow = library.modelled(
      "slow", TaskOptions(duration: .milliseconds(20), outputSize: ByteCount(100)))
    let add = library.remote("add") { (a: Int, b: Int) in a + b }
    let type = library.actorClass("Counter") { 100 }
    let count = library.method("count", of: type) { (state: inout Int, x: Int) in
      state += x
      return state
    }
    let program: @Sendable (Session) async throws -> Bool = { ray in
      let before = (0..<3).map { _ in ray.submit(slow) }
      let first = ray.submit(add, .value(1), .value(2), after: before)
      let second = ray.submit(add, .ref(first), .value(4), after: before)
      let actor = ray.create(type)
      let third = ray.call(actor, count, .ref(second), after: before)
      let fourth = ray.call(actor, count, .value(1), after: [ObjectRef<Int>]())
      let sums = try await ray.get([first, second, third, fourth])
      #expect(sums == [3, 7, 107, 108])
      return try await ray.wait(before, count: 3, timeout: .zero).rest.isEmpty
    }
    let late = Log<Bool>()
    try TestCluster().run(library) { ray async throws in late.add(try await program(ray)) }
      .expectSuccess()
    #expect(late.entries == [true])
    let cluster = try Cluster.inProcess(cpus: 4, store: ByteCount(16 << 20), library: library)
    #expect(try await cluster.runAndStop(program))
  }

  @Test("an actor's resources may be told when it is created")
  func creationOptions() throws {
    var cluster = TestCluster()
    cluster.resources = [0: ResourceVector(cpus: 1), 1: ResourceVector(cpus: 1, gpus: 1)]
    let library = FunctionLibrary()
    let type = library.actorClass("Actor", TaskOptions(resources: .zero)) { 0 }
    let run = try cluster.run(library) { ray async throws in
      let actor = ray.create(type, options: TaskOptions(resources: ResourceVector(gpus: 1)))
      try await ray.get(actor.created)
    }
    run.expectSuccess()
    #expect(run.cluster.available(of: NodeID(1)) == ResourceVector(cpus: 1))
  }

  @Test("the cluster hears of a library's functions once, at the start or when the program says")
  func announcements() throws {
    for announces in [true, false] {
      let library = FunctionLibrary()
      let one = library.remote("one") { 1 }
      _ = library.remote("two") { 2 }
      let cluster = SimulatedCluster(try TestCluster().configuration(), isChecked: true)
      var times: [Instant] = []
      cluster.observe { time, _, _, message in
        if message.kind == .functionRegistered { times.append(time) }
      }
      let runtime = ProgramRuntime(
        driverNode: NodeID(0), library: library, announcesLibrary: announces
      ) { ray async throws in
        await ray.sleep(.seconds(1))
        if !announces { ray.announce(one) }
        #expect(try await ray.get(ray.submit(one)) == 1)
      }
      #expect(cluster.run(runtime) == .finished)
      #expect(times.count == (announces ? 2 : 1))
      #expect(times.allSatisfy { ($0 < Instant.zero + .seconds(1)) == announces })
    }
  }
}
