import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing

@Suite("stores and transfers")
struct ProgramStoreTests {
  @Test("a store under pressure moves the oldest objects to disk and brings them back")
  func pressure() throws {
    var cluster = TestCluster()
    cluster.nodes = 1
    cluster.store = ByteCount(100_000_000)
    let run = try cluster.run { ray async throws in
      let make = ray.remote("make", TaskOptions(outputSize: ByteCount(30_000_000))) { (x: Int) in x
      }
      let add = ray.remote("add", TaskOptions(outputSize: ByteCount(8))) { (a: Int, b: Int) in a + b
      }
      let refs = (0..<10).map { ray.submit(make, .value($0)) }
      #expect(try await ray.get(refs) == Array(0..<10))
      for i in 0..<10 {
        let sum = ray.submit(add, .ref(refs[i]), .ref(refs[9 - i]))
        #expect(try await ray.get(sum) == 9)
        ray.free([sum])
      }
      // 10 objects of 30 MB: at least 7 had to be read from disk, at 200 MB/s.
      #expect(ray.now.seconds > 7 * 0.15)
      ray.free(refs)
      await ray.sleep(twoHeartbeats)
    }
    run.expectSuccess()
    run.expectQuiet()
    run.expectEmpty()
  }

  @Test("pulled copies are dropped under pressure and pulled again")
  func droppedCopies() throws {
    var cluster = TestCluster()
    cluster.nodes = 3
    cluster.store = ByteCount(100_000_000)
    cluster.resources = [0: ResourceVector(cpus: 1)]
    cluster.spillover = "AlwaysEscalate"
    cluster.placement = "RoundRobin"
    let run = try cluster.run { ray async throws in
      let make = ray.remote("make", TaskOptions(outputSize: ByteCount(25_000_000))) { (x: Int) in x
      }
      let sum = ray.remote("sum", TaskOptions(outputSize: ByteCount(8))) {
        (a: Int, b: Int, c: Int) in a + b + c
      }
      let refs = (0..<9).map { ray.submit(make, .value($0)) }
      for round in 0..<3 {
        let sums = (0..<9).map { i in
          ray.submit(
            sum, .ref(refs[i]), .ref(refs[(i + round) % 9]), .ref(refs[(i + 2 * round) % 9]))
        }
        let expected = (0..<9).map { $0 + ($0 + round) % 9 + ($0 + 2 * round) % 9 }
        #expect(try await ray.get(sums) == expected)
        ray.free(sums)
      }
      ray.free(refs)
      await ray.sleep(twoHeartbeats)
    }
    run.expectSuccess()
    run.expectQuiet()
    run.expectEmpty()
  }

  @Test("an object larger than the store of its node or of its reader is an error there")
  func tooLarge() throws {
    var cluster = TestCluster()
    cluster.store = ByteCount(1_000_000)
    let run = try cluster.run { ray async throws in
      let big = ray.remote("big", TaskOptions(outputSize: ByteCount(2_000_000))) { 1 }
      let fine = ray.remote("fine") { (x: Int) in x }
      let ref = ray.submit(big)
      let follower = ray.submit(fine, .ref(ref))
      let put = try await ray.put(1, size: ByteCount(1_000_001))
      for ref in [ref, follower, put] {
        await #expect(throws: RuntimeError.objectStoreFull) { _ = try await ray.get(ref) }
      }
      let exact = try await ray.put(4, size: ByteCount(1_000_000))
      #expect(try await ray.get(exact) == 4)
      ray.free([ref, follower, put, exact])
      await ray.sleep(twoHeartbeats)
    }
    run.expectSuccess()
    run.expectQuiet()
    run.expectEmpty()
  }

  @Test("one object reaches many nodes, each exactly once")
  func broadcast() throws {
    var cluster = TestCluster()
    cluster.nodes = 16
    cluster.cpus = 1
    cluster.spillover = "AlwaysEscalate"
    cluster.placement = "RoundRobin"
    cluster.parameters.recordsTransitions = true
    let arrivals = Log<UInt32>()
    let simulated = SimulatedCluster(try cluster.configuration(), isChecked: true)
    simulated.onTransition = { transition, _ in
      if case .transferFinished(let object, _, let to, _) = transition, object.index < 0 {
        arrivals.add(to.index)
      }
    }
    let runtime = ProgramRuntime(driverNode: NodeID(0)) { ray async throws in
      let read = ray.remote("read", TaskOptions(duration: .seconds(1))) { (x: Int) in x }
      let put = try await ray.put(7, size: ByteCount(50_000_000))
      let refs = (0..<32).map { _ in ray.submit(read, .ref(put)) }
      #expect(try await ray.get(refs) == Array(repeating: 7, count: 32))
    }
    #expect(simulated.run(runtime) == .finished)
    #expect(runtime.error == nil)
    #expect(arrivals.entries.sorted() == Array(1..<16))
  }

  /// Sizes around the boundaries of chunks of 1000 bytes, and of the control path.
  static let sizes: [UInt64] = [
    0, 1, 999, 1000, 1001, 1999, 2000, 2001, 4000, 4001, 5000, 63_999, 64_000, 64_001, 1_000_000,
  ]

  @Test("transfers arrive whole, whatever their size", arguments: sizes, BulkNetworkModel.allCases)
  func chunks(size: UInt64, network: BulkNetworkModel) throws {
    for chunk in [UInt64(1000), 100_000] {
      var cluster = TestCluster()
      cluster.network = network
      cluster.resources = [0: ResourceVector(cpus: 0)]
      cluster.parameters.chunkSize = ByteCount(chunk)
      let run = try cluster.run { ray async throws in
        let make = ray.remote("make", TaskOptions(outputSize: ByteCount(size))) { (x: Int) in x }
        let refs = (0..<3).map { ray.submit(make, .value($0)) }
        #expect(try await ray.get(refs) == [0, 1, 2])
      }
      run.expectSuccess()
      run.expectQuiet()
      #expect(run.cluster.storedBytes(of: NodeID(0)) == ByteCount(3 * size))
    }
  }
}
