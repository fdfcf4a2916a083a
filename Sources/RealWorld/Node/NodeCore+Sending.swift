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
      if case .objectReady(let object, _) = message, values.count > 0,
        let value = values.pointer(object.key),
        object.index >= 0 || specs[object.producer].id != port.pointee.root
      {
        try announce(value, of: object, from: source, to: target, port)
      }
      try port.pointee.encoder.encode(
        message, from: source, to: target, into: &port.pointee.writer)
    } catch {
      dropMessage(message, to: target, from: source)
    }
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
