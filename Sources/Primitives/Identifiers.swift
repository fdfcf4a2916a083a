/// A node of the cluster, by its dense number.
@frozen
public struct NodeID: Hashable, Comparable, Sendable, BitwiseCopyable, Codable {
  public var index: UInt32
  @inlinable public init(_ index: Int) { self.index = UInt32(truncatingIfNeeded: index) }
  /// No node.
  @inlinable public static var none: NodeID { NodeID(Int(UInt32.max)) }
  @inlinable public static func < (a: NodeID, b: NodeID) -> Bool { a.index < b.index }
}

/// A registered remote function, by its number in the function table.
@frozen
public struct FunctionID: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var index: UInt32
  @inlinable public init(_ index: Int) { self.index = UInt32(truncatingIfNeeded: index) }
  @inlinable public static func < (a: FunctionID, b: FunctionID) -> Bool { a.index < b.index }
}

/// A worker process of a node, by its number in that node's worker pool.
@frozen
public struct WorkerID: Hashable, Sendable, BitwiseCopyable {
  public var index: UInt32
  @inlinable public init(_ index: Int) { self.index = UInt32(truncatingIfNeeded: index) }
  @inlinable public static var none: WorkerID { WorkerID(Int(UInt32.max)) }
}

/// A job: one driver program and everything that it and its tasks submit, by the driver's number.
@frozen
public struct JobID: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var number: UInt32
  @inlinable public init(_ number: UInt32) { self.number = number }
  @inlinable public static func < (a: JobID, b: JobID) -> Bool { a.number < b.number }
}

/// The lasting identity of a task: a hash of the submitting task in `high`, its job and a counter in the
/// halves of `low`, so that a replayed parent creates children with the same identities (domain:
/// "deterministic ids").
///
/// Two parents share a `high` with probability 2⁻⁶⁴. Siblings have successive `low`s: tables that are
/// looked up by identity keep them side by side.
@frozen
public struct TaskID: Hashable, Sendable, BitwiseCopyable {
  public var high: UInt64
  public var low: UInt64

  @inlinable public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The root task of driver number `driver` in the run with this seed.
  @inlinable public static func root(driver: Int, seed: UInt64) -> TaskID {
    let start = TaskID(high: mix64(seed), low: mix64(~seed))
    var root = start.child(UInt64(truncatingIfNeeded: driver))
    root.low = UInt64(UInt32(truncatingIfNeeded: driver)) << 32 | root.low & 0xFFFF_FFFF
    return root
  }

  /// The whole identity in one word: a hash that differs between tasks but with probability 2⁻⁶⁴.
  @inlinable public var word: UInt64 { mix64(high ^ (low &* 0x9E37_79B9_7F4A_7C15)) }

  /// What the identities of this task's children have in common.
  @inlinable public var family: UInt64 { mix64(word &+ 0xD1B5_4A32_D192_ED03) }

  /// The job of the task, which all its children share: whoever sees an identity knows whose it is,
  /// without asking anybody.
  @inlinable public var job: JobID { JobID(UInt32(truncatingIfNeeded: low >> 32)) }

  /// The identity of this task's child number `counter`. After each 2³² children another family begins.
  @inlinable public func child(_ counter: UInt64) -> TaskID {
    let round = counter >> 32
    return TaskID(
      high: round == 0 ? family : mix64(family &+ round),
      low: low & 0xFFFF_FFFF_0000_0000 | counter & 0xFFFF_FFFF)
  }

  /// The GCS shard that holds this task and every object it produces.
  @inlinable public func shard(of count: UInt32) -> UInt32 {
    if count == 1 { return 0 }
    // Multiply-shift instead of a remainder: uniform, and no division on the hot path.
    return UInt32(truncatingIfNeeded: ((word & 0xFFFF_FFFF) &* UInt64(count)) >> 32)
  }
}

extension TaskID: CustomStringConvertible {
  public var description: String {
    let digits = String(word, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// An actor's identity: that of the task that created it.
@frozen
public struct ActorID: Hashable, Sendable, BitwiseCopyable {
  public var creation: TaskID
  @inlinable public init(creation: TaskID) { self.creation = creation }
}

/// An object's identity: the task that produced it, and which of its values it is. Indices from 0
/// count return values; negative ones count `put`s (−1 first), so the producer is always known.
@frozen
public struct ObjectID: Hashable, Sendable, BitwiseCopyable {
  public var producer: TaskID
  public var index: Int32
  @inlinable public init(producer: TaskID, index: Int32) {
    self.producer = producer
    self.index = index
  }
}

/// Where a task's specification lies in this process (or simulated run); see `TaskSpecTable`.
@frozen
public struct TaskHandle: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var index: UInt32
  @inlinable public init(_ index: UInt32) { self.index = index }
  @inlinable public static var none: TaskHandle { TaskHandle(.max) }
  @inlinable public static func < (a: TaskHandle, b: TaskHandle) -> Bool { a.index < b.index }
}

/// An object inside this process (or simulated run): its producer's handle and its index.
@frozen
public struct ObjectHandle: Hashable, Sendable, BitwiseCopyable {
  public var producer: TaskHandle
  public var index: Int32

  @inlinable public init(producer: TaskHandle, index: Int32) {
    self.producer = producer
    self.index = index
  }

  /// One word for hashing and for storage in tables: the results of tasks whose handles follow each
  /// other have keys that do.
  @inlinable public var key: UInt64 {
    UInt64(UInt32(bitPattern: index)) << 32 | UInt64(producer.index)
  }
  @inlinable public init(key: UInt64) {
    self.producer = TaskHandle(UInt32(truncatingIfNeeded: key))
    self.index = Int32(bitPattern: UInt32(truncatingIfNeeded: key >> 32))
  }
}

/// A finaliser with full avalanche (the 64-bit one of MurmurHash3, variant 13 by D. Stafford), the
/// same on every machine: the stable hash behind identities, shards and tables.
@inlinable public func mix64(_ x: UInt64) -> UInt64 {
  var z = x
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  return z ^ (z >> 31)
}
