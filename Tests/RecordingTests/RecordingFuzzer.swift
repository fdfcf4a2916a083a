import Primitives
import RuntimeCore

@testable import Recording

/// Alters a recording at random, below right checks: what a peer could write that wants a replay to
/// crash.
struct RecordingFuzzer {
  /// What a stretch of a block's records is: whole records, so that they can change places.
  private enum Kind: Int, CaseIterable {
    /// Tasks, demands, sizes and parameters.
    case definitions, machine, input
  }

  private struct Stretch {
    var kind: Kind
    /// All of it, in the block's records.
    var range: Range<Int>
    /// Without the effects of an input, which no machine hears.
    var heard: Range<Int>
  }

  private struct Block {
    var stream: UInt32
    var flags: UInt16
    var records: [UInt8]
    var stretches: [Stretch] = []
  }

  private struct Parts {
    var blocks: [Block] = []
    var kinds: [MessageKind?]
    /// The machines of each stream, as the recording writes addresses.
    var machines: [UInt32: [UInt64]] = [:]
  }

  private let preface: [UInt8]
  private let parts: Parts

  /// - Throws: `RecordingError` when the bytes are not a whole recording.
  init(_ bytes: [UInt8]) throws {
    let first = AlteredRecording(bytes).blocks()[0]
    preface = Array(bytes[..<(first.start + RecordingFormat.blockHeadByteCount + first.length)])
    parts = try bytes.withUnsafeBytes { file throws(RecordingError) in
      try Self.takenApart(file)
    }
  }

  private static func takenApart(
    _ file: UnsafeRawBufferPointer
  ) throws(RecordingError) -> Parts {
    var reading = try RecordingBlocks(file)
    var parts = Parts(kinds: reading.kinds)
    var streams: [UInt32: RecordedStream] = [:]
    while let block = try reading.next() {
      let stream = streams[block.stream] ?? RecordedStream(kinds: reading.kinds)
      streams[block.stream] = stream
      var altered = Block(
        stream: block.stream, flags: block.endsStream ? RecordingFormat.endsStream : 0,
        records: Array(block.records))
      var reader = stream.reader(block)
      var start = block.offset
      func add(_ kind: Kind, _ range: Range<Int>, heard end: Int? = nil) {
        if range.isEmpty { return }
        let here = (range.lowerBound - block.offset)..<(range.upperBound - block.offset)
        altered.stretches.append(
          Stretch(
            kind: kind, range: here,
            heard: here.lowerBound..<(end.map { $0 - block.offset } ?? here.upperBound)))
      }
      while let event = try stream.next(&reader) {
        switch event {
        case .input(let input):
          if case .message(let message, _) = input.content {
            message.discardBody(stream.payloads)
          }
          add(.definitions, start..<input.offset)
          let end = input.effects.first.map { effect in
            // In front of an effect lie its tag and its length.
            file.baseAddress!.distance(to: effect.baseAddress!) - (effect.count < 255 ? 2 : 6)
          }
          add(.input, input.offset..<reader.offset, heard: end)
        case .machine(let machine, let offset):
          let address = machine.address.raw
          parts.machines[block.stream, default: []].append(
            UInt64(address >> 29) | UInt64(address & 0x1FFF_FFFF) << 2)
          add(.definitions, start..<offset)
          add(.machine, offset..<reader.offset)
        case .machineEnded: add(.machine, start..<reader.offset)
        }
        start = reader.offset
      }
      add(.definitions, start..<reader.offset)
      parts.blocks.append(altered)
    }
    return parts
  }

  /// Around the limits of types and of tables.
  private static let extremes: [UInt64] = {
    var numbers: [UInt64] = [.max - 1, .max]
    for shift: UInt64 in [0, 6, 7, 8, 15, 16, 20, 24, 28, 29, 30, 31, 32, 43, 53, 60, 63] {
      let power: UInt64 = 1 << shift
      numbers += [power - 1, power, power + 1]
    }
    return numbers
  }()

  private static let words: [UInt64] = {
    let reals: [Double] = [
      .nan, .infinity, -.infinity, -1, 1e300, -1e300, 1e-300, .leastNonzeroMagnitude, 0,
    ]
    return reals.map(\.bitPattern) + extremes
  }()

  /// A file altered in a few places; the same for the same number. Most can still be read as a
  /// recording to their ends, so that the machines hear what was altered.
  func altered(_ number: UInt64) -> [UInt8] {
    var random = RandomStream(seed: number, stream: 0x4655_5A5A)
    var blocks = parts.blocks
    if random.below(4) == 0 {
      for _ in 0..<(1 + random.below(3)) { alter(&blocks, &random) }
    } else {
      for _ in 0..<(1 + random.below(8)) {
        var next = blocks
        alter(&next, &random)
        if Self.canBeRead(file(next)) { blocks = next }
      }
    }
    var bytes = file(blocks)
    if random.below(16) == 0 { bytes.removeLast(Int(random.below(UInt64(bytes.count)))) }
    return bytes
  }

  private func file(_ blocks: [Block]) -> [UInt8] {
    blocks.reduce(preface) { $0 + Self.sealed($1) } + recordingEnd()
  }

  private static func canBeRead(_ bytes: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { file in
      var last = RecordingListing()
      last.from = .never
      do throws(RecordingError) {
        try last.run(file) { _ in true }
        return true
      } catch {
        return false
      }
    }
  }

  private static func sealed(_ block: Block) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: RecordingFormat.blockHeadByteCount) + block.records
    bytes.withUnsafeMutableBytes {
      RecordingFormat.sealBlock($0, stream: block.stream, flags: block.flags)
    }
    return bytes
  }

  /// A stretch of a kind that is drawn first, so that the few which describe machines come up too.
  private static func draw(
    _ blocks: [Block], _ random: inout RandomStream
  ) -> (block: Int, stretch: Stretch)? {
    let kind: Kind = [.definitions, .definitions, .machine, .input][Int(random.below(4))]
    let block = Int(random.below(UInt64(blocks.count)))
    let those = blocks[block].stretches.filter {
      $0.kind == kind && $0.range.upperBound <= blocks[block].records.count
    }
    return those.isEmpty ? nil : (block, those[Int(random.below(UInt64(those.count)))])
  }

  private func alter(_ blocks: inout [Block], _ random: inout RandomStream) {
    guard let (block, stretch) = Self.draw(blocks, &random) else { return }
    let whole = Array(blocks[block].records[stretch.range])
    // Mostly what a machine hears.
    let range = stretch.heard.isEmpty || random.below(8) == 0 ? stretch.range : stretch.heard
    let position = range.lowerBound + Int(random.below(UInt64(range.count)))
    switch random.below(24) {
    case 0, 1: blocks[block].records[position] = UInt8(truncatingIfNeeded: random.next())
    case 2, 3: blocks[block].records[position] ^= 1 << UInt8(random.below(8))
    case 4, 5, 6, 7:
      // A number in place of a number's first byte, or of another.
      var writer = RecordWriter()
      writer.number(Self.number(&random))
      var end = position
      if random.below(2) == 0 {
        while end < range.upperBound - 1 && blocks[block].records[end] & 0x80 != 0 { end += 1 }
      }
      Self.replace(&blocks[block], position..<(end + 1), with: Array(writer.bytes))
    case 8:
      let end = min(range.upperBound, position + 8)
      let word = Self.words[Int(random.below(UInt64(Self.words.count)))]
      let bytes = (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
      Self.replace(&blocks[block], position..<end, with: bytes)
    case 9: Self.replace(&blocks[block], stretch.range, with: [])
    case 10: Self.replace(&blocks[block], stretch.range, with: whole + whole)
    case 11:
      // Two stretches change places.
      let other = Self.draw(blocks, &random)
      guard let other, other.block == block, other.stretch.range != stretch.range else { return }
      let (a, b) =
        stretch.range.lowerBound < other.stretch.range.lowerBound
        ? (stretch.range, other.stretch.range) : (other.stretch.range, stretch.range)
      guard a.upperBound <= b.lowerBound else { return }
      let (first, second) = (blocks[block].records[a], blocks[block].records[b])
      blocks[block].records.replaceSubrange(b, with: Array(first))
      Self.replace(&blocks[block], a, with: Array(second))
      blocks[block].stretches.removeAll {
        $0.range.upperBound > a.lowerBound && $0.range.lowerBound < b.upperBound
      }
    case 12:
      // One of another place, or of another stream.
      guard let other = Self.draw(blocks, &random) else { return }
      let bytes = Array(blocks[other.block].records[other.stretch.range])
      let start = stretch.range.lowerBound
      Self.replace(&blocks[block], start..<start, with: bytes)
    case 13:
      if random.below(2) == 0 {
        Self.replace(&blocks[block], position..<(position + 1), with: [])
      } else {
        let byte = UInt8(truncatingIfNeeded: random.next())
        Self.replace(&blocks[block], position..<position, with: [byte])
      }
    case 14:
      blocks[block].records.removeSubrange(position...)
      blocks[block].stretches.removeAll { $0.range.upperBound > position }
    case 15:
      let other = Int(random.below(UInt64(blocks.count)))
      if random.below(2) == 0 { blocks.swapAt(block, other) } else { blocks[block].stream = 0 }
    default:
      // Inputs that say something else, in place of one or before one.
      let start = stretch.range.lowerBound
      let end = random.below(2) == 0 ? start : stretch.range.upperBound
      var inputs: [UInt8] = []
      for _ in 0..<(1 + random.below(8)) { inputs += input(of: blocks[block].stream, &random) }
      Self.replace(&blocks[block], start..<end, with: inputs)
    }
  }

  /// A number such as there are many, or one at a limit.
  private static func number(_ random: inout RandomStream) -> UInt64 {
    switch random.below(8) {
    case 0: extremes[Int(random.below(UInt64(extremes.count)))]
    case 1: random.below(200)
    default: random.below(7)
    }
  }

  /// An input of one of a stream's machines that can be read, with numbers that may mean nothing.
  private func input(of stream: UInt32, _ random: inout RandomStream) -> [UInt8] {
    guard let machines = parts.machines[stream], !machines.isEmpty else { return [] }
    var writer = RecordWriter()
    let target = machines[Int(random.below(UInt64(machines.count)))]
    let isCall = target & 3 == 3 && random.below(2) == 0
    writer.byte(isCall ? RecordTag.call.rawValue : RecordTag.message.rawValue)
    writer.number(target)
    // As after an earlier time, or nearly.
    writer.signed(Int64(random.below(64)) << Int64(random.below(30)))
    if isCall {
      writer.number(random.below(7))
    } else {
      let source = machines[Int(random.below(UInt64(machines.count)))]
      writer.number(random.below(4) == 0 ? random.below(64) : source)
      let kind = MessageKind.allCases[Int(random.below(UInt64(MessageKind.allCases.count)))]
      writer.number(UInt64(kind.rawValue))
    }
    for _ in 0..<40 { writer.number(Self.number(&random)) }
    // As many of these numbers as the input has; none when they cannot be one.
    let reading = RecordedStream(kinds: parts.kinds)
    var reader = RecordReader(writer.bytes, at: 0)
    do throws(RecordingError) {
      guard case .input(let input) = try reading.next(&reader) else { return [] }
      if case .message(let message, _) = input.content { message.discardBody(reading.payloads) }
    } catch {
      return []
    }
    return Array(writer.bytes[..<reader.position])
  }

  /// Later stretches keep their distance.
  private static func replace(_ block: inout Block, _ range: Range<Int>, with bytes: [UInt8]) {
    block.records.replaceSubrange(range, with: bytes)
    let more = bytes.count - range.count
    block.stretches = block.stretches.compactMap { stretch in
      if stretch.range.upperBound <= range.lowerBound { return stretch }
      guard stretch.range.lowerBound >= range.upperBound else { return nil }
      func moved(_ range: Range<Int>) -> Range<Int> {
        (range.lowerBound + more)..<(range.upperBound + more)
      }
      return Stretch(
        kind: stretch.kind, range: moved(stretch.range), heard: moved(stretch.heard))
    }
  }
}
