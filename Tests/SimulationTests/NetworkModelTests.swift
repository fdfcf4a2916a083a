import Primitives
import Simulation
import Testing

@Suite("Bulk network models, worked by hand")
struct NetworkModelTests {
  /// Four nodes, 100 MB/s each way, 1 ms apart.
  static func star(flowCap: Bandwidth = .unlimited) throws -> Topology {
    try .star(
      nodes: 4, nic: DuplexBandwidth(.megabytesPerSecond(100)), latency: .milliseconds(1),
      flowCap: flowCap)
  }

  static func flow(_ from: Int, _ to: Int, megabytes: UInt64, at milliseconds: UInt64 = 0)
    -> OfferedFlow
  {
    OfferedFlow(
      start: milliseconds * 1_000_000, from: from, to: to, size: megabytes * 1_000_000)
  }

  /// (token, arrival in milliseconds).
  static func milliseconds(_ deliveries: [Delivery]) -> [[Double]] {
    deliveries.map { [Double($0.token), Double($0.arrival) / 1e6] }
  }

  @Test("constant: size and competition do not matter")
  func constant() throws {
    let got = deliver(
      [Self.flow(0, 1, megabytes: 1), Self.flow(0, 1, megabytes: 900, at: 2)], over: .constant,
      try Self.star())
    #expect(Self.milliseconds(got) == [[0, 1], [1, 3]])
  }

  @Test("latency-bandwidth: flows do not share, the narrowest link or the cap counts")
  func latencyBandwidth() throws {
    let flows = [Self.flow(0, 1, megabytes: 10), Self.flow(0, 1, megabytes: 20)]
    #expect(
      Self.milliseconds(deliver(flows, over: .latencyBandwidth, try Self.star()))
        == [[0, 101], [1, 201]])
    let capped = try Self.star(flowCap: .megabytesPerSecond(50))
    #expect(
      Self.milliseconds(deliver(flows, over: .latencyBandwidth, capped)) == [[0, 201], [1, 401]])
    let racks = try Self.racks(uplink: .megabytesPerSecond(40))
    #expect(
      Self.milliseconds(deliver([Self.flow(0, 2, megabytes: 4)], over: .latencyBandwidth, racks))
        == [[0, 102]])
  }

  @Test("FIFO: a lone flow is serialised twice, store and forward")
  func fifoAlone() throws {
    let got = deliver([Self.flow(0, 1, megabytes: 10)], over: .fifoNIC, try Self.star())
    #expect(Self.milliseconds(got) == [[0, 201]])
  }

  @Test("FIFO: the sender serves in order of start, the receiver in order of arrival")
  func fifoOrder() throws {
    let got = deliver(
      [
        // Sent 0–100, received 101–201.
        Self.flow(0, 1, megabytes: 10),
        // Waits for the first: sent 100–200; reaches node 2 at 201, after the third flow.
        Self.flow(0, 2, megabytes: 10),
        // Sent 50–250, reaches node 2 at 251: received 301–501, behind the second.
        Self.flow(3, 2, megabytes: 20, at: 50),
        // Sent 200–210, reaches node 2 at 211: behind the second (201–301), before the third.
        Self.flow(1, 2, megabytes: 1, at: 200),
      ], over: .fifoNIC, try Self.star())
    #expect(Self.milliseconds(got) == [[0, 201], [1, 301], [3, 311], [2, 511]])
  }

  @Test("FIFO: flows that reach a receiver together are served in order of start")
  func fifoTie() throws {
    let got = deliver(
      [Self.flow(2, 1, megabytes: 10), Self.flow(0, 1, megabytes: 10)], over: .fifoNIC,
      try Self.star())
    #expect(Self.milliseconds(got) == [[0, 201], [1, 301]])
  }

  @Test("max-min: two flows halve a NIC, and the longer one speeds up when it is alone")
  func sharedNIC() throws {
    // 50 MB/s each until 200 ms; then the second sends its last 10 MB at 100 MB/s.
    let got = deliver(
      [Self.flow(0, 1, megabytes: 10), Self.flow(0, 2, megabytes: 20)], over: .maxMin,
      try Self.star())
    #expect(Self.milliseconds(got) == [[0, 201], [1, 301]])
  }

  @Test("max-min: a flow that starts later slows the one in progress")
  func lateStart() throws {
    // Alone for 100 ms (10 MB), then 50 MB/s each: both have 10 MB left, both end at 300 ms.
    let got = deliver(
      [Self.flow(0, 1, megabytes: 20), Self.flow(2, 1, megabytes: 10, at: 100)], over: .maxMin,
      try Self.star())
    #expect(Self.milliseconds(got) == [[0, 301], [1, 301]])
  }

  @Test("max-min: the classic chain, where the short flow takes what the long one cannot use")
  func chain() throws {
    // Node 0 sends two flows; one shares node 1's NIC with two others. Node 1: 30 MB/s each for
    // three flows of 90; so node 0's other flow gets 100 − 30 = 70.
    let topology = try Topology(
      nics: [
        DuplexBandwidth(.megabytesPerSecond(100)),
        DuplexBandwidth(up: .megabytesPerSecond(100), down: .megabytesPerSecond(90)),
        DuplexBandwidth(.megabytesPerSecond(100)), DuplexBandwidth(.megabytesPerSecond(100)),
        DuplexBandwidth(.megabytesPerSecond(50)),
      ], rackOfNode: [0, 0, 0, 0, 0], rackUplinks: [.unlimited], latencyWithinRack: .zero,
      latencyAcrossRacks: .zero)
    let flows = [
      Self.flow(0, 1, megabytes: 9), Self.flow(2, 1, megabytes: 9), Self.flow(3, 1, megabytes: 9),
      Self.flow(0, 2, megabytes: 9), Self.flow(2, 4, megabytes: 9),
    ]
    var network = BulkNetwork(model: .maxMin, topology: topology)
    for (token, flow) in flows.enumerated() {
      _ = network.start(
        from: NodeID(flow.from), to: NodeID(flow.to), size: ByteCount(flow.size),
        token: UInt64(token), at: .zero)
    }
    let rates = (0..<5).map { network.rate(ofToken: $0)!.bytesPerSecond / 1e6 }
    for (rate, expected) in zip(rates, [30, 30, 30, 70, 50] as [Double]) {
      #expect(abs(rate - expected) < 1e-9)
    }
  }

  @Test("max-min: the cap of one flow leaves the rest of a link to others")
  func flowCap() throws {
    // Capped at 40 MB/s: two flows leave 20 MB/s idle; three get a third of 100 each.
    let capped = try Self.star(flowCap: .megabytesPerSecond(40))
    let two = [Self.flow(0, 1, megabytes: 40), Self.flow(0, 2, megabytes: 40)]
    #expect(Self.milliseconds(deliver(two, over: .maxMin, capped)) == [[0, 1001], [1, 1001]])
    // Three at 33⅓ for 300 ms (10 MB each), then two at 40 MB/s for their last 30 MB.
    let three = two + [Self.flow(0, 3, megabytes: 10)]
    #expect(
      Self.milliseconds(deliver(three, over: .maxMin, capped))
        == [[2, 301], [0, 1051], [1, 1051]])
  }

  /// Two racks of two nodes, 2 ms apart.
  static func racks(uplink: Bandwidth, core: Bandwidth = .unlimited) throws -> Topology {
    try Topology(
      nics: Array(repeating: DuplexBandwidth(.megabytesPerSecond(100)), count: 4),
      rackOfNode: [0, 0, 1, 1], rackUplinks: Array(repeating: DuplexBandwidth(uplink), count: 2),
      core: core, latencyWithinRack: .milliseconds(1), latencyAcrossRacks: .milliseconds(2))
  }

  @Test("max-min: an oversubscribed rack uplink slows only flows between racks")
  func oversubscription() throws {
    let flows = [
      Self.flow(0, 2, megabytes: 10), Self.flow(1, 3, megabytes: 10),
      Self.flow(2, 3, megabytes: 10),
    ]
    // 25 MB/s each across; node 3 receives 25 across, so 75 from its neighbour: 133⅓ ms.
    let got = deliver(flows, over: .maxMin, try Self.racks(uplink: .megabytesPerSecond(50)))
    #expect(got[0] == Delivery(token: 2, arrival: 134_333_334))
    #expect(Self.milliseconds(Array(got.dropFirst())) == [[0, 402], [1, 402]])
  }

  @Test("max-min: both directions of a core share it")
  func core() throws {
    let flows = [Self.flow(0, 2, megabytes: 10), Self.flow(3, 1, megabytes: 10)]
    let shared = try Self.racks(uplink: .unlimited, core: .megabytesPerSecond(100))
    #expect(Self.milliseconds(deliver(flows, over: .maxMin, shared)) == [[0, 202], [1, 202]])
    let free = try Self.racks(uplink: .unlimited)
    #expect(Self.milliseconds(deliver(flows, over: .maxMin, free)) == [[0, 102], [1, 102]])
  }

  @Test("max-min: nothing to send and nothing that constrains end at once")
  func unconstrained() throws {
    #expect(
      Self.milliseconds(
        deliver([Self.flow(0, 1, megabytes: 0, at: 5)], over: .maxMin, try Self.star()))
        == [[0, 6]])
    let open = try Topology.star(nodes: 2, nic: .unlimited, latency: .milliseconds(1))
    #expect(
      Self.milliseconds(deliver([Self.flow(0, 1, megabytes: 900)], over: .maxMin, open))
        == [[0, 1]])
    let capped = try Topology.star(
      nodes: 2, nic: .unlimited, latency: .milliseconds(1), flowCap: .megabytesPerSecond(10))
    #expect(
      Self.milliseconds(deliver([Self.flow(0, 1, megabytes: 1)], over: .maxMin, capped))
        == [[0, 101]])
  }

  @Test("max-min: equal ends come in order of start, even when slots are reused")
  func tiesInOrderOfStart() throws {
    let topology = try Self.star()
    var network = BulkNetwork(model: .maxMin, topology: topology)
    func start(_ token: UInt64, _ from: Int, _ to: Int, _ now: UInt64, _ bytes: UInt64) {
      _ = network.start(
        from: NodeID(from), to: NodeID(to), size: ByteCount(bytes), token: token,
        at: Instant(nanoseconds: now))
    }
    start(0, 0, 1, 0, 1_000)
    start(1, 2, 3, 0, 1_000_000)
    var order: [UInt64] = []
    let wake = network.nextCompletion
    let first = try #require(wake)
    network.advance(to: first) { token, _ in order.append(token) }
    // Takes the slot of flow 0 and ends with flow 1, which started before it.
    start(2, 1, 0, first.nanoseconds, 1_000_000 - 1_000)
    let activeBefore = network.activeFlows
    network.advance(to: Instant(nanoseconds: 1_000_000_000)) { token, _ in order.append(token) }
    #expect(order == [0, 1, 2])
    let (active, next) = (network.activeFlows, network.nextCompletion)
    #expect(activeBefore == 2)
    #expect(active == 0)
    #expect(next == nil)
  }

  @Test("each model has a name of its own")
  func names() throws {
    let topology = try Self.star()
    let names = BulkNetworkModel.allCases.map { BulkNetwork(model: $0, topology: topology).name }
    #expect(names == ["constant", "latency-bandwidth", "fifo-nic", "max-min"])
  }
}

@Suite("Topologies")
struct NetworkTopologyTests {
  static let good = DuplexBandwidth(.megabytesPerSecond(100))

  static func tree(
    nics: [DuplexBandwidth] = [good, good], racks: [Int] = [0, 1],
    uplinks: [DuplexBandwidth] = [good, good], core: Bandwidth = .unlimited,
    flowCap: Bandwidth = .unlimited
  ) throws -> Topology {
    try Topology(
      nics: nics, rackOfNode: racks, rackUplinks: uplinks, core: core, flowCap: flowCap,
      latencyWithinNode: .nanoseconds(5), latencyWithinRack: .microseconds(10),
      latencyAcrossRacks: .microseconds(30))
  }

  @Test("latency depends on whether nodes share a node, a rack or nothing")
  func latency() throws {
    let topology = try Self.tree(nics: [Self.good, Self.good, Self.good], racks: [0, 1, 0])
    #expect(topology.latency(from: NodeID(0), to: NodeID(0)) == .nanoseconds(5))
    #expect(topology.latency(from: NodeID(0), to: NodeID(2)) == .microseconds(10))
    #expect(topology.latency(from: NodeID(0), to: NodeID(1)) == .microseconds(30))
    #expect(topology.nodeCount == 3)
  }

  @Test("nonsense is refused with what is wrong")
  func refused() {
    let zero = DuplexBandwidth(up: Bandwidth(bytesPerSecond: 0), down: .unlimited)
    let notANumber = Bandwidth(bytesPerSecond: .nan)
    #expect(throws: TopologyError.noNodes) { try Self.tree(nics: [], racks: []) }
    #expect(throws: TopologyError.noNodes) {
      try Topology.star(nodes: 0, nic: Self.good, latency: .zero)
    }
    #expect(throws: TopologyError.tooManyNodes(1 << 30)) {
      try Topology.star(nodes: 1 << 30, nic: Self.good, latency: .zero)
    }
    #expect(throws: TopologyError.badBandwidth(link: "node 1's NIC, up", value: 0)) {
      try Self.tree(nics: [Self.good, zero])
    }
    #expect(throws: TopologyError.badBandwidth(link: "rack 0's uplink, up", value: 0)) {
      try Self.tree(uplinks: [zero, Self.good])
    }
    #expect(throws: TopologyError.badBandwidth(link: "one flow", value: -1)) {
      try Self.tree(flowCap: Bandwidth(bytesPerSecond: -1))
    }
    #expect(throws: TopologyError.self) { try Self.tree(core: notANumber) }
    #expect(throws: TopologyError.rackListLength(expected: 2, got: 1)) {
      try Self.tree(racks: [0])
    }
    let outside = TopologyError.rackOutOfRange(node: 1, rack: 2, racks: 2)
    #expect(throws: outside) { try Self.tree(racks: [0, 2]) }
    #expect(outside.description == "node 1 is in rack 2, but there are only racks 0 ..< 2")
  }
}
