import Primitives
import RuntimeCore
import Simulation
import Testing

/// Submits tasks by two drivers, each as the result of the one before arrives, in one way or the other.
private final class Submissions: Application {
  private let byModel: Bool
  private let limit = 200
  private let model = UnsafeMutablePointer<TaskSpec>.allocate(capacity: 1)
  private var cluster: SimulatedCluster!
  private var shape: UInt16 = 0
  private var submitted = 0
  private var arrived = 0
  private(set) var specs: [TaskSpec] = []

  init(byModel: Bool) { self.byModel = byModel }
  deinit { model.deallocate() }

  var isFinished: Bool { arrived == limit }

  func start(on cluster: SimulatedCluster) {
    self.cluster = cluster
    shape = cluster.specs.shape(ResourceVector(cpus: 1))
    model.initialize(
      to: TaskSpec(
        id: TaskID(high: 0, low: 0), function: FunctionID(0), shape: shape,
        outputSize: ByteCount(8)))
    for node in 0..<2 { submit(at: cluster.addDriver(on: NodeID(node))) }
  }

  private func submit(at driver: Int) {
    submitted += 1
    let work = TimeSpan.microseconds(UInt64(submitted % 7))
    let task: TaskHandle
    if byModel {
      task = cluster.submit(like: model, work: work, wanted: true, at: driver)
    } else {
      var spec = cluster.newTask(of: driver, function: FunctionID(0), shape: shape)
      spec.outputSize = ByteCount(8)
      spec.work = work
      task = cluster.submit(spec, wanted: true, at: driver)
    }
    specs.append(cluster.specs[task])
  }

  func resultArrived(_ object: ObjectHandle, _ status: ObjectStatus, at driver: Int) {
    arrived += 1
    cluster.free(object, at: driver)
    if submitted < limit { submit(at: driver) }
  }
}

@Suite("tasks submitted like a model")
struct ModelTaskTests {
  @Test("they are those that a specification for each makes, and so is the run")
  func sameRun() throws {
    var fingerprints: [UInt64] = []
    var specs: [[TaskSpec]] = []
    for byModel in [true, false] {
      let cluster = SimulatedCluster(
        try freeCluster(nodes: 2, cpus: 1, latency: .microseconds(30)), isChecked: true)
      let application = Submissions(byModel: byModel)
      #expect(cluster.run(application) == .finished)
      fingerprints.append(cluster.fingerprint)
      specs.append(application.specs)
    }
    #expect(fingerprints[0] == fingerprints[1])
    #expect(specs[0].map(\.id) == specs[1].map(\.id))
    #expect(specs[0].map(\.submitter) == specs[1].map(\.submitter))
    #expect(specs[0].map(\.caller) == specs[1].map(\.caller))
    #expect(specs[0].map(\.work) == specs[1].map(\.work))
    #expect(specs[0].map(\.shape) == specs[1].map(\.shape))
  }
}
