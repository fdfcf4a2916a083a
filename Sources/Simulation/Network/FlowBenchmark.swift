import Primitives

/// A closed loop of bulk flows over the max-min model, for whoever times it: `inFlight` flows
/// between random pairs of `hosts` hosts on a star of 1.25 GB/s (10 Gbit/s) each way, of 1 to 10 MB;
/// when one ends, another starts, until `flows` have ended.
///
/// - Returns: the virtual moment of the last end, and how many flows ended (at least `flows`: equal
///   ends count together).
public func runFlowBenchmark(
  hosts: Int, inFlight: Int, flows: Int, seed: UInt64
) -> (end: Instant, completed: Int) {
  precondition(hosts >= 2 && inFlight >= 1, "flows need two hosts and one in flight")
  let topology: Topology
  do {
    topology = try .star(
      nodes: hosts, nic: DuplexBandwidth(Bandwidth(bytesPerSecond: 1.25e9)), latency: .zero)
  } catch {
    preconditionFailure("\(error)")
  }
  var network = BulkNetwork(model: .maxMin, topology: topology)
  var random = RandomStream(seed: seed, stream: 0)
  var started: UInt64 = 0

  func start(at now: Instant, on network: inout BulkNetwork) {
    let from = Int(random.below(UInt64(hosts)))
    let step = 1 + Int(random.below(UInt64(hosts - 1)))
    let size = ByteCount(1_000_000 + random.below(9_000_001))
    let arrival = network.start(
      from: NodeID(from), to: NodeID((from + step) % hosts), size: size, token: started, at: now)
    precondition(arrival == nil, "every flow here is constrained by two NICs")
    started += 1
  }

  for _ in 0..<inFlight { start(at: .zero, on: &network) }
  var completed = 0
  var end = Instant.zero
  while completed < flows, let next = network.nextCompletion {
    var ended = 0
    network.advance(to: next) { _, arrival in
      ended += 1
      end = arrival
    }
    for _ in 0..<ended { start(at: next, on: &network) }
    completed += ended
  }
  return (end, completed)
}
