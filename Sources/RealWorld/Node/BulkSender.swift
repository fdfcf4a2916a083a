import DequeModule
import Glibc
import NIOCore
import RuntimeCore
import WireFormat

/// A connection that chunks leave by, and receipts come back by.
final class BulkSender: BulkSocket {
  private var chunks: Deque<OutgoingChunk> = []
  /// Of the first chunk.
  private var done = 0
  private var sent: UInt64 = 0
  private var received: UInt64 = 0
  private let receipt = UnsafeMutableRawBufferPointer.allocate(
    byteCount: ChunkReceipt.byteCount, alignment: 8)
  private var filled = 0

  deinit { receipt.deallocate() }

  func append(_ chunk: OutgoingChunk) { chunks.append(chunk) }

  override var interest: Int16 { Int16(chunks.isEmpty ? POLLIN : POLLIN | POLLOUT) }

  override func serve(_ ready: Int16, reporting thread: BulkThread) throws(LinkEnd) {
    if ready & ~Int16(POLLOUT) != 0 { try readReceipts(thread) }
    if ready & Int16(POLLOUT) != 0 { try writeChunks(thread) }
  }

  private func writeChunks(_ thread: BulkThread) throws(LinkEnd) {
    var left = Self.turn
    while left > 0, let chunk = chunks.first {
      let head = chunk.head.readableBytes
      let count: Int
      if done < head {
        let hasMore = chunk.bytes.count > 0
        let place = chunk.head.withUnsafeReadableBytes { $0.baseAddress! }
        // The buffer is in the queue: its memory stays where it is.
        count = try write(place + done, min(head - done, Self.piece), more: hasMore)
      } else {
        let rest = UnsafeRawBufferPointer(rebasing: chunk.bytes[(done - head)...])
        count = try write(rest.baseAddress!, min(rest.count, Self.piece))
      }
      if count == 0 { return }
      done += count
      left -= count
      if done == chunk.count {
        chunks.removeFirst()
        done = 0
        sent += 1
        thread.report(.left(id))
      }
    }
  }

  private func readReceipts(_ thread: BulkThread) throws(LinkEnd) {
    let before = received
    while true {
      let got = try read(receipt.baseAddress! + filled, ChunkReceipt.byteCount - filled)
      if got == 0 { break }
      filled += got
      do throws(FrameError) {
        // A length that cannot be is known before the whole frame has come.
        if filled >= FrameHeader.byteCount && filled < ChunkReceipt.byteCount {
          let header = try FrameHeader(
            reading: UnsafeRawBufferPointer(rebasing: receipt[..<filled]))
          guard header.kind == ChunkReceipt.kind else {
            throw FrameError(
              .mismatch, "kind of frame", found: UInt64(header.kind),
              expected: UInt64(ChunkReceipt.kind))
          }
        }
        if filled < ChunkReceipt.byteCount { continue }
        filled = 0
        received = try ChunkReceipt.decode(
          UnsafeRawBufferPointer(receipt), after: received, sent: sent
        ).taken
      } catch {
        throw fault(error)
      }
    }
    if received > before { thread.report(.received(id, received)) }
  }
}
