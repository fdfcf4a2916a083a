import Primitives
import Simulation

/// A flow to be offered to a network.
struct OfferedFlow {
  var start: UInt64
  var from: Int
  var to: Int
  var size: UInt64
}

/// Max-min fairness in the slow and obvious way: at every change all rates rise together from zero,
/// and in each round the flows of the link with the least share stop rising.
struct MaxMinOracle {
  let topology: Topology
  /// In bytes per second: NICs up, NICs down, rack uplinks up, rack uplinks down, core.
  let capacities: [Double]

  init(topology: Topology) {
    self.topology = topology
    let (nics, uplinks) = (topology.nics, topology.rackUplinks)
    let links = nics.map(\.up) + nics.map(\.down) + uplinks.map(\.up) + uplinks.map(\.down)
    capacities = (links + [topology.core]).map(\.bytesPerSecond)
  }

  /// The links a flow crosses.
  func path(_ flow: OfferedFlow) -> [Int] {
    let (nodes, racks) = (topology.nodeCount, topology.rackUplinks.count)
    let (here, there) = (topology.rackOfNode[flow.from], topology.rackOfNode[flow.to])
    let nics = [flow.from, nodes + flow.to]
    if here == there { return nics }
    return nics + [2 * nodes + here, 2 * nodes + racks + there, 2 * nodes + 2 * racks]
  }

  /// The rate of each flow, in bytes per second.
  func rates(_ flows: [OfferedFlow]) -> [Double] {
    var crossing = [[Int]](repeating: [], count: capacities.count)
    for (index, flow) in flows.enumerated() {
      for link in path(flow) { crossing[link].append(index) }
    }
    var rates = [Double?](repeating: nil, count: flows.count)
    while rates.contains(where: { $0 == nil }) {
      var (least, stopping) = (topology.flowCap.bytesPerSecond, Array(flows.indices))
      for (capacity, crossing) in zip(capacities, crossing) {
        let taken = crossing.compactMap { rates[$0] }.reduce(0, +)
        let rising = crossing.filter { rates[$0] == nil }
        let share = (capacity - taken) / Double(rising.count)
        if !rising.isEmpty && share < least { (least, stopping) = (share, crossing) }
      }
      for index in stopping where rates[index] == nil { rates[index] = least }
    }
    return rates.map { $0! }
  }

  /// When each flow ends (without latency), in nanoseconds. Changes happen at whole nanoseconds.
  func ends(_ offered: [OfferedFlow]) -> [UInt64] {
    var ends = [UInt64](repeating: .max, count: offered.count)
    var remaining = offered.map { Double($0.size) }
    var waiting = offered.indices.sorted {
      (offered[$0].start, $0) < (offered[$1].start, $1)
    }[...]
    var active: [Int] = []
    var now: UInt64 = 0
    while !waiting.isEmpty || !active.isEmpty {
      let rates = rates(active.map { offered[$0] })
      var next = waiting.first.map { offered[$0].start } ?? .max
      for (index, rate) in zip(active, rates) {
        let left = remaining[index] / rate * 1e9 - 0x1p-10
        next = min(next, now + UInt64(max(0, left.rounded(.up))))
      }
      for (index, rate) in zip(active, rates) {
        remaining[index] -= rate * Double(next - now) * 1e-9
        if remaining[index] <= rate * 0x1p-10 * 1e-9 { ends[index] = next }
      }
      now = next
      active.removeAll { ends[$0] != .max }
      while let index = waiting.first, offered[index].start == now {
        waiting.removeFirst()
        if offered[index].size == 0 { ends[index] = now } else { active.append(index) }
      }
    }
    return ends
  }
}

/// What a network said about one flow.
struct Delivery: Equatable {
  var token: UInt64
  var arrival: UInt64
  /// `start` itself said it.
  var isKnownAtStart = false
}

/// Offers flows (in order of start) to a network as a world would, one wake-up at a time. Deliveries
/// come in the order in which they became known. `inspect` sees the network after every change.
func deliver(
  _ offered: [OfferedFlow], over model: BulkNetworkModel, _ topology: Topology,
  inspect: (borrowing [UInt64], inout BulkNetwork) -> Void = { _, _ in }
) -> [Delivery] {
  var network = BulkNetwork(model: model, topology: topology)
  var deliveries: [Delivery] = []
  var active: [UInt64] = []
  var next = 0
  while next < offered.count || network.activeFlows > 0 {
    let wake = network.nextCompletion?.nanoseconds ?? .max
    if next < offered.count, offered[next].start < wake {
      let now = offered[next].start
      while next < offered.count, offered[next].start == now {
        let flow = offered[next]
        let known = network.start(
          from: NodeID(flow.from), to: NodeID(flow.to), size: ByteCount(flow.size),
          token: UInt64(next), at: Instant(nanoseconds: now))
        if let known {
          deliveries.append(
            Delivery(token: UInt64(next), arrival: known.nanoseconds, isKnownAtStart: true))
        } else {
          active.append(UInt64(next))
        }
        next += 1
      }
    } else {
      network.advance(to: Instant(nanoseconds: wake)) { token, arrival in
        deliveries.append(Delivery(token: token, arrival: arrival.nanoseconds))
        active.removeAll { $0 == token }
      }
    }
    inspect(active, &network)
  }
  return deliveries
}

extension Bandwidth {
  static func megabytesPerSecond(_ value: Double) -> Bandwidth {
    Bandwidth(bytesPerSecond: value * 1e6)
  }
}
