import Primitives

/// The paper's placement (OSDI'18 §4.2.2): among nodes with enough resources of the types that the
/// task requests, the one with the lowest estimated waiting time
///
///     wait(n) = queue(n) × average task time + remote input bytes(n) ÷ average bandwidth
///
/// What the paper leaves open is a parameter:
/// - `queue=ledger` counts the last heartbeat's queue and what this scheduler has assigned since, less
///   what the node will have worked off meanwhile at its average task time; `heartbeat` the heartbeat
///   alone (the bug of ray#1180, to reproduce it).
/// - `available=prefer` adds the task itself to that queue and takes off as many tasks as fit in the
///   node's free resources: nothing waits where there is room; `ignore` ranks by the queue alone.
/// - `perSlot=yes` divides the queue term by how many such tasks the node runs at once (ray#800); the
///   paper does not.
/// - `locality=off` drops the transfer term: the "unaware" series of Fig 8a.
/// - `scope=global` uses one average task time, `node` each node's own.
/// - `tie=random` draws among equal minima from the scheduler's stream; `first` takes the lowest
///   node number. Waits are compared in whole nanoseconds, never as floats.
struct LowestWait: PlacementPolicy {
  enum QueueSource: String, CaseIterable { case ledger, heartbeat }
  enum Switch: String, CaseIterable { case yes, no }
  enum Availability: String, CaseIterable { case prefer, ignore }
  enum Locality: String, CaseIterable { case on, off }
  enum Scope: String, CaseIterable { case global, node }
  enum Tie: String, CaseIterable { case random, first }

  let spec: PolicySpec
  let queue: QueueSource
  let perSlot: Bool
  let preferAvailable: Bool
  let locality: Bool
  let perNode: Bool
  let randomTies: Bool

  init(_ spec: PolicySpec) throws(PolicyError) {
    var reader = ParameterReader(spec)
    queue = try reader.choice("queue", default: QueueSource.ledger)
    perSlot = try reader.choice("perSlot", default: Switch.no) == .yes
    preferAvailable = try reader.choice("available", default: Availability.prefer) == .prefer
    locality = try reader.choice("locality", default: Locality.on) == .on
    perNode = try reader.choice("scope", default: Scope.global) == .node
    randomTies = try reader.choice("tie", default: Tie.random) == .random
    self.spec = try reader.finish()
  }

  func place(
    _ request: PlacementRequest, view: ClusterView, random: inout RandomStream
  ) -> NodeID? {
    let demand = Demand(request.demand)
    var best = UInt64.max
    var chosen = -1
    var ties: UInt64 = 0
    for index in 0..<view.nodes.count {
      let node = view.nodes.baseAddress.unsafelyUnwrapped + index
      guard node.pointee.isAlive, demand.vector.fits(in: node.pointee.total) else { continue }
      var seconds = queueSeconds(node, demand, view)
      if locality && !request.remoteBytes.isEmpty {
        seconds += Double(request.remoteBytes[index]) / view.averageBandwidth
      }
      let nanoseconds = seconds * 1e9
      // The largest wait is kept below .max, which means "no node yet".
      let wait = nanoseconds < 0x1p62 ? UInt64(nanoseconds) : 1 << 62
      if wait < best {
        best = wait
        chosen = index
        ties = 1
      } else if wait == best {
        ties += 1
        // Reservoir sampling: each of the tied nodes ends up chosen with equal probability.
        if randomTies && random.below(ties) == 0 { chosen = index }
      }
    }
    return chosen < 0 ? nil : NodeID(chosen)
  }

  /// A demand, and for the usual one of CPUs alone its reciprocal: this runs for every node and task.
  private struct Demand {
    let vector: ResourceVector
    let perUnit: Double
    let isCPUOnly: Bool

    init(_ vector: ResourceVector) {
      self.vector = vector
      isCPUOnly = vector.cpuUnits > 0 && vector == vector.cpuOnly
      perUnit = isCPUOnly ? 1 / Double(vector.cpuUnits) : 0
    }

    @inline(__always) func copies(in supply: ResourceVector) -> Double {
      isCPUOnly ? Double(max(0, supply.cpuUnits)) * perUnit : vector.copies(in: supply)
    }
  }

  /// What waits on the node ahead of the task, in seconds of its work.
  @inline(__always)
  private func queueSeconds(
    _ node: UnsafePointer<NodeView>, _ demand: Demand, _ view: ClusterView
  ) -> Double {
    var length = Double(node.pointee.queueLength)
    if queue == .ledger { length += Double(node.pointee.inFlight) }
    // The task itself needs room too: a full node with an empty queue is not an idle one.
    if preferAvailable { length += 1 - demand.copies(in: node.pointee.available) }
    if length <= 0 { return 0 }
    let average = perNode ? node.pointee.averageTaskSeconds : view.averageTaskSeconds
    if queue == .ledger || perSlot {
      let slots = demand.copies(in: node.pointee.total)
      if queue == .ledger && average > 0 {
        length -= view.now.since(node.pointee.heardAt).seconds / average * slots
      }
      if perSlot { length /= max(1, slots) }
    }
    return max(0, length) * average
  }
}
