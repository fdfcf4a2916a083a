import Primitives
import RuntimeCore
import Scheduling

/// What a machine was made from: enough to make it again.
enum MachineDescription: Equatable {
  case raylet(
    NodeID, NodeDescription, spillover: PolicySpec, dispatch: PolicySpec, seed: UInt64)
  case globalScheduler(Int, nodes: [ResourceVector], placement: PolicySpec, seed: UInt64)
  case replica(UInt32, shard: UInt32, position: UInt32)
  case driver(
    Address, node: NodeID, worker: WorkerID, root: TaskHandle, incarnation: UInt32,
    freeDelay: TimeSpan)

  var address: Address {
    switch self {
    case .raylet(let node, _, _, _, _): .raylet(node)
    case .globalScheduler(let number, _, _, _): .globalScheduler(number)
    case .replica(let number, _, _): .replica(number)
    case .driver(let address, _, _, _, _, _): address
    }
  }
}

extension RecordWriter {
  mutating func machine(_ machine: MachineDescription) {
    address(machine.address)
    switch machine {
    case .raylet(_, let description, let spillover, let dispatch, let seed):
      vector(description.resources)
      number(description.store.bytes)
      text("\(spillover)")
      text("\(dispatch)")
      word(seed)
    case .globalScheduler(_, let nodes, let placement, let seed):
      number(UInt64(nodes.count))
      for node in nodes { vector(node) }
      text("\(placement)")
      word(seed)
    case .replica(_, let shard, let position):
      number(UInt64(shard))
      number(UInt64(position))
    case .driver(_, let node, let worker, let root, let incarnation, let freeDelay):
      self.node(node)
      self.worker(worker)
      number(UInt64(root.index))
      number(UInt64(incarnation))
      number(freeDelay.nanoseconds)
    }
  }
}

extension RecordReader {
  mutating func machine() throws(RecordingError) -> MachineDescription {
    let address = try address()
    switch address.role {
    case .raylet:
      let start = offset
      let resources = try vector("resources")
      guard resources.lanes.min() >= 0, resources.amount(ResourceVector.cpuLane) <= 65_536,
        resources.amount(ResourceVector.gpuLane) <= 32
      else { throw RecordingError(at: start, "a node cannot have such resources") }
      let store = ByteCount(try number("store", upTo: 1 << 60))
      let spillover = try policy()
      let dispatch = try policy()
      let seed = try word("seed")
      return .raylet(
        address.node, NodeDescription(resources: resources, store: store), spillover: spillover,
        dispatch: dispatch, seed: seed)
    case .globalScheduler:
      var nodes: [ResourceVector] = []
      for _ in 0..<(try number("number of nodes", upTo: 1 << 20)) {
        nodes.append(try vector("resources"))
      }
      let placement = try policy()
      return .globalScheduler(
        address.number, nodes: nodes, placement: placement, seed: try word("seed"))
    case .replica:
      let shard = try small("shard")
      return .replica(UInt32(address.number), shard: shard, position: try small("position"))
    case .driver:
      let node = try node()
      let worker = try worker()
      let root = try task()
      let incarnation = try small("incarnation")
      return .driver(
        address, node: node, worker: worker, root: root, incarnation: incarnation,
        freeDelay: TimeSpan(nanoseconds: try number("delay")))
    }
  }

  private mutating func policy() throws(RecordingError) -> PolicySpec {
    let start = offset
    let text = try text("policy")
    do throws(PolicyError) {
      return try PolicySpec(parsing: text)
    } catch {
      throw RecordingError(at: start, "\(error)")
    }
  }
}
