import Primitives
import RuntimeCore

/// Drivers whose node goes.
///
/// A node says itself that the connection of a driver has ended, and what ends with it. One that is lost,
/// or leaves with programs connected, cannot: so the head keeps a list of all drivers of other nodes and
/// says it for them. What a driver submits comes to the head behind the news of the driver, on the same
/// link.
extension NodeProcess {
  func tellHead(_ news: MembershipNews) {
    if node != NodeID(0) { tell(NodeID(0), news) }
  }

  /// At the head: a program has connected to another node.
  func came(_ driver: Int, job: Int, to number: NodeID) {
    guard node == NodeID(0), ProgramNumbers.are(driver, job: job, of: number) else { return }
    driversElsewhere[number, default: [:]][driver] = job
  }

  /// At the head: a program has gone from another node.
  func went(_ driver: Int, from number: NodeID) {
    driversElsewhere[number]?[driver] = nil
  }

  /// At the head: the jobs of the drivers that were connected to a node that has gone end with it.
  func endDrivers(of number: NodeID) {
    guard let drivers = driversElsewhere.removeValue(forKey: number), !drivers.isEmpty else {
      return
    }
    let inOrder = drivers.sorted { $0.key < $1.key }
    let names = inOrder.map { "\($0.key)" }.joined(separator: ", ")
    logger.info(
      """
      drivers that were connected to node \(number.index) have gone with it: \(names). Their jobs \
      end: what of them has not begun is cancelled, their actors and objects go
      """)
    shell.core.pointee.loseDrivers(inOrder.map { (.driver($0.key), $0.value) })
  }
}
