import Measurement
import Primitives

/// JSON written byte by byte into storage of its own, for traces of millions of events.
struct JSONBuffer: ~Copyable {
  private var storage: UnsafeMutablePointer<UInt8>
  private var capacity: Int
  private(set) var count = 0
  private var isFirst = true

  init(capacity: Int = 1 << 16) {
    storage = .allocate(capacity: capacity)
    self.capacity = capacity
  }

  deinit { storage.deallocate() }

  var bytes: [UInt8] { Array(UnsafeBufferPointer(start: storage, count: count)) }

  mutating func removeAll() { count = 0 }

  /// Where the next `size` bytes go; they count as written.
  @inline(__always)
  private mutating func space(_ size: Int) -> UnsafeMutablePointer<UInt8> {
    if count + size > capacity { grow(size) }
    let place = storage + count
    count += size
    return place
  }

  @inline(never)
  private mutating func grow(_ size: Int) {
    let larger = max(capacity * 2, count + size)
    let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
    moved.moveInitialize(from: storage, count: count)
    storage.deallocate()
    storage = moved
    capacity = larger
  }

  mutating func open() { raw("[") }
  mutating func close() { raw("\n]\n") }

  mutating func raw(_ text: StaticString) {
    let size = text.utf8CodeUnitCount
    space(size).update(from: text.utf8Start, count: size)
  }

  mutating func raw(bytes more: [UInt8]) {
    more.withUnsafeBufferPointer { source in
      guard let start = source.baseAddress else { return }
      space(source.count).update(from: start, count: source.count)
    }
  }

  /// Begins an event, up to its name.
  mutating func event(phase: StaticString, category: StaticString, quotedName: [UInt8]) {
    raw(isFirst ? "\n" : ",\n")
    isFirst = false
    raw("{\"ph\":\"")
    raw(phase)
    raw("\",\"cat\":\"")
    raw(category)
    raw("\",\"name\":")
    raw(bytes: quotedName)
  }

  /// The same for a name without anything to escape.
  mutating func event(phase: StaticString, category: StaticString, name: StaticString) {
    event(phase: phase, category: category, quotedName: [])
    raw("\"")
    raw(name)
    raw("\"")
  }

  mutating func place(process: UInt64, thread: UInt64) {
    raw(",\"pid\":")
    number(process)
    raw(",\"tid\":")
    number(thread)
  }

  mutating func place(_ task: TaskRecord) {
    place(process: UInt64(task.node.index), thread: ChromeTrace.thread(of: task))
  }

  mutating func moment(_ instant: Instant) {
    raw(",\"ts\":")
    microseconds(instant.nanoseconds)
  }

  mutating func duration(_ span: TimeSpan) {
    raw(",\"dur\":")
    microseconds(span.nanoseconds)
  }

  mutating func label(_ kind: StaticString, process: UInt64, thread: UInt64, _ name: String) {
    metadata(kind, process: process, thread: thread)
    raw("\"name\":")
    raw(bytes: Self.quoted(name))
    raw("}}")
  }

  mutating func order(_ kind: StaticString, process: UInt64, thread: UInt64, _ index: UInt64) {
    metadata(kind, process: process, thread: thread)
    raw("\"sort_index\":")
    number(index)
    raw("}}")
  }

  private mutating func metadata(_ kind: StaticString, process: UInt64, thread: UInt64) {
    raw(isFirst ? "\n" : ",\n")
    isFirst = false
    raw("{\"ph\":\"M\",\"name\":\"")
    raw(kind)
    raw("\"")
    place(process: process, thread: thread)
    raw(",\"args\":{")
  }

  /// A data edge: two flow events with the same id.
  mutating func edge(from producer: TaskRecord, to consumer: TaskRecord, id: UInt64) {
    event(phase: "s", category: "dataflow", name: "data")
    flow(id)
    place(producer)
    // A flow event belongs to the slice that encloses it; a slice does not include its own end.
    let last = producer.finished.nanoseconds
    moment(
      Instant(nanoseconds: last > producer.started.nanoseconds ? last - 1 : last))
    raw("}")
    event(phase: "f", category: "dataflow", name: "data")
    flow(id)
    raw(",\"bp\":\"e\"")
    place(consumer)
    moment(consumer.started)
    raw("}")
  }

  private mutating func flow(_ id: UInt64) {
    raw(",\"id\":")
    number(id)
  }

  mutating func number(_ value: UInt64) {
    var digits = 1
    var rest = value
    while rest >= 10 {
      rest /= 10
      digits += 1
    }
    let place = space(digits)
    rest = value
    for index in stride(from: digits - 1, through: 0, by: -1) {
      place[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
  }

  /// Nanoseconds as microseconds with three decimals, exactly.
  mutating func microseconds(_ nanoseconds: UInt64) {
    number(nanoseconds / 1000)
    let rest = nanoseconds % 1000
    let place = space(4)
    place[0] = UInt8(ascii: ".")
    place[1] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / 100)
    place[2] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / 10 % 10)
    place[3] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
  }

  /// Sixteen hexadecimal digits, as identities are printed elsewhere.
  mutating func hex(_ value: UInt64) {
    let place = space(16)
    for index in 0..<16 {
      let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * index) & 15)
      place[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }
  }

  /// A JSON string (RFC 8259 §7), with its quotes.
  static func quoted(_ text: String) -> [UInt8] {
    var result = [UInt8(ascii: "\"")]
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        result.append(UInt8(ascii: "\\"))
        result.append(byte)
      case ..<0x20:
        let digits = Array("0123456789abcdef".utf8)
        result.append(contentsOf: "\\u00".utf8)
        result.append(digits[Int(byte >> 4)])
        result.append(digits[Int(byte & 15)])
      default: result.append(byte)
      }
    }
    result.append(UInt8(ascii: "\""))
    return result
  }
}
