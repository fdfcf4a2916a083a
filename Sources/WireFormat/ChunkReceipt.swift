import RuntimeCore

/// What a receiver of objects says on a bulk connection, against the stream of chunks: how many chunks
/// of this connection it has taken so far. The first one, of 0 chunks, says that it is ready.
///
///     16 taken  UInt64
public struct ChunkReceipt: Hashable, Sendable, BitwiseCopyable {
  /// Chunks whose bytes are in place, or that nobody wanted.
  public var taken: UInt64

  public static var kind: UInt8 { 168 }
  public static var byteCount: Int { FrameHeader.byteCount + 8 }

  public init(taken: UInt64) { self.taken = taken }

  public func encode(
    from source: Address, to target: Address, into writer: inout FrameWriter
  ) throws(FrameError) {
    let place = try writer.take(Self.byteCount)
    FrameHeader(length: Self.byteCount, kind: Self.kind, source: source, target: target)
      .write(to: place)
    place.storeBytes(
      of: taken.littleEndian, toByteOffset: FrameHeader.byteCount, as: UInt64.self)
  }

  /// Reads one whole frame.
  ///
  /// - Parameters:
  ///   - last: what the receipt before it said; nil before the first one.
  ///   - sent: chunks that were sent.
  /// - Throws: `FrameError` when it is no receipt, or takes back what the last one said, or has more
  ///   chunks than were sent.
  public static func decode(
    _ frame: UnsafeRawBufferPointer, after last: UInt64?, sent: UInt64
  ) throws(FrameError) -> ChunkReceipt {
    let header = try FrameHeader(reading: frame)
    guard header.kind == kind else { throw .make(.mismatch, "kind of frame", header.kind, kind) }
    guard header.flags == 0 else { throw .make(.mismatch, "flags", header.flags, 0) }
    guard Int(header.length) == byteCount, frame.count == byteCount else {
      throw .make(.mismatch, "length of a receipt", header.length, UInt32(byteCount))
    }
    let word = frame.loadUnaligned(fromByteOffset: FrameHeader.byteCount, as: UInt64.self)
    let taken = UInt64(littleEndian: word)
    guard let last else {
      guard taken == 0 else { throw .make(.mismatch, "chunks of the first receipt", taken, 0) }
      return ChunkReceipt(taken: 0)
    }
    guard taken > last else {
      throw .make(.mismatch, "chunks of a receipt", taken, last + 1)
    }
    guard taken <= sent else { throw .make(.aboveLimit, "chunks of a receipt", taken, sent) }
    return ChunkReceipt(taken: taken)
  }
}
