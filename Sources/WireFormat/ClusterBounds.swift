import Primitives
import RuntimeCore

/// How many of each thing there are: machines keep tables by these numbers, so a number from a peer
/// is compared with them before a machine sees it.
public struct ClusterBounds: Sendable, Hashable, BitwiseCopyable {
  public var nodes: UInt32
  public var drivers: UInt32
  public var globalSchedulers: UInt32
  public var replicas: UInt32
  public var functions: UInt32
  /// Worker numbers, over all nodes.
  public var workers: UInt32

  /// Without bounds: for recordings, which hold what a machine has seen already.
  public static var none: ClusterBounds { ClusterBounds() }

  public init(
    nodes: UInt32 = .max, drivers: UInt32 = .max, globalSchedulers: UInt32 = .max,
    replicas: UInt32 = .max, functions: UInt32 = .max, workers: UInt32 = .max
  ) {
    self.nodes = nodes
    self.drivers = drivers
    self.globalSchedulers = globalSchedulers
    self.replicas = replicas
    self.functions = functions
    self.workers = workers
  }

  /// The bound on the numbers of machines of this role.
  @inline(__always) func count(_ role: Address.Role) -> UInt32 {
    switch role {
    case .driver: drivers
    case .raylet: nodes
    case .globalScheduler: globalSchedulers
    case .replica: replicas
    }
  }

  /// The role in an address of a peer, whose bits may name none.
  @inline(__always)
  func role(_ address: Address, _ field: StaticString) throws(FrameError) -> Address.Role {
    guard let role = Address.Role(rawValue: address.raw >> 29) else {
      throw .make(.unknownValue, field, address.raw)
    }
    try check(UInt32(address.number), below: count(role), field)
    return role
  }

  @inline(__always)
  func check(_ number: UInt32, below bound: UInt32, _ field: StaticString) throws(FrameError) {
    guard number < bound else {
      throw .make(.aboveLimit, field, number, Int64(bound) - 1)
    }
  }
}
