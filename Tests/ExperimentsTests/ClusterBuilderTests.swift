import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing
import Workload

@testable import Experiments

/// Texts of files for tests that run no process.
enum Texts {
  static let profile = """
    name: p
    head: {cpus: 0, store: 3GB}
    nodes:
      - {name: fast, count: 2, cpus: 4, gpus: 3, store: 1GB, speed: 2, resources: {tape: 2}}
      - {name: slow, cpus: 1, store: 2GB}
    network: {model: fifo-nic, nic: 10Gbps, connection: 1Gbps, latency: 50us, local-latency: 7us}
    service:
      raylet: {default: 10us, task-submitted: 28us}
      driver: {default: 5us, submit: 35us, call: 50us}
      gcs: {default: 6us}
    worker: {start: 500ms, dispatch: 20us, finish: 30us}
    store:
      put: {fixed: 54us, bandwidth: 2GB/s}
      threaded-put: {above: 500KB, fixed: 450us, bandwidth: 15GB/s}
      chunk: 5MiB
      chunks-in-flight: 3
    """

  static func file(_ more: String = "", workload: String = "{program: tree-reduce}") throws
    -> WorkloadFile
  {
    try WorkloadFile(
      text: """
        experiment: e
        title: "E"
        cluster: {profile: p.yaml, nodes: 5}
        workload: \(workload)
        \(more)
        """,
      path: "w.yaml", files: FileReader(["p.yaml": profile]))
  }
}

@Suite struct ClusterBuilderTests {
  @Test("nodes come in the order of the groups, and the head last")
  func nodes() throws {
    let cluster = try ClusterBuilder(try Texts.file()).configuration
    #expect(cluster.nodes.count == 6)
    #expect(cluster.head == NodeID(5))
    let cpus = cluster.nodes.map { $0.description.resources.amount(ResourceVector.cpuLane) }
    #expect(cpus == [4, 4, 1, 1, 1, 0])
    #expect(cluster.nodes.map(\.speed) == [2, 2, 1, 1, 1, 1])
    #expect(cluster.nodes[5].description.store == ByteCount(3_000_000_000))
    var names = cluster.resourceNames
    let lane = names.lane(of: "tape")
    let tape = try #require(lane)
    #expect(cluster.nodes.map { $0.description.resources.amount(tape) } == [2, 2, 0, 0, 0, 0])
  }

  @Test("with head-counts the head takes the place of the last node")
  func headCounts() throws {
    let cluster = try ClusterBuilder(try Texts.file("parameters: {head-counts: true}"))
      .configuration
    #expect(cluster.nodes.count == 5)
    #expect(cluster.head == NodeID(4))
    #expect(cluster.nodes[4].description.resources.isZero)
  }

  @Test("the profile's costs reach the simulated machines")
  func costs() throws {
    let cluster = try ClusterBuilder(try Texts.file()).configuration
    #expect(cluster.network == .fifoNIC)
    #expect(cluster.localLatency == .microseconds(7))
    #expect(cluster.service[.raylet, .taskSubmitted] == .microseconds(28))
    #expect(cluster.service[.raylet, .taskPlaced] == .microseconds(10))
    #expect(cluster.service[.raylet, .timerFired] == .zero, "a reminder is no message")
    #expect(cluster.service[.driver, .objectReady] == .microseconds(5))
    #expect(cluster.service[.replica, .taskLogged] == .microseconds(6))
    #expect(cluster.service[.globalScheduler, .taskEscalated] == .zero, "not in the profile")
    #expect(cluster.client.submit == .microseconds(35))
    #expect(cluster.client.call == .microseconds(50))
    #expect(cluster.client.putFixed == .microseconds(54))
    #expect(cluster.client.threadedAbove == ByteCount(500_000))
    #expect(cluster.client.threadedFixed == .microseconds(450))
    #expect(cluster.worker.start == .milliseconds(500))
    #expect(cluster.worker.dispatch == .microseconds(20))
    #expect(cluster.worker.finish == .microseconds(30))
    #expect(cluster.parameters.chunkSize == ByteCount(5 << 20))
    #expect(cluster.parameters.chunksInFlight == 3)
    #expect(
      cluster.parameters.priorBandwidth.bytesPerSecond == 1e9 / 8,
      "a transfer is expected to be as fast as one connection")
  }

  @Test("the driver's submit and call cost its default when not given")
  func driverDefault() throws {
    let text = Texts.profile.replacingOccurrences(of: ", submit: 35us, call: 50us", with: "")
    let file = try WorkloadFile(
      text: "{experiment: e, title: E, cluster: {profile: p.yaml, nodes: 3}, "
        + "workload: {program: tree-reduce}}",
      path: "w.yaml", files: FileReader(["p.yaml": text]))
    let cluster = try ClusterBuilder(file).configuration
    #expect(cluster.client.submit == .microseconds(5))
    #expect(cluster.client.call == .microseconds(5))
  }

  @Test("parameters and policies of the file are in force and in the manifest")
  func parameters() throws {
    let builder = try ClusterBuilder(
      try Texts.file(
        """
        policies: {spillover: "QueueThreshold[threshold=3]", placement: Random}
        parameters: {gcs-shards: 4, chain-length: 3, heartbeat: 50ms, global-schedulers: 2}
        """))
    let parameters = builder.configuration.parameters
    #expect(parameters.gcsShards == 4)
    #expect(parameters.chainLength == 3)
    #expect(parameters.globalSchedulers == 2)
    #expect(parameters.heartbeat == .milliseconds(50))
    #expect(
      builder.policyText
        == "spillover=QueueThreshold[threshold=3,perWorker=2] placement=Random dispatch=FIFO")
    let leaves = builder.effective.flatMap { name, value in
      value.leaves.map { ($0.path.isEmpty ? name : "\(name).\($0.path)", $0.value) }
    }
    let effective = Dictionary(leaves) { first, _ in first }
    #expect(effective["parameters.gcs-shards"] == "4")
    #expect(effective["policies.placement"] == "Random")
    #expect(effective["network.model"] == "fifo-nic")
    #expect(effective["service.raylet.default"] == "10us")
    #expect(effective["service.raylet.task-submitted"] == "28us")
    #expect(effective["service.raylet.task-placed"] == nil, "as the default")
  }

  @Test("a network without a rate, or with one beyond all, is in the manifest too")
  func unlimited() throws {
    for (nic, text) in [("", "unlimited"), ("nic: 1e20Gbps, ", "/s")] {
      let profile = Texts.profile.replacing("nic: 10Gbps, connection: 1Gbps, ", with: nic)
      let file = try WorkloadFile(
        text: """
          experiment: e
          title: "E"
          cluster: {profile: p.yaml, nodes: 5}
          workload: {program: tree-reduce}
          """, path: "w.yaml", files: FileReader(["p.yaml": profile]))
      let leaves = try #require(try ClusterBuilder(file).effective["network"]).leaves
      #expect(leaves.contains { $0.path == "nic" && $0.value.hasSuffix(text) }, "\(leaves)")
    }
  }

  @Test("overrides of the command line reach the cluster")
  func overrides() throws {
    let file = try Texts.file().applying(overrides: [
      ("cluster.nodes", "9"), ("parameters.chain-length", "2"), ("policies.dispatch", "LIFO"),
    ])
    let builder = try ClusterBuilder(file)
    #expect(builder.configuration.nodes.count == 10)
    #expect(builder.configuration.parameters.chainLength == 2)
    #expect(builder.policyText.hasSuffix("dispatch=LIFO"))
  }
}
