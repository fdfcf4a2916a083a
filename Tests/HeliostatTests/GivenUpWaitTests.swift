import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import Synchronization
import Testing

/// Swift tasks that are cancelled while they wait for the cluster.
@Suite("Waiting that is given up", .timeLimit(.minutes(10)))
struct GivenUpWaitTests {
  /// A program that ends with `result` when the gate was opened, or when its driver has gone.
  private func held(
    by gate: Tally, _ result: Int, _ library: FunctionLibrary
  ) -> RemoteFunction<Int> {
    library.program("held \(result)") { (ray: Session) in
      while gate.count == 0, !TaskContext.isCancelled { await ray.sleep(.milliseconds(1)) }
      return result
    }
  }

  @Test(
    "The waits of a cancelled group end, other waits of the program and the tasks behind go on",
    arguments: TestWorld.allCases)
  func group(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let gate = Tally()
    let held = held(by: gate, 7, library)
    let double = library.remote("double") { (x: Int) in 2 * x }
    try await world.run(cpus: 2, library) { ray in
      let task = ray.submit(held)
      async let kept = ray.get(task)
      for round in 0..<10 {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for i in 0..<9 {
            group.addTask {
              let limit = i % 2 == 0 ? nil : TimeSpan.seconds(3600)
              switch i % 3 {
              case 0: _ = try await ray.get(task, timeout: limit)
              case 1: _ = try await ray.get([ray.submit(double, .value(i)), task], timeout: limit)
              default: _ = try await ray.wait([task], timeout: limit, fetch: i % 2 == 0)
              }
            }
          }
          // In some rounds they have not even begun to wait.
          if round % 2 == 0 {
            equal(try await ray.get(ray.submit(double, .value(round))), 2 * round)
          }
          group.cancelAll()
          while let result = await group.nextResult() {
            #expect(throws: CancellationError.self) { try result.get() }
          }
        }
      }
      gate.add()
      equal(try await kept, 7)
      equal(try await ray.get(task), 7)
      equal(try await ray.get(ray.submit(double, .ref(task))), 14)
    }
  }

  @Test(
    "A program that is a task can give up waiting of its own, and goes on",
    arguments: TestWorld.allCases)
  func innerProgram(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let gate = Tally()
    let held = held(by: gate, 7, library)
    let outer = library.program("outer") { (ray: Session) in
      let task = ray.submit(held)
      await withThrowingTaskGroup(of: Int.self) { group in
        group.addTask { try await ray.get(task) }
        await ray.sleep(.milliseconds(1))
        group.cancelAll()
        let result = await group.nextResult()
        #expect(throws: CancellationError.self) { try result!.get() }
      }
      gate.add()
      return try await ray.get(task) + 1
    }
    try await world.run(cpus: 1, library) { ray in
      // With one CPU, the inner task runs only while the outer one waits.
      equal(try await ray.get(ray.submit(outer)), 8)
    }
  }

  @Test("A program whose caller is cancelled ends; programs beside it go on")
  func callers() async throws {
    let cluster = try Cluster.inProcess(cpus: 2, store: ByteCount(64 << 20))
    let gate = Tally()
    let held = self.held(by: gate, 7, cluster.library)
    let never = Tally()
    let stuck = self.held(by: never, 0, cluster.library)
    let beside = Task { try await cluster.run { ray in try await ray.get(ray.submit(held)) } }
    for round in 0..<100 {
      let (begun, begin) = AsyncStream<Void>.makeStream()
      let running = Task {
        try await cluster.run { ray in
          let task = ray.submit(stuck)
          begin.finish()
          if round % 2 == 0 { return try await ray.get(task) }
          return try await ray.wait([task]).rest.count
        }
      }
      // Some callers are cancelled before there is a program, some while it begins to wait.
      if round % 4 < 3 { for await _ in begun {} }
      running.cancel()
      await #expect(throws: CancellationError.self) { try await running.value }
    }
    gate.add()
    #expect(try await beside.value == 7)
    await cluster.stop()
  }

  @Test("A value that comes as its waiter is cancelled is returned or left for a later get")
  func meeting() async throws {
    let library = FunctionLibrary()
    // 16 KB: its bytes are asked for when the object is there, which may be given up as well.
    let make = library.remote("make") { (x: Int) in [Int](repeating: x, count: 2000) }
    try await TestWorld.real.run(cpus: 2, library) { ray in
      for round in 0..<400 {
        let task = ray.submit(make, .value(round))
        await withThrowingTaskGroup(of: [Int].self) { group in
          group.addTask { try await ray.get(task) }
          await ray.sleep(.microseconds(UInt64(round % 100)))
          group.cancelAll()
          switch await group.nextResult()! {
          case .success(let value): equal(value, [Int](repeating: round, count: 2000))
          case .failure(let error): #expect(error is CancellationError)
          }
        }
        equal(try await ray.get(task), [Int](repeating: round, count: 2000))
        ray.free([task])
      }
    }
  }

  @Test("A cancelled Swift task cannot wait, but sleeps", arguments: TestWorld.allCases)
  func cancelledBefore(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let double = library.remote("double") { (x: Int) in 2 * x }
    try await world.run(cpus: 1, library) { ray in
      let task = ray.submit(double, .value(2))
      equal(try await ray.get(task), 4)
      await withTaskGroup(of: Void.self) { group in
        group.cancelAll()
        group.addTask {
          await #expect(throws: CancellationError.self) { _ = try await ray.get(task) }
          await #expect(throws: CancellationError.self) { _ = try await ray.wait([task]) }
          let begin = ray.now
          await ray.sleep(.milliseconds(5))
          #expect(ray.now >= begin + .milliseconds(5))
        }
      }
    }
  }
}
