import Primitives
import RuntimeCore

/// One chunk of an object on a bulk connection: this head, then the chunk's bytes.
///
///     16 producer  TaskID   36 index   UInt16   40 size    UInt64   56 status    UInt8
///     32 value     Int32    38 count   UInt16   48 offset  UInt64   57 reserved  3 bytes, 0
///
/// The head is decoded on its own, so that the bytes behind it can go straight to where they
/// belong.
public struct ChunkFrame: Hashable, Sendable, BitwiseCopyable {
  public var object: ObjectID
  /// Which chunk this is, and of how many.
  public var index: UInt16
  public var count: UInt16
  /// Bytes of the whole object.
  public var size: ByteCount
  /// Where in the object this chunk begins.
  public var offset: ByteCount
  public var status: ObjectStatus

  public static var kind: UInt8 { 160 }
  /// Bytes of the head, frame header included.
  public static var headByteCount: Int { 60 }

  public init(
    object: ObjectID, index: UInt16, count: UInt16, size: ByteCount, offset: ByteCount,
    status: ObjectStatus = .value
  ) {
    self.object = object
    self.index = index
    self.count = count
    self.size = size
    self.offset = offset
    self.status = status
  }

  /// Appends the head of a frame with `payloadCount` bytes, which the caller sends behind it.
  public func encode(
    payloadCount: Int, from source: Address, to target: Address, into writer: inout FrameWriter
  ) throws(FrameError) {
    let length = Self.headByteCount + payloadCount
    guard length <= Int(UInt32.max) else {
      throw .make(.tooLong, "chunk", length, UInt32.max)
    }
    let place = try writer.take(Self.headByteCount)
    FrameHeader(length: length, kind: Self.kind, source: source, target: target).write(to: place)
    var output = FrameOutput(place + FrameHeader.byteCount)
    output.put(object)
    output.put(index)
    output.put(count)
    output.put(size.bytes)
    output.put(offset.bytes)
    output.put(UInt32(status.rawValue))
  }

  /// Reads the head at the front of `bytes`.
  ///
  /// - Returns: the header, the chunk, and how many bytes of it follow.
  /// - Throws: `FrameError` when `bytes` is shorter than the head or the chunk cannot be part of
  ///   its object.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer
  ) throws(FrameError) -> (header: FrameHeader, chunk: ChunkFrame, payloadCount: Int) {
    let header = try FrameHeader(reading: bytes)
    guard header.kind == kind else { throw .make(.mismatch, "kind of frame", header.kind, kind) }
    guard header.flags == 0 else { throw .make(.mismatch, "flags", header.flags, 0) }
    let payload = Int(header.length) - headByteCount
    guard payload >= 0 else {
      throw .make(.truncated, "chunk", Int(header.length), headByteCount)
    }
    var reader = FrameReader(bytes)
    try reader.require(headByteCount, "chunk")
    _ = reader.loadBytes(FrameHeader.byteCount)
    let chunk = ChunkFrame(
      object: reader.loadObject(), index: reader.load(UInt16.self), count: reader.load(UInt16.self),
      size: ByteCount(reader.load(UInt64.self)), offset: ByteCount(reader.load(UInt64.self)),
      status: .value)
    let word = reader.load(UInt32.self)
    guard let status = ObjectStatus(rawValue: UInt8(truncatingIfNeeded: word)) else {
      throw .make(.unknownValue, "object status", UInt8(truncatingIfNeeded: word))
    }
    guard word >> 8 == 0 else { throw .make(.mismatch, "reserved part of a chunk", word >> 8, 0) }
    var complete = chunk
    complete.status = status
    try complete.check(payload)
    return (header, complete, payload)
  }

  private func check(_ payload: Int) throws(FrameError) {
    guard index < count else {
      throw .make(.aboveLimit, "chunk number", index, Int(count) - 1)
    }
    let limit = MessageDecoder.largestObject
    guard size.bytes <= limit else { throw .make(.aboveLimit, "object size", size.bytes, limit) }
    guard offset <= size else {
      throw .make(.aboveLimit, "chunk offset", offset.bytes, size.bytes)
    }
    // The text of an error travels in the place of the value.
    let most = size.bytes - offset.bytes
    guard UInt64(payload) <= most else {
      throw .make(.aboveLimit, "bytes of a chunk", payload, most)
    }
  }
}
