import Primitives
import RuntimeCore
import WireFormat

/// A chunk that has been handed to a peer's way and waits there: the sender hears that it has left when
/// the way is free again.
struct DelayedChunk: BitwiseCopyable {
  var push: PushID
  var port: UInt32
}

extension NodeCore {
  // MARK: Sending

  /// Sends a chunk of an object to another node.
  mutating func send(_ transfer: Transfer) {
    let target = Address.raylet(transfer.to)
    guard let number = bulkPort(to: transfer.to), let value = chunkSource(transfer) else {
      // The node has gone: the push runs empty.
      chunkLeft(transfer.push)
      return
    }
    let port = port(number)
    let chunk = max(plan.parameters.chunkSize.bytes, transfer.objectSize.bytes / 65_535 + 1)
    let start = Int(chunk) * Int(transfer.index)
    // An error's text travels in the place of the value, though it counts for nothing.
    let length = transfer.status.isError ? value.count : Int(transfer.bytes)
    let count = min(length, max(0, value.count - start))
    let frame = ChunkFrame(
      object: ObjectID(producer: specs[transfer.object.producer].id, index: transfer.object.index),
      index: transfer.index, count: transfer.count,
      size: ByteCount(UInt64(value.count)), offset: ByteCount(UInt64(start)),
      status: transfer.status)
    do throws(FrameError) {
      try frame.encode(
        payloadCount: count, from: rayletAddress, to: target, into: &port.pointee.writer)
      if count > 0, let base = value.baseAddress {
        try port.pointee.writer.append(
          contentsOf: UnsafeRawBufferPointer(start: base + start, count: count))
      }
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

  private func chunkSource(_ transfer: Transfer) -> UnsafeRawBufferPointer? {
    guard let value = values.pointer(transfer.object.key) else {
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return value.bytes
  }

  private mutating func chunkLeft(_ push: PushID) {
    if push == .single { return }
    queue.append(
      Envelope(message: .chunkSent(push), source: rayletAddress, target: rayletAddress))
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

  // MARK: Receiving

  /// A chunk of an object that this node pulls: its bytes go where the object will lie.
  mutating func receiveChunk(_ frame: UnsafeRawBufferPointer) throws(FrameError) {
    let (header, chunk, payload) = try ChunkFrame.decode(frame)
    guard header.source.role == .raylet, let producer = specs.find(chunk.object.producer) else {
      return
    }
    let object = ObjectHandle(producer: producer, index: chunk.object.index)
    guard raylet.pointee.isPulling(object) else { return }
    specs.retain(producer)
    borrowed.append(producer)
    if payload > 0 {
      guard let place = place(of: object, chunk) else {
        handle(
          Envelope(
            message: .chunkArrived(object, index: 0, count: 1, .zero, .storeFull),
            source: header.source, target: rayletAddress))
        return
      }
      (place + Int(chunk.offset.bytes)).copyMemory(
        from: frame.baseAddress! + ChunkFrame.headByteCount, byteCount: payload)
    }
    handle(
      Envelope(
        message: .chunkArrived(
          object, index: chunk.index, count: chunk.count,
          chunk.status.isError ? .zero : chunk.size, chunk.status),
        source: header.source, target: rayletAddress))
    if let value = values.pointer(object.key), value.pointee.form == .segment,
      chunk.index + 1 == chunk.count
    {
      try? memory.seal(value.pointee.key)
    }
    if !raylet.pointee.isPulling(object) && !raylet.pointee.holds(object) { drop(object) }
  }

  /// Where the bytes of an object that arrives in chunks go; made with the first of them.
  private mutating func place(
    of object: ObjectHandle, _ chunk: ChunkFrame
  ) -> UnsafeMutableRawPointer? {
    let count = Int(chunk.size.bytes)
    if let known = values.pointer(object.key) {
      return known.pointee.count == count ? known.pointee.address : nil
    }
    let value: StoredValue
    if count < StoredValue.segmentThreshold {
      value = StoredValue(
        .heap, at: .allocate(byteCount: max(16, count), alignment: 16), count: count)
    } else if let reserved = reserve(count, commit: true) {
      value = reserved
    } else {
      return nil
    }
    values.set(object.key, value)
    return value.address
  }
}
