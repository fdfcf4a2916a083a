import Primitives
import RuntimeCore

/// A future: the name of a value that a task computes or that was `put`.
///
/// Cheap to copy, and a value itself: it can be an argument, or part of a structure that is. Its
/// value is read with `Session.get`, or used by another task as an argument without ever coming to
/// the program.
public struct ObjectRef<Value: Sendable>: Sendable {
  /// The identity, the same in every process.
  public let id: ObjectID
  /// Where the process that made this reference keeps the object.
  @usableFromInline let local: ObjectHandle
  /// Whose handle that is; 0 for a reference that came as a value.
  @usableFromInline let table: UInt32

  @inlinable init(id: ObjectID, local: ObjectHandle, table: UInt32) {
    self.id = id
    self.local = local
    self.table = table
  }

  /// The object inside the process, or simulated run, that made the reference.
  public var handle: ObjectHandle { local }
}

extension ObjectRef: Hashable {
  public static func == (a: ObjectRef, b: ObjectRef) -> Bool { a.id == b.id }
  public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

extension ObjectRef: RemoteValue {
  public static var fingerprint: UInt32 { 0x4F52_4546 }
  public var encodedByteCount: Int { 20 }

  public func encode(into writer: inout ValueWriter) {
    writer.write(id.producer.high)
    writer.write(id.producer.low)
    writer.write(id.index)
  }

  public static func decode(from reader: inout ValueReader) throws -> ObjectRef {
    let high = try reader.read(UInt64.self, for: Self.self)
    let low = try reader.read(UInt64.self, for: Self.self)
    let index = try reader.read(Int32.self, for: Self.self)
    return ObjectRef(
      id: ObjectID(producer: TaskID(high: high, low: low), index: index),
      local: ObjectHandle(producer: .none, index: index), table: 0)
  }
}

/// An argument of a remote function: by value, or by future.
public enum Argument<Value: RemoteValue>: Sendable {
  /// Travels inside the task's specification.
  case value(Value)
  /// Read from the object store of the node where the task runs; the task waits for it.
  case ref(ObjectRef<Value>)
}

/// An actor as its creator and its callers hold it. Like a future it may travel as a value.
public struct ActorRef<State: Sendable>: Hashable, Sendable {
  /// Ready when the constructor has run.
  public let created: ObjectRef<Void>

  @usableFromInline init(created: ObjectRef<Void>) { self.created = created }
}

extension ActorRef: RemoteValue {
  public static var fingerprint: UInt32 { 0x4152_4546 }
  public var encodedByteCount: Int { created.encodedByteCount }
  public func encode(into writer: inout ValueWriter) { created.encode(into: &writer) }
  public static func decode(from reader: inout ValueReader) throws -> ActorRef {
    ActorRef(created: try ObjectRef<Void>.decode(from: &reader))
  }
}

/// What a `get` or a `wait` can throw besides the error of the task itself.
public enum RuntimeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The task threw; the text describes its error. Raised at every `get` of its results and of the
  /// results of tasks that depend on them.
  case taskFailed(String)
  case getTimedOut(after: TimeSpan)
  /// The program gave the object up (`Session.free`).
  case objectFreed
  /// The object is larger than the store of its node, or nothing more of that could make room for it.
  case objectStoreFull
  /// The worker that ran the task ended before the task did; the text says which and how.
  case workerCrashed(String)
  /// The node that had the task ended before the task did.
  case nodeDied
  /// The actor's worker or node ended.
  case actorDied
  /// Every copy of the object was on nodes that ended.
  case objectLost
  /// The task, or one that it depends on, was cancelled (`Session.cancel`).
  case taskCancelled
  /// The driver whose job made the object has gone, and all that its job made with it.
  case ownerDied
  /// The program asked for what cannot be; the text says what, and what can.
  case invalidArgument(String)
  /// The call demands a resource that the cluster does not have; with those that it has. A call that
  /// depends on it ends with `taskCancelled`.
  case unknownResource(String, known: [String])
  /// The connection to the cluster is gone, or the program has stopped the cluster.
  case disconnected(String)
  /// Nothing more can happen in the cluster while this program waits.
  case stalled(String)

  public var description: String {
    switch self {
    case .taskFailed(let reason): "a task failed: \(reason)"
    case .getTimedOut(let span): "get timed out after \(span)"
    case .objectFreed: "the object was freed by the program"
    case .objectStoreFull:
      "the node's object store has no room for the object: free what is not needed any more, or give "
        + "the nodes a larger store"
    case .workerCrashed(let reason): "the worker that ran the task ended before it: \(reason)"
    case .nodeDied: "the node that had the task ended before it"
    case .actorDied: "the actor's worker or node ended"
    case .objectLost: "every copy of the object was on nodes that ended"
    case .taskCancelled: "the task was cancelled, or one that it depends on"
    case .ownerDied: "the driver whose job made the object has gone, and the object with it"
    case .invalidArgument(let reason): reason
    case .unknownResource(let name, let known):
      "the cluster has no resource '\(name)'; it has \(known.joined(separator: ", "))"
    case .disconnected(let reason): "the connection to the cluster is gone: \(reason)"
    case .stalled(let reason): "the program waits for ever: \(reason)"
    }
  }
}
