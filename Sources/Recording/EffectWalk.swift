import Primitives
import RuntimeCore

/// The kind of an effect, without what it carries.
public enum EffectKind: UInt8, Sendable, CaseIterable {
  case send, transfer, startTimer, execute, startWorker, drop, spill, restore
  case resultArrived, requestEnded, record, cancel, endActor, inheritError

  /// The name in listings: `start-timer`.
  public var name: String { hyphenated("\(self)") }
}

extension Effect {
  public var kind: EffectKind {
    switch self {
    case .send: .send
    case .transfer: .transfer
    case .startTimer: .startTimer
    case .execute: .execute
    case .startWorker: .startWorker
    case .drop: .drop
    case .spill: .spill
    case .restore: .restore
    case .resultArrived: .resultArrived
    case .requestEnded: .requestEnded
    case .record: .record
    case .cancel: .cancel
    case .endActor: .endActor
    case .inheritError: .inheritError
    }
  }

  /// Names the parts behind the effect's kind.
  @inline(__always)
  func walk<Sink: PartSink & ~Copyable>(_ sink: inout Sink, _ payloads: MessagePayloads) {
    switch self {
    case .send(let message, let target):
      sink.address(target)
      sink.kind(message.kind)
      message.walk(&sink, payloads)
    case .transfer(let transfer):
      sink.object(transfer.object)
      sink.node(transfer.to)
      sink.number(UInt64(transfer.bytes), "bytes")
      sink.number(UInt64(transfer.index), "chunk")
      sink.number(UInt64(transfer.count), "chunks")
      sink.size(transfer.objectSize)
      sink.status(transfer.status)
      sink.number(UInt64(transfer.push.slot), "push")
    case .startTimer(let token, let delay):
      sink.number(UInt64(token.purpose), "purpose")
      sink.number(UInt64(token.subject), "subject")
      sink.span(delay)
    case .execute(let task, let worker):
      sink.task(task)
      sink.worker(worker)
    case .startWorker(let worker): sink.worker(worker)
    case .cancel(let task, let worker, let isRecursive):
      sink.task(task)
      sink.worker(worker)
      sink.number(isRecursive ? 1 : 0, "recursive")
    case .endActor(let creation, let worker):
      sink.task(creation)
      sink.worker(worker)
    case .inheritError(let task, let source):
      sink.task(task)
      sink.object(source)
    case .drop(let object), .spill(let object): sink.object(object)
    case .restore(let object, let slot, let size):
      sink.object(object)
      sink.number(UInt64(slot), "slot")
      sink.size(size)
    case .resultArrived(let object, let status):
      sink.object(object)
      sink.status(status)
    case .requestEnded(let request, let outcome):
      sink.number(UInt64(request.number), "request")
      sink.number(UInt64(outcome.rawValue), "outcome")
    case .record(let transition): transition.walk(&sink)
    }
  }

  /// Removes the body of a message that nobody will receive.
  func discardBody(_ payloads: MessagePayloads) {
    if case .send(let message, _) = self { message.discardBody(payloads) }
  }
}

extension Transition {
  /// Number and parts of a step in the life of a task or an object. They are recorded only where
  /// `Parameters.recordsTransitions` asks for them, and compared like any other effect.
  func walk<Sink: PartSink & ~Copyable>(_ sink: inout Sink) {
    switch self {
    case .submitted(let task): sink.step(0, task)
    case .escalated(let task): sink.step(1, task)
    case .placed(let task, let node): sink.step(2, task, node)
    case .queued(let task, let node): sink.step(3, task, node)
    case .inputsReady(let task, let node): sink.step(4, task, node)
    case .started(let task, let node, let worker):
      sink.step(5, task, node)
      sink.worker(worker)
    case .finished(let task, let node, let worker, let status):
      sink.step(6, task, node)
      sink.worker(worker)
      sink.status(status)
    case .infeasible(let task): sink.step(7, task)
    case .storeLookedUp(let object, let node, let found):
      sink.step(8, object, node)
      sink.number(found ? 1 : 0, "found")
    case .argumentsRead(let task, let node): sink.step(9, task, node)
    case .sealed(let object, let node, let size):
      sink.step(10, object, node)
      sink.size(size)
    case .transferStarted(let object, let node): sink.step(11, object, node)
    case .transferFinished(let object, let from, let to, let size):
      sink.step(12, object, from)
      sink.node(to)
      sink.size(size)
    case .evicted(let object, let node, let toDisk):
      sink.step(13, object, node)
      sink.number(toDisk ? 1 : 0, "to disk")
    }
  }
}

extension PartSink where Self: ~Copyable {
  fileprivate mutating func step(_ number: UInt64, _ task: TaskHandle, _ node: NodeID? = nil) {
    self.number(number, "step")
    self.task(task)
    if let node { self.node(node) }
  }

  fileprivate mutating func step(_ number: UInt64, _ object: ObjectHandle, _ node: NodeID) {
    self.number(number, "step")
    self.object(object)
    self.node(node)
  }
}

/// `startTimer` as `start-timer`.
func hyphenated(_ name: String) -> String {
  var text = ""
  for character in name {
    if character.isUppercase { text += "-" }
    text += character.lowercased()
  }
  return text
}
