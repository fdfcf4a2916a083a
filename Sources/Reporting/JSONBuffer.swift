import Measurement
import Primitives

/// JSON written byte by byte, for traces of millions of events.
struct JSONBuffer {
  private(set) var bytes: [UInt8] = []
  private var isFirst = true

  var count: Int { bytes.count }

  mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  mutating func open() { raw("[") }
  mutating func close() { raw("\n]\n") }

  mutating func raw(_ text: StaticString) {
    text.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }
  mutating func raw(bytes more: [UInt8]) { bytes.append(contentsOf: more) }

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
    let name = Array("\"data\"".utf8)
    event(phase: "s", category: "dataflow", quotedName: name)
    flow(id)
    place(producer)
    // A flow event belongs to the slice that encloses it; a slice does not include its own end.
    let last = producer.finished.nanoseconds
    moment(
      Instant(nanoseconds: last > producer.started.nanoseconds ? last - 1 : last))
    raw("}")
    event(phase: "f", category: "dataflow", quotedName: name)
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
    if value < 10 {
      bytes.append(UInt8(ascii: "0") + UInt8(value))
      return
    }
    let start = bytes.count
    var rest = value
    while rest > 0 {
      bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    }
    bytes[start...].reverse()
  }

  /// Nanoseconds as microseconds with three decimals, exactly.
  mutating func microseconds(_ nanoseconds: UInt64) {
    number(nanoseconds / 1000)
    let rest = nanoseconds % 1000
    bytes.append(UInt8(ascii: "."))
    bytes.append(UInt8(ascii: "0") + UInt8(rest / 100))
    bytes.append(UInt8(ascii: "0") + UInt8(rest / 10 % 10))
    bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
  }

  /// Sixteen hexadecimal digits, as identities are printed elsewhere.
  mutating func hex(_ value: UInt64) {
    for shift in stride(from: 60, through: 0, by: -4) {
      let digit = UInt8(value >> UInt64(shift) & 15)
      bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
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
