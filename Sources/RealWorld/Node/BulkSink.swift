import Glibc
import Primitives
import RuntimeCore
import WireFormat

/// A connection that chunks come by, and receipts go back by.
///
///     head ─► deciding ─land─► landing ─► head
///                        └───► passing ─┘
final class BulkSink: BulkSocket {
  private enum Phase {
    case head
    /// The owner has been asked where the bytes go: nothing is read until it has answered.
    case deciding
    case landing(LandingPlace)
    /// Nobody wants the bytes.
    case passing
  }

  private let source: Address
  private let target: Address
  private let maximumFrame: Int
  private var phase = Phase.head
  private let head = UnsafeMutableRawBufferPointer.allocate(
    byteCount: ChunkFrame.headByteCount, alignment: 8)
  private var filled = 0
  /// Bytes behind the present head, and how many of them have come.
  private var payload = 0
  private var done = 0
  private var taken: UInt64 = 0
  /// For bytes that cannot go straight into place; made when it is needed.
  private var scratch: UnsafeMutableRawPointer?
  private var inScratch = 0
  private var receipts = FrameWriter(capacity: 256)

  /// A peer that lets so many bytes of receipts lie does not read them.
  private static let mostReceipts = 64 << 10

  init(
    _ id: BulkThread.ID, _ descriptor: CInt, from source: Address, at target: Address,
    maximumFrame: Int
  ) {
    self.source = source
    self.target = target
    self.maximumFrame = maximumFrame
    super.init(id, descriptor)
    sign()
  }

  deinit {
    head.deallocate()
    scratch?.deallocate()
  }

  override var interest: Int16 {
    var events: Int32 = 0
    if case .deciding = phase {} else { events |= POLLIN }
    if !receipts.isEmpty { events |= POLLOUT }
    return Int16(events)
  }

  func land(at place: LandingPlace?) {
    guard case .deciding = phase else { return }
    phase = place.map { .landing($0) } ?? .passing
  }

  override func serve(_ ready: Int16, reporting thread: BulkThread) throws(LinkEnd) {
    if !receipts.isEmpty { try sendReceipts() }
    var left = Self.turn
    while left > 0 {
      var count = 0
      switch phase {
      case .head:
        count = try readHead(thread)
      case .deciding:
        // Nothing is read, but the end of the connection comes all the same.
        if ready & Int16(POLLERR | POLLHUP) != 0 {
          throw LinkEnd(.truncated, "the connection ended in the midst of a chunk")
        }
        return
      case .landing(let place):
        if done < payload { count = try readPayload(into: place, thread) }
        if done == payload, case .landing = phase {
          thread.report(.landed(id))
          try finishChunk()
          continue
        }
      case .passing:
        if done < payload { count = try pass() }
        if done == payload {
          try finishChunk()
          continue
        }
      }
      if count == 0 { return }
      left -= count
    }
  }

  // MARK: Reading

  private func readHead(_ thread: BulkThread) throws(LinkEnd) -> Int {
    let count = try read(head.baseAddress! + filled, head.count - filled)
    filled += count
    if filled < FrameHeader.byteCount { return count }
    do throws(FrameError) {
      let header = try FrameHeader(reading: UnsafeRawBufferPointer(head))
      guard header.kind == ChunkFrame.kind else {
        throw FrameError(
          .mismatch, "kind of frame", found: UInt64(header.kind),
          expected: UInt64(ChunkFrame.kind))
      }
      guard header.length <= maximumFrame else {
        throw FrameError(
          .aboveLimit, "frame length", found: UInt64(header.length),
          expected: UInt64(maximumFrame))
      }
      guard header.source == source else {
        throw FrameError(
          .notAllowed, "source", found: UInt64(header.source.raw),
          expected: UInt64(source.raw))
      }
      if filled < head.count { return count }
      let chunk: ChunkFrame
      (_, chunk, payload) = try ChunkFrame.decode(UnsafeRawBufferPointer(head))
      guard chunk.size.bytes >= UInt64(NodeCore.bulkThreshold) else {
        throw FrameError(
          .notAllowed, "size of an object on a connection for large ones",
          found: chunk.size.bytes, expected: UInt64(NodeCore.bulkThreshold))
      }
      filled = 0
      done = 0
      phase = .deciding
      thread.report(.head(id, chunk, payload))
    } catch {
      throw fault(error)
    }
    return count
  }

  /// Straight into place where the mapping has all its pages. Else by way of memory that the
  /// processor's caches hold: fresh pages are then written through the file, a whole step at once,
  /// which saves clearing them.
  private func readPayload(
    into place: LandingPlace, _ thread: BulkThread
  ) throws(LinkEnd) -> Int {
    let segment = place.segment
    let at = place.offset + done
    let step = SharedSegment.stepBytes
    let inStep = min(step - at % step, payload - done)
    if inScratch == 0, hasPages(segment, at, inStep) {
      var length = inStep
      while length < payload - done, length < Self.piece {
        let next = min(step, payload - done - length)
        if !segment.isTouched(at: at + length, count: next) { break }
        length += next
      }
      let count = try readRest(segment.base + at, min(length, Self.piece))
      done += count
      return count
    }
    if scratch == nil { scratch = .allocate(byteCount: step, alignment: 4096) }
    let count = try readRest(scratch! + inScratch, inStep - inScratch)
    inScratch += count
    if inScratch == inStep {
      inScratch = 0
      do throws(StoreError) {
        try segment.write(scratch!, count: inStep, at: at)
        done += inStep
      } catch {
        thread.report(.failed(id, error))
        done += inStep
        phase = .passing
      }
    }
    return count
  }

  /// Whether bytes can go straight into place: the mapping has its pages, or they are huge and cost
  /// less to make now than a copy.
  private func hasPages(_ segment: SharedSegment, _ at: Int, _ count: Int) -> Bool {
    if segment.isTouched(at: at, count: count) { return true }
    if !segment.hasHugePages { return false }
    // What cannot be made fails in the copy, which says so.
    return (try? segment.commit(at: at, count: count)) != nil
  }

  private func pass() throws(LinkEnd) -> Int {
    let step = SharedSegment.stepBytes
    if scratch == nil { scratch = .allocate(byteCount: step, alignment: 4096) }
    let count = try readRest(scratch!, min(step, payload - done))
    done += count
    return count
  }

  /// Reads in the midst of a chunk.
  private func readRest(
    _ place: UnsafeMutableRawPointer, _ count: Int
  ) throws(LinkEnd) -> Int {
    do throws(LinkEnd) {
      return try read(place, count)
    } catch {
      let came = ChunkFrame.headByteCount + done + inScratch
      let whole = ChunkFrame.headByteCount + payload
      throw LinkEnd(
        .truncated,
        "the peer vanished in the middle of a chunk: \(came) of \(whole) bytes came (\(error))")
    }
  }

  // MARK: Receipts

  private func finishChunk() throws(LinkEnd) {
    taken += 1
    phase = .head
    sign()
    try sendReceipts()
  }

  private func sign() {
    // The writer grows: there is always room.
    try? ChunkReceipt(taken: taken).encode(from: target, to: source, into: &receipts)
  }

  private func sendReceipts() throws(LinkEnd) {
    let bytes = receipts.bytes
    let count = try write(bytes.baseAddress!, bytes.count)
    if count == bytes.count { return receipts.removeAll() }
    guard bytes.count - count <= Self.mostReceipts else {
      throw LinkEnd(.badFrame, "the peer does not read what is said about its chunks")
    }
    var rest = FrameWriter(capacity: 256)
    do throws(FrameError) {
      try rest.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[count...]))
    } catch {
      throw fault(error)
    }
    receipts = rest
  }
}
