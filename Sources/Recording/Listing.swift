import Primitives
import RuntimeCore

/// A recording in words, input by input: the conversation of the protocol.
public struct RecordingListing {
  public struct Entry: Sendable {
    public var machine: Address
    /// From 1, of this machine; a driver's number may come again for a later program.
    public var number: UInt64
    public var time: Instant
    public var input: String
    public var effects: [String]
  }

  /// Only this machine; nil for all.
  public var machine: Address?
  /// Only inputs at or after the first moment and before the second.
  public var from = Instant.zero
  public var to = Instant.never

  public init() {}

  /// Calls `body` with each input, stream by stream as the file has them; false ends the listing.
  ///
  /// - Throws: `RecordingError` when the bytes cannot be read as a recording.
  public func run(
    _ file: UnsafeRawBufferPointer, _ body: (Entry) -> Bool
  ) throws(RecordingError) {
    var blocks = try RecordingBlocks(file)
    var streams: [UInt32: (RecordedStream, counts: [UInt32: UInt64])] = [:]
    while let block = try blocks.next() {
      var (stream, counts) = streams[block.stream] ?? (RecordedStream(kinds: blocks.kinds), [:])
      var reader = stream.reader(block)
      while let event = try stream.next(&reader) {
        guard case .input(let input) = event else { continue }
        counts[input.target.raw, default: 0] += 1
        let isWanted =
          (machine == nil || machine == input.target) && !(input.time < from) && input.time < to
        var goesOn = true
        if isWanted {
          goesOn = body(
            Entry(
              machine: input.target, number: counts[input.target.raw] ?? 0, time: input.time,
              input: stream.text(input), effects: input.effects.map { stream.text(effect: $0) }))
        }
        if case .message(let message, _) = input.content { message.discardBody(stream.payloads) }
        if !goesOn { return }
      }
      streams[block.stream] = block.endsStream ? nil : (stream, counts)
    }
  }

  /// The machines of a recording, those that heard nothing too, by role and number.
  ///
  /// - Throws: `RecordingError` when the bytes cannot be read as a recording.
  public static func machines(_ file: UnsafeRawBufferPointer) throws(RecordingError) -> [Address] {
    var blocks = try RecordingBlocks(file)
    var streams: [UInt32: RecordedStream] = [:]
    var found: Set<Address> = []
    while let block = try blocks.next() {
      let stream = streams[block.stream] ?? RecordedStream(kinds: blocks.kinds)
      var reader = stream.reader(block)
      while let event = try stream.next(&reader) {
        switch event {
        case .machine(let description, _): found.insert(description.address)
        case .machineEnded: break
        case .input(let input):
          found.insert(input.target)
          if case .message(let message, _) = input.content { message.discardBody(stream.payloads) }
        }
      }
      streams[block.stream] = block.endsStream ? nil : stream
    }
    return found.sorted { $0.raw < $1.raw }
  }

  /// The moment of the first input; nil without any.
  public static func begin(_ file: UnsafeRawBufferPointer) throws(RecordingError) -> Instant? {
    var first: Instant?
    try RecordingListing().run(file) {
      first = $0.time
      return false
    }
    return first
  }
}
