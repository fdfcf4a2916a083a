import Foundation

/// Where an axis carries labels.
enum Ticks {
  /// About `count` round values (1, 2 or 5 times a power of ten) that enclose the range: P. Heckbert,
  /// "Nice numbers for graph labels", Graphics Gems (1990). A range without width is widened.
  static func linear(_ low: Double, _ high: Double, count: Int) -> [Double] {
    var (low, high) = (min(low, high), max(low, high))
    // Narrower than this, the values' own rounding would show between the labels.
    if high - low <= 1e-9 * max(abs(low), abs(high)) || high == low {
      let margin = low == 0 ? 1 : abs(low) / 2
      (low, high) = (low - margin, high + margin)
    }
    let step = niceStep((high - low) / Double(max(1, count)))
    // Whole multiples, so that the ticks carry no sum of rounding errors.
    let first = (low / step + 1e-9).rounded(.down)
    let last = (high / step - 1e-9).rounded(.up)
    return stride(from: first, through: last, by: 1).map { clean($0 * step, step: step) }
  }

  /// The smallest of 1, 2, 5 or 10 times a power of ten that is at least `step`.
  static func niceStep(_ step: Double) -> Double {
    let power = pow(10, log10(step).rounded(.down))
    for factor in [1.0, 2, 5] where factor * power >= step * (1 - 1e-9) { return factor * power }
    return 10 * power
  }

  /// Values for a logarithmic axis that enclose a positive range: 1, 2, 5 within three decades,
  /// whole powers of ten (every one, every second, …) beyond.
  static func log10Ticks(_ low: Double, _ high: Double, count: Int) -> [Double] {
    let (low, high) = (min(low, high), max(low, high))
    var first = Int(log10(low).rounded(.down))
    var last = Int(log10(high).rounded(.up))
    // A value that is itself a power of ten may land on the wrong side by rounding.
    if pow(10, Double(first + 1)) <= low { first += 1 }
    if pow(10, Double(last - 1)) >= high { last -= 1 }
    if last <= first { last = first + 1 }
    let decades = log10(high / low)
    if decades > 3 || last - first > max(2, count) {
      let stride = max(1, (last - first + count - 1) / max(1, count))
      return Swift.stride(from: first, through: last + stride - 1, by: stride)
        .map { pow(10, Double($0)) }
    }
    var ticks = (first...last).flatMap { exponent in
      [1.0, 2, 5].map { clean($0 * pow(10, Double(exponent)), step: pow(10, Double(exponent))) }
    }
    while ticks.count > 2, ticks[1] <= low * (1 + 1e-9) { ticks.removeFirst() }
    while ticks.count > 2, ticks[ticks.count - 2] >= high * (1 - 1e-9) { ticks.removeLast() }
    return ticks
  }

  /// Powers of two that enclose a positive range.
  static func log2Ticks(_ low: Double, _ high: Double, count: Int) -> [Double] {
    let first = Int((log2(min(low, high)) + 1e-9).rounded(.down))
    let last = max(first + 1, Int((log2(max(low, high)) - 1e-9).rounded(.up)))
    let stride = max(1, (last - first + count - 1) / max(1, count))
    return Swift.stride(from: first, through: last + stride - 1, by: stride)
      .map { exp2(Double($0)) }
  }

  /// `value` without the digits below its step, which only rounding put there.
  private static func clean(_ value: Double, step: Double) -> Double {
    if value == 0 { return 0 }
    let digits = Int(log10(abs(value) / step).rounded(.down)) + 3
    return Quantity.round(value, significant: min(15, max(3, digits)))
  }
}
