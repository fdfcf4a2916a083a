import Primitives
import Scheduling
import Testing

@Suite("which node")
struct PlacementTests {
  /// One node as the scheduler sees it.
  struct Node {
    var total = ResourceVector(cpus: 2)
    var available = ResourceVector.zero
    var queue: UInt32 = 0
    var inFlight: UInt32 = 0
    var average = 0.1
    var isAlive = true
    var remote: UInt64 = 0
  }

  struct Case: CustomTestStringConvertible {
    var name: String
    var policy: String
    var demand = ResourceVector(cpus: 1)
    var nodes: [Node]
    /// Every node that may be chosen.
    var expected: Set<Int>
    var testDescription: String { name }
  }

  /// The average task takes 100 ms and a byte a microsecond: the hand-computed waits are in the names.
  static let cases: [Case] = [
    Case(
      name: "queue × time: 300 ms, 200 ms, 400 ms", policy: "LowestWait[available=ignore]",
      nodes: [Node(queue: 3), Node(queue: 2), Node(queue: 4)], expected: [1]),
    Case(
      name: "queue and transfer: 300 + 0 ms, 100 + 150 ms", policy: "LowestWait[available=ignore]",
      nodes: [Node(queue: 3), Node(queue: 1, remote: 150_000)], expected: [1]),
    Case(
      name: "queue and transfer: 300 + 0 ms, 100 + 250 ms", policy: "LowestWait[available=ignore]",
      nodes: [Node(queue: 3), Node(queue: 1, remote: 250_000)], expected: [0]),
    Case(
      name: "without locality the transfer does not count",
      policy: "LowestWait[available=ignore,locality=off]",
      nodes: [Node(queue: 3), Node(queue: 1, remote: 250_000)], expected: [1]),
    Case(
      name: "the ledger counts what was assigned since: 400 ms, 300 ms",
      policy: "LowestWait[available=ignore]",
      nodes: [Node(queue: 1, inFlight: 3), Node(queue: 3)], expected: [1]),
    Case(
      name: "the heartbeat alone does not (ray#1180): 100 ms, 300 ms",
      policy: "LowestWait[available=ignore,queue=heartbeat]",
      nodes: [Node(queue: 1, inFlight: 3), Node(queue: 3)], expected: [0]),
    Case(
      name: "literally, a large node is as good as a small one (ray#800)",
      policy: "LowestWait[available=ignore]",
      nodes: [
        Node(total: ResourceVector(cpus: 1), queue: 2),
        Node(total: ResourceVector(cpus: 16), queue: 3),
      ], expected: [0]),
    Case(
      name: "per slot: 200 ms, 300 ÷ 16 ms", policy: "LowestWait[available=ignore,perSlot=yes]",
      nodes: [
        Node(total: ResourceVector(cpus: 1), queue: 2),
        Node(total: ResourceVector(cpus: 16), queue: 3),
      ], expected: [1]),
    Case(
      name: "one average for all: 300 ms, 200 ms", policy: "LowestWait[available=ignore]",
      nodes: [Node(queue: 3, average: 0.01), Node(queue: 2, average: 1)], expected: [1]),
    Case(
      name: "an average for each node: 30 ms, 2000 ms",
      policy: "LowestWait[available=ignore,scope=node]",
      nodes: [Node(queue: 3, average: 0.01), Node(queue: 2, average: 1)], expected: [0]),
    Case(
      name: "equal waits: each of them", policy: "LowestWait[available=ignore]",
      nodes: [Node(queue: 2), Node(queue: 3), Node(queue: 2)], expected: [0, 2]),
    Case(
      name: "equal waits: the first", policy: "LowestWait[available=ignore,tie=first]",
      nodes: [Node(queue: 3), Node(queue: 2), Node(queue: 2)], expected: [1]),
    Case(
      name: "a full node with an empty queue is not an idle one: 100 ms, 0 ms",
      policy: "LowestWait",
      nodes: [Node(), Node(available: ResourceVector(cpus: 1))], expected: [1]),
    Case(
      name: "one GPU task under way fills a node with one GPU: 100 ms, 0 ms", policy: "LowestWait",
      demand: ResourceVector(gpus: 1),
      nodes: [
        Node(total: ResourceVector(gpus: 1), available: ResourceVector(gpus: 1), inFlight: 1),
        Node(total: ResourceVector(gpus: 1), available: ResourceVector(gpus: 1)),
      ], expected: [1]),
    Case(
      name: "room for three takes three off the queue: 0 ms, 100 ms", policy: "LowestWait",
      nodes: [
        Node(total: ResourceVector(cpus: 4), available: ResourceVector(cpus: 3), queue: 2),
        Node(total: ResourceVector(cpus: 4), available: ResourceVector(cpus: 2), queue: 2),
      ], expected: [0]),
    Case(
      name: "only nodes with the resource, and living ones", policy: "LowestWait",
      demand: ResourceVector(cpus: 1, gpus: 1),
      nodes: [
        Node(), Node(total: ResourceVector(cpus: 2, gpus: 1), queue: 9),
        Node(total: ResourceVector(cpus: 2, gpus: 1), isAlive: false),
      ], expected: [1]),
    Case(
      name: "no node has it", policy: "LowestWait", demand: ResourceVector(cpus: 3),
      nodes: [Node(), Node()], expected: []),
    Case(
      name: "random: every feasible node", policy: "Random", demand: ResourceVector(cpus: 2),
      nodes: [
        Node(), Node(total: ResourceVector(cpus: 1)), Node(queue: 100), Node(isAlive: false),
      ],
      expected: [0, 2]),
    Case(
      name: "random: none", policy: "Random", demand: ResourceVector(cpus: 3), nodes: [Node()],
      expected: []),
    Case(
      name: "round robin: every feasible node", policy: "RoundRobin",
      demand: ResourceVector(cpus: 2),
      nodes: [
        Node(), Node(total: ResourceVector(cpus: 1)), Node(queue: 100), Node(isAlive: false),
      ],
      expected: [0, 2]),
  ]

  private func place(
    _ one: Case, _ policy: inout any PlacementPolicy, _ random: inout RandomStream
  ) -> Int? {
    let views = one.nodes.map { node in
      var view = NodeView(total: node.total)
      view.available = node.available
      view.queueLength = node.queue
      view.inFlight = node.inFlight
      view.averageTaskSeconds = node.average
      view.isAlive = node.isAlive
      return view
    }
    let hasInputs = one.nodes.contains { $0.remote > 0 }
    let remote = hasInputs ? one.nodes.map(\.remote) : []
    return views.withUnsafeBufferPointer { views in
      remote.withUnsafeBufferPointer { remote in
        policy.place(
          PlacementRequest(demand: one.demand, remoteBytes: remote),
          view: ClusterView(
            nodes: views, averageTaskSeconds: 0.1, averageBandwidth: 1e6, now: .zero),
          random: &random
        ).map { Int($0.index) }
      }
    }
  }

  @Test("each policy chooses among the nodes that it should", arguments: cases)
  func choice(_ one: Case) throws {
    var policy = try PolicyRegistry.placement(PolicySpec(parsing: one.policy))
    var random = RandomStream(seed: 1, stream: 1)
    var counts: [Int: Int] = [:]
    for _ in 0..<600 {
      if let node = place(one, &policy, &random) { counts[node, default: 0] += 1 }
    }
    #expect(Set(counts.keys) == one.expected)
    // Fairly: five standard deviations.
    for (_, count) in counts where one.expected.count == 2 { #expect(abs(count - 300) < 62) }
  }

  @Test("round robin goes in a circle from where it starts")
  func circle() throws {
    let one = Case(name: "", policy: "", nodes: [Node(), Node(), Node()], expected: [])
    var random = RandomStream(seed: 1, stream: 1)
    var zero = try PolicyRegistry.placement(PolicySpec(parsing: "RoundRobin[offset=zero]"))
    #expect((0..<5).map { _ in place(one, &zero, &random) } == [0, 1, 2, 0, 1])
    var starts: Set<Int> = []
    for seed in UInt64(0)..<20 {
      var random = RandomStream(seed: seed, stream: 1)
      var policy = try PolicyRegistry.placement(PolicySpec(parsing: "RoundRobin"))
      starts.insert(place(one, &policy, &random)!)
    }
    #expect(starts == [0, 1, 2])
  }
}
