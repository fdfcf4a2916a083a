import Primitives
import RuntimeCore
import Simulation
import Testing

/// Two drivers submit tasks; after a while one of them ends.
private final class TwoDrivers: Application {
  let perDriver: Int
  private(set) var arrived = [0, 0]
  private var cluster: SimulatedCluster!
  private var drivers: [Int] = []
  private var results: [ObjectHandle] = []

  init(_ perDriver: Int) { self.perDriver = perDriver }

  var isFinished: Bool { arrived[0] == perDriver }

  func start(on cluster: SimulatedCluster) {
    self.cluster = cluster
    let shape = cluster.specs.shape(ResourceVector(cpus: 1))
    drivers = [cluster.addDriver(on: NodeID(0)), cluster.addDriver(on: NodeID(1))]
    for i in 0..<perDriver {
      for driver in drivers {
        var spec = cluster.newTask(of: driver, function: FunctionID(0), shape: shape)
        spec.work = .milliseconds(UInt64(1 + i % 7))
        spec.outputSize = ByteCount(1000)
        let task = cluster.submit(spec, wanted: true, at: driver)
        if driver == drivers[0] { results.append(ObjectHandle(producer: task, index: 0)) }
      }
    }
  }

  func resultArrived(_ object: ObjectHandle, _ status: ObjectStatus, at driver: Int) {
    arrived[driver] += 1
    #expect(status == .value)
    if driver == drivers[0] { cluster.free(object, at: driver) }
    if driver == drivers[1] && arrived[1] == 5 { cluster.endDriver(driver) }
  }
}

@Suite("A driver that ends in the simulated world")
struct DriverEndTests {
  @Test("its tasks are cancelled, its objects freed on all nodes, and the other driver goes on")
  func oneOfTwo() throws {
    var configuration = try freeCluster(
      nodes: 3, cpus: 2, spillover: "QueueThreshold[threshold=10]", latency: .microseconds(50))
    configuration.parameters.gcsShards = 2
    configuration.parameters.chainLength = 2
    configuration.parameters.freeDelay = .milliseconds(1)
    let cluster = SimulatedCluster(configuration, isChecked: true)
    let application = TwoDrivers(300)
    #expect(cluster.run(application) == .finished)
    #expect(application.arrived[1] < 30)
    // The other one's last results are freed, and the notice of that goes round.
    while !(0..<2).allSatisfy({ shard in
      (0..<2).allSatisfy { cluster.chainState(shard: shard, member: $0).objects == 0 }
    }) {
      let more = Idle()
      guard cluster.resume(more, maximumEvents: 10_000_000) == .limited || more.isFinished else {
        break
      }
    }
    for node in 0..<3 {
      #expect(cluster.isQuiescent(NodeID(node)))
      #expect(cluster.available(of: NodeID(node)) == ResourceVector(cpus: 2))
      #expect(cluster.storedBytes(of: NodeID(node)) == .zero)
    }
    for shard in 0..<2 {
      for member in 0..<2 {
        let state = cluster.chainState(shard: shard, member: member)
        #expect(state.tasks == 0 && state.objects == 0)
      }
    }
  }

  /// Lets the cluster come to rest.
  private final class Idle: Application {
    var isFinished: Bool { false }
    func start(on cluster: SimulatedCluster) {}
  }
}
