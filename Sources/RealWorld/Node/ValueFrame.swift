import Primitives
import RuntimeCore
import WireFormat

/// The bytes of an object, between a client and its node; sent before the message that speaks of the
/// object. Either the bytes follow, or they lie in the node's shared segment.
///
///     16 producer  TaskID   36 form   UInt8, 3 bytes 0    40 the bytes, or offset and count, UInt64
///     32 index     Int32
enum ValueFrame {
  static let kind: UInt8 = 161
  /// A frame of this kind asks for the bytes of an object; it has none itself.
  static let wantedKind: UInt8 = 163
  private static let bodyOffset = 24

  enum Content {
    case bytes(UnsafeRawBufferPointer)
    /// To a client: where in the segment the bytes lie. To a node: the key of the room, and the size.
    case segment(offset: Int, count: Int)
    /// The node keeps so many bytes until they are asked for.
    case kept(count: Int)
  }

  /// - Parameter loan: for a place in the segment, what the client gives back when it has read.
  static func encode(
    _ object: ObjectID, _ content: Content, kind: UInt8 = kind, loan: UInt64 = 0,
    from source: Address, to target: Address, into writer: inout FrameWriter
  ) throws(FrameError) {
    let count: Int
    switch content {
    case .bytes(let bytes): count = bytes.count
    case .segment: count = 24
    case .kept: count = 8
    }
    let place = try writer.takeFrame(
      kind: kind, source: source, target: target, bodyCount: bodyOffset + count)
    switch content {
    case .bytes(let bytes):
      writeHead(object, form: 0, to: place)
      if let base = bytes.baseAddress {
        (place + bodyOffset).copyMemory(from: base, byteCount: bytes.count)
      }
    case .kept(let count):
      writeHead(object, form: 2, to: place)
      place.storeBytes(of: UInt64(count).littleEndian, toByteOffset: 24, as: UInt64.self)
    case .segment(let offset, let count):
      writeHead(object, form: 1, to: place)
      place.storeBytes(of: UInt64(offset).littleEndian, toByteOffset: 24, as: UInt64.self)
      place.storeBytes(of: UInt64(count).littleEndian, toByteOffset: 32, as: UInt64.self)
      place.storeBytes(of: loan.littleEndian, toByteOffset: 40, as: UInt64.self)
    }
  }

  /// Begins a frame with `byteCount` bytes of a value and returns where they go.
  static func reserve(
    _ object: ObjectID, byteCount: Int, from source: Address, to target: Address,
    in writer: inout FrameWriter
  ) throws(FrameError) -> UnsafeMutableRawPointer {
    let place = try writer.takeFrame(
      kind: kind, source: source, target: target, bodyCount: bodyOffset + byteCount)
    writeHead(object, form: 0, to: place)
    return place + bodyOffset
  }

  /// The loan of a frame that names a place.
  static func loan(_ frame: UnsafeRawBufferPointer) -> UInt64 {
    UInt64(littleEndian: frame.loadUnaligned(fromByteOffset: 56, as: UInt64.self))
  }

  private static func writeHead(
    _ object: ObjectID, form: UInt32, to place: UnsafeMutableRawPointer
  ) {
    place.storeBytes(of: object.producer.high.littleEndian, as: UInt64.self)
    place.storeBytes(of: object.producer.low.littleEndian, toByteOffset: 8, as: UInt64.self)
    place.storeBytes(of: object.index.littleEndian, toByteOffset: 16, as: Int32.self)
    place.storeBytes(of: form.littleEndian, toByteOffset: 20, as: UInt32.self)
  }

  /// - Parameter frame: a whole frame of this kind.
  static func decode(
    _ frame: UnsafeRawBufferPointer
  ) throws(FrameError) -> (ObjectID, Content) {
    var reader = FrameReader(UnsafeRawBufferPointer(rebasing: frame[FrameHeader.byteCount...]))
    let high = try reader.integer(UInt64.self, "producer")
    let low = try reader.integer(UInt64.self, "producer")
    let index = try reader.integer(Int32.self, "object index")
    let form = try reader.integer(UInt32.self, "form of a value")
    let object = ObjectID(producer: TaskID(high: high, low: low), index: index)
    switch form {
    case 0: return (object, .bytes(try reader.bytes(reader.remaining, "value")))
    case 1:
      try reader.requireExactly(24, "place of a value")
      let offset = try reader.integer(UInt64.self, "offset")
      let count = try reader.integer(UInt64.self, "count")
      guard offset <= UInt64(Int.max / 2), count <= UInt64(Int.max / 2) else {
        throw FrameError(.aboveLimit, "place of a value", found: max(offset, count), expected: 0)
      }
      return (object, .segment(offset: Int(offset), count: Int(count)))
    case 2:
      try reader.requireExactly(8, "size of a value")
      let count = try reader.integer(UInt64.self, "count")
      return (object, .kept(count: Int(clamping: count)))
    default:
      throw FrameError(.unknownValue, "form of a value", found: UInt64(form), expected: 1)
    }
  }
}
