/// What a task is to the scheduler.
@frozen
public enum TaskKind: UInt8, Sendable, BitwiseCopyable {
  /// A stateless function call.
  case task
  /// The constructor of an actor; its return value 0 marks "the actor exists".
  case actorCreation
  /// A method call on an actor: ordered after the same caller's previous call (stateful edge).
  case actorMethod
  /// The body of a driver program: never scheduled, only the parent of what it submits.
  case driver
}

/// How a task's work comes about.
@frozen
public enum TaskBody: UInt8, Sendable, BitwiseCopyable {
  /// Lasts `TaskSpec.work` and computes nothing.
  case modelled
  /// Lasts `TaskSpec.work`, then a registered function computes the value.
  case function
  /// A program: `async` code that may submit tasks and block on them.
  case program
}

/// The immutable description of a task. Interned once per process in a `TaskSpecTable`; inside the
/// process only its handle travels.
@frozen
public struct TaskSpec: Sendable, BitwiseCopyable {
  // What every step of a task reads (from the low half of its identity, which names its shard, to its
  // sizes) lies within 40 bytes: half of the steps then need one cache line instead of two.
  /// Modelled execution time on a node of speed 1.
  public var work: TimeSpan
  public var id: TaskID
  /// Size of each return value.
  public var outputSize: ByteCount
  /// The demand, interned (`TaskSpecTable.shape`).
  public var shape: UInt16
  /// How many return values: objects 0 ..< returns.
  public var returns: UInt16
  public var kind: TaskKind
  public var body: TaskBody
  /// Execution attempt, from 0: carried for recovery, nothing retries yet.
  public var attempt: UInt8
  /// What else the table keeps for this task.
  @usableFromInline var extras: UInt8 = 0
  /// Who submitted it: the machine address of its driver, as raw bits.
  public var submitter: UInt32
  @usableFromInline var references: UInt32
  /// Arguments passed by future; where they lie in the table's argument pool says `argumentOffset`.
  @usableFromInline var argumentLength: UInt32
  /// Bytes of the arguments that travel by value inside the specification.
  public var valueBytes: UInt32
  public var function: FunctionID
  @usableFromInline var argumentOffset: UInt32
  /// For methods: the task that created the actor. The method holds a reference to it.
  public var actor: TaskHandle
  /// For methods: the caller's call number on that actor, from 0.
  public var sequence: UInt32
  /// The program that submitted it: the word of its root task's identity (`TaskID.word`).
  public var caller: UInt64 = 0

  @inlinable public init(
    id: TaskID, function: FunctionID, shape: UInt16, work: TimeSpan = .zero,
    outputSize: ByteCount = .zero, returns: Int = 1, valueBytes: Int = 0, kind: TaskKind = .task,
    body: TaskBody = .modelled, submitter: UInt32 = 0, actor: TaskHandle = .none,
    sequence: UInt32 = 0
  ) {
    self.id = id
    self.work = work
    self.outputSize = outputSize
    self.valueBytes = UInt32(truncatingIfNeeded: valueBytes)
    self.function = function
    self.shape = shape
    self.returns = UInt16(truncatingIfNeeded: returns)
    self.kind = kind
    self.body = body
    self.attempt = 0
    self.submitter = submitter
    self.actor = actor
    self.sequence = sequence
    argumentOffset = 0
    argumentLength = 0
    references = 1
  }

  @usableFromInline static var hasValueArguments: UInt8 { 1 }
  @usableFromInline static var hasOutputSizes: UInt8 { 2 }
  @usableFromInline static var stub: UInt8 { 4 }

  /// Only the identity is known so far: a message named the task before its specification came.
  public var isStub: Bool { extras & Self.stub != 0 }

  /// How many arguments are passed by future.
  @inlinable public var argumentCount: Int { Int(argumentLength) }
}
