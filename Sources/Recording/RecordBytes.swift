import Primitives

/// Why a recording cannot be read: what was found where, and what was expected.
public struct RecordingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Bytes from the beginning of the file.
  public var offset: Int
  public var text: String

  public init(at offset: Int, _ text: String) {
    self.offset = offset
    self.text = text
  }

  public var description: String { "at byte \(offset): \(text)" }
}

/// Bytes that grow: the records of one stream on their way to a file.
///
/// Numbers have seven bits a byte, the lowest first: most handles and times take one to three
/// bytes.
struct RecordWriter: ~Copyable {
  private(set) var base: UnsafeMutableRawPointer
  private var capacity: Int
  private(set) var count = 0

  init(capacity: Int = 4096) {
    self.capacity = capacity
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  mutating func removeAll(keeping count: Int = 0) { self.count = min(count, self.count) }

  /// Makes room for `more` bytes behind those written.
  @inline(__always) mutating func reserve(_ more: Int) {
    if count + more > capacity { grow(count + more) }
  }

  @inline(never) private mutating func grow(_ needed: Int) {
    let larger = max(needed, capacity * 2)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
    memory.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = memory
    capacity = larger
  }

  @inline(__always) mutating func byte(_ value: UInt8) {
    reserve(1)
    base.storeBytes(of: value, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  @inline(__always) mutating func number(_ value: UInt64) {
    reserve(10)
    var rest = value
    while rest >= 0x80 {
      base.storeBytes(
        of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
      count += 1
      rest >>= 7
    }
    base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
    count += 1
  }

  /// A number that is mostly small, of either sign.
  @inline(__always) mutating func signed(_ value: Int64) {
    number(UInt64(bitPattern: value << 1 ^ value >> 63))
  }

  /// A word whose bits are all alike in use: a hash, or a floating-point number.
  mutating func word(_ value: UInt64) {
    reserve(8)
    base.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt64.self)
    count += 8
  }

  mutating func bytes(_ bytes: UnsafeRawBufferPointer) {
    reserve(bytes.count)
    if let start = bytes.baseAddress {
      (base + count).copyMemory(from: start, byteCount: bytes.count)
    }
    count += bytes.count
  }

  mutating func text(_ text: String) {
    var text = text
    text.withUTF8 {
      number(UInt64($0.count))
      bytes(UnsafeRawBufferPointer($0))
    }
  }

  mutating func vector(_ vector: ResourceVector) {
    for lane in 0..<ResourceVector.kindCount { signed(Int64(vector.lanes[lane])) }
  }

  // MARK: Lengths known afterwards

  /// The bytes behind `start`, where one byte was left free, get their number in front: one byte,
  /// or 255 and four more.
  mutating func setLength(at start: Int) {
    let length = count - start - 1
    if length < 255 {
      base.storeBytes(of: UInt8(length), toByteOffset: start, as: UInt8.self)
      return
    }
    reserve(4)
    (base + start + 5).copyMemory(from: base + start + 1, byteCount: length)
    base.storeBytes(of: 255, toByteOffset: start, as: UInt8.self)
    base.storeBytes(
      of: UInt32(truncatingIfNeeded: length).littleEndian, toByteOffset: start + 1, as: UInt32.self)
    count += 4
  }
}

/// Reads what `RecordWriter` wrote, without trusting it.
struct RecordReader {
  private let base: UnsafeRawPointer?
  private(set) var position = 0
  let end: Int
  /// Where in the file the bytes begin.
  let origin: Int
  /// Which handles name something; nil to take any.
  var defined: UnsafePointer<DefinedHandles>?

  init(_ bytes: UnsafeRawBufferPointer, at origin: Int) {
    base = bytes.baseAddress
    end = bytes.count
    self.origin = origin
  }

  var isAtEnd: Bool { position == end }
  /// In the file.
  var offset: Int { origin + position }

  func failure(_ text: String) -> RecordingError { RecordingError(at: offset, text) }

  private func load(_ position: Int) -> UInt8 {
    // Checked by the callers: within the bytes.
    base.unsafelyUnwrapped.load(fromByteOffset: position, as: UInt8.self)
  }

  func require(_ count: Int, _ what: StaticString) throws(RecordingError) {
    guard count >= 0, count <= end - position else {
      throw failure("the record ends within \(what)")
    }
  }

  mutating func byte(_ what: StaticString) throws(RecordingError) -> UInt8 {
    try require(1, what)
    position += 1
    return load(position - 1)
  }

  mutating func number(_ what: StaticString) throws(RecordingError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte = try byte(what)
      guard shift < 63 || byte <= 1 else { throw failure("\(what) has more than 64 bits") }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
      shift += 7
    }
  }

  mutating func number(_ what: StaticString, upTo limit: UInt64) throws(RecordingError) -> UInt64 {
    let start = offset
    let value = try number(what)
    guard value <= limit else {
      throw RecordingError(at: start, "\(what) is \(value); expected at most \(limit)")
    }
    return value
  }

  mutating func small(_ what: StaticString) throws(RecordingError) -> UInt32 {
    UInt32(try number(what, upTo: UInt64(UInt32.max)))
  }

  mutating func signed(_ what: StaticString) throws(RecordingError) -> Int64 {
    let value = try number(what)
    return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  mutating func word(_ what: StaticString) throws(RecordingError) -> UInt64 {
    try require(8, what)
    position += 8
    return UInt64(
      littleEndian: base.unsafelyUnwrapped.loadUnaligned(
        fromByteOffset: position - 8, as: UInt64.self))
  }

  mutating func bytes(
    _ count: Int, _ what: StaticString
  ) throws(RecordingError) -> UnsafeRawBufferPointer {
    try require(count, what)
    position += count
    guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    return UnsafeRawBufferPointer(start: base + position - count, count: count)
  }

  mutating func text(_ what: StaticString) throws(RecordingError) -> String {
    let count = Int(try number(what, upTo: 1 << 20))
    return String(decoding: try bytes(count, what), as: UTF8.self)
  }

  mutating func vector(_ what: StaticString) throws(RecordingError) -> ResourceVector {
    var vector = ResourceVector.zero
    for lane in 0..<ResourceVector.kindCount {
      let start = offset
      guard let units = Int32(exactly: try signed(what)) else {
        throw RecordingError(at: start, "\(what) is out of range")
      }
      vector.lanes[lane] = units
    }
    return vector
  }

  /// What `setLength` put in front: the bytes behind it.
  mutating func lengthAndBytes(
    _ what: StaticString
  ) throws(RecordingError) -> UnsafeRawBufferPointer {
    var length = Int(try byte(what))
    if length == 255 {
      try require(4, what)
      position += 4
      length = Int(
        UInt32(
          littleEndian: base.unsafelyUnwrapped.loadUnaligned(
            fromByteOffset: position - 4, as: UInt32.self)))
    }
    return try bytes(length, what)
  }
}

/// The handles of a stream that have been defined so far.
struct DefinedHandles: ~Copyable {
  private var flags: UnsafeMutablePointer<Bool>
  private var capacity = 256
  /// Definitions so far, repeated ones too.
  private(set) var count = 0

  init() {
    flags = .allocate(capacity: capacity)
    flags.initialize(repeating: false, count: capacity)
  }

  deinit { flags.deallocate() }

  func contains(_ index: UInt64) -> Bool { index < UInt64(capacity) && flags[Int(index)] }

  mutating func insert(_ index: UInt32) {
    count += 1
    let index = Int(index)
    if index >= capacity {
      let larger = max(index + 1, capacity * 2)
      let memory = UnsafeMutablePointer<Bool>.allocate(capacity: larger)
      memory.initialize(repeating: false, count: larger)
      memory.update(from: flags, count: capacity)
      flags.deallocate()
      flags = memory
      capacity = larger
    }
    flags[index] = true
  }
}
