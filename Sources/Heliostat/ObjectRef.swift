import Primitives
import RuntimeCore

/// A future: the name of a value that a task computes or that was `put`.
///
/// Cheap to copy. Its value is read with `Session.get`, or used by another task as an argument
/// without ever coming to the program.
public struct ObjectRef<Value: Sendable>: Hashable, Sendable {
  public let handle: ObjectHandle

  public init(handle: ObjectHandle) { self.handle = handle }
}

/// An argument of a remote function: by value, or by future.
public enum Argument<Value: Sendable>: Sendable {
  /// Travels inside the task's specification.
  case value(Value)
  /// Read from the object store of the node where the task runs; the task waits for it.
  case ref(ObjectRef<Value>)
}

/// An actor as its creator and its callers hold it.
public struct ActorRef<State: Sendable>: Hashable, Sendable {
  public let creation: TaskHandle
  /// Ready when the constructor has run.
  public let created: ObjectRef<Void>
}

/// What a `get` can throw besides the error of the task itself.
public enum RuntimeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The task threw; the text describes its error. Raised at every `get` of its results and of the
  /// results of tasks that depend on them.
  case taskFailed(String)
  case getTimedOut(after: TimeSpan)
  case objectFreed
  case objectStoreFull
  /// Nothing more can happen in the cluster while this program waits.
  case stalled(String)

  public var description: String {
    switch self {
    case .taskFailed(let reason): "a task failed: \(reason)"
    case .getTimedOut(let span): "get timed out after \(span)"
    case .objectFreed: "the object was freed by the program"
    case .objectStoreFull: "the object is larger than the node's object store"
    case .stalled(let reason): "the program waits for ever: \(reason)"
    }
  }
}
