import Primitives
import RuntimeCore

extension RecordReader {
  /// Reads one effect behind its kind, for people to see; nil for a step of a trace, which is shown
  /// by its number only. A body is the caller's to remove.
  mutating func effect(
    _ kind: EffectKind, _ kinds: [MessageKind?], _ payloads: MessagePayloads
  ) throws(RecordingError) -> Effect? {
    switch kind {
    case .send:
      let target = try address()
      let kind = try self.kind(kinds)
      return .send(try message(kind, kinds, payloads), to: target)
    case .transfer:
      let object = try object()
      let node = try node()
      let bytes = try small("bytes of a chunk")
      let index = UInt16(try number("chunk", upTo: UInt64(UInt16.max)))
      let count = UInt16(try number("chunks", upTo: UInt64(UInt16.max)))
      let size = try size()
      let status = try status()
      return .transfer(
        Transfer(
          object: object, to: node, bytes: bytes, index: index, count: count, objectSize: size,
          status: status, push: PushID(try small("push"))))
    case .startTimer:
      let token = try token()
      return .startTimer(token, after: TimeSpan(nanoseconds: try number("delay")))
    case .execute:
      let task = try task()
      return .execute(task, on: try worker())
    case .startWorker: return .startWorker(try worker())
    case .cancel:
      let task = try task()
      let worker = try worker()
      return .cancel(task, on: worker, isRecursive: try number("reach", upTo: 1) == 1)
    case .endActor:
      let creation = try task()
      return .endActor(creation, on: try worker())
    case .inheritError:
      let task = try task()
      return .inheritError(task, from: try object())
    case .drop: return .drop(try object())
    case .spill: return .spill(try object())
    case .restore:
      let object = try object()
      let slot = try small("slot")
      return .restore(object, slot: slot, try size())
    case .resultArrived:
      let object = try object()
      return .resultArrived(object, try status())
    case .requestEnded:
      let request = RequestID(try small("request"))
      return .requestEnded(
        request,
        try choice("outcome") { RequestOutcome(rawValue: $0) })
    case .record: return nil
    }
  }
}
