import Primitives
import RuntimeCore

/// Gives the programs that connect to one node their names: an address as long as the program is
/// connected, and a job that no other ever has.
///
/// An address is the node's number and 15 bits (the 16th is set in those of its workers). The one
/// that was given back longest ago comes next: what was sent to a program that has gone is long
/// past. A job is the node's number and 19 bits, and machines remember those that have ended.
struct ProgramNumbers: Sendable {
  /// Programs that can be connected to one node at once.
  static let places = 1 << 15
  /// Programs that one node ever takes.
  static let jobs = 1 << 19

  private let node: NodeID
  private var next = 0
  private var isTaken: Set<Int> = []

  init(_ node: NodeID) { self.node = node }

  /// Whether a node can have given a driver and its job these numbers.
  static func are(_ driver: Int, job: Int, of node: NodeID) -> Bool {
    driver >> 16 == Int(node.index) && job >> 19 == Int(node.index)
  }

  /// Names for one more program.
  ///
  /// - Throws: `ProgramLimit` when there are none left.
  mutating func take() throws(ProgramLimit) -> (address: Address, job: Int) {
    guard next < Self.jobs else { throw ProgramLimit(ever: true) }
    guard isTaken.count < Self.places else { throw ProgramLimit(ever: false) }
    var place = next % Self.places
    while isTaken.contains(place) { place = (place + 1) % Self.places }
    isTaken.insert(place)
    defer { next += 1 }
    return (.driver(Int(node.index) << 16 | place), Int(node.index) << 19 | next)
  }

  /// The program of this address has gone.
  mutating func giveBack(_ address: Address) {
    isTaken.remove(address.number & (Self.places - 1))
  }
}

/// A node can take no further program.
public struct ProgramLimit: Error, Sendable, CustomStringConvertible {
  let ever: Bool
  public var description: String {
    ever
      ? "the node has had \(ProgramNumbers.jobs) programs, as many as it can name: start it again"
      : "\(ProgramNumbers.places) programs are connected to the node, as many as it can name: "
        + "wait for one to end, or connect to another node"
  }
}
