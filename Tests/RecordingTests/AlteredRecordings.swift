import Primitives
import RuntimeCore

@testable import Recording

/// A recording taken apart, to be put together again with changes.
struct AlteredRecording {
  var bytes: [UInt8]

  /// One recorded input: where its own bytes end in the file, and where each effect lies.
  struct Input {
    var target: Address
    var kind: MessageKind?
    var range: Range<Int>
    var effects: [Range<Int>]
  }

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// All inputs, in the order of the file.
  func inputs() throws -> [Input] {
    try bytes.withUnsafeBytes { file throws(RecordingError) in
      var blocks = try RecordingBlocks(file)
      var streams: [UInt32: RecordedStream] = [:]
      var inputs: [Input] = []
      while let block = try blocks.next() {
        let stream = streams[block.stream] ?? RecordedStream(kinds: blocks.kinds)
        streams[block.stream] = stream
        var reader = stream.reader(block)
        while let event = try stream.next(&reader) {
          guard case .input(let input) = event else { continue }
          var kind: MessageKind?
          if case .message(let message, _) = input.content {
            kind = message.kind
            message.discardBody(stream.payloads)
          }
          let effects = input.effects.map { effect in
            let start = file.baseAddress!.distance(to: effect.baseAddress!)
            return start..<(start + effect.count)
          }
          // In front of an effect lie its tag and its length.
          let end = effects.first.map { $0.lowerBound - ($0.count < 255 ? 2 : 6) }
          inputs.append(
            Input(
              target: input.target, kind: kind, range: input.offset..<(end ?? reader.offset),
              effects: effects))
        }
      }
      return inputs
    }
  }

  /// The blocks: where each begins, and how long its records are.
  func blocks() -> [(start: Int, length: Int)] {
    var found: [(Int, Int)] = []
    var position = RecordingFormat.headByteCount
    while position + RecordingFormat.blockHeadByteCount <= bytes.count {
      let length = (0..<4).reduce(0) { $0 | Int(bytes[position + 8 + $1]) << (8 * $1) }
      found.append((position, length))
      position += RecordingFormat.blockHeadByteCount + length
    }
    return found
  }

  /// Gives every block the check of what it now holds.
  mutating func reseal() {
    for (start, length) in blocks() {
      func word(_ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[start + offset + $1]) << UInt32(8 * $1) }
      }
      let (stream, flags) = (word(4), UInt16(truncatingIfNeeded: word(12)))
      let end = start + RecordingFormat.blockHeadByteCount + length
      bytes.withUnsafeMutableBytes {
        RecordingFormat.sealBlock(
          UnsafeMutableRawBufferPointer(rebasing: $0[start..<end]), stream: stream, flags: flags)
      }
    }
  }
}
