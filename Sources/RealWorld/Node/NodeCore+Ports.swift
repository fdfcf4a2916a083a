import Primitives
import RuntimeCore
import WireFormat

/// The peers of a node, by port number.
extension NodeCore {
  /// Adds a peer; its number is the answer.
  mutating func addPort(_ port: consuming Port) -> UInt32 {
    let place = UnsafeMutablePointer<Port>.allocate(capacity: 1)
    place.initialize(to: port)
    if let number = freePorts.popLast() {
      ports[Int(number)] = place
      return number
    }
    if portCount == portCapacity {
      let larger = UnsafeMutablePointer<UnsafeMutablePointer<Port>?>.allocate(
        capacity: portCapacity * 2)
      larger.initialize(repeating: nil, count: portCapacity * 2)
      larger.update(from: ports, count: portCapacity)
      ports.deallocate()
      ports = larger
      portCapacity *= 2
    }
    ports[portCount] = place
    portCount += 1
    return UInt32(portCount - 1)
  }

  /// The peer has gone. Its number is another's when the turn has ended and nothing names it.
  mutating func closePort(_ number: UInt32) {
    guard let port = ports[Int(number)], port.pointee.isOpen else { return }
    port.pointee.isOpen = false
    port.pointee.writer.removeAll()
    takeBack(from: number)
    closedPorts.append(number)
  }

  /// Frees the places of peers that have gone. Whoever waits for the disk in the name of one is
  /// answered first, with nothing: the answer must not reach the next one.
  mutating func freeClosedPorts() {
    var named: [UInt32] = []
    for number in closedPorts {
      if disk.names(number) {
        named.append(number)
        continue
      }
      ports[Int(number)]?.deinitialize(count: 1).deallocate()
      ports[Int(number)] = nil
      freePorts.append(number)
    }
    closedPorts = named
  }

  func port(_ number: UInt32) -> UnsafeMutablePointer<Port> { ports[Int(number)]! }

  mutating func connect(_ address: Address, to port: UInt32) {
    if address.role == .driver {
      driverPorts.set(UInt64(address.raw), port)
    } else {
      nodePorts.set(UInt64(address.number), port)
    }
  }

  mutating func disconnect(_ address: Address) {
    if address.role == .driver {
      driverPorts.remove(UInt64(address.raw))
    } else {
      nodePorts.remove(UInt64(address.number))
    }
  }

  /// The way to another node.
  func controlPort(to node: NodeID) -> UInt32? { nodePorts[UInt64(node.index)] }

  func portNumber(of target: Address) -> UInt32? {
    switch target.role {
    case .driver: driverPorts[UInt64(target.raw)]
    case .raylet: nodePorts[UInt64(target.number)]
    case .replica: nodePorts[UInt64(plan.replicaHomes[target.number].index)]
    case .globalScheduler: nodePorts[UInt64(plan.head.index)]
    }
  }
}
