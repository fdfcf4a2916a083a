import Primitives
import RuntimeCore
import WireFormat

/// Messages on their way to peers.
extension NodeCore {
  mutating func send(_ message: Message, to target: Address, from source: Address) {
    guard let number = portNumber(of: target), port(number).pointee.isOpen else {
      dropMessage(message, to: target, from: source)
      return
    }
    let port = port(number)
    do throws(FrameError) {
      if case .objectReady(let object, _) = message, let value = values.pointer(object.key),
        object.index >= 0 || specs[object.producer].id != port.pointee.root
      {
        try announce(value, of: object, from: source, to: target, port)
      } else if case .objectReady(let object, let status) = message, status == .taskFailed,
        let text = cause(of: object)
      {
        try announce(text, of: object, from: source, to: target, port)
      }
      try port.pointee.encoder.encode(
        message, from: source, to: target, into: &port.pointee.writer)
    } catch {
      dropMessage(message, to: target, from: source)
    }
  }

  /// What the task said that failed first among those whose results this one needed.
  func cause(of object: ObjectHandle) -> UnsafeMutablePointer<StoredValue>? {
    var task = object.producer
    for _ in 0..<64 {
      let count = specs[task].argumentCount
      var next: TaskHandle?
      if specs[task].kind == .actorMethod {
        let creation = ObjectHandle(producer: specs[task].actor, index: 0)
        if raylet.pointee.status(creation) == .taskFailed {
          if let text = values.pointer(creation.key) { return text }
          next = creation.producer
        }
      }
      for i in 0..<count {
        let input = specs.argument(task, i)
        guard raylet.pointee.status(input) == .taskFailed else { continue }
        if let text = values.pointer(input.key) { return text }
        if next == nil { next = input.producer }
      }
      guard let next else { return nil }
      task = next
    }
    return nil
  }

  /// The peer has gone: what the message held is let go.
  mutating func dropMessage(
    _ message: Message, to target: Address, from source: Address
  ) {
    var writer = FrameWriter()
    var encoder = MessageEncoder(specs: specs, payloads: payloads)
    try? encoder.encode(message, from: source, to: target, into: &writer)
  }
}
