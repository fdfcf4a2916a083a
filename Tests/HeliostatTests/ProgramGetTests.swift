import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing

@Suite("get, wait and put")
struct ProgramGetTests {
  @Test("get returns values in the order of its arguments, whatever the order of completion")
  func getOrder() throws {
    try TestCluster().run { ray async throws in
      let square = ray.remote("square") { (x: Int) in x * x }
      let refs = (0..<10).map { i in
        ray.submit(
          square, .value(i), options: TaskOptions(duration: .milliseconds(UInt64(10 - i))))
      }
      #expect(try await ray.get(refs) == (0..<10).map { $0 * $0 })
      #expect(try await ray.get([refs[3], refs[3], refs[1]]) == [9, 9, 1])
    }.expectSuccess()
  }

  @Test("get raises the first error at once, before the rest is ready")
  func getFirstError() throws {
    try TestCluster().run { ray async throws in
      let slow = ray.remote("slow", TaskOptions(duration: .seconds(10))) { 1 }
      let bad = ray.remote("bad", TaskOptions(duration: .seconds(1))) { () throws -> Int in
        throw Failure()
      }
      let refs = [ray.submit(slow), ray.submit(bad)]
      await #expect(throws: RuntimeError.taskFailed("bad: it failed on purpose")) {
        _ = try await ray.get(refs)
      }
      #expect(ray.now.seconds < 2)
    }.expectSuccess()
  }

  @Test("get with a timeout throws when it expires and not before")
  func getTimeout() throws {
    try TestCluster().run { ray async throws in
      let slow = ray.remote("slow", TaskOptions(duration: .seconds(10))) { 7 }
      let ref = ray.submit(slow)
      await #expect(throws: RuntimeError.getTimedOut(after: .seconds(2))) {
        _ = try await ray.get(ref, timeout: .seconds(2))
      }
      #expect(ray.now == Instant.zero + .seconds(2))
      #expect(try await ray.get(ref, timeout: .seconds(20)) == 7)
      #expect(ray.now.seconds < 10.1)
    }.expectSuccess()
  }

  @Test("get with timeout zero returns what is local and throws for what is not")
  func getTimeoutZero() throws {
    try TestCluster().run { ray async throws in
      let quick = ray.remote("quick", TaskOptions(duration: .milliseconds(1))) { 7 }
      let ref = ray.submit(quick)
      await #expect(throws: RuntimeError.getTimedOut(after: .zero)) {
        _ = try await ray.get(ref, timeout: .zero)
      }
      let other = ray.submit(quick)
      await ray.sleep(.seconds(1))
      #expect(try await ray.get(ref, timeout: .zero) == 7)
      // Never asked for before, yet in the local store for a second.
      #expect(try await ray.get(other, timeout: .zero) == 7)
    }.expectSuccess()
  }

  @Test("a timeout is kept when nothing else happens in the cluster")
  func timeoutAlone() throws {
    let run = try TestCluster().run { ray async throws in
      let greedy = ray.remote("greedy", TaskOptions(resources: ResourceVector(cpus: 99))) { 1 }
      let ref = ray.submit(greedy)
      await ray.sleep(.seconds(5))
      #expect(ray.now == Instant.zero + .seconds(5))
      await #expect(throws: RuntimeError.getTimedOut(after: .seconds(3))) {
        _ = try await ray.get(ref, timeout: .seconds(3))
      }
      #expect(ray.now == Instant.zero + .seconds(8))
    }
    run.expectSuccess()
    #expect(run.cluster.infeasibleTasks.count == 1)
  }

  @Test("a large transfer that is the only thing under way is waited for")
  func lonelyTransfer() throws {
    for network in BulkNetworkModel.allCases {
      var cluster = TestCluster()
      cluster.network = network
      cluster.cpus = 1
      cluster.spillover = "AlwaysEscalate"
      cluster.resources = [0: ResourceVector(cpus: 0)]
      try cluster.run { ray async throws in
        let make = ray.remote("make", TaskOptions(outputSize: ByteCount(100_000_000))) { 5 }
        #expect(try await ray.get(ray.submit(make)) == 5)
        // Flows of `latencyBandwidth` do not share: four chunks at a time are four times as fast.
        let least = network == .constant ? 0 : network == .latencyBandwidth ? 0.025 : 0.1
        #expect(ray.now.seconds >= least)
      }.expectSuccess()
    }
  }

  @Test("wait returns as many as were asked for, both lists in the order of the input")
  func waitOrder() throws {
    var cluster = TestCluster()
    cluster.cpus = 8
    try cluster.run { ray async throws in
      let echo = ray.remote("echo") { (x: Int) in x }
      let refs = (0..<6).map { i in
        ray.submit(
          echo, .value(i), options: TaskOptions(duration: .milliseconds(UInt64(100 * (6 - i)))))
      }
      // All run at once: the last of the list is the first to be ready.
      let (ready, rest) = try await ray.wait(refs, count: 2)
      #expect(ready == [refs[4], refs[5]])
      #expect(rest == [refs[0], refs[1], refs[2], refs[3]])
      await ray.sleep(.seconds(1))
      let all = try await ray.wait(refs, count: 3)
      #expect(all.ready == [refs[0], refs[1], refs[2]] || all.ready.count == 3)
      #expect(all.ready.count + all.rest.count == 6)
      let none = try await ray.wait(refs, count: 0)
      #expect(none.ready.isEmpty && none.rest == refs)
    }.expectSuccess()
  }

  @Test("wait ends at its timeout with what is ready by then")
  func waitTimeout() throws {
    try TestCluster().run { ray async throws in
      let echo = ray.remote("echo") { (x: Int) in x }
      let refs = [3, 1, 2].map { i in
        ray.submit(echo, .value(i), options: TaskOptions(duration: .seconds(UInt64(i))))
      }
      let (ready, rest) = try await ray.wait(refs, count: 3, timeout: .milliseconds(2500))
      #expect(ready == [refs[1], refs[2]])
      #expect(rest == [refs[0]])
      #expect(ray.now == Instant.zero + .milliseconds(2500))
    }.expectSuccess()
  }

  @Test("wait with timeout zero reports what is already local")
  func waitPoll() throws {
    try TestCluster().run { ray async throws in
      let quick = ray.remote("quick", TaskOptions(duration: .milliseconds(1))) { 7 }
      let slow = ray.remote("slow", TaskOptions(duration: .seconds(9))) { 8 }
      let refs = [ray.submit(slow), ray.submit(quick)]
      #expect(try await ray.wait(refs, count: 2, timeout: .zero).ready.isEmpty)
      await ray.sleep(.seconds(1))
      #expect(try await ray.wait(refs, count: 2, timeout: .zero).ready == [refs[1]])
    }.expectSuccess()
  }

  @Test("an object with an error counts as ready for wait")
  func waitError() throws {
    try TestCluster().run { ray async throws in
      let bad = ray.remote("bad") { () throws -> Int in throw Failure() }
      let slow = ray.remote("slow", TaskOptions(duration: .seconds(9))) { 8 }
      let refs = [ray.submit(slow), ray.submit(bad)]
      let (ready, _) = try await ray.wait(refs)
      #expect(ready == [refs[1]])
    }.expectSuccess()
  }

  @Test("wait without fetch is satisfied by a copy anywhere, and moves nothing")
  func waitWithoutFetch() throws {
    var cluster = TestCluster()
    cluster.resources = [0: ResourceVector(cpus: 0)]
    let run = try cluster.run { ray async throws in
      let make = ray.remote("make", TaskOptions(outputSize: ByteCount(500_000_000))) { 5 }
      let ref = ray.submit(make)
      let (ready, _) = try await ray.wait([ref], fetch: false)
      #expect(ready == [ref])
      #expect(ray.now.seconds < 0.1)
    }
    run.expectSuccess()
    #expect(run.cluster.storedBytes(of: NodeID(0)) == .zero)
  }

  @Test("get after an unanswered wait without fetch ends with a local copy, not with the news")
  func getAfterExistence() throws {
    var cluster = TestCluster()
    cluster.resources = [0: ResourceVector(cpus: 0)]
    let run = try cluster.run { ray async throws in
      let make = ray.remote(
        "make", TaskOptions(duration: .seconds(1), outputSize: ByteCount(500_000_000))
      ) { 5 }
      let ref = ray.submit(make)
      let (ready, _) = try await ray.wait([ref], timeout: .milliseconds(10), fetch: false)
      #expect(ready.isEmpty)
      #expect(try await ray.get(ref) == 5)
      // 500 MB at 1 GB/s.
      #expect(ray.now.seconds >= 1.5)
    }
    run.expectSuccess()
    #expect(run.cluster.storedBytes(of: NodeID(0)) == ByteCount(500_000_000))
  }

  @Test("put makes an object that get and tasks read")
  func putGet() throws {
    try TestCluster().run { ray async throws in
      let a = try await ray.put(20, size: ByteCount(1000))
      let b = try await ray.put("x", size: ByteCount(1000))
      let repeated = ray.remote("repeat") { (n: Int, s: String) in
        String(repeating: s, count: n)
      }
      #expect(try await ray.get(a) == 20)
      #expect(try await ray.get(b) == "x")
      #expect(
        try await ray.get(ray.submit(repeated, .ref(a), .ref(b)))
          == String(repeating: "x", count: 20))
    }.expectSuccess()
  }

  @Test("a task with several returns makes an object for each")
  func severalReturns() throws {
    try TestCluster().run { ray async throws in
      let divide = ray.remoteSplit("divide") { (a: Int, b: Int) in [a / b, a % b] }
      let refs = ray.submit(divide, returns: 2, .value(17), .value(5))
      #expect(try await ray.get(refs[1]) == 2)
      #expect(try await ray.get(refs[0]) == 3)
      let add = ray.remote("add") { (a: Int, b: Int) in a + b }
      #expect(try await ray.get(ray.submit(add, .ref(refs[0]), .ref(refs[1]))) == 5)
    }.expectSuccess()
  }

  @Test("two gets of one program at the same time both end")
  func concurrentGets() throws {
    try TestCluster().run { ray async throws in
      let echo = ray.remote("echo", TaskOptions(duration: .seconds(1))) { (x: Int) in x }
      let a = ray.submit(echo, .value(1))
      let b = ray.submit(echo, .value(2))
      let missing = ray.submit(echo, .value(3), options: TaskOptions(duration: .seconds(100)))
      async let first = ray.get(a)
      async let second = ray.get(b)
      #expect(try await first == 1)
      #expect(try await second == 2)
      async let now1 = ray.get(a, timeout: .zero)
      async let now2 = ray.get(missing, timeout: .zero)
      #expect(try await now1 == 1)
      do {
        _ = try await now2
        Issue.record("a value after a timeout of zero")
      } catch { #expect(error as? RuntimeError == .getTimedOut(after: .zero)) }
    }.expectSuccess()
  }

  @Test("a program that waits a thousand times takes no more memory than one that waits ten times")
  func waitMemory() throws {
    func memory(waits: Int) throws -> Int {
      let run = try TestCluster().run { ray async throws in
        let echo = ray.remote("echo") { (x: Int) in x }
        let never = (0..<50).map { i in
          ray.submit(echo, .value(i), options: TaskOptions(resources: ResourceVector(cpus: 99)))
        }
        for _ in 0..<waits { _ = try await ray.wait(never, timeout: .milliseconds(1)) }
      }
      run.expectSuccess()
      return run.cluster.memoryBytes
    }
    // A link for each object and wait would take 600 KB.
    #expect(try memory(waits: 1000) - memory(waits: 10) < 50_000)
  }
}
