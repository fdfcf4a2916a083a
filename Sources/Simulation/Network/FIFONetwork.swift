import Primitives

/// Store and forward through first-in-first-out NICs.
///
/// Two serial servers per node, each with at most one flow in service:
/// 1. The sender's NIC up serves flows in the order in which they started. A flow holds it for
///    size ÷ min(NIC up, flow cap), rounded up to a nanosecond.
/// 2. Its last byte reaches the receiver one latency later. The receiver's NIC down serves flows in
///    the order in which they reach it (equal times: in the order of start). A flow holds it for
///    size ÷ min(NIC down, flow cap). The end of that service is the arrival.
///
/// So a lone flow takes size ÷ up + latency + size ÷ down. Rack uplinks and core are not modelled.
/// The arrival is certain, and reported, when the flow reaches the receiver's NIC.
struct FIFONetwork: ~Copyable {
  /// A flow on its way to the receiver's NIC.
  struct Crossing: BitwiseCopyable {
    var reaches: UInt64
    var order: UInt64
    var token: UInt64
    var service: UInt64
    var receiver: UInt32

    func isBefore(_ other: Crossing) -> Bool {
      reaches != other.reaches ? reaches < other.reaches : order < other.order
    }
  }

  private let up: GrowableBuffer<Bandwidth>
  private let down: GrowableBuffer<Bandwidth>
  /// When each server has served all it has accepted.
  private let upFree: GrowableBuffer<Instant>
  private let downFree: GrowableBuffer<Instant>
  /// A binary heap by (reaches, order).
  private var crossings = GrowableBuffer<Crossing>()
  private var started: UInt64 = 0

  init(topology: Topology) {
    let nodes = topology.nodeCount
    var up = GrowableBuffer<Bandwidth>(capacity: nodes)
    var down = GrowableBuffer<Bandwidth>(capacity: nodes)
    var upFree = GrowableBuffer<Instant>(capacity: nodes)
    var downFree = GrowableBuffer<Instant>(capacity: nodes)
    for nic in topology.nics {
      up.append(min(nic.up, topology.flowCap))
      down.append(min(nic.down, topology.flowCap))
      upFree.append(.zero)
      downFree.append(.zero)
    }
    self.up = up
    self.down = down
    self.upFree = upFree
    self.downFree = downFree
  }

  var activeFlows: Int { crossings.count }

  var nextCompletion: Instant? {
    crossings.count == 0 ? nil : Instant(nanoseconds: crossings[0].reaches)
  }

  mutating func start(
    from: NodeID, to: NodeID, size: ByteCount, token: UInt64, at now: Instant, latency: TimeSpan
  ) {
    let (sender, receiver) = (Int(from.index), Int(to.index))
    let sent = max(now, upFree[sender]) + up[sender].time(for: size)
    upFree[sender] = sent
    push(
      Crossing(
        reaches: (sent + latency).nanoseconds, order: started, token: token,
        service: down[receiver].time(for: size).nanoseconds, receiver: to.index))
    started += 1
  }

  mutating func advance(to now: Instant, _ body: (UInt64, Instant) -> Void) {
    while crossings.count > 0, crossings[0].reaches <= now.nanoseconds {
      let flow = popEarliest()
      let receiver = Int(flow.receiver)
      let begins = max(Instant(nanoseconds: flow.reaches), downFree[receiver])
      let arrival = begins + TimeSpan(nanoseconds: flow.service)
      downFree[receiver] = arrival
      body(flow.token, arrival)
    }
  }

  private mutating func push(_ flow: Crossing) {
    crossings.append(flow)
    let heap = crossings.base
    var hole = crossings.count - 1
    while hole > 0 {
      let parent = (hole - 1) / 2
      if !flow.isBefore(heap[parent]) { break }
      heap[hole] = heap[parent]
      hole = parent
    }
    heap[hole] = flow
  }

  private mutating func popEarliest() -> Crossing {
    let earliest = crossings[0]
    let last = crossings.removeLast()
    let (heap, count) = (crossings.base, crossings.count)
    if count == 0 { return earliest }
    var hole = 0
    while true {
      var child = 2 * hole + 1
      if child >= count { break }
      if child + 1 < count, heap[child + 1].isBefore(heap[child]) { child += 1 }
      if !heap[child].isBefore(last) { break }
      heap[hole] = heap[child]
      hole = child
    }
    heap[hole] = last
    return earliest
  }
}
