import Primitives
import RuntimeCore
import WireFormat

/// A chunk that has been handed to a peer's way and waits there: the sender hears that it has left when
/// the way is free again.
struct DelayedChunk: BitwiseCopyable {
  var push: PushID
  var port: UInt32
}

/// Connections for the bytes of objects alone. What they have to say comes in later turns.
protocol BulkCarrier: AnyObject {
  /// Whether there is such a way to the node: else its chunks go with everything else.
  func reaches(_ node: NodeID) -> Bool
  /// Takes a chunk over, head and bytes; to a node that is reached.
  ///
  /// - Parameter pin: what keeps the bytes in place, to be unpinned in a later turn; nil when they
  ///   are to be copied now.
  func carry(
    _ head: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, of transfer: Transfer,
    pin: UInt64?)
}

extension NodeCore {
  /// Objects from this size on go over the connections that are for objects alone, if there are any.
  static let bulkThreshold = 64 << 10

  // MARK: Sending

  /// Sends a chunk of an object to another node.
  mutating func send(_ transfer: Transfer) {
    if !abandoned.isEmpty, abandoned.contains(transfer.push) {
      if transfer.index + 1 == transfer.count { abandoned.remove(transfer.push) }
      chunkLeft(transfer.push)
      return
    }
    let target = Address.raylet(transfer.to)
    guard let number = controlPort(to: transfer.to), port(number).pointee.isOpen else {
      // The node has gone: the push runs empty.
      chunkLeft(transfer.push)
      return
    }
    let port = port(number)
    let source = values.pointer(transfer.object.key)
    let value = source?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
    let chunk = max(plan.parameters.chunkSize.bytes, transfer.objectSize.bytes / 65_535 + 1)
    let start = Int(chunk) * Int(transfer.index)
    if source?.pointee.form == .onDisk {
      bringBack(transfer.object, .chunk(transfer))
      return
    }
    // An error's text travels in the place of the value, though it counts for nothing.
    let length = transfer.status.isError ? value.count : Int(transfer.bytes)
    let count = min(length, max(0, value.count - start))
    let bytes = UnsafeRawBufferPointer(start: value.baseAddress.map { $0 + start }, count: count)
    let frame = ChunkFrame(
      object: ObjectID(producer: specs[transfer.object.producer].id, index: transfer.object.index),
      index: transfer.index, count: transfer.count,
      size: ByteCount(UInt64(value.count)), offset: ByteCount(UInt64(start)),
      status: transfer.status)
    do throws(FrameError) {
      if let bulk, let source, value.count >= Self.bulkThreshold, bulk.reaches(transfer.to) {
        var head = FrameWriter(capacity: ChunkFrame.headByteCount)
        try frame.encode(payloadCount: count, from: rayletAddress, to: target, into: &head)
        bulk.carry(head.bytes, bytes, of: transfer, pin: pinForSending(source.pointee))
        return
      }
      try frame.encode(
        payloadCount: count, from: rayletAddress, to: target, into: &port.pointee.writer)
      if count > 0 { try port.pointee.writer.append(contentsOf: bytes) }
    } catch {
      // Chunks are far below the limit of a frame.
      preconditionFailure("a chunk of \(count) bytes does not fit a frame: \(error)")
    }
    if transfer.push == .single { return }
    if port.pointee.flush() {
      chunkLeft(transfer.push)
    } else {
      delayed.append(DelayedChunk(push: transfer.push, port: number))
    }
  }

  /// The disk that had an object failed in the midst of a push: the receiver hears that it is lost.
  mutating func lose(_ transfer: Transfer) {
    if transfer.count > 1 {
      if transfer.index + 1 < transfer.count { abandon(transfer.push) }
      chunkLeft(transfer.push)
    }
    guard let number = controlPort(to: transfer.to), port(number).pointee.isOpen else { return }
    sendLoss(of: transfer.object, to: .raylet(transfer.to), port(number))
  }

  private func sendLoss(
    of object: ObjectHandle, to target: Address, _ port: UnsafeMutablePointer<Port>
  ) {
    let frame = ChunkFrame(
      object: ObjectID(producer: specs[object.producer].id, index: object.index), index: 0,
      count: 1, size: .zero, offset: .zero, status: .objectLost)
    // A head alone: it always fits.
    try? frame.encode(
      payloadCount: 0, from: rayletAddress, to: target, into: &port.pointee.writer)
  }

  /// A chunk has left, or will never have to.
  mutating func chunkLeft(_ push: PushID) {
    if push == .single { return }
    queue.append(
      Envelope(message: .chunkSent(push), source: rayletAddress, target: rayletAddress))
  }

  /// The rest of a push is not sent: its receiver will ask again, or nobody. Only for a push of which
  /// chunks are still to come.
  mutating func abandon(_ push: PushID) { abandoned.insert(push) }

  /// What was under way to a node may have been lost: it is told that it has to ask again.
  mutating func refuse(_ object: ObjectHandle, to node: NodeID) {
    queue.append(
      Envelope(
        message: .objectRefused(object), source: rayletAddress, target: .raylet(node)))
  }

  /// Chunks that waited for a peer's way, and have left or never will.
  mutating func releaseDelayed() {
    for _ in 0..<delayed.count {
      let chunk = delayed.popFirst().unsafelyUnwrapped
      let port = port(chunk.port)
      if port.pointee.isOpen && !port.pointee.writer.isEmpty {
        delayed.append(chunk)
      } else {
        chunkLeft(chunk.push)
      }
    }
    drain()
  }
}
