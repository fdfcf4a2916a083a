import RuntimeCore

/// The form of a recording: a file of blocks, each of one stream.
///
///     file    = "HELIOREC" version(4) 0(4) block …
///     block   = "HRB2" stream(4) length(4) flags(2) headCheck(2) check(8) record …
///
/// A stream is what one thread of a process recorded: machines that share one table of tasks. Its
/// records lie in its blocks in the order in which things happened; a block holds whole inputs with
/// all their effects, so that a file which ends too early still ends between two inputs. The check
/// covers the block's head and its records; the head's own check tells a wrong length from a file that
/// was cut off.
///
/// Numbers are little-endian; within records they have seven bits a byte.
enum RecordingFormat {
  static let magic: [UInt8] = Array("HELIOREC".utf8)
  static let version: UInt32 = 2
  static let headByteCount = 16
  static let blockMark: UInt32 = 0x3242_5248
  static let blockHeadByteCount = 24
  /// The last block of its stream.
  static let endsStream: UInt16 = 1
  /// The last block of the file: what comes before is everything.
  static let endsFile: UInt16 = 2
  /// Not a stream of machines: which messages there are, and where the recording comes from.
  static let prefaceStream = UInt32.max
  /// A block is written when it is so long.
  static let blockByteCount = 64 << 10
  /// No block is longer: an input with its effects would have to be.
  static let longestBlock = 1 << 30

  static func check(_ bytes: UnsafeRawBufferPointer, stream: UInt32, flags: UInt16) -> UInt64 {
    var hash: UInt64 = 0x6865_6C69_6F72_6563 ^ UInt64(stream) << 32 ^ UInt64(flags)
    var i = 0
    while i + 8 <= bytes.count {
      hash ^= UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self))
      hash = (hash ^ hash >> 29) &* 0x9E37_79B9_7F4A_7C15
      i += 8
    }
    while i < bytes.count {
      hash = (hash ^ UInt64(bytes[i])) &* 0x0000_0100_0000_01B3
      i += 1
    }
    hash ^= UInt64(bytes.count)
    return (hash ^ hash >> 32) &* 0xD6E8_FEB8_6659_FD93
  }

  /// The check of a block's head.
  static func check(stream: UInt32, length: UInt32, flags: UInt16) -> UInt16 {
    var hash = (UInt64(stream) << 32 | UInt64(length)) &* 0x9E37_79B9_7F4A_7C15
    hash = (hash ^ hash >> 29 ^ UInt64(flags)) &* 0xD6E8_FEB8_6659_FD93
    return UInt16(truncatingIfNeeded: hash >> 48)
  }

  /// Fills in the head of a block whose records lie behind room for it.
  static func sealBlock(_ block: UnsafeMutableRawBufferPointer, stream: UInt32, flags: UInt16) {
    let records = UnsafeRawBufferPointer(rebasing: block[blockHeadByteCount...])
    block.storeBytes(of: blockMark.littleEndian, toByteOffset: 0, as: UInt32.self)
    block.storeBytes(of: stream.littleEndian, toByteOffset: 4, as: UInt32.self)
    let length = UInt32(truncatingIfNeeded: records.count)
    block.storeBytes(of: length.littleEndian, toByteOffset: 8, as: UInt32.self)
    block.storeBytes(of: flags.littleEndian, toByteOffset: 12, as: UInt16.self)
    block.storeBytes(
      of: check(stream: stream, length: length, flags: flags).littleEndian, toByteOffset: 14,
      as: UInt16.self)
    block.storeBytes(
      of: check(records, stream: stream, flags: flags).littleEndian, toByteOffset: 16,
      as: UInt64.self)
  }
}

/// What a record is; its first byte.
enum RecordTag: UInt8 {
  /// A demand of resources: the next number of a shape.
  case shape = 1
  /// A task behind a handle, from here on.
  case task = 2
  /// The size of a return value, from here on.
  case outputSize = 3
  case parameters = 4
  case machine = 5
  case machineEnded = 6
  /// A machine heard a message.
  case message = 16
  /// A machine was told to start.
  case started = 17
  /// A program called its driver.
  case call = 18
  /// What the input before it caused, in order.
  case effect = 32
}

/// What a program asks of its driver: its number in recordings.
enum DriverCall: UInt8 {
  case submit, put, request, free, flush, register, cancel
}

/// What every recording begins with.
public var recordingMagic: [UInt8] { RecordingFormat.magic }

/// The beginning of a recording's file and its first block, which names every kind of message, so
/// that a later version with other ones can still read it.
///
/// - Parameter origin: where it was made, in a few words, such as `node 1`.
public func recordingPreface(origin: String) -> [UInt8] {
  var writer = RecordWriter()
  for byte in RecordingFormat.magic { writer.byte(byte) }
  writer.fixed(RecordingFormat.version)
  writer.fixed(0)
  for _ in 0..<RecordingFormat.blockHeadByteCount { writer.byte(0) }
  writer.text(origin)
  writer.number(UInt64(MessageKind.allCases.count))
  for kind in MessageKind.allCases {
    writer.number(UInt64(kind.rawValue))
    writer.text(kind.name)
  }
  let head = RecordingFormat.headByteCount
  RecordingFormat.sealBlock(
    UnsafeMutableRawBufferPointer(start: writer.base + head, count: writer.count - head),
    stream: RecordingFormat.prefaceStream, flags: 0)
  return Array(writer.bytes)
}

/// The last block of a recording's file, when nothing is missing.
public func recordingEnd() -> [UInt8] {
  var block = [UInt8](repeating: 0, count: RecordingFormat.blockHeadByteCount)
  block.withUnsafeMutableBytes {
    RecordingFormat.sealBlock(
      $0, stream: RecordingFormat.prefaceStream, flags: RecordingFormat.endsFile)
  }
  return block
}

extension RecordWriter {
  fileprivate mutating func fixed(_ value: UInt32) {
    for shift: UInt32 in [0, 8, 16, 24] { byte(UInt8(truncatingIfNeeded: value >> shift)) }
  }
}
