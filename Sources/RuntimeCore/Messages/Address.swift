import Primitives

/// The address of a machine: its role and its number among machines of that role.
@frozen
public struct Address: Hashable, Sendable, BitwiseCopyable {
  public var raw: UInt32

  @frozen public enum Role: UInt32, Sendable, CaseIterable {
    case driver, raylet, globalScheduler, replica
  }

  @inlinable public init(raw: UInt32) { self.raw = raw }
  @inlinable public init(_ role: Role, _ number: UInt32) { raw = role.rawValue << 29 | number }

  @inlinable public static func driver(_ n: Int) -> Address { Address(.driver, UInt32(n)) }
  @inlinable public static func raylet(_ node: NodeID) -> Address { Address(.raylet, node.index) }
  @inlinable public static func globalScheduler(_ n: Int) -> Address {
    Address(.globalScheduler, UInt32(n))
  }
  /// Chain replicas are numbered shard by shard, each from head to tail.
  @inlinable public static func replica(_ n: UInt32) -> Address { Address(.replica, n) }

  @inlinable public var role: Role { Role(rawValue: raw >> 29).unsafelyUnwrapped }
  @inlinable public var number: Int { Int(raw & 0x1FFF_FFFF) }
  /// The node of a raylet's address.
  @inlinable public var node: NodeID { NodeID(number) }
}

extension Address: CustomStringConvertible {
  public var description: String {
    switch role {
    case .driver: return "driver \(number)"
    case .raylet: return "raylet \(number)"
    case .globalScheduler: return "global scheduler \(number)"
    case .replica: return "GCS replica \(number)"
    }
  }
}
