import Primitives
import RuntimeCore

extension NodeCore {
  /// A driver program speaks at this port. Its root's name is held as long: it is part of the name of
  /// every object that it puts, of which the bytes come before the news.
  mutating func beginDriver(_ address: Address, _ root: TaskID, at number: UInt32) {
    connect(address, to: number)
    port(number).pointee.root = root
    port(number).pointee.rootHandle = specs.intern(root)
  }

  /// The connection of a driver has ended: what it had borrowed is given back, and its job ends.
  mutating func endDriver(_ address: Address, at number: UInt32) {
    let job = port(number).pointee.root.job
    let root = port(number).pointee.rootHandle
    closePort(number)
    disconnect(address)
    handle(
      Envelope(
        message: .driverLost(address, job), source: rayletAddress, target: rayletAddress))
    // Bytes of a put that was cut off before its news.
    let strays = values.selectKeys { key in
      let object = ObjectHandle(key: key)
      return object.producer == root && !raylet.pointee.holds(object)
    }
    for key in strays { drop(ObjectHandle(key: key)) }
    if root != .none { specs.release(root) }
    port(number).pointee.rootHandle = .none
  }

  /// A node has gone, and with it the connections of its drivers: their jobs end, as the node would
  /// have said itself.
  mutating func loseDrivers(_ drivers: [(Address, job: Int)]) {
    for (driver, number) in drivers {
      let job = TaskID.root(driver: number, seed: plan.seed).job
      handle(
        Envelope(message: .driverLost(driver, job), source: rayletAddress, target: rayletAddress))
    }
  }

  /// What the node has at this moment.
  var status: NodeStatus {
    var status = NodeStatus(
      tasks: raylet.pointee.taskCount, queued: raylet.pointee.queueLength,
      actors: raylet.pointee.actorCount, objects: raylet.pointee.storedObjects,
      storedBytes: raylet.pointee.storedBytes, available: raylet.pointee.availableResources,
      values: values.count, loans: loans.count + grants.count, names: specs.count,
      peers: (0..<portCount).count { ports[$0]?.pointee.isOpen == true }, peerPlaces: portCount)
    for i in 0..<replicaCount {
      guard let replica = replicas[i] else { continue }
      status.loggedTasks += replica.pointee.taskCount
      status.knownObjects += replica.pointee.objectCount
    }
    return status
  }
}

/// What a node holds at one moment.
public struct NodeStatus: Sendable, Equatable {
  /// Tasks that are queued or run here, and how many of them are queued.
  public var tasks: Int
  public var queued: Int
  public var actors: Int
  /// Objects of the local store, in memory and on disk, and bytes in memory.
  public var objects: Int
  public var storedBytes: ByteCount
  /// Resources that nobody holds.
  public var available: ResourceVector
  /// Values whose bytes are here.
  public var values: Int
  /// Places of the shared segment that clients read in place or are about to fill.
  public var loans: Int
  /// Names in the node's table of tasks.
  public var names: Int
  /// Nodes, workers and programs that are connected, and for how many at once there is room.
  public var peers: Int
  public var peerPlaces: Int
  /// Rows of the GCS's tables for tasks and objects, as far as they are on this node; each member of a
  /// chain has its own.
  public var loggedTasks = 0
  public var knownObjects = 0

  /// Nothing of any program is left.
  public var isEmpty: Bool {
    tasks == 0 && actors == 0 && objects == 0 && values == 0 && loans == 0 && loggedTasks == 0
      && knownObjects == 0
  }
}

extension NodeStatus: CustomStringConvertible {
  public var description: String {
    "\(tasks) tasks (\(queued) queued), \(actors) actors, \(objects) objects (\(storedBytes) in "
      + "memory), \(loans) loans, \(names) names; GCS here \(loggedTasks) tasks, "
      + "\(knownObjects) objects"
  }
}
