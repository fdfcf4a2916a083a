import Primitives
import RuntimeCore

extension MessageDecoder {
  /// The next message of a frame that stands for several: the same as `message`, about the next
  /// sibling of its task.
  ///
  /// - Parameter message: what came before out of the same frame, with its references still held.
  /// - Throws: `FrameError` for kinds that are not repeated (see `MessageEncoder.repetition`).
  public mutating func successor(
    of message: Message, borrowing borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    switch message {
    case .taskSubmitted(let task, let notice):
      let next = try specification(after: task, &borrowed)
      specs.retain(next)
      return .taskSubmitted(next, notice: notice)
    case .taskLogged(let task, let node):
      let next = try specification(after: task, &borrowed)
      specs.retain(next)
      return .taskLogged(next, node)
    case .objectReady(let object, let status):
      let producer = self.task(try sibling(after: object.producer), &borrowed)
      return .objectReady(ObjectHandle(producer: producer, index: object.index), status)
    case .taskCompleted(let task, let node, let status):
      let next = self.task(try sibling(after: task), &borrowed)
      if !specs[next].isStub {
        guard specs[next].returns == 1 else {
          throw .make(.mismatch, "number of return values", 1, Int(specs[next].returns))
        }
        let object = ObjectHandle(producer: next, index: 0)
        let size = model.pointee.size
        if specs.outputSize(object) != size { specs.setOutputSize(size, of: object) }
      }
      return .taskCompleted(next, node, status)
    case .writesCommitted(let task):
      return .writesCommitted(self.task(try sibling(after: task), &borrowed))
    default:
      throw .make(.mismatch, "repeats of a frame", 1, 0)
    }
  }

  /// The identity after that of a task. Their numbers end with the low half of the word.
  @inline(__always)
  private func sibling(after task: TaskHandle) throws(FrameError) -> TaskID {
    var id = specs[task].id
    guard id.low & 0xFFFF_FFFF != 0xFFFF_FFFF else {
      throw .make(.aboveLimit, "number of a task", id.low & 0xFFFF_FFFF, 0xFFFF_FFFE)
    }
    id.low += 1
    return id
  }

  /// Interns the task after one that came by its specification.
  @inline(__always)
  private mutating func specification(
    after task: TaskHandle, _ borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> TaskHandle {
    let id = try sibling(after: task)
    guard model.pointee.isThere, model.pointee.spec.id.high == id.high,
      specs[task].argumentCount == 0, specs[task].valueBytes == 0
    else { throw .make(.mismatch, "repeats of a frame", 1, 0) }
    let known = specs.find(id)
    if let known, !specs[known].isStub { return borrow(known, &borrowed) }
    let sequence = specs[task].sequence &+ (model.pointee.spec.kind == .actorMethod ? 1 : 0)
    let actor = specs[task].actor
    // The task before may have been known, and otherwise than the frame says.
    guard (actor != .none) == model.pointee.hasActor, actor == .none || specs[actor].id != id else {
      throw .make(.unknownValue, "input of a task", id.low)
    }
    if let known {
      var spec = model.pointee.spec
      spec.id = id
      spec.sequence = sequence
      spec.valueBytes = 0
      spec.actor = actor
      specs.define(known, spec, arguments: UnsafeBufferPointer(start: nil, count: 0))
      return borrow(known, &borrowed)
    }
    let handle = withUnsafePointer(to: &model.pointee.spec) {
      specs.insert(
        like: $0, id: id, sequence: sequence, actor: actor,
        arguments: UnsafeBufferPointer(start: nil, count: 0))
    }
    borrowed.append(handle)
    return handle
  }
}
