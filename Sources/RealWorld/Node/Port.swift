import Primitives
import RuntimeCore
import WireFormat

/// The way out to a peer: a ring to a thread of this process, or a link to another process.
protocol Outlet: AnyObject {
  /// Sends whole frames; how many bytes of them it took. The rest is offered again later.
  func send(_ frames: UnsafeRawBufferPointer) -> Int
  /// Ends a turn: what was sent leaves now.
  func flush()
}

/// What a shell keeps for each peer.
struct Port: ~Copyable {
  var encoder: MessageEncoder
  var decoder: MessageDecoder
  /// Frames on their way out.
  var writer = FrameWriter()
  /// Bytes of `writer` that have left already.
  var sent = 0
  let outlet: any Outlet
  var isOpen = true
  /// The peer is a thread of this process, and makes the pages of its own room.
  var isThread = false
  /// The peer maps this node's segment and reads values in place.
  var sharesMemory = false
  /// Set when the peer is a program of another process: it speaks for itself only.
  var client: Address?
  /// Set when that process is a worker of this node.
  var worker: WorkerID?
  /// The program that speaks here: it needs no bytes of what it has put itself.
  var root = TaskID(high: 0, low: 0)
  /// For a driver: its root in the node's table.
  var rootHandle = TaskHandle.none
  /// The weight of `writer` at which a long turn offers it before its end.
  private var nextOffer = Port.offer
  private static let offer = 32 << 10

  init(
    _ encoder: consuming MessageEncoder, _ decoder: consuming MessageDecoder, _ outlet: any Outlet
  ) {
    self.encoder = encoder
    self.decoder = decoder
    self.outlet = outlet
  }

  /// Offers what has been written to the peer; true when nothing is left.
  mutating func flush() -> Bool {
    let count = writer.count
    let weight = writer.weight
    if sent < count {
      sent += outlet.send(UnsafeRawBufferPointer(rebasing: writer.bytes[sent...]))
      outlet.flush()
      if sent < count {
        nextOffer = weight + Self.offer
        writer.seal()
        return false
      }
    }
    sent = 0
    writer.removeAll()
    nextOffer = Self.offer
    return true
  }

  /// In the midst of a long turn: lets the peer begin.
  @inline(__always)
  mutating func flushLongRuns() { if writer.weight >= nextOffer { _ = flush() } }
}

/// The way between two threads of one process: a ring each way.
final class RingOutlet: Outlet, @unchecked Sendable {
  private let ring: FrameRing
  /// Frees the ring when the last that knows it has gone.
  let pair: RingPair?
  private let wake: @Sendable () -> Void
  private var hasSent = false

  /// Runs of frames are about so long: long enough to cost little each, short enough to start on.
  static let run = 16 << 10
  static let capacity = 256 << 10
  /// A longer frame goes by reference.
  static let longestFrame = 64 << 10
  static let referenceKind: UInt8 = 162

  init(_ ring: FrameRing, of pair: RingPair? = nil, wake: @escaping @Sendable () -> Void) {
    self.ring = ring
    self.pair = pair
    self.wake = wake
  }

  func send(_ frames: UnsafeRawBufferPointer) -> Int {
    guard let base = frames.baseAddress else { return 0 }
    var start = 0
    var end = 0
    while start < frames.count {
      while end < frames.count {
        let length = Int(UInt32(littleEndian: (base + end).loadUnaligned(as: UInt32.self)))
        if length > Self.longestFrame { break }
        if end > start && end + length - start > Self.run { break }
        end += length
      }
      if end > start {
        guard ring.write(UnsafeRawBufferPointer(start: base + start, count: end - start)) else {
          return start
        }
      } else {
        let length = Int(UInt32(littleEndian: (base + end).loadUnaligned(as: UInt32.self)))
        guard sendReference(UnsafeRawBufferPointer(start: base + end, count: length)) else {
          return start
        }
        end += length
      }
      hasSent = true
      start = end
    }
    return start
  }

  private func sendReference(_ frame: UnsafeRawBufferPointer) -> Bool {
    let copy = UnsafeMutableRawPointer.allocate(byteCount: frame.count, alignment: 16)
    copy.copyMemory(from: frame.baseAddress!, byteCount: frame.count)
    let none = Address(raw: 0)
    let isWritten = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { room in
      FrameHeader(length: 32, kind: Self.referenceKind, source: none, target: none)
        .write(to: room.baseAddress!)
      room.storeBytes(of: UInt(bitPattern: copy), toByteOffset: 16, as: UInt.self)
      room.storeBytes(of: frame.count, toByteOffset: 24, as: Int.self)
      return ring.write(UnsafeRawBufferPointer(room))
    }
    if !isWritten { copy.deallocate() }
    return isWritten
  }

  /// The frame that a frame of `referenceKind` refers to; the caller deallocates it.
  static func frame(of reference: UnsafeRawBufferPointer) -> UnsafeMutableRawBufferPointer {
    let address = reference.loadUnaligned(fromByteOffset: 16, as: UInt.self)
    let count = reference.loadUnaligned(fromByteOffset: 24, as: Int.self)
    return UnsafeMutableRawBufferPointer(
      start: UnsafeMutableRawPointer(bitPattern: address), count: count)
  }

  func flush() {
    guard hasSent else { return }
    hasSent = false
    wake()
  }
}
