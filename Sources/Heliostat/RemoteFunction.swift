import Primitives
import RuntimeCore

/// What a call is modelled to cost, and what it demands: `.cpus(2)`, `.gpus(1)`,
/// `.custom("accelerator", 1)`, and chains of these.
public struct TaskOptions: Sendable {
  /// Execution time in the simulated world; in the real one that of `modelled` functions, while
  /// others take what they take (see `TaskContext.spend`).
  public var duration = TimeSpan.zero
  /// Size of each return value in the simulated world; in the real one for `modelled` functions.
  public var outputSize = ByteCount(64)
  /// What the task holds while it runs; a task demands one CPU unless told otherwise.
  public var resources = ResourceVector(cpus: 1)
  /// What it holds besides, by name; nil for nothing, as mostly.
  @usableFromInline var named: [NamedAmount]?
  /// Bytes of arguments by value in the simulated world.
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
  @usableFromInline let body: TaskBody
}

/// A registered method of actors with this state.
public struct ActorMethod<State: Sendable, each Input: Sendable, Output: Sendable>: Sendable {
  public let id: FunctionID
  public let name: String
  public var options: TaskOptions
}

/// An actor class: how its state is made, and from which arguments: `ActorClass<State>` needs none.
public struct ActorClass<State: Sendable, each Input: Sendable>: Sendable {
  public let id: FunctionID
  public let name: String
  public var options: TaskOptions
}
