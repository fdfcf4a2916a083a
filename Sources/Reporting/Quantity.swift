import Foundation

/// Numbers with units, as people read them: three significant digits and an engineering prefix.
public enum Quantity {
  /// `543 µs`, `1.82 M tasks/s`, `100 MB`, `1.6×`, `72 %`.
  public static func text(_ value: Double, unit: String, significant: Int = 3) -> String {
    guard value.isFinite else { return value.isNaN ? "—" : (value > 0 ? "∞" : "−∞") }
    let scale = Scale(for: value, unit: unit)
    return scale.join(digits(value / scale.divisor, significant: significant))
  }

  /// A time to wait for, to the minute from two minutes on: `95 s`, `51 min`, `2 h 5 min`.
  public static func wait(seconds: Double) -> String {
    guard seconds.isFinite else { return "—" }
    guard seconds >= 120 else { return "\(Int(max(0, seconds).rounded())) s" }
    guard seconds < 1e9 else { return "\(digits(seconds / 3600)) h" }
    let minutes = Int((seconds / 60).rounded())
    let (hours, rest) = minutes.quotientAndRemainder(dividingBy: 60)
    if hours == 0 { return "\(rest) min" }
    return rest == 0 ? "\(hours) h" : "\(hours) h \(rest) min"
  }

  /// A value with its interval, in one unit: `42.6 ± 19.6 min`, or `5 [4.2, 9] ms` where the two
  /// sides differ; the bare interval where there is no value, a dash where there is nothing.
  public static func text(_ value: Double?, low: Double?, high: Double?, unit: String) -> String {
    guard let value, value.isFinite else {
      switch (low, high) {
      case (let low?, let high?):
        let scale = Scale(for: max(abs(low), abs(high)), unit: unit)
        return scale.join("\(digits(low / scale.divisor))–\(digits(high / scale.divisor))")
      case (let low?, nil): return "≥ " + text(low, unit: unit)
      case (nil, let high?): return "≤ " + text(high, unit: unit)
      case (nil, nil): return "—"
      }
    }
    guard let low, let high, low.isFinite, high.isFinite, low < high else {
      return text(value, unit: unit)
    }
    let scale = Scale(for: value, unit: unit)
    let centre = digits(value / scale.divisor)
    let below = value - low
    let above = high - value
    if abs(above - below) <= 0.02 * (high - low) {
      // Two digits of a spread are all that a sample can tell.
      let half = digits((high - low) / 2 / scale.divisor, significant: 2)
      return scale.join("\(centre) ± \(half)")
    }
    return scale.join(
      "\(centre) [\(digits(low / scale.divisor)), \(digits(high / scale.divisor))]")
  }

  /// At most `significant` digits after which decimals are dropped, without trailing zeros or an exponent between 10⁻⁵ and 10¹⁵.
  public static func digits(_ value: Double, significant: Int = 3) -> String {
    if value == 0 || !value.isFinite { return value.isFinite ? "0" : "\(value)" }
    let magnitude = abs(value)
    if magnitude < 1e-5 || magnitude >= 1e15 {
      let text = String(format: "%.\(significant - 1)e", value)
      let parts = text.split(separator: "e")
      return "\(stripped(String(parts[0])))e\(Int(parts[1]) ?? 0)".replacing("-", with: "−")
    }
    // Whole digits are never rounded away: 1024 stays 1024.
    let rounded = magnitude >= 100 ? value : round(value, significant: significant)
    let exponent = Int(log10(abs(rounded)).rounded(.down))
    let text = String(format: "%.\(max(0, significant - 1 - exponent))f", rounded)
    return stripped(text).replacing("-", with: "−")
  }

  /// The number of `to` in one `from`, when both measure the same thing: `conversion("min", "s")`
  /// is 60; nil when they cannot be compared.
  public static func conversion(from: String, to: String) -> Double? {
    if from == to { return 1 }
    guard let a = units[from], let b = units[to], a.dimension == b.dimension else { return nil }
    return a.factor / b.factor
  }

  static func round(_ value: Double, significant: Int) -> Double {
    if value == 0 || !value.isFinite { return value }
    let exponent = log10(abs(value)).rounded(.down)
    // Text is the exact way to a decimal rounding; powers of ten of either sign are not exact.
    if abs(exponent) > 200 { return value }
    return Double(String(format: "%.\(significant - 1)e", value)) ?? value
  }

  static func stripped(_ text: String) -> String {
    guard text.contains(".") else { return text }
    var text = text[...]
    while text.last == "0" { text = text.dropLast() }
    if text.last == "." { text = text.dropLast() }
    return String(text)
  }

  /// Every unit that can be converted: what it measures, and how much of the base it is.
  static let units: [String: (dimension: String, factor: Double)] = [
    "ns": ("time", 1e-9), "us": ("time", 1e-6), "µs": ("time", 1e-6), "ms": ("time", 1e-3),
    "s": ("time", 1), "min": ("time", 60), "h": ("time", 3600), "days": ("time", 86400),
    "years": ("time", 31_557_600),
    "B": ("bytes", 1), "bytes": ("bytes", 1), "KB": ("bytes", 1e3), "kB": ("bytes", 1e3),
    "MB": ("bytes", 1e6), "GB": ("bytes", 1e9), "TB": ("bytes", 1e12),
    "B/s": ("rate", 1), "KB/s": ("rate", 1e3), "MB/s": ("rate", 1e6), "GB/s": ("rate", 1e9),
    "Gbps": ("rate", 1.25e8), "Gbit/s": ("rate", 1.25e8), "Mbit/s": ("rate", 1.25e5),
    "fraction": ("share", 1), "%": ("share", 0.01),
    "1/s": ("frequency", 1), "1/min": ("frequency", 1.0 / 60),
  ]

  /// What a column or an axis divides by, and what it then says.
  struct Scale {
    var divisor: Double
    /// With its leading space, if it takes one.
    var suffix: String

    func join(_ digits: String) -> String { digits + suffix }

    init(divisor: Double, suffix: String) {
      self.divisor = divisor
      self.suffix = suffix
    }

    init(for value: Double, unit: String) {
      let magnitude = abs(Quantity.round(value, significant: 3))
      if unit == "x" || unit == "×" {
        self.init(divisor: 1, suffix: "×")
        return
      }
      if let ladder = Scale.ladders[unit] {
        let base = magnitude * ladder.factor
        let step = ladder.steps.last { base >= $0.0 } ?? ladder.steps[0]
        // Zero has no magnitude; it keeps the unit that was asked for.
        self =
          magnitude == 0
          ? Scale(divisor: 1, suffix: " " + unit)
          : Scale(divisor: step.0 / ladder.factor, suffix: " " + step.1)
        return
      }
      let name = unit == "count" || unit.isEmpty ? "" : " " + unit
      // Up to five digits a whole number is easier to read than a prefix.
      let plain =
        magnitude < 1e4 || magnitude < 1e5 && name.isEmpty || Quantity.units[unit] != nil
      switch magnitude {
      case _ where plain: self.init(divisor: 1, suffix: name)
      case ..<1e6: self.init(divisor: 1e3, suffix: " k" + name)
      case ..<1e9: self.init(divisor: 1e6, suffix: " M" + name)
      case ..<1e12: self.init(divisor: 1e9, suffix: " G" + name)
      default: self.init(divisor: 1, suffix: name)
      }
    }

    typealias Ladder = (factor: Double, steps: [(Double, String)])

    private static let ladders: [String: Ladder] = {
      let time = [(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s")]
      let bytes = [(1.0, "B"), (1e3, "KB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")]
      var result: [String: Ladder] = [:]
      for name in ["ns", "us", "µs", "ms", "s"] {
        result[name] = (Quantity.units[name]?.factor ?? 1, time)
      }
      for name in ["B", "bytes", "KB", "kB", "MB", "GB", "TB"] {
        result[name] = (Quantity.units[name]?.factor ?? 1, bytes)
      }
      for name in ["B/s", "KB/s", "MB/s", "GB/s"] {
        result[name] = (Quantity.units[name]?.factor ?? 1, bytes.map { ($0.0, $0.1 + "/s") })
      }
      return result
    }()
  }
}
