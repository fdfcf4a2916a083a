import Primitives
import RuntimeCore

/// What a message has in common with one that its frame could stand for as well.
struct Repetition: BitwiseCopyable {
  /// `none` when the message always takes a frame of its own.
  var task = TaskHandle.none
  /// The kind, and all that the message says beside its task.
  var detail: UInt64 = 0
  /// Of the one result, where the message states it.
  var size = ByteCount.zero
  var isSpecification = false

  var isPossible: Bool { task != .none }
}

/// The last frame of a link that messages may be added to.
struct RepeatableFrame: BitwiseCopyable {
  var repetition = Repetition()
  /// Of the last task that the frame stands for.
  var id = TaskID(high: 0, low: 0)
  var sequence: UInt32 = 0
  var source = Address(raw: 0)
  var target = Address(raw: 0)
  var repeats: UInt16 = 0
  var length = 0
  /// Where the frame ends in its writer, and the writer's generation.
  var end = 0
  var generation = 0
}

extension MessageEncoder {
  /// One frame stands for no more messages than that.
  static var mostRepeats: UInt16 { 1023 }

  /// Messages about successive siblings that are alike otherwise go as one frame, which says how many
  /// they are: programs submit in loops, and what they submit ends in a row. So go specifications
  /// without arguments, the reports of results, and the GCS's records and answers.
  @inline(__always)
  func repetition(_ message: Message) -> Repetition {
    let kind = UInt64(message.kind.rawValue) << 56
    switch message {
    case .taskSubmitted(let task, let notice):
      return repetition(specification: task, kind | UInt64(notice.rawValue))
    case .taskLogged(let task, let node):
      return repetition(specification: task, kind | UInt64(node.index))
    case .objectReady(let object, let status):
      return Repetition(
        task: object.producer,
        detail: kind | UInt64(status.rawValue) << 32
          | UInt64(UInt32(truncatingIfNeeded: object.index)))
    case .taskCompleted(let task, let node, let status):
      if specs[task].returns != 1 { return Repetition() }
      return Repetition(
        task: task, detail: kind | UInt64(status.rawValue) << 32 | UInt64(node.index),
        size: specs.outputSize(ObjectHandle(producer: task, index: 0)))
    case .writesCommitted(let task):
      return Repetition(task: task, detail: kind)
    default:
      return Repetition()
    }
  }

  @inline(__always)
  private func repetition(specification task: TaskHandle, _ detail: UInt64) -> Repetition {
    if specs[task].argumentCount > 0 || specs[task].valueBytes > 0 { return Repetition() }
    return Repetition(task: task, detail: detail, isSpecification: true)
  }

  /// Has the last frame stand for this message too; false when it cannot.
  @inline(__always)
  func extends(
    _ repetition: Repetition, _ source: Address, _ target: Address, _ writer: inout FrameWriter
  ) -> Bool {
    let id = specs[repetition.task].id
    guard last.pointee.end == writer.count, last.pointee.generation == writer.generation,
      last.pointee.repetition.detail == repetition.detail,
      last.pointee.id.low &+ 1 == id.low, last.pointee.id.high == id.high,
      id.low & 0xFFFF_FFFF != 0, last.pointee.source == source, last.pointee.target == target,
      last.pointee.repetition.size == repetition.size,
      last.pointee.repeats < Self.mostRepeats, last.pointee.end > 0
    else { return false }
    if repetition.isSpecification {
      let task = repetition.task
      let step: UInt32 = specs[task].kind == .actorMethod ? 1 : 0
      guard specs[task].sequence == last.pointee.sequence &+ step, isLikeLast(task) else {
        return false
      }
      last.pointee.sequence &+= step
    }
    last.pointee.id.low = id.low
    last.pointee.repeats += 1
    writer.noteRepeat(
      last.pointee.repeats, ofFrameAt: last.pointee.end - last.pointee.length,
      saving: last.pointee.length)
    return true
  }

  /// The frame that has just been written may come to stand for more.
  @inline(__always)
  func remember(
    _ repetition: Repetition, _ source: Address, _ target: Address, _ length: Int,
    _ writer: borrowing FrameWriter
  ) {
    last.pointee.repetition.detail = repetition.detail
    last.pointee.repetition.size = repetition.size
    last.pointee.id = specs[repetition.task].id
    last.pointee.sequence = specs[repetition.task].sequence
    last.pointee.source = source
    last.pointee.target = target
    last.pointee.repeats = 0
    last.pointee.length = length
    last.pointee.end = writer.count
    last.pointee.generation = writer.generation
  }
}
