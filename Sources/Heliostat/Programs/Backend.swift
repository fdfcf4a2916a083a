import Primitives
import RuntimeCore
import Synchronization

/// What a session of either world stands on: one program's connection to its cluster. Everything
/// happens on the program's own thread.
@usableFromInline class Backend: @unchecked Sendable {
  /// Whether values become bytes on their way.
  @usableFromInline let isEncoding: Bool
  /// Tells whose handles a reference holds: equal for sessions that share a table of tasks.
  @usableFromInline let table: UInt32
  let library: FunctionLibrary
  /// Why calls were not even tried, by task.
  final var refusals: [TaskID: RuntimeError] = [:]

  private static let tables = Atomic<UInt32>(0)

  /// A number for a new table, never the same twice.
  static func nextTable() -> UInt32 {
    tables.wrappingAdd(1, ordering: .relaxed).newValue
  }

  init(isEncoding: Bool, table: UInt32, library: FunctionLibrary) {
    self.isEncoding = isEncoding
    self.table = table
    self.library = library
  }

  // MARK: The cluster

  var now: Instant { missing() }
  var seed: UInt64 { missing() }
  /// What each node has.
  var nodes: [ResourceVector] { missing() }
  var resourceNames: ResourceNames { missing() }
  func compute(_ span: TimeSpan) { missing() }
  /// The cluster hears of a function that was registered just now.
  func announce(_ function: FunctionID) {}

  // MARK: Tasks

  /// Submits a call. A method demands nothing, whatever its options say.
  @usableFromInline func submit(
    _ call: TaskCall, _ options: borrowing TaskOptions, _ arguments: borrowing ArgumentList
  ) -> TaskHandle { missing() }
  @usableFromInline func identity(_ task: TaskHandle) -> TaskID { missing() }
  /// The handle in this session's table of a task that another one named.
  @usableFromInline func intern(_ id: TaskID) -> TaskHandle { missing() }

  // MARK: Objects

  func put<Value: RemoteValue>(_ value: Value, size: ByteCount) async throws -> ObjectHandle {
    missing()
  }
  func request(
    _ objects: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool,
    timeout: TimeSpan?
  ) -> RequestID { missing() }
  /// Waits for the end of a request. One that is waited for by a Swift task that is cancelled ends
  /// with `timedOut`, if `isCancellable`.
  func wait(_ request: RequestID, isCancellable: Bool) async -> RequestOutcome { missing() }
  /// Whether the Swift task was cancelled, but not because the program is a task that was given up
  /// by `Session.cancel`: such a program is only asked.
  var isCancelled: Bool { missing() }
  /// Brings what a satisfied `get` is about to read.
  func prepare(_ objects: [ObjectHandle]) async {}
  func status(_ object: ObjectHandle) -> ObjectStatus? { missing() }
  @usableFromInline func value<Value: RemoteValue>(_ object: ObjectHandle, as type: Value.Type)
    throws -> Value
  {
    missing()
  }
  /// Why the cluster cannot be reached any more.
  var lost: String? { nil }
  /// What the task said that failed.
  func failure(_ object: ObjectHandle) -> String? { missing() }
  /// Whether the program has given up the object that `id` names and that went by this handle.
  @usableFromInline func isFreed(_ object: ObjectHandle, _ id: ObjectID) -> Bool { missing() }
  @usableFromInline func free(_ object: ObjectHandle) { missing() }
  func cancel(_ task: TaskHandle, isRecursive: Bool) { missing() }
  func flush() { missing() }

  private func missing(_ function: StaticString = #function) -> Never {
    preconditionFailure("\(type(of: self)) lacks \(function)")
  }
}

/// A call as a session hands it to its backend, with its options beside it: small enough to travel in
/// registers.
@usableFromInline struct TaskCall {
  @usableFromInline var function: FunctionID
  @usableFromInline var returns: UInt16
  @usableFromInline var body: TaskBody
  @usableFromInline var kind: TaskKind
  /// For methods: the actor, by its creation.
  @usableFromInline var actor: TaskHandle

  @inlinable init(
    _ function: FunctionID, returns: Int = 1, body: TaskBody = .function, kind: TaskKind = .task,
    actor: TaskHandle = .none
  ) {
    self.function = function
    self.returns = UInt16(returns)
    self.body = body
    self.kind = kind
    self.actor = actor
  }
}
