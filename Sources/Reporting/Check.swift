/// Something a run was expected to show, and whether it did.
public struct Check: Sendable, Hashable, Codable {
  public var name: String
  /// The measured figure, with its unit.
  public var measured: String
  /// What was expected, as a person reads it: `0.8× to 1.25×`.
  public var expected: String
  public var passed: Bool
  /// Why nothing was expected of this run after all; nil when something was. Such a check has neither
  /// passed nor failed.
  public var skipped: String?
  /// Why it is expected, or what else to know; may be empty.
  public var note: String

  public init(
    name: String, measured: String, expected: String, passed: Bool, note: String = ""
  ) {
    self.name = name
    self.measured = measured
    self.expected = expected
    self.passed = passed
    self.note = note
  }

  public var failed: Bool { !passed && skipped == nil }

  /// In a word, for tables: `pass`, `FAIL` or `skip`.
  public var verdict: String { skipped != nil ? "skip" : passed ? "pass" : "FAIL" }

  /// The same without a verdict, whatever was measured.
  public func skipping(_ reason: String) -> Check {
    var check = self
    check.passed = false
    check.skipped = reason
    return check
  }

  /// Passes when `value` lies in `range`; a value that is not a number fails.
  public init(
    name: String, value: Double, unit: String, in range: ClosedRange<Double>, note: String = ""
  ) {
    let low = Quantity.text(range.lowerBound, unit: unit)
    let high = Quantity.text(range.upperBound, unit: unit)
    let expected =
      switch (range.lowerBound == -.infinity, range.upperBound == .infinity) {
      case (true, true): "any"
      case (true, false): "at most \(high)"
      case (false, true): "at least \(low)"
      case (false, false): low == high ? low : "\(low) to \(high)"
      }
    // A value that fails by little must not look like the limit that it missed.
    let passed = range.contains(value)
    var measured = Quantity.text(value, unit: unit)
    var digits = 3
    while !passed, measured == low || measured == high, digits < 12 {
      digits += 1
      measured = Quantity.text(value, unit: unit, significant: digits)
    }
    self.init(name: name, measured: measured, expected: expected, passed: passed, note: note)
  }
}
