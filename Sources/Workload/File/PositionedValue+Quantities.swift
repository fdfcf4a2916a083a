import Primitives

/// A unit and how much it is of the base unit.
struct QuantityUnit: Sendable {
  var name: String
  var factor: Double
}

/// What a number with a unit measures.
public enum QuantityKind: Sendable {
  /// Durations, in seconds.
  case duration
  /// Sizes, in bytes.
  case size
  /// Plain numbers, without a unit.
  case number

  var units: [QuantityUnit] {
    switch self {
    case .duration: return Units.durations
    case .size: return Units.sizes
    case .number: return []
    }
  }

  var expectation: String {
    switch self {
    case .duration: return "a duration with a unit, such as 57.5us, 100ms or 2min"
    case .size: return "a size with a unit, such as 512B, 100KB, 25MB or 5MiB"
    case .number: return "a number that is not negative"
    }
  }

  var suffixes: [String] {
    switch self {
    case .duration: return ["us", "ms", "s"]
    case .size: return ["B", "KB", "MB"]
    case .number: return []
    }
  }
}

enum Units {
  /// In nanoseconds, so that decimal texts in common units come out exact.
  static let durations = [
    QuantityUnit(name: "ns", factor: 1), QuantityUnit(name: "us", factor: 1e3),
    QuantityUnit(name: "µs", factor: 1e3),
    QuantityUnit(name: "μs", factor: 1e3), QuantityUnit(name: "ms", factor: 1e6),
    QuantityUnit(name: "s", factor: 1e9),
    QuantityUnit(name: "min", factor: 60e9), QuantityUnit(name: "h", factor: 3600e9),
  ]
  /// In bytes: decimal as networks count, binary with an i.
  static let sizes = [
    QuantityUnit(name: "B", factor: 1), QuantityUnit(name: "KB", factor: 1e3),
    QuantityUnit(name: "kB", factor: 1e3),
    QuantityUnit(name: "MB", factor: 1e6), QuantityUnit(name: "GB", factor: 1e9),
    QuantityUnit(name: "TB", factor: 1e12),
    QuantityUnit(name: "KiB", factor: 0x1p10), QuantityUnit(name: "MiB", factor: 0x1p20),
    QuantityUnit(name: "GiB", factor: 0x1p30), QuantityUnit(name: "TiB", factor: 0x1p40),
  ]
  /// In bytes per second.
  static let bandwidths =
    ["bps", "bit/s"].flatMap { suffix in
      [("", 1.0), ("K", 1e3), ("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)].map {
        QuantityUnit(name: $0.0 + suffix, factor: $0.1 / 8)
      }
    } + sizes.map { QuantityUnit(name: $0.name + "/s", factor: $0.factor) }
}

extension PositionedValue {
  /// A length of time: `57.5us`, `100ms`, `0.5s`, `2min`. Rounded to whole nanoseconds.
  public func duration() throws(WorkloadError) -> TimeSpan {
    let expected = QuantityKind.duration.expectation
    let text = try scalarText(expected: expected)
    let nanoseconds = try quantity(
      text, units: Units.durations, expected: expected, suffixes: QuantityKind.duration.suffixes)
    let rounded = nanoseconds.rounded()
    guard rounded < 0x1p63 else { throw wrong(expected: "at most 292 years") }
    guard rounded > 0 || nanoseconds == 0 else {
      throw wrong(expected: "0ns, or at least the resolution of 1ns")
    }
    return TimeSpan(nanoseconds: UInt64(rounded))
  }

  /// A number of bytes: `512B`, `100KB` (decimal), `5MiB` (binary).
  public func size() throws(WorkloadError) -> ByteCount {
    let expected = QuantityKind.size.expectation
    let text = try scalarText(expected: expected)
    let bytes = try quantity(
      text, units: Units.sizes, expected: expected, suffixes: QuantityKind.size.suffixes)
    guard bytes < 0x1p63 else { throw wrong(expected: "at most 8388607TiB") }
    guard bytes.rounded() > 0 || bytes == 0 else { throw wrong(expected: "whole bytes") }
    return ByteCount(UInt64(bytes.rounded()))
  }

  /// A rate: `25Gbps`, `1.42GB/s`, `unlimited`; never zero.
  public func bandwidth() throws(WorkloadError) -> Bandwidth {
    let expected = "a rate, such as 25Gbps, 1.42GB/s or unlimited"
    let text = try scalarText(expected: expected)
    if text == "unlimited" { return .unlimited }
    let rate = try quantity(
      text, units: Units.bandwidths, expected: expected, suffixes: ["Gbps", "GB/s"])
    guard rate > 0 else { throw wrong(expected: "more than zero") }
    return Bandwidth(bytesPerSecond: rate)
  }

  /// The number in `text` times its unit: finite and not negative.
  func quantity(_ text: String, units: [QuantityUnit], expected: String, suffixes: [String])
    throws(WorkloadError) -> Double
  {
    func fail(_ hint: String?) -> WorkloadError {
      if text == self.text { return wrong(expected: expected, hint: hint) }
      return error("\(label) holds '\(clip(text))'", expected: expected, hint: hint)
    }
    guard let (digits, unit) = splitNumber(text), let number = Double(digits) else {
      throw fail(nil)
    }
    var factor = 1.0
    if unit.isEmpty, !units.isEmpty {
      let forms = suffixes.map { digits + $0 }
      let choice = forms.dropLast().joined(separator: ", ") + " or " + (forms.last ?? "")
      throw fail("a unit is needed: write \(choice)")
    } else if !unit.isEmpty {
      guard let known = units.first(where: { $0.name == unit }) else {
        if units.isEmpty { throw fail("remove the unit '\(clip(unit))'") }
        var names = units.map(\.name).filter { !$0.hasPrefix("k") && $0.first != "μ" }
        if names.count > 10 { names = names.filter { !$0.contains("bit") } }
        throw fail("unknown unit '\(clip(unit))'; units: \(names.joined(separator: " "))")
      }
      factor = known.factor
    }
    guard number >= 0 else { throw fail("it cannot be negative") }
    guard (number * factor).isFinite else { throw fail("the number is too large") }
    // "-0us" is zero, and stays out of later divisions.
    return abs(number * factor)
  }
}
