import WireFormat

extension FrameHeader {
  /// The length that the header at `pointer` claims; four bytes must be there.
  static func length(at pointer: UnsafeRawPointer) -> Int {
    Int(UInt32(littleEndian: pointer.loadUnaligned(as: UInt32.self)))
  }
}

/// Cuts a stream of bytes into whole frames, in place where they came whole.
struct FrameAssembler: ~Copyable {
  enum Event {
    /// One or more whole frames; valid until the next call.
    case frames(UnsafeRawBufferPointer)
    /// A piece of a long frame that is not assembled.
    case part(frameLength: Int, offset: Int, bytes: UnsafeRawBufferPointer)
    /// The length field of a frame is out of bounds; the stream is of no more use.
    case fault(length: Int)
    /// All bytes are taken.
    case empty
  }

  let maximum: Int
  let partsAbove: Int
  let partHead: Int
  /// The beginning of a frame whose rest has not come.
  private var storage: UnsafeMutableRawPointer
  private var capacity: Int
  private var filled = 0
  /// A long frame being handed on in pieces: its length, and what was handed on.
  private var partLength = 0
  private var partOffset = 0

  /// Kept between frames; more is given back.
  private static let kept = 8 << 20

  init(maximum: Int, partsAbove: Int? = nil, partHead: Int = FrameHeader.byteCount) {
    self.maximum = maximum
    self.partsAbove = max(partsAbove ?? .max, partHead)
    self.partHead = partHead
    capacity = 64
    storage = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { storage.deallocate() }

  /// What has come of an unfinished frame, and its length when known.
  var unfinished: (count: Int, length: Int?)? {
    if partLength > 0 { return (partOffset, partLength) }
    if filled == 0 { return nil }
    return (filled, filled >= 4 ? FrameHeader.length(at: storage) : nil)
  }

  /// Takes bytes from the front of `input`. Call until it returns `empty`.
  mutating func next(_ input: inout UnsafeRawBufferPointer) -> Event {
    if input.isEmpty { return .empty }
    if partLength > 0 { return nextPart(&input) }
    if filled > 0 { return nextAssembled(&input) }
    var end = 0
    var fault: Int?
    if let base = input.baseAddress {
      let count = input.count
      while count - end >= 4 {
        let length = FrameHeader.length(at: base + end)
        if length < FrameHeader.byteCount || length > maximum {
          fault = length
          break
        }
        if length > count - end { break }
        end += length
      }
    }
    if end > 0 {
      let frames = UnsafeRawBufferPointer(rebasing: input[..<end])
      input = UnsafeRawBufferPointer(rebasing: input[end...])
      return .frames(frames)
    }
    if let fault { return .fault(length: fault) }
    if input.count >= partHead, case let length = FrameHeader.length(at: input.baseAddress!),
      length > partsAbove
    {
      partLength = length
      partOffset = 0
      return nextPart(&input)
    }
    return nextAssembled(&input)
  }

  private mutating func nextPart(_ input: inout UnsafeRawBufferPointer) -> Event {
    let count = min(partLength - partOffset, input.count)
    let event = Event.part(
      frameLength: partLength, offset: partOffset,
      bytes: UnsafeRawBufferPointer(rebasing: input[..<count]))
    input = UnsafeRawBufferPointer(rebasing: input[count...])
    partOffset += count
    if partOffset == partLength { partLength = 0 }
    return event
  }

  private mutating func nextAssembled(_ input: inout UnsafeRawBufferPointer) -> Event {
    if filled < 4 {
      take(4 - filled, from: &input)
      if filled < 4 { return .empty }
    }
    let length = FrameHeader.length(at: storage)
    if length < FrameHeader.byteCount || length > maximum { return .fault(length: length) }
    let inParts = length > partsAbove
    let target = inParts ? partHead : length
    take(target - filled, from: &input)
    if filled < target { return .empty }
    filled = 0
    if inParts {
      partLength = length
      partOffset = target
      let head = UnsafeRawBufferPointer(start: storage, count: target)
      return .part(frameLength: length, offset: 0, bytes: head)
    }
    return .frames(UnsafeRawBufferPointer(start: storage, count: target))
  }

  private mutating func take(_ wanted: Int, from input: inout UnsafeRawBufferPointer) {
    let count = min(wanted, input.count)
    if count <= 0 { return }
    if filled + count > capacity || (capacity > Self.kept && filled + wanted <= Self.kept) {
      // Doubling keeps the copying linear; the claimed length alone reserves nothing, so a peer
      // cannot make this side allocate what it does not send.
      let needed = min(max(filled + count, 2 * filled, 4096), max(filled + wanted, 4096))
      let larger = UnsafeMutableRawPointer.allocate(byteCount: needed, alignment: 16)
      larger.copyMemory(from: storage, byteCount: filled)
      storage.deallocate()
      storage = larger
      capacity = needed
    }
    (storage + filled).copyMemory(from: input.baseAddress!, byteCount: count)
    filled += count
    input = UnsafeRawBufferPointer(rebasing: input[count...])
  }
}
