import Primitives
import RuntimeCore
import WireFormat

/// What clients and their node say about room in the shared segment: three words behind the header.
enum StoreFrame {
  /// A client wants room: ticket, bytes.
  static let roomWanted: UInt8 = 164
  /// The answer: ticket, the memory's key (`denied` for none), offset in the segment.
  static let roomGranted: UInt8 = 165
  /// A client has stopped reading a value in place: the loan's number.
  static let loanReturned: UInt8 = 166
  /// A client does not use room that it was granted: the memory's key.
  static let roomReturned: UInt8 = 167

  static let denied = UInt64.max

  static func encode(
    _ kind: UInt8, _ a: UInt64, _ b: UInt64 = 0, _ c: UInt64 = 0, from source: Address,
    to target: Address, into writer: inout FrameWriter
  ) throws(FrameError) {
    let place = try writer.takeFrame(kind: kind, source: source, target: target, bodyCount: 24)
    place.storeBytes(of: a.littleEndian, as: UInt64.self)
    place.storeBytes(of: b.littleEndian, toByteOffset: 8, as: UInt64.self)
    place.storeBytes(of: c.littleEndian, toByteOffset: 16, as: UInt64.self)
  }

  static func decode(
    _ frame: UnsafeRawBufferPointer
  ) throws(FrameError) -> (UInt64, UInt64, UInt64) {
    var reader = FrameReader(UnsafeRawBufferPointer(rebasing: frame[FrameHeader.byteCount...]))
    try reader.requireExactly(24, "words about the store")
    return (
      try reader.integer(UInt64.self, "word"), try reader.integer(UInt64.self, "word"),
      try reader.integer(UInt64.self, "word")
    )
  }
}
