import Primitives

/// Where each key of the GCS lives: the configuration that its clients hold.
@frozen
public struct ControlStoreMap: Sendable, BitwiseCopyable {
  public var shards: UInt32
  public var chainLength: UInt32
  /// Rises with each reconfiguration of a chain. Carried in updates; nothing reconfigures yet.
  public var epoch: UInt32

  @inlinable public init(shards: Int, chainLength: Int) {
    self.shards = UInt32(shards)
    self.chainLength = UInt32(chainLength)
    epoch = 1
  }

  @inlinable public func head(_ shard: UInt32) -> Address { .replica(shard * chainLength) }
  @inlinable public func tail(_ shard: UInt32) -> Address {
    .replica(shard * chainLength + chainLength - 1)
  }
  @inlinable public func shard(_ id: TaskID) -> UInt32 { id.shard(of: shards) }
  /// Functions and nodes live on the first shard.
  @inlinable public var systemShard: UInt32 { 0 }
}
