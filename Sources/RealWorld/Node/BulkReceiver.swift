import Primitives
import RuntimeCore
import WireFormat

/// The receiving end of a connection that carries objects from another node and stays on the node's
/// loop, as with TLS: their bytes are copied from where the socket's lie to where the object will.
final class BulkReceiver: LinkDelegate {
  private let node: NodeID
  private let own: NodeID
  private unowned let shell: NodeShell
  /// Of the chunk that is coming in pieces; nil when nobody wants it.
  private var landing: Landing?
  private var taken: UInt64 = 0
  private let ended: (LinkEnd) -> Void

  init(
    _ node: NodeID, at own: NodeID, _ shell: NodeShell, ended: @escaping (LinkEnd) -> Void
  ) {
    self.node = node
    self.own = own
    self.shell = shell
    self.ended = ended
  }

  /// Says how many chunks have come.
  func sign(on link: Link) {
    var receipt = FrameWriter(capacity: ChunkReceipt.byteCount)
    // The writer has room for exactly that.
    try? ChunkReceipt(taken: taken).encode(
      from: .raylet(own), to: .raylet(node), into: &receipt)
    link.send(receipt.bytes)
  }

  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    shell.core.pointee.now = MonotonicClock.now
    do throws(FrameError) {
      var frames = FrameRun(frames)
      while let frame = try frames.next() {
        let landing = try begin(frame)
        let head = ChunkFrame.headByteCount
        if let landing {
          shell.core.pointee.write(
            UnsafeRawBufferPointer(rebasing: frame[head...]), at: 0, of: landing)
        }
        end(landing, link)
      }
    } catch {
      link.close(reason: "\(link.peer) sent what it may not: \(error)")
    }
  }

  func linkReceivedPart(
    _ link: Link, frameLength: Int, offset: Int, bytes: UnsafeRawBufferPointer
  ) {
    shell.core.pointee.now = MonotonicClock.now
    let head = ChunkFrame.headByteCount
    var bytes = bytes
    var at = offset - head
    if offset == 0 {
      do throws(FrameError) {
        landing = try begin(bytes)
      } catch {
        landing = nil
        link.close(reason: "\(link.peer) sent what it may not: \(error)")
        return
      }
      bytes = UnsafeRawBufferPointer(rebasing: bytes[head...])
      at = 0
    }
    if let landing { shell.core.pointee.write(bytes, at: at, of: landing) }
    if at + bytes.count == frameLength - head {
      end(landing, link)
      self.landing = nil
    }
  }

  private func begin(_ head: UnsafeRawBufferPointer) throws(FrameError) -> Landing? {
    let (header, chunk, payload) = try ChunkFrame.decode(head)
    guard header.source == .raylet(node) else {
      throw FrameError(
        .notAllowed, "source", found: UInt64(header.source.raw),
        expected: UInt64(Address.raylet(node).raw))
    }
    return try shell.core.pointee.beginChunk(chunk, payload, from: header.source)
  }

  private func end(_ landing: Landing?, _ link: Link) {
    if let landing { shell.core.pointee.endChunk(landing) }
    taken += 1
    sign(on: link)
  }

  func linkReadCompleted(_ link: Link) {
    shell.endTurn()
    link.flush()
  }

  func linkClosed(_ link: Link, reason: LinkEnd) { ended(reason) }
}
