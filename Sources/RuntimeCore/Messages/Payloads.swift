import Primitives

@frozen public struct BatchHandle: Sendable, BitwiseCopyable {
  public var slot: UInt32
  @inlinable public init(_ slot: UInt32) { self.slot = slot }
}
@frozen public struct HeartbeatHandle: Sendable, BitwiseCopyable {
  public var slot: UInt32
  @inlinable public init(_ slot: UInt32) { self.slot = slot }
}
@frozen public struct UpdateHandle: Sendable, BitwiseCopyable {
  public var slot: UInt32
  @inlinable public init(_ slot: UInt32) { self.slot = slot }
}

/// A load report of a raylet to one global scheduler.
@frozen
public struct Heartbeat: Sendable, BitwiseCopyable {
  public var node: NodeID
  /// What tasks can ever get there: not what actors hold for life.
  public var total: ResourceVector
  /// What of that nobody holds.
  public var available: ResourceVector
  /// Tasks that wait here for inputs or resources.
  public var queueLength: UInt32
  /// Tasks of this scheduler that have ever arrived here: clears its in-flight ledger.
  public var placementsReceived: UInt64
  public var averageTaskSeconds: Double
  public var averageBandwidth: Double

  public init(
    node: NodeID, total: ResourceVector, available: ResourceVector, queueLength: UInt32,
    placementsReceived: UInt64, averageTaskSeconds: Double, averageBandwidth: Double
  ) {
    self.node = node
    self.total = total
    self.available = available
    self.queueLength = queueLength
    self.placementsReceived = placementsReceived
    self.averageTaskSeconds = averageTaskSeconds
    self.averageBandwidth = averageBandwidth
  }
}

/// Several objects in one message.
@frozen
public struct Batch: Sendable, BitwiseCopyable {
  public static var capacity: Int { 63 }
  @usableFromInline var filled: UInt32 = 0
  @usableFromInline var objects: InlineArray<63, UInt64> = .init(repeating: 0)

  @inlinable public init() {}
  @inlinable public var count: Int { Int(filled) }
  @inlinable public var isFull: Bool { count == Batch.capacity }
  @inlinable public subscript(i: Int) -> ObjectHandle { ObjectHandle(key: objects[i]) }
  @inlinable public mutating func append(_ object: ObjectHandle) {
    objects[count] = object.key
    filled += 1
  }
  @inlinable public mutating func removeAll() { filled = 0 }
}

extension UnsafePointer<Batch> {
  /// The object at `i`, if there are so many. Read in place: asked of the batch itself, the compiler
  /// copies all of it first.
  @inline(__always)
  func object(at i: Int) -> ObjectHandle? { i < pointee.count ? pointee[i] : nil }
}

/// An update on its way down a chain.
@frozen
public struct UpdateRecord: Sendable, BitwiseCopyable {
  public var update: Message
  public var client: Address
  public var sequence: SequenceNumber
  /// The chain's configuration when the head took the update in.
  public var epoch: UInt32

  public init(update: Message, client: Address, sequence: SequenceNumber, epoch: UInt32) {
    self.update = update
    self.client = client
    self.sequence = sequence
    self.epoch = epoch
  }
}

/// Bodies of the rare large messages, interned in the process; the message carries a handle. Whoever
/// consumes the message takes the body out.
@frozen
public struct MessagePayloads: @unchecked Sendable {
  @usableFromInline struct Storage: ~Copyable {
    @usableFromInline var batches = SlotTable<Batch>()
    @usableFromInline var heartbeats = SlotTable<Heartbeat>()
    @usableFromInline var updates = SlotTable<UpdateRecord>()
    @usableFromInline init() {}
  }

  @usableFromInline let storage: UnsafeMutablePointer<Storage>

  public static func allocate() -> MessagePayloads {
    let storage = UnsafeMutablePointer<Storage>.allocate(capacity: 1)
    storage.initialize(to: Storage())
    return MessagePayloads(storage: storage)
  }

  @usableFromInline init(storage: UnsafeMutablePointer<Storage>) { self.storage = storage }

  public func deallocate() {
    storage.deinitialize(count: 1)
    storage.deallocate()
  }

  public var memoryBytes: Int {
    storage.pointee.batches.memoryBytes + storage.pointee.heartbeats.memoryBytes
      + storage.pointee.updates.memoryBytes
  }

  public func insert(_ batch: Batch) -> BatchHandle {
    BatchHandle(storage.pointee.batches.insert(batch))
  }
  public func batch(_ handle: BatchHandle) -> UnsafePointer<Batch> {
    UnsafePointer(storage.pointee.batches.pointer(handle.slot))
  }
  public func remove(_ handle: BatchHandle) { storage.pointee.batches.remove(handle.slot) }

  public func insert(_ heartbeat: Heartbeat) -> HeartbeatHandle {
    HeartbeatHandle(storage.pointee.heartbeats.insert(heartbeat))
  }
  public func heartbeat(_ handle: HeartbeatHandle) -> UnsafePointer<Heartbeat> {
    UnsafePointer(storage.pointee.heartbeats.pointer(handle.slot))
  }
  public func take(_ handle: HeartbeatHandle) -> Heartbeat {
    let heartbeat = storage.pointee.heartbeats[handle.slot]
    storage.pointee.heartbeats.remove(handle.slot)
    return heartbeat
  }

  public func insert(_ update: UpdateRecord) -> UpdateHandle {
    UpdateHandle(storage.pointee.updates.insert(update))
  }
  public func update(_ handle: UpdateHandle) -> UpdateRecord {
    storage.pointee.updates[handle.slot]
  }
  public func take(_ handle: UpdateHandle) -> UpdateRecord {
    let update = storage.pointee.updates[handle.slot]
    storage.pointee.updates.remove(handle.slot)
    return update
  }
}
