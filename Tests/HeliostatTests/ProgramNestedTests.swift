import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing

@Suite("nested tasks, resources and errors")
struct ProgramNestedTests {
  @Test("a chain of programs deeper than the CPUs ends: blocked ones give their CPUs back")
  func deepNesting() throws {
    for depth in [3, 8, 40] {
      var cluster = TestCluster()
      cluster.nodes = 1
      cluster.cpus = 1
      let run = try cluster.run { ray async throws in
        let descend = Descend(ray)
        #expect(try await ray.get(ray.submit(descend.function, .value(depth))) == depth)
      }
      run.expectSuccess()
      run.expectQuiet()
    }
  }

  @Test("a fan-out wider and deeper than the cluster ends")
  func fanOut() throws {
    var cluster = TestCluster()
    cluster.cpus = 2
    let run = try cluster.run { ray async throws in
      let tree = Tree(ray)
      #expect(try await ray.get(ray.submit(tree.function, .value(5))) == 63)
    }
    run.expectSuccess()
    run.expectQuiet()
  }

  @Test("messages between a worker and its raylet that take time arrive in order")
  func localLatency() throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.cpus = 1
    cluster.localLatency = .microseconds(50)
    let run = try cluster.run { ray async throws in
      let descend = Descend(ray)
      #expect(try await ray.get(ray.submit(descend.function, .value(5))) == 5)
    }
    run.expectSuccess()
    run.expectQuiet()
  }

  @Test("programs that compute at the same time on several CPUs do not delay each other")
  func parallelPrograms() throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.cpus = 4
    try cluster.run { ray async throws in
      let work = ray.program("work") { (worker: Session, x: Int) in
        worker.compute(.seconds(1))
        return x
      }
      let refs = (0..<4).map { ray.submit(work, .value($0)) }
      #expect(try await ray.get(refs) == [0, 1, 2, 3])
      #expect(ray.now == Instant.zero + .seconds(1))
    }.expectSuccess()
  }

  @Test("a timer of a program that has ended does not disturb the next one at its address")
  func staleTimer() throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.cpus = 1
    try cluster.run { ray async throws in
      let quick = ray.remote("quick", TaskOptions(resources: .zero)) { 1 }
      let first = ray.program("first") { (worker: Session) in
        try await worker.get(worker.submit(quick), timeout: .seconds(2))
      }
      let second = ray.program("second") { (worker: Session) in
        worker.compute(.seconds(10))
        return 2
      }
      let third = ray.program("third") { (worker: Session) in
        let never = worker.submit(
          quick, options: TaskOptions(resources: ResourceVector(cpus: 99)))
        do {
          _ = try await worker.get(never, timeout: .seconds(100))
          return 0.0
        } catch { return worker.now.seconds }
      }
      #expect(try await ray.get(ray.submit(first)) == 1)
      #expect(try await ray.get(ray.submit(second)) == 2)
      let start = ray.now.seconds
      #expect(try await ray.get(ray.submit(first)) == 1)
      #expect(try await ray.get(ray.submit(third)) - start == 100)
    }.expectSuccess()
  }

  @Test("an error goes through dependents, which do not run")
  func errorPropagation() throws {
    let ran = Log<String>()
    try TestCluster().run { ray async throws in
      let bad = ray.remote("bad") { () throws -> Int in throw Failure() }
      let add = ray.remote("add") { (a: Int, b: Int) in
        ran.add("add")
        return a + b
      }
      let fine = try await ray.put(1, size: ByteCount(8))
      let first = ray.submit(add, .ref(fine), .ref(ray.submit(bad)))
      let second = ray.submit(add, .ref(first), .value(1))
      let last = ray.submit(add, .ref(fine), .ref(second))
      await #expect(throws: RuntimeError.taskFailed("bad: it failed on purpose")) {
        _ = try await ray.get(last)
      }
      // Every get raises it again.
      await #expect(throws: RuntimeError.taskFailed("bad: it failed on purpose")) {
        _ = try await ray.get(first)
      }
      #expect(try await ray.get(fine) == 1)
    }.expectSuccess()
    #expect(ran.entries.isEmpty)
  }

  @Test("an error of a nested program reaches the outer one")
  func nestedError() throws {
    try TestCluster().run { ray async throws in
      let bad = ray.remote("bad") { () throws -> Int in throw Failure() }
      let outer = ray.program("outer") { (worker: Session) in
        try await worker.get(worker.submit(bad)) + 1
      }
      await #expect(
        throws: RuntimeError.taskFailed("outer: a task failed: bad: it failed on purpose")
      ) { _ = try await ray.get(ray.submit(outer)) }
    }.expectSuccess()
  }

  /// (CPUs of the node, demand in ten-thousandths, lane, tasks, seconds that they take in all).
  static let sharing: [(ResourceVector, Int32, Int, Int, Double)] = [
    (ResourceVector(cpus: 2), 10_000, 0, 4, 2),
    (ResourceVector(cpus: 2), 5_000, 0, 8, 2),
    (ResourceVector(cpus: 2), 15_000, 0, 3, 3),
    (ResourceVector(cpus: 8, gpus: 2), 10_000, 1, 4, 2),
    (ResourceVector(cpus: 8, gpus: 2), 5_000, 1, 8, 2),
    // Three quarters twice do not fit one GPU: two at a time.
    (ResourceVector(cpus: 8, gpus: 2), 7_500, 1, 4, 2),
    (ResourceVector(cpus: 8, gpus: 4), 20_000, 1, 4, 2),
    (ResourceVector(lanes: [80_000, 0, 30_000, 0, 0, 0, 0, 0]), 10_000, 2, 6, 2),
    (ResourceVector(lanes: [80_000, 0, 0, 0, 0, 0, 0, 10_000]), 3_333, 7, 6, 2),
  ]

  @Test("fractions, GPUs and custom resources are shared as far as they go", arguments: sharing)
  func sharedResources(
    node: ResourceVector, units: Int32, lane: Int, tasks: Int, seconds: Double
  ) throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.resources = [0: node]
    var demand = ResourceVector.zero
    demand.lanes[lane] = units
    let run = try cluster.run { [demand] ray async throws in
      let work = ray.remote(
        "work", TaskOptions(duration: .seconds(1), resources: demand)
      ) { 0 }
      _ = try await ray.get((0..<tasks).map { _ in ray.submit(work) })
      #expect(ray.now == Instant.zero + TimeSpan(seconds: seconds))
    }
    run.expectSuccess()
    run.expectQuiet()
  }

  @Test("a GPU task without CPUs starts while a returning program overdraws the CPUs")
  func overdrawnCPUs() throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.resources = [0: ResourceVector(cpus: 1, gpus: 1)]
    let run = try cluster.run { ray async throws in
      let long = ray.remote("long", TaskOptions(duration: .seconds(20))) { 1 }
      let brief = ray.remote(
        "brief", TaskOptions(duration: .seconds(1), resources: ResourceVector(gpus: 1))
      ) { 2 }
      let outer = ray.program("outer") { (worker: Session) in
        // The long task takes the CPU while this one sleeps, and keeps it.
        let kept = worker.submit(long)
        await worker.sleep(.seconds(1))
        let start = worker.now
        let quick = worker.submit(brief)
        worker.compute(.seconds(5))
        _ = try await worker.get(quick)
        _ = kept
        return worker.now.since(start)
      }
      #expect(try await ray.get(ray.submit(outer)) == TimeSpan.seconds(5))
      await ray.sleep(.seconds(30))
    }
    run.expectSuccess()
    run.expectQuiet()
  }

  @Test("an infeasible task stays pending, is listed, and a program that waits for it stalls")
  func infeasible() throws {
    let run = try TestCluster().run { ray async throws in
      let greedy = ray.remote("greedy", TaskOptions(resources: ResourceVector(cpus: 5))) { 1 }
      let fine = ray.remote("fine") { 1 }
      let never = ray.submit(greedy)
      _ = try await ray.get(ray.submit(fine))
      _ = try await ray.get(never)
    }
    #expect(run.end == .stalled)
    #expect(run.cluster.infeasibleTasks.count == 1)
    #expect(run.cluster.available(of: NodeID(0)) == ResourceVector(cpus: 4))
  }
}

/// A program that calls itself until `depth` is 0 and counts the levels.
private struct Descend: @unchecked Sendable {
  final class Holder: @unchecked Sendable { var function: RemoteFunction<Int, Int>! }
  let function: RemoteFunction<Int, Int>

  init(_ ray: Session) {
    let holder = Holder()
    holder.function = ray.program("descend") { (worker: Session, depth: Int) in
      if depth == 0 { return 0 }
      return try await worker.get(worker.submit(holder.function, .value(depth - 1))) + 1
    }
    function = holder.function
  }
}

/// A program that calls itself twice on each level and counts the calls.
private struct Tree: @unchecked Sendable {
  final class Holder: @unchecked Sendable { var function: RemoteFunction<Int, Int>! }
  let function: RemoteFunction<Int, Int>

  init(_ ray: Session) {
    let holder = Holder()
    holder.function = ray.program("tree") { (worker: Session, depth: Int) in
      if depth == 0 { return 1 }
      let children = (0..<2).map { _ in worker.submit(holder.function, .value(depth - 1)) }
      return try await worker.get(children).reduce(1, +)
    }
    function = holder.function
  }
}
