import Primitives
import RuntimeCore
import WireFormat

/// A value that a client of this host reads where it lies.
struct Loan: BitwiseCopyable {
  var port: UInt32
  var object: ObjectHandle
  var memoryKey: UInt64
}

/// How threads of the node's own process use its segment.
struct SegmentAccess: Sendable {
  let segment: SharedSegment

  init(_ segment: SharedSegment) { self.segment = segment }
}

extension NodeCore {
  /// The segment is larger than the store's capacity: sizes are rounded up, holes remain, and room is
  /// given before the raylet counts it.
  static func segmentBytes(_ plan: NodePlan) -> Int {
    let bytes = Int(clamping: plan.description.store.bytes)
    return min(bytes + bytes / 8 + (64 << 20), 1 << 42)
  }

  // MARK: Programs of this host

  /// A program has connected that may put large objects: memory for them gets its pages ahead.
  mutating func programCame() {
    programs += 1
    if programs > 1 || memory.segment.isPrivate { return }
    let most = min(plan.storeAhead, plan.description.store).bytes
    let available = (availableMemory()?.bytes ?? .max) / 8
    memory.expectPrograms(ahead: Int(clamping: min(most, available)))
  }

  mutating func programWent() {
    programs -= 1
    if programs == 0 { memory.expectPrograms(ahead: 0) }
  }

  // MARK: Frames of the layer above the protocol

  mutating func receiveUpper(
    _ frame: UnsafeRawBufferPointer, from number: UInt32, _ port: UnsafeMutablePointer<Port>
  ) throws(FrameError) {
    switch frame[4] {
    case ValueFrame.kind: try receiveValue(frame, from: number)
    case ValueFrame.wantedKind: try valueWanted(frame, number, port)
    case StoreFrame.roomWanted: try roomWanted(frame, number, port)
    case StoreFrame.loanReturned:
      let (loan, _, _) = try StoreFrame.decode(frame)
      loanReturned(loan, by: number)
    case StoreFrame.roomReturned:
      let (key, _, _) = try StoreFrame.decode(frame)
      if grants[key] == number {
        grants.remove(key)
        try? memory.abort(key)
      }
    case ChunkFrame.kind where port.pointee.client == nil: try receiveChunk(frame)
    case MembershipNews.frameKind where port.pointee.client == nil:
      membershipNews.append(Array(frame[FrameHeader.byteCount...]))
    default:
      throw FrameError(.unknownValue, "kind of frame", found: UInt64(frame[4]), expected: 0)
    }
  }

  private mutating func receiveValue(
    _ frame: UnsafeRawBufferPointer, from number: UInt32
  ) throws(FrameError) {
    let (id, content) = try ValueFrame.decode(frame)
    let producer = specs.intern(id.producer)
    borrowed.append(producer)
    let object = ObjectHandle(producer: producer, index: id.index)
    guard !values.contains(object.key) else {
      throw FrameError(.mismatch, "value that is there already", found: 1, expected: 0)
    }
    switch content {
    case .bytes(let bytes):
      if !bytes.isEmpty { values.set(object.key, StoredValue(copying: bytes)) }
    case .kept:
      throw FrameError(.unknownValue, "form of a value", found: 2, expected: 1)
    case .segment(let key, let count):
      // The client wrote into room that it was given.
      let key = UInt64(key)
      guard grants[key] == number else {
        throw FrameError(.notAllowed, "room of another", found: key, expected: 0)
      }
      grants.remove(key)
      guard let extent = sealed(key), extent.count == count else {
        throw FrameError(.mismatch, "room of a value", found: UInt64(count), expected: key)
      }
      values.set(
        object.key,
        StoredValue(.segment, at: memory.segment.base + extent.offset, count: count, key: key))
    }
  }

  /// Ends the writing of room that was given.
  mutating func sealed(_ key: UInt64) -> ObjectMemory.Extent? {
    do throws(StoreError) {
      try memory.seal(key)
      let extent = try memory.get(key)
      try memory.release(key)
      memory.written(extent)
      return extent
    } catch {
      return nil
    }
  }

  /// A program wants the bytes of an object that is here: its own put, or what was too large to send
  /// unasked.
  private mutating func valueWanted(
    _ frame: UnsafeRawBufferPointer, _ number: UInt32, _ port: UnsafeMutablePointer<Port>
  ) throws(FrameError) {
    let header = try FrameHeader(reading: frame)
    let (id, _) = try ValueFrame.decode(frame)
    if let producer = specs.find(id.producer) {
      let object = ObjectHandle(producer: producer, index: id.index)
      if let value = values[object.key], value.form == .onDisk {
        bringBack(object, .client(port: number, header.source))
        return
      }
      if let value = values.pointer(object.key) {
        try attach(value, of: object, from: rayletAddress, to: header.source, number, port)
        return
      }
    }
    try sayNothing(of: id, to: header.source, port)
  }

  private func sayNothing(
    of id: ObjectID, to target: Address, _ port: UnsafeMutablePointer<Port>
  ) throws(FrameError) {
    try ValueFrame.encode(
      id, .bytes(UnsafeRawBufferPointer(start: nil, count: 0)), from: rayletAddress, to: target,
      into: &port.pointee.writer)
  }

  /// Answers a client that has waited for the disk.
  mutating func answer(_ object: ObjectHandle, to target: Address, _ number: UInt32) {
    let port = port(number)
    do throws(FrameError) {
      if let value = values.pointer(object.key), value.pointee.form != .onDisk {
        try attach(value, of: object, from: rayletAddress, to: target, number, port)
        return
      }
    } catch {
      // Too long for a frame: as if there was nothing.
    }
    let id = ObjectID(producer: specs[object.producer].id, index: object.index)
    try? sayNothing(of: id, to: target, port)
  }

  /// Sends a value ahead of the news that it is there, if it is small; else how large it is.
  func announce(
    _ value: UnsafeMutablePointer<StoredValue>, of object: ObjectHandle, from source: Address,
    to target: Address, _ port: UnsafeMutablePointer<Port>
  ) throws(FrameError) {
    let isSmall = value.pointee.count <= StoredValue.unaskedLimit && value.pointee.form != .onDisk
    try ValueFrame.encode(
      ObjectID(producer: specs[object.producer].id, index: object.index),
      isSmall ? .bytes(value.bytes) : .kept(count: value.pointee.count), from: source, to: target,
      into: &port.pointee.writer)
  }

  /// Sends a value that was asked for: its bytes, or where to read them in place.
  private mutating func attach(
    _ value: UnsafeMutablePointer<StoredValue>, of object: ObjectHandle, from source: Address,
    to target: Address, _ number: UInt32, _ port: UnsafeMutablePointer<Port>
  ) throws(FrameError) {
    let id = ObjectID(producer: specs[object.producer].id, index: object.index)
    guard value.pointee.form == .segment, port.pointee.sharesMemory else {
      try ValueFrame.encode(
        id, .bytes(value.bytes), from: source, to: target, into: &port.pointee.writer)
      return
    }
    let key = value.pointee.key
    guard let extent = try? memory.get(key) else {
      throw FrameError(.mismatch, "value in the segment", found: key, expected: 0)
    }
    nextLoan += 1
    loans.set(nextLoan, Loan(port: number, object: object, memoryKey: key))
    specs.retain(object.producer)
    queue.append(
      Envelope(message: .objectPinned(object), source: rayletAddress, target: rayletAddress))
    try ValueFrame.encode(
      id, .segment(offset: extent.offset, count: extent.count), loan: nextLoan, from: source,
      to: target, into: &port.pointee.writer)
  }

  mutating func loanReturned(_ number: UInt64, by port: UInt32) {
    guard let loan = loans[number], loan.port == port else { return }
    loans.remove(number)
    try? memory.release(loan.memoryKey)
    handle(
      Envelope(
        message: .objectUnpinned(loan.object), source: rayletAddress, target: rayletAddress))
    specs.release(loan.object.producer)
  }

  // MARK: Room

  private mutating func roomWanted(
    _ frame: UnsafeRawBufferPointer, _ number: UInt32, _ port: UnsafeMutablePointer<Port>
  ) throws(FrameError) {
    let header = try FrameHeader(reading: frame)
    let (ticket, count, _) = try StoreFrame.decode(frame)
    guard count <= plan.description.store.bytes else {
      try StoreFrame.encode(
        StoreFrame.roomGranted, ticket, StoreFrame.denied, 0, from: rayletAddress,
        to: header.source, into: &port.pointee.writer)
      return
    }
    let asker = DiskWork.Asker.client(port: number, header.source, ticket: ticket)
    wish(DiskWork.Wish(asker: asker, count: Int(count)))
  }

  /// Makes room for an object that is about to be written; nil when there is none. Its pages are made
  /// by the writer.
  mutating func reserve(_ count: Int) -> StoredValue? {
    makeRoom(count)
    // Some of the rest is for what has to come back from disk, also when the disk is full.
    let used = Int(clamping: memory.used.bytes)
    let headroom = min(32 << 20, memory.segment.byteCount / 4)
    if count > memory.segment.byteCount - headroom - used { return nil }
    nextMemoryKey += 1
    do throws(StoreError) {
      let extent = try memory.create(nextMemoryKey, count: count, commit: false)
      return StoredValue(
        .segment, at: memory.segment.base + extent.offset, count: count, key: nextMemoryKey)
    } catch {
      return nil
    }
  }

  /// Has the raylet spill what it may, so that so many bytes fit.
  mutating func makeRoom(_ count: Int) {
    handle(
      Envelope(
        message: .roomRequested(ByteCount(UInt64(count))), source: rayletAddress,
        target: rayletAddress))
  }

  /// Room that was not used.
  mutating func giveBack(_ value: StoredValue) { try? memory.abort(value.key) }

  /// What a peer that has gone had borrowed or been given.
  mutating func takeBack(from port: UInt32) {
    for key in grants.keys(where: { $0 == port }) {
      grants.remove(key)
      try? memory.abort(key)
    }
    for key in loans.keys(where: { $0.port == port }) { loanReturned(key, by: port) }
  }

  mutating func letGo(_ value: StoredValue) {
    if value.form == .segment || value.form == .onDisk {
      _ = try? memory.delete(value.key)
    } else {
      value.deallocate()
    }
  }
}
