import Primitives
import Simulation
import Testing

@Suite("Max-min fair network")
struct NetworkMaxMinTests {
  /// A random tree of racks with few distinct bandwidths, so that equal levels are common.
  static func topology(_ random: inout RandomStream) throws -> Topology {
    func bandwidth(_ random: inout RandomStream, orNone: UInt64) -> Bandwidth {
      if random.below(8) < orNone { return .unlimited }
      let steps: [Double] = [40, 100, 100, 125, 250, 1000 / 3]
      return .megabytesPerSecond(steps[Int(random.below(UInt64(steps.count)))])
    }
    let nodes = 2 + Int(random.below(14))
    let racks = 1 + Int(random.below(4))
    let uniform = random.below(2) == 0
    var nics: [DuplexBandwidth] = []
    for _ in 0..<nodes {
      nics.append(
        uniform
          ? DuplexBandwidth(.megabytesPerSecond(125))
          : DuplexBandwidth(
            up: bandwidth(&random, orNone: 1), down: bandwidth(&random, orNone: 1)))
    }
    var uplinks: [DuplexBandwidth] = []
    for _ in 0..<racks {
      uplinks.append(
        DuplexBandwidth(up: bandwidth(&random, orNone: 3), down: bandwidth(&random, orNone: 3)))
    }
    return try Topology(
      nics: nics, rackOfNode: (0..<nodes).map { _ in Int(random.below(UInt64(racks))) },
      rackUplinks: uplinks, core: bandwidth(&random, orNone: 5),
      flowCap: random.below(2) == 0
        ? .unlimited : .megabytesPerSecond(20 + Double(random.below(100))),
      latencyWithinRack: .microseconds(10), latencyAcrossRacks: .microseconds(35))
  }

  static func flows(_ random: inout RandomStream, on topology: Topology) -> [OfferedFlow] {
    let count = 5 + Int(random.below(60))
    // From all at once to one at a time.
    let gap = 1 + random.below([1, 1_000_000, 40_000_000][Int(random.below(3))])
    var now: UInt64 = 0
    return (0..<count).map { _ in
      now += random.below(3) == 0 ? 0 : random.below(gap)
      let from = Int(random.below(UInt64(topology.nodeCount)))
      let step = 1 + Int(random.below(UInt64(topology.nodeCount - 1)))
      let size = random.below(10) == 0 ? random.below(2) : 1_000 + random.below(4_000_000)
      return OfferedFlow(
        start: now, from: from, to: (from + step) % topology.nodeCount, size: size)
    }
  }

  @Test(
    "random flows on random trees end when and in the order the slow solver says",
    arguments: 0..<300 as Range<UInt64>)
  func matchesOracle(seed: UInt64) throws {
    var random = RandomStream(seed: seed, stream: 7)
    let topology = try Self.topology(&random)
    let offered = Self.flows(&random, on: topology)
    // A flow that nothing constrains has no rate to compare.
    if offered.contains(where: {
      topology.bottleneck(from: NodeID($0.from), to: NodeID($0.to)) == .unlimited
    }) {
      return
    }
    let expected = MaxMinOracle(topology: topology).ends(offered)
    let got = deliver(offered, over: .maxMin, topology)
    #expect(got.count == offered.count)
    func tolerance(_ time: UInt64) -> Double { 1 + 1e-9 * Double(time) }
    var ends: [(token: Int, end: UInt64)] = []
    for delivery in got {
      let flow = offered[Int(delivery.token)]
      let latency = topology.latency(from: NodeID(flow.from), to: NodeID(flow.to)).nanoseconds
      let end = delivery.arrival - latency
      let error = abs(Double(end) - Double(expected[Int(delivery.token)]))
      #expect(error <= tolerance(end), "flow \(delivery.token) is \(error) ns off")
      if !delivery.isKnownAtStart { ends.append((Int(delivery.token), end)) }
    }
    for (earlier, later) in zip(ends, ends.dropFirst()) where earlier.end != later.end {
      let slip = Double(expected[earlier.token]) - Double(expected[later.token])
      #expect(slip <= tolerance(later.end), "\(later.token) must not end before \(earlier.token)")
    }
  }

  @Test(
    "at every moment no link is overfull and every flow has a bottleneck",
    arguments: 1000..<1060 as Range<UInt64>)
  func certificate(seed: UInt64) throws {
    var random = RandomStream(seed: seed, stream: 7)
    let topology = try Self.topology(&random)
    let offered = Self.flows(&random, on: topology)
    let oracle = MaxMinOracle(topology: topology)
    var moments = 0
    _ = deliver(offered, over: .maxMin, topology) { active, network in
      var load: [Int: Double] = [:]
      var fastest: [Int: Double] = [:]
      var rates: [UInt64: Double] = [:]
      for token in active {
        let rate = network.rate(ofToken: token)?.bytesPerSecond ?? -1
        rates[token] = rate
        for link in oracle.path(offered[Int(token)]) {
          load[link, default: 0] += rate
          fastest[link] = max(fastest[link] ?? 0, rate)
        }
      }
      for token in active {
        let rate = rates[token]!
        #expect(rate > 0 && rate <= topology.flowCap.bytesPerSecond * (1 + 1e-9))
        var isHeld = rate >= topology.flowCap.bytesPerSecond * (1 - 1e-9)
        for link in oracle.path(offered[Int(token)]) {
          let capacity = oracle.capacities[link]
          #expect(load[link]! <= capacity * (1 + 1e-9), "link \(link) is overfull")
          let isFull = load[link]! >= capacity * (1 - 1e-9)
          if isFull, rate >= fastest[link]! * (1 - 1e-9) { isHeld = true }
        }
        #expect(isHeld, "flow \(token) could be faster")
      }
      moments += active.isEmpty ? 0 : 1
    }
    #expect(moments > 0)
  }

  @Test("rates stay exact over a long run on a dense star")
  func longRun() throws {
    let topology = try Topology.star(
      nodes: 12, nic: DuplexBandwidth(.megabytesPerSecond(1250)), latency: .zero)
    var random = RandomStream(seed: 3, stream: 1)
    func flow(at now: UInt64) -> OfferedFlow {
      let from = Int(random.below(12))
      let to = (from + 1 + Int(random.below(11))) % 12
      return OfferedFlow(start: now, from: from, to: to, size: 1_000_000 + random.below(9_000_001))
    }
    var network = BulkNetwork(model: .maxMin, topology: topology)
    var offered: [OfferedFlow] = []
    var active: [UInt64] = []
    func start(_ now: UInt64, _ network: inout BulkNetwork) {
      let next = flow(at: now)
      active.append(UInt64(offered.count))
      _ = network.start(
        from: NodeID(next.from), to: NodeID(next.to), size: ByteCount(next.size),
        token: UInt64(offered.count), at: Instant(nanoseconds: now))
      offered.append(next)
    }
    for _ in 0..<60 { start(0, &network) }
    for round in 1...20_000 {
      let wake = network.nextCompletion
      let now = try #require(wake)
      var ended = 0
      network.advance(to: now) { token, _ in
        active.removeAll { $0 == token }
        ended += 1
      }
      for _ in 0..<ended { start(now.nanoseconds, &network) }
      if round % 2_000 != 0 { continue }
      let expected = MaxMinOracle(topology: topology).rates(active.map { offered[Int($0)] })
      for (token, rate) in zip(active, expected) {
        let got = network.rate(ofToken: token)
        #expect(abs(try #require(got).bytesPerSecond - rate) <= 1e-9 * rate)
      }
    }
  }

  @Test("the same flows twice give the same deliveries, bit for bit")
  func deterministic() {
    let first = runFlowBenchmark(hosts: 20, inFlight: 150, flows: 2_000, seed: 5)
    let second = runFlowBenchmark(hosts: 20, inFlight: 150, flows: 2_000, seed: 5)
    let other = runFlowBenchmark(hosts: 20, inFlight: 150, flows: 2_000, seed: 6)
    #expect(first == second)
    #expect(first.end != other.end)
    #expect(first.completed >= 2_000)
  }
}
