import Primitives
import RuntimeCore

/// What a call is modelled to cost, and what it demands.
public struct TaskOptions: Sendable {
  /// Execution time in the simulated world.
  public var duration = TimeSpan.zero
  /// Size of each return value.
  public var outputSize = ByteCount(64)
  /// What the task holds while it runs; a task demands one CPU unless told otherwise.
  public var resources = ResourceVector(cpus: 1)
  /// Bytes of arguments by value.
  public var valueBytes = 16

  public init(
    duration: TimeSpan = .zero, outputSize: ByteCount = ByteCount(64),
    resources: ResourceVector = ResourceVector(cpus: 1), valueBytes: Int = 16
  ) {
    self.duration = duration
    self.outputSize = outputSize
    self.resources = resources
    self.valueBytes = valueBytes
  }
}

/// A registered remote function with typed arguments and result.
public struct RemoteFunction<each Input: Sendable, Output: Sendable>: Sendable {
  public let id: FunctionID
  public let name: String
  public var options: TaskOptions
  let body: TaskBody
}

/// A registered method of actors with this state.
public struct ActorMethod<State: Sendable, each Input: Sendable, Output: Sendable>: Sendable {
  public let id: FunctionID
  public let name: String
  public var options: TaskOptions
}

/// An actor class: how its state is made.
public struct ActorClass<State: Sendable>: Sendable {
  public let id: FunctionID
  public let name: String
  public var options: TaskOptions
}

/// An argument as a task holds it until it runs.
enum StoredArgument: Sendable {
  case value(any Sendable)
  case ref(ObjectHandle)
}

/// Hands a function its arguments in order, values or the objects they name.
struct ArgumentReader {
  private let arguments: [StoredArgument]
  private var next = 0
  private let values: (ObjectHandle) -> (any Sendable)?

  init(_ arguments: [StoredArgument], values: @escaping (ObjectHandle) -> (any Sendable)?) {
    self.arguments = arguments
    self.values = values
  }

  mutating func read<Value>(_ type: Value.Type) -> Value {
    defer { next += 1 }
    let found: (any Sendable)? =
      switch arguments[next] {
      case .value(let value): value
      case .ref(let object): values(object)
      }
    guard let value = found as? Value else {
      preconditionFailure("argument \(next) is \(String(describing: found)), not a \(Value.self)")
    }
    return value
  }
}

/// The state of one actor, shared by its methods, which run one at a time.
final class ActorState {
  var value: any Sendable
  init(_ value: any Sendable) { self.value = value }
}

/// What a function does when a worker runs it.
enum FunctionBody {
  /// Nothing: its duration is modelled and it has no value.
  case modelled
  case function((inout ArgumentReader) throws -> any Sendable)
  case split((inout ArgumentReader) throws -> [any Sendable])
  case program((Session, inout ArgumentReader) -> (() async throws -> any Sendable))
  case constructor((inout ArgumentReader) throws -> ActorState)
  case method((ActorState, inout ArgumentReader) throws -> any Sendable)
}
