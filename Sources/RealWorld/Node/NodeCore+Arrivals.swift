import Primitives
import RuntimeCore
import WireFormat

/// An object that is on its way to this node in chunks. They may come in any order and more than once;
/// the raylet hears of the object when it is whole.
struct Arrival {
  var object: ObjectHandle
  var from: Address
  var byteCount: Int
  var chunkCount: UInt16
  var status: ObjectStatus
  var left: Int
  /// A bit for each chunk.
  var seen: [UInt64]
  /// Where it lies; nil while memory for it is being freed.
  var value: StoredValue?
  /// Tells it from an earlier one of the same object.
  var serial: UInt64
  /// Chunks that another thread writes into place: see `hold`.
  var writers = 0
}

/// Where the bytes of one chunk go.
struct Landing: BitwiseCopyable {
  var object: ObjectHandle
  var serial: UInt64
  var index: UInt16
  /// Of the chunk in its object.
  var offset: Int
}

extension NodeCore {
  /// A chunk of an object that this node pulls, in one frame.
  mutating func receiveChunk(_ frame: UnsafeRawBufferPointer) throws(FrameError) {
    let (header, chunk, payload) = try ChunkFrame.decode(frame)
    guard let landing = try beginChunk(chunk, payload, from: header.source) else { return }
    let head = ChunkFrame.headByteCount
    write(UnsafeRawBufferPointer(rebasing: frame[head..<head + payload]), at: 0, of: landing)
    endChunk(landing)
  }

  /// The head of a chunk has come; where its bytes go, or nil when nobody wants them.
  mutating func beginChunk(
    _ chunk: ChunkFrame, _ payload: Int, from source: Address
  ) throws(FrameError) -> Landing? {
    guard source.role == .raylet, let producer = specs.find(chunk.object.producer) else {
      return nil
    }
    let object = ObjectHandle(producer: producer, index: chunk.object.index)
    guard raylet.pointee.isPulling(object) else {
      // Between a refusal and the next request there is no pull, but somebody waits.
      if !raylet.pointee.awaits(object) { endArrival(object) }
      return nil
    }
    if payload == 0 && chunk.count == 1 {
      endArrival(object)
      tellArrival(object, .zero, chunk.status, from: source)
      return nil
    }
    let size = Int(chunk.size.bytes)
    var arrival = arrivals[object.key]
    if arrival == nil {
      sweepArrivals()
      arrival = makeArrival(object, size, chunk, from: source)
      if arrival == nil { return nil }
    }
    guard let arrival, arrival.byteCount == size, arrival.chunkCount == chunk.count else {
      throw FrameError(
        .mismatch, "size of an object", found: UInt64(size),
        expected: UInt64(arrival?.byteCount ?? 0))
    }
    let isSeen = arrival.seen[Int(chunk.index) / 64] & (1 << UInt64(chunk.index % 64)) != 0
    if isSeen || arrival.value == nil { return nil }
    return Landing(
      object: object, serial: arrival.serial, index: chunk.index, offset: Int(chunk.offset.bytes))
  }

  private mutating func makeArrival(
    _ object: ObjectHandle, _ size: Int, _ chunk: ChunkFrame, from source: Address
  ) -> Arrival? {
    nextArrival += 1
    var arrival = Arrival(
      object: object, from: source, byteCount: size, chunkCount: chunk.count,
      status: chunk.status, left: Int(chunk.count),
      seen: Array(repeating: 0, count: (Int(chunk.count) + 63) / 64), value: nil,
      serial: nextArrival)
    if size < StoredValue.segmentThreshold {
      arrival.value = StoredValue(
        .heap, at: .allocate(byteCount: max(16, size), alignment: 16), count: size)
    } else {
      arrival.value = reserve(size)
    }
    // The name stays this object's while its bytes come.
    specs.retain(object.producer)
    arrivals[object.key] = arrival
    if arrival.value == nil {
      // Others may be on their way to disk. What comes until then passes by, and is asked for again.
      wish(DiskWork.Wish(asker: .transfer(object), count: size))
    }
    return arrivals[object.key]
  }

  /// Bytes of a chunk, `offset` from its start.
  mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, of landing: Landing) {
    guard let source = bytes.baseAddress, !bytes.isEmpty,
      let arrival = arrivals[landing.object.key], arrival.serial == landing.serial,
      let value = arrival.value, let address = value.address,
      landing.offset + offset <= arrival.byteCount - bytes.count
    else { return }
    let place = address + landing.offset + offset
    guard value.form == .segment else {
      place.copyMemory(from: source, byteCount: bytes.count)
      return
    }
    do throws(StoreError) {
      try memory.segment.write(
        source, count: bytes.count, at: place - memory.segment.base)
    } catch {
      failArrival(landing)
    }
  }

  /// All bytes of a chunk have come.
  mutating func endChunk(_ landing: Landing) {
    let key = landing.object.key
    guard var arrival = arrivals[key], arrival.serial == landing.serial else { return }
    let bit: UInt64 = 1 << UInt64(landing.index % 64)
    if arrival.seen[Int(landing.index) / 64] & bit != 0 { return }
    arrivals[key] = nil
    arrival.seen[Int(landing.index) / 64] |= bit
    arrival.left -= 1
    if arrival.left > 0 {
      arrivals[key] = arrival
      return
    }
    guard let value = arrival.value else { return }
    if value.form == .segment {
      _ = sealed(value.key)
      _ = keepForWriters(arrival, value.key, isSealed: true)
    }
    if let old = values.remove(key) { letGo(old) }
    values.set(key, value)
    let size = arrival.status.isError ? .zero : ByteCount(UInt64(arrival.byteCount))
    tellArrival(arrival.object, size, arrival.status, from: arrival.from)
    if !raylet.pointee.holds(arrival.object) { drop(arrival.object) }
    specs.release(arrival.object.producer)
  }

  mutating func tellArrival(
    _ object: ObjectHandle, _ size: ByteCount, _ status: ObjectStatus, from source: Address
  ) {
    specs.retain(object.producer)
    borrowed.append(object.producer)
    handle(
      Envelope(
        message: .chunkArrived(object, index: 0, count: 1, status, size), source: source,
        target: rayletAddress))
  }

  /// Memory for an object that is on its way may be there now; false when it is not and it can wait.
  /// What has passed by meanwhile is asked for again.
  mutating func receiveAgain(_ object: ObjectHandle, canWait: Bool) -> Bool {
    guard let arrival = arrivals[object.key], arrival.value == nil else { return true }
    guard raylet.pointee.isPulling(object) else {
      endArrival(object)
      return true
    }
    guard let value = reserve(arrival.byteCount) else {
      if canWait { return false }
      endArrival(object)
      tellArrival(object, .zero, .storeFull, from: arrival.from)
      return true
    }
    arrivals[object.key]?.value = value
    handle(
      Envelope(message: .objectRefused(object), source: arrival.from, target: rayletAddress))
    return true
  }

  /// Nobody wants the object any more: what has come of it goes.
  mutating func endArrival(_ object: ObjectHandle) {
    guard let arrival = arrivals.removeValue(forKey: object.key) else { return }
    if let value = arrival.value {
      if value.form != .segment {
        value.deallocate()
      } else if !keepForWriters(arrival, value.key, isSealed: false) {
        try? memory.abort(value.key)
      }
    }
    specs.release(object.producer)
  }

  /// Pulls may end without another chunk: their object was freed, or its node is gone.
  mutating func sweepArrivals() {
    if arrivals.isEmpty { return }
    for arrival in arrivals.values
    where !raylet.pointee.isPulling(arrival.object) && !raylet.pointee.awaits(arrival.object) {
      endArrival(arrival.object)
    }
  }
}
