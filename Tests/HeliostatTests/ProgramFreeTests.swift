import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing

@Suite("free: nothing is left behind")
struct ProgramFreeTests {
  /// Clusters on which freeing must leave nothing: (nodes, shards, chain length, schedulers).
  static let clusters: [(Int, Int, Int, Int)] = [
    (1, 1, 1, 1), (3, 1, 1, 1), (3, 4, 3, 2), (5, 2, 5, 3),
  ]

  private func cluster(_ shape: (Int, Int, Int, Int)) -> TestCluster {
    var cluster = TestCluster()
    cluster.nodes = shape.0
    cluster.cpus = 2
    cluster.spillover = "AlwaysEscalate"
    cluster.placement = "RoundRobin"
    cluster.parameters.gcsShards = shape.1
    cluster.parameters.chainLength = shape.2
    cluster.parameters.globalSchedulers = shape.3
    return cluster
  }

  @Test("after everything was used and freed, stores and tables are empty", arguments: clusters)
  func everythingFreed(nodes: Int, shards: Int, chain: Int, schedulers: Int) throws {
    let run = try cluster((nodes, shards, chain, schedulers)).run { ray async throws in
      let options = TaskOptions(duration: .milliseconds(3), outputSize: ByteCount(20_000_000))
      let echo = ray.remote("echo", options) { (x: Int) in x }
      let add = ray.remote("add", options) { (a: Int, b: Int) in a + b }
      let split = ray.remoteSplit("split", options) { (a: Int) in [a, a + 1, a + 2] }
      let put = try await ray.put(100, size: ByteCount(10_000_000))
      let leaves = (0..<20).map { ray.submit(echo, .value($0)) }
      let sums = leaves.map { ray.submit(add, .ref($0), .ref(put)) }
      let parts = ray.submit(split, returns: 3, .ref(leaves[0]))
      #expect(try await ray.get(sums) == (0..<20).map { $0 + 100 })
      #expect(try await ray.get(parts) == [0, 1, 2])
      ray.free(leaves)
      ray.free(sums)
      ray.free(parts)
      ray.free([put])
      await ray.sleep(twoHeartbeats)
    }
    run.expectSuccess()
    run.expectQuiet()
    run.expectEmpty()
  }

  @Test("freeing twice is freeing once: later tasks keep their values", arguments: clusters)
  func freedTwice(nodes: Int, shards: Int, chain: Int, schedulers: Int) throws {
    let run = try cluster((nodes, shards, chain, schedulers)).run { ray async throws in
      let echo = ray.remote("echo", TaskOptions(outputSize: ByteCount(1000))) { (x: Int) in x }
      let first = ray.submit(echo, .value(1))
      #expect(try await ray.get(first) == 1)
      ray.free([first, first])
      ray.free([first])
      await ray.sleep(twoHeartbeats)
      let later = (0..<10).map { ray.submit(echo, .value($0)) }
      #expect(try await ray.get(later) == Array(0..<10))
      ray.free(later)
      await ray.sleep(twoHeartbeats)
    }
    run.expectSuccess()
    run.expectQuiet()
    run.expectEmpty()
  }

  @Test("an error takes no room in the stores, however large the value would have been")
  func errorsAreSmall() throws {
    struct Broken: Error {}
    let run = try cluster((3, 1, 1, 1)).run { ray async throws in
      let options = TaskOptions(outputSize: ByteCount(900_000_000))
      let fail = ray.remote("fail", options) { () throws -> Int in throw Broken() }
      let add = ray.remote("add", options) { (a: Int) in a + 1 }
      let dependent = ray.submit(add, .ref(ray.submit(fail)))
      await #expect(throws: RuntimeError.self) { try await ray.get(dependent) }
    }
    run.expectSuccess()
    for node in 0..<run.cluster.configuration.nodes.count {
      #expect(run.cluster.storedBytes(of: NodeID(node)) == .zero)
    }
  }

  @Test("what is freed while it is still pending goes when it is made", arguments: clusters)
  func pendingFreed(nodes: Int, shards: Int, chain: Int, schedulers: Int) throws {
    let run = try cluster((nodes, shards, chain, schedulers)).run { ray async throws in
      let slow = ray.remote(
        "slow", TaskOptions(duration: .seconds(1), outputSize: ByteCount(1_000_000))
      ) { (x: Int) in x }
      let refs = (0..<10).map { ray.submit(slow, .value($0)) }
      ray.free(refs)
      await ray.sleep(.seconds(12))
    }
    run.expectSuccess()
    run.expectQuiet()
    run.expectEmpty()
  }

  @Test(
    "the stragglers of a wait can be freed while they are made or on their way", arguments: clusters
  )
  func stragglersFreed(nodes: Int, shards: Int, chain: Int, schedulers: Int) throws {
    for delay in 0..<12 {
      let run = try cluster((nodes, shards, chain, schedulers)).run { ray async throws in
        let work = ray.remote("work", TaskOptions(outputSize: ByteCount(60_000_000))) { (x: Int) in
          x
        }
        let refs = (0..<8).map { i in
          ray.submit(
            work, .value(i),
            options: TaskOptions(
              duration: .milliseconds(UInt64(40 * i)), outputSize: ByteCount(60_000_000)))
        }
        _ = try await ray.wait(refs, count: 2)
        await ray.sleep(.milliseconds(UInt64(17 * delay)))
        ray.free(refs)
        await ray.sleep(.seconds(2))
      }
      run.expectSuccess()
      run.expectQuiet()
      run.expectEmpty()
    }
  }

  @Test("freeing an object that is on its way lets the next pull begin")
  func pullMakesWay() throws {
    var cluster = TestCluster()
    cluster.store = ByteCount(100_000_000)
    cluster.parameters.freeDelay = .zero
    cluster.resources = [0: ResourceVector(cpus: 0)]
    let run = try cluster.run { ray async throws in
      let make = ray.remote("make", TaskOptions(outputSize: ByteCount(45_000_000))) { (x: Int) in
        x
      }
      let refs = (0..<2).map { ray.submit(make, .value($0)) }
      _ = try await ray.wait(refs, count: 2, fetch: false)
      // The quota is 70 MB: one is on its way, the other waits for its turn.
      #expect(try await ray.wait(refs, count: 2, timeout: .milliseconds(2)).ready.isEmpty)
      ray.free([refs[0]])
      #expect(try await ray.get(refs[1], timeout: .seconds(5)) == 1)
      ray.free([refs[1]])
      await ray.sleep(twoHeartbeats)
    }
    run.expectSuccess()
    run.expectQuiet()
    run.expectEmpty()
  }

  @Test("get of a freed object throws, before and after the notice has gone round")
  func getFreed() throws {
    for pause in [TimeSpan.zero, .milliseconds(250)] {
      try TestCluster().run { ray async throws in
        let echo = ray.remote("echo") { (x: Int) in x }
        let refs = [ray.submit(echo, .value(1)), try await ray.put(2, size: ByteCount(8))]
        let live = ray.submit(echo, .value(3))
        _ = try await ray.get(refs)
        ray.free(refs)
        await ray.sleep(pause)
        for ref in refs {
          await #expect(throws: RuntimeError.objectFreed) { _ = try await ray.get(ref) }
        }
        let (ready, rest) = try await ray.wait(refs + [live], count: 3)
        #expect(ready.count == 3 && rest.isEmpty)
        // A new task may go by the old handle: it is not the freed one.
        let next = (0..<5).map { ray.submit(echo, .value($0)) }
        #expect(try await ray.get(next) == [0, 1, 2, 3, 4])
      }.expectSuccess()
    }
  }

  @Test("a program that waits for what another one frees gets objectFreed", arguments: clusters)
  func waiterOfFreed(nodes: Int, shards: Int, chain: Int, schedulers: Int) throws {
    try cluster((nodes, shards, chain, schedulers)).run { ray async throws in
      let never = ray.remote("never", TaskOptions(resources: ResourceVector(cpus: 99))) { 1 }
      let pending = ray.submit(never)
      let reader = ray.program("reader") { (worker: Session, ref: ObjectRef<Int>) in
        do {
          _ = try await worker.get(ref)
          return "a value"
        } catch let error as RuntimeError {
          return error == .objectFreed ? "freed" : "\(error)"
        }
      }
      let dependent = ray.remote("dependent") { (x: Int) in x }
      let readers = (0..<2 * nodes).map { _ in ray.submit(reader, .value(pending)) }
      let follower = ray.submit(dependent, .ref(pending))
      await ray.sleep(.seconds(1))
      ray.free([pending])
      #expect(try await ray.get(readers) == Array(repeating: "freed", count: 2 * nodes))
      await #expect(throws: RuntimeError.objectFreed) { _ = try await ray.get(follower) }
    }.expectSuccess()
  }

  @Test("machines that get a wrong free do not run in circles when nothing costs time")
  func freedUnderReader() throws {
    for shape in Self.clusters {
      var cluster = cluster(shape)
      cluster.latency = .zero
      cluster.placement = "RoundRobin[offset=zero]"
      let run = try cluster.run(until: Instant.zero + .seconds(20), maximumEvents: 200_000) {
        ray async throws in
        let make = ray.remote("make", TaskOptions(outputSize: ByteCount(1000))) { 1 }
        let maker = ray.program("maker") { (worker: Session) in
          let ref = worker.submit(make)
          _ = try await worker.get(ref)
          worker.free([ref])
          worker.compute(.seconds(2))
          return ref
        }
        // The maker's own promise is broken by a reader elsewhere, at the same instant.
        let refs = (0..<4).map { _ in ray.submit(maker) }
        await ray.sleep(.milliseconds(50))
        _ = try await ray.get(refs)
      }
      #expect(run.end == .finished)
    }
  }
}
