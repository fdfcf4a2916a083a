import RuntimeCore

/// The blocks of a recording's file, one after the other.
struct RecordingBlocks {
  struct Block {
    var stream: UInt32
    var records: UnsafeRawBufferPointer
    /// Of the first record, in the file.
    var offset: Int
    var endsStream: Bool
  }

  private let file: UnsafeRawBufferPointer
  private var position = 0
  /// Where it was made.
  let origin: String
  /// The kind behind each number that the file uses for kinds.
  let kinds: [MessageKind?]
  /// The file says that nothing is missing.
  private(set) var isComplete = false
  /// Bytes of a last block that is not whole.
  private(set) var cutBytes = 0

  /// - Throws: `RecordingError` when the bytes are no recording, or one of a later version.
  init(_ file: UnsafeRawBufferPointer) throws(RecordingError) {
    self.file = file
    let head = RecordingFormat.headByteCount
    guard file.count >= head, file.starts(with: RecordingFormat.magic) else {
      throw RecordingError(
        at: 0, "this is no recording; expected a file that `--record` has written")
    }
    let version = Self.word(file, 8)
    guard version == RecordingFormat.version else {
      throw RecordingError(
        at: 8,
        "a recording of form \(version); this version of heliostat reads form "
          + "\(RecordingFormat.version)")
    }
    guard Self.word(file, 12) == 0 else {
      throw RecordingError(at: 12, "expected four bytes of 0: the file is damaged")
    }
    position = head
    guard let preface = try Self.next(file, &position),
      preface.stream == RecordingFormat.prefaceStream
    else { throw RecordingError(at: head, "the recording ends within its preface") }
    var reader = RecordReader(preface.records, at: preface.offset)
    origin = try reader.text("origin")
    var kinds = [MessageKind?](repeating: nil, count: 256)
    for _ in 0..<(try reader.number("number of kinds", upTo: 256)) {
      let number = Int(try reader.number("kind of message", upTo: 255))
      let name = try reader.text("name of a kind")
      kinds[number] = MessageKind.allCases.first { $0.name == name }
    }
    self.kinds = kinds
  }

  private static func word(_ file: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
    UInt32(littleEndian: file.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// The next block; nil at the end, and before a block that is not whole.
  mutating func next() throws(RecordingError) -> Block? {
    while let block = try Self.next(file, &position) {
      if block.stream != RecordingFormat.prefaceStream { return block }
      isComplete = true
    }
    cutBytes = file.count - position
    return nil
  }

  private static func next(
    _ file: UnsafeRawBufferPointer, _ position: inout Int
  ) throws(RecordingError) -> Block? {
    let head = RecordingFormat.blockHeadByteCount
    guard file.count - position >= head else { return nil }
    guard word(file, position) == RecordingFormat.blockMark else {
      throw RecordingError(at: position, "no block begins here: the file is damaged")
    }
    let stream = word(file, position + 4)
    let length = Int(word(file, position + 8))
    let flags = UInt16(truncatingIfNeeded: word(file, position + 12))
    let headCheck = UInt16(truncatingIfNeeded: word(file, position + 12) >> 16)
    guard
      headCheck == RecordingFormat.check(stream: stream, length: UInt32(length), flags: flags)
    else {
      throw RecordingError(
        at: position, "the head of a block does not have its check: the file is damaged")
    }
    guard length <= RecordingFormat.longestBlock else {
      throw RecordingError(at: position + 8, "a block of \(length) bytes: the file is damaged")
    }
    guard file.count - position - head >= length else { return nil }
    let records = UnsafeRawBufferPointer(
      rebasing: file[(position + head)..<(position + head + length)])
    let check = UInt64(
      littleEndian: file.loadUnaligned(fromByteOffset: position + 16, as: UInt64.self))
    guard check == RecordingFormat.check(records, stream: stream, flags: flags) else {
      throw RecordingError(
        at: position, "a block of \(length) bytes does not have its check: the file is damaged")
    }
    defer { position += head + length }
    return Block(
      stream: stream, records: records, offset: position + head,
      endsStream: flags & RecordingFormat.endsStream != 0)
  }
}
