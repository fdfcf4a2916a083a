import Primitives
import RuntimeCore

@testable import WireFormat

/// Workers and nodes that die.
extension SeparateTablesCluster {
  /// A process that holds one node and nothing of the head dies. What it said last may not have left.
  /// Drivers that were connected to the node are heard of no more.
  func kill(node: Int) {
    precondition(homes.raylets.count { $0 == homes.raylets[node] } == 1, "nodes share a process")
    let dead = homes.raylets[node]
    processes[dead].isDead = true
    nodesLost.insert(node)
    // From everyone that the node may have talked with, whoever spoke first.
    for other in processes.indices where other != dead && !processes[other].isDead {
      let wire = wire(from: dead, to: other)
      wire.frames.removeLast(below(wire.frames.count + 1))
      wire.isClosing = true
    }
    for wire in wires where wire.to == dead { wire.frames.removeAll() }
    loose.removeAll { step in
      switch step {
      case .own(_, let address): home(address) == dead
      case .chunk(let chunk): Int(chunk.from.index) == node || Int(chunk.to.index) == node
      }
    }
    background.removeAll { home($0.1) == dead }
    workers.removeAll { $0.node == node }
    for driver in plan.driverNodes.indices where plan.driverNodes[driver] == node {
      if homes.drivers[driver] != dead { silence(driver: driver) }
    }
  }

  /// The process of a driver dies. What it said last may not have left.
  func kill(driver: Int) {
    let dead = homes.drivers[driver]
    precondition(homes.raylets.allSatisfy { $0 != dead }, "a driver shares its node's process")
    processes[dead].isDead = true
    let wire = wire(from: dead, to: homes.raylets[plan.driverNodes[driver]])
    wire.frames.removeLast(below(wire.frames.count + 1))
    wire.isClosing = true
    silence(driver: driver)
  }

  private func silence(driver: Int) {
    let dead = homes.drivers[driver]
    processes[dead].isDead = true
    for wire in wires where wire.to == dead { wire.frames.removeAll() }
    loose.removeAll { step in
      if case .own(_, let address) = step { return home(address) == dead }
      return false
    }
  }

  /// The receiver of a wire hears that its sender's node is gone.
  func closed(_ wire: Wire) {
    wire.isClosing = false
    for driver in homes.drivers.indices where homes.drivers[driver] == wire.from {
      let raylet = Address.raylet(NodeID(plan.driverNodes[driver]))
      guard home(raylet) == wire.to else { continue }
      deliver(.driverLost(.driver(driver), roots[driver].job), from: raylet, to: raylet)
    }
    for node in homes.raylets.indices where homes.raylets[node] == wire.from {
      let lost = NodeID(node)
      for i in homes.raylets.indices where homes.raylets[i] == wire.to {
        deliver(.nodeLost(lost), from: .raylet(NodeID(i)), to: .raylet(NodeID(i)))
      }
      for i in homes.schedulers.indices where homes.schedulers[i] == wire.to {
        deliver(.nodeLost(lost), from: .raylet(lost), to: .globalScheduler(i))
      }
      guard homes.raylets[0] == wire.to else { continue }
      // The head says what the node would have said of its drivers.
      let head = Address.raylet(NodeID(0))
      for driver in plan.driverNodes.indices where plan.driverNodes[driver] == node {
        deliver(.driverLost(.driver(driver), roots[driver].job), from: head, to: head)
      }
    }
  }

  /// A worker of a node dies with what it runs and was to run.
  func kill(worker place: Int) {
    let lost = workers.remove(at: place)
    let raylet = Address.raylet(NodeID(lost.node))
    deliver(.workerLost(lost.worker), from: raylet, to: raylet)
    endTurn(homes.raylets[lost.node])
  }
}
