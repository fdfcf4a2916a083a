import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing

@Suite("actors")
struct ProgramActorTests {
  @Test("an actor keeps its state from call to call")
  func state() throws {
    let run = try TestCluster().run { ray async throws in
      let counter = ray.actorClass("Counter") { 10 }
      let add = ray.method("add", of: counter) { (state: inout Int, x: Int) in
        state += x
        return state
      }
      let a = ray.create(counter)
      let b = ray.create(counter)
      let sums = (1...4).map { ray.call(a, add, .value($0)) }
      let others = (1...2).map { ray.call(b, add, .value(100 * $0)) }
      #expect(try await ray.get(sums) == [11, 13, 16, 20])
      #expect(try await ray.get(others) == [110, 310])
    }
    run.expectSuccess()
  }

  @Test("calls of one caller run in the order of submission, though inputs come late")
  func callOrder() throws {
    let order = Log<Int>()
    try TestCluster().run { ray async throws in
      let recorder = ray.actorClass("Recorder") { 0 }
      let record = ray.method("record", of: recorder) { (state: inout Int, x: Int) in
        order.add(x)
        state += 1
        return state
      }
      let slow = ray.remote("slow") { (x: Int) in x }
      let actor = ray.create(recorder)
      let refs = (0..<6).map { i in
        i.isMultiple(of: 2)
          ? ray.call(
            actor, record,
            .ref(
              ray.submit(
                slow, .value(i), options: TaskOptions(duration: .seconds(UInt64(6 - i))))))
          : ray.call(actor, record, .value(i))
      }
      #expect(try await ray.get(refs) == [1, 2, 3, 4, 5, 6])
    }.expectSuccess()
    #expect(order.entries == [0, 1, 2, 3, 4, 5])
  }

  @Test("methods of an actor run one at a time")
  func serialMethods() throws {
    try TestCluster().run { ray async throws in
      let type = ray.actorClass("Actor") { 0 }
      let work = ray.method("work", of: type, TaskOptions(duration: .seconds(1))) {
        (state: inout Int) in
        state += 1
        return state
      }
      let actor = ray.create(type)
      let refs = (0..<5).map { _ in ray.call(actor, work) }
      #expect(try await ray.get(refs) == [1, 2, 3, 4, 5])
      #expect(ray.now.seconds >= 5)
    }.expectSuccess()
  }

  @Test("several callers share an actor; one whose input is late holds up no other")
  func severalCallers() throws {
    try TestCluster().run { ray async throws in
      let type = ray.actorClass("Actor") { 0 }
      let add = ray.method("add", of: type) { (state: inout Int, x: Int) in
        state += x
        return state
      }
      let slow = ray.remote("slow", TaskOptions(duration: .seconds(50))) { 1 }
      let actor = ray.create(type)
      let late = ray.call(actor, add, .ref(ray.submit(slow)))
      let caller = ray.program("caller") { (worker: Session, actor: ActorRef<Int>, x: Int) in
        var last = 0
        for _ in 0..<10 { last = try await worker.get(worker.call(actor, add, .value(x))) }
        return last
      }
      let callers = (1...3).map { ray.submit(caller, .value(actor), .value($0)) }
      #expect(try await ray.get(callers).max() == 60)
      #expect(ray.now.seconds < 50)
      #expect(try await ray.get(late) == 61)
    }.expectSuccess()
  }

  @Test("programs that follow each other on one worker can all call the same actor")
  func successiveCallers() throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.cpus = 2
    try cluster.run { ray async throws in
      let type = ray.actorClass("Actor") { 0 }
      let add = ray.method("add", of: type) { (state: inout Int, x: Int) in
        state += x
        return state
      }
      let actor = ray.create(type)
      let caller = ray.program("caller") { (worker: Session, actor: ActorRef<Int>) in
        try await worker.get([
          worker.call(actor, add, .value(1)), worker.call(actor, add, .value(1)),
        ])[1]
      }
      for i in 1...5 {
        #expect(try await ray.get(ray.submit(caller, .value(actor))) == 2 * i)
      }
    }.expectSuccess()
  }

  @Test("a method that throws fails alone; the actor lives on")
  func failingMethod() throws {
    try TestCluster().run { ray async throws in
      let type = ray.actorClass("Actor") { 0 }
      let add = ray.method("add", of: type) { (state: inout Int, x: Int) in
        if x == 2 { throw Failure() }
        state += x
        return state
      }
      let actor = ray.create(type)
      let refs = (1...3).map { ray.call(actor, add, .value($0)) }
      #expect(try await ray.get(refs[0]) == 1)
      await #expect(throws: RuntimeError.taskFailed("Actor.add: it failed on purpose")) {
        _ = try await ray.get(refs[1])
      }
      #expect(try await ray.get(refs[2]) == 4)
    }.expectSuccess()
  }

  @Test(
    "after a failed constructor every method carries its error and the resources are free again")
  func failingConstructor() throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.resources = [0: ResourceVector(cpus: 2, gpus: 1)]
    let run = try cluster.run { ray async throws in
      let type = ray.actorClass("Broken", TaskOptions(resources: ResourceVector(cpus: 2, gpus: 1)))
      {
        () throws -> Int in throw Failure()
      }
      let add = ray.method("add", of: type) { (state: inout Int, x: Int) in state + x }
      let actor = ray.create(type)
      let early = ray.call(actor, add, .value(1))
      await #expect(throws: RuntimeError.taskFailed("Broken: it failed on purpose")) {
        _ = try await ray.get(early)
      }
      await #expect(throws: RuntimeError.taskFailed("Broken: it failed on purpose")) {
        _ = try await ray.get(ray.call(actor, add, .value(2)))
      }
      await #expect(throws: RuntimeError.taskFailed("Broken: it failed on purpose")) {
        try await ray.get(actor.created)
      }
      let all = ray.remote(
        "all", TaskOptions(resources: ResourceVector(cpus: 2, gpus: 1))
      ) { 3 }
      #expect(try await ray.get(ray.submit(all), timeout: .seconds(9)) == 3)
    }
    run.expectSuccess()
    run.expectQuiet()
  }

  @Test("a method whose input failed does not run and carries the error")
  func failingInput() throws {
    try TestCluster().run { ray async throws in
      let type = ray.actorClass("Actor") { 0 }
      let add = ray.method("add", of: type) { (state: inout Int, x: Int) in
        state += x
        return state
      }
      let bad = ray.remote("bad") { () throws -> Int in throw Failure() }
      let actor = ray.create(type)
      let failed = ray.call(actor, add, .ref(ray.submit(bad)))
      let next = ray.call(actor, add, .value(5))
      await #expect(throws: RuntimeError.taskFailed("bad: it failed on purpose")) {
        _ = try await ray.get(failed)
      }
      #expect(try await ray.get(next) == 5)
    }.expectSuccess()
  }

  @Test("an actor holds its class's resources for life and its methods hold none")
  func actorResources() throws {
    var cluster = TestCluster()
    cluster.nodes = 2
    cluster.resources = [0: ResourceVector(cpus: 1), 1: ResourceVector(cpus: 1, gpus: 1)]
    let run = try cluster.run { ray async throws in
      let gpu = TaskOptions(resources: ResourceVector(cpus: 1, gpus: 1))
      let type = ray.actorClass("Actor", gpu) { 0 }
      let read = ray.method("read", of: type) { (state: inout Int) in state }
      let actor = ray.create(type)
      #expect(try await ray.get(ray.call(actor, read)) == 0)
      let rival = ray.remote("rival", gpu) { 1 }
      await #expect(throws: RuntimeError.getTimedOut(after: .seconds(1))) {
        _ = try await ray.get(ray.submit(rival), timeout: .seconds(1))
      }
      #expect(try await ray.get(ray.call(actor, read)) == 0)
    }
    run.expectSuccess()
    #expect(run.cluster.available(of: NodeID(0)) == ResourceVector(cpus: 1))
    #expect(run.cluster.available(of: NodeID(1)) == .zero)
  }

  @Test("an actor outlives the future of its creation")
  func freedCreation() throws {
    try TestCluster().run { ray async throws in
      let type = ray.actorClass("Actor", TaskOptions(resources: ResourceVector(cpus: 1))) { 0 }
      let add = ray.method("add", of: type) { (state: inout Int, x: Int) in
        state += x
        return state
      }
      let first = ray.create(type)
      try await ray.get(first.created)
      ray.free([first.created])
      await ray.sleep(twoHeartbeats)
      // Its handle must not be given to another actor.
      let second = ray.create(type)
      #expect(try await ray.get(ray.call(first, add, .value(1))) == 1)
      #expect(try await ray.get(ray.call(second, add, .value(5))) == 5)
      #expect(try await ray.get(ray.call(first, add, .value(1))) == 2)
    }.expectSuccess()
  }
}
