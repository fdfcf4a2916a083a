import Primitives
import RuntimeCore

/// One task for a worker.
struct WorkerCommand: BitwiseCopyable, @unchecked Sendable {
  var task: TaskHandle
  var function: FunctionID
  var returns: UInt16
  /// What a modelled task lasts, and the size of each of its results.
  var work: TimeSpan
  var outputSize: ByteCount
  /// Nil without arguments.
  var arguments: UnsafeMutablePointer<ArgumentBlock>?
  /// The identity of a program: that of its task.
  var id: TaskID

  /// No task: the actor of this worker has ended.
  static let endActor = WorkerCommand(
    task: .none, function: FunctionID(0), returns: 0, work: .zero, outputSize: .zero,
    arguments: nil, id: TaskID(high: 0, low: 0))
}

/// The arguments of one call, in one block of the heap: this head, then the spans of the objects, then
/// copies of those that are small. Made by the node, freed by it when the task has ended.
struct ArgumentBlock {
  var values: UnsafeRawBufferPointer
  var objects: UnsafeBufferPointer<UnsafeRawBufferPointer>
  /// The numbers under which objects are lent to the worker, 0 for none; empty when none is.
  var loans: UnsafeBufferPointer<UInt64>

  var input: CallInput { CallInput(values: values, objects: objects) }

  static let none = CallInput(
    values: UnsafeRawBufferPointer(start: nil, count: 0),
    objects: UnsafeBufferPointer(start: nil, count: 0))
}

/// What a worker tells its node.
struct WorkerReport: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable {
    /// A result of the task that is about to be reported as finished; `value` is it.
    case result
    case finished
    /// `count` bytes of the shared segment are wanted; the answer comes through the worker's grant.
    case roomWanted
    /// Room that was granted and is not needed after all.
    case roomReturned
    // Of worker processes alone:
    /// The process takes tasks now; it was started at the raylet's order.
    case started
    /// The task was sent to a process that ended: its arguments are not read any more.
    case abandoned
    /// The process has ended. The last report.
    case lost
    /// An argument that was lent is not read any more; the number is the value's key.
    case loanReturned
  }

  var task: TaskHandle
  var index: Int32
  var kind: Kind
  var status: ObjectStatus
  /// For `finished`: the value of result 0 comes with it.
  var hasValue: Bool
  var value: StoredValue
}
