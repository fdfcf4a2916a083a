import Foundation
import Measurement
import Primitives
import Reporting
import Workload

/// The checks of a workload file: does the result have the shape that the paper shows?
///
/// Every check reads mean values of one measure against x, names what it measured and what it
/// expected, and passes or fails; it never changes a result.
struct ShapeChecks {
  let rows: [Row]
  let published: PublishedResults
  /// What a check may name; nil when that was looked at before the run.
  var scope: CheckScope?
  /// Of the machine that ran all of it; nil when the time was modelled.
  var processors: Int?
  /// Where it ran; nil before the run.
  var world: String?

  struct Point {
    var x: Double
    var y: Double
  }

  static let kinds: [(name: String, summary: String, parameters: String)] = [
    ("linear", "grows along a straight line of x", "series, min-r2 = 0.99, from, to"),
    ("proportional", "log-log slope of 1", "series, within = 0.15, from, to"),
    ("flat", "does not depend on x", "series, within = 0.1, from, to"),
    ("per-unit", "value ÷ x at the last point over the first", "series, within = 0.2, from, to"),
    ("gain-per-doubling", "how much it falls when x doubles", "series, min, max, from, to"),
    (
      "saturates", "gains no more from x; rises: true where more is better",
      "series, max-gain = 1.15, rises = false, from, to"
    ),
    ("ratio", "one series over another at a point", "over, under, at, min, max"),
    ("published", "within a share of every published point", "series, within = 0.1, from, to"),
    ("value", "lies between limits at a point", "series, at, min, max"),
    ("below", "one series is below another at a point", "over, under, at, max = 1"),
  ]
  static var names: [String] { kinds.map(\.name) }

  func evaluate(_ choices: [CheckChoice], measure: String) throws(WorkloadError) -> [Check] {
    var checks: [Check] = []
    for choice in choices { checks.append(try evaluate(choice, measure)) }
    return checks
  }

  /// Reads the parameters only, and looks up what they name: for validation before the run.
  static func validate(_ choices: [CheckChoice], in scope: CheckScope) throws(WorkloadError) {
    _ = try ShapeChecks(rows: [], published: PublishedResults(), scope: scope)
      .evaluate(choices, measure: scope.measures.first ?? "")
  }

  private func evaluate(_ choice: CheckChoice, _ measure: String) throws(WorkloadError) -> Check {
    var with = try choice.parameters.mapping()
    let measure = try name("measure", in: scope?.measures, default: measure, &with)
    let from = try with.double("from", default: -.infinity, in: -.infinity...(.infinity))
    let to = try with.double("to", default: .infinity, in: -.infinity...(.infinity))
    let note = try with.string("note", default: "")
    let needed = try with.int("needs-cpus", default: 1, in: 1...1_000_000)
    let wanted = try world(&with)
    let kind = choice.name.value
    var check: Check
    switch kind {
    case "linear":
      let series = try series(&with)
      let least = try with.double("min-r2", default: 0.99, in: 0...1)
      let p = points(series, measure, from, to)
      let fit = LinearRegression(x: p.map(\.x), y: p.map(\.y))
      check = Self.check(
        "\(series): \(measure) is linear in x (R²)", value: fit?.rSquared, unit: "",
        in: least...1, note: note)
    case "proportional":
      let series = try series(&with)
      let within = try with.double("within", default: 0.15, in: 0...10)
      let p = points(series, measure, from, to)
      let fit = LinearRegression(x: p.map { log($0.x) }, y: p.map { log($0.y) })
      check = Self.check(
        "\(series): \(measure) grows in proportion to x (log-log slope)",
        value: fit?.slope, unit: "", in: (1 - within)...(1 + within), note: note)
    case "flat":
      let series = try series(&with)
      let within = try with.double("within", default: 0.1, in: 0...10)
      let y = points(series, measure, from, to).map(\.y)
      let mean = y.isEmpty ? nil : y.reduce(0, +) / Double(y.count)
      let spread = mean.map { m in y.map { abs($0 / m - 1) }.max() ?? 0 }
      check = Self.check(
        "\(series): \(measure) does not depend on x (largest deviation from the mean)",
        value: spread, unit: "", in: -.infinity...within, note: note)
    case "per-unit":
      let series = try series(&with)
      let within = try with.double("within", default: 0.2, in: 0...10)
      let p = points(series, measure, from, to)
      let ratio = p.count > 1 ? p[p.count - 1].y / p[p.count - 1].x / (p[0].y / p[0].x) : nil
      check = Self.check(
        "\(series): \(measure) per x at the last point over the first", value: ratio,
        unit: "x", in: (1 - within)...(1 + within), note: note)
    case "gain-per-doubling":
      let series = try series(&with)
      let least = try with.double("min", in: 0...1000)
      let most = try with.double("max", in: 0...1000)
      let p = points(series, measure, from, to)
      var gain: Double?
      if p.count > 1 {
        let doublings = log2(p[p.count - 1].x / p[0].x)
        gain = pow(p[0].y / p[p.count - 1].y, 1 / doublings)
      }
      check = Self.check(
        "\(series): gain in \(measure) per doubling of x (geometric mean)", value: gain,
        unit: "x", in: try range(least, most, of: choice), note: note)
    case "saturates":
      let series = try series(&with)
      let most = try with.double("max-gain", default: 1.15, in: 0...1000)
      let rises = try with.bool("rises", default: false)
      let p = points(series, measure, from, to)
      var gain: Double?
      if p.count > 1 {
        let doublings = log2(p[p.count - 1].x / p[0].x)
        let ratio = p[0].y / p[p.count - 1].y
        gain = pow(rises ? 1 / ratio : ratio, 1 / doublings)
      }
      check = Self.check(
        "\(series): \(measure) gains no more beyond x = \(Quantity.digits(p.first?.x ?? 0))"
          + " (per doubling)", value: gain, unit: "x", in: -.infinity...most, note: note)
    case "ratio", "below":
      let over = try series(&with, "over")
      let under = try series(&with, "under")
      let at = try place(&with, of: choice)
      let least = try with.double("min", default: -.infinity, in: 0...1e12)
      let most = try with.double(
        "max", default: kind == "below" ? 1 : .infinity, in: 0...(.infinity))
      let upper = value(over, measure, at)
      let lower = value(under, measure, at)
      let ratio = upper.flatMap { u in lower.map { u / $0 } }
      let place = at.isEmpty ? "" : " at x = \(at)"
      check = Self.check(
        "\(measure): \(over) over \(under)\(place)", value: ratio, unit: "x",
        in: try range(least, most, of: choice), note: note)
    case "published":
      let series = try series(&with)
      let within = try with.double("within", default: 0.1, in: 0...100)
      var worst: Double?
      for row in select(series, measure, from, to) {
        guard let point = published.match(row), let ratio = published.ratio(row, to: point) else {
          continue
        }
        if worst == nil || abs(ratio - 1) > abs(worst! - 1) { worst = ratio }
      }
      check = Self.check(
        "\(series): \(measure) against the published points (farthest ratio)", value: worst,
        unit: "x", in: (1 - within)...(1 + within), note: note)
    case "value":
      let series = try series(&with, default: scope?.series.count ?? 1 == 1 ? "" : nil)
      let at = try place(&with, of: choice)
      let least = try with.double("min", default: -.infinity, in: -.infinity...(.infinity))
      let most = try with.double("max", default: .infinity, in: -.infinity...(.infinity))
      let found = value(series, measure, at)
      let row = rows.first { $0.yName == measure }
      check = Self.check(
        series.isEmpty ? measure : "\(series): \(measure)", value: found,
        unit: row?.unit ?? "", in: try range(least, most, of: choice), note: note)
    default:
      throw .unknown("check", kind, known: Self.names, at: choice.name.position)
    }
    try with.finish()
    if let wanted, let world, wanted != world {
      return check.skipping("counts in the \(wanted) world alone")
    }
    if let processors, needed > processors {
      return check.skipping("needs \(needed) CPUs, this machine has \(processors)")
    }
    return check
  }

  // MARK: Names and limits

  /// A name that must be one of `known`; required without a default.
  private func name(
    _ key: String, in known: [String]?, default missing: String?, _ with: inout MappingReader
  ) throws(WorkloadError) -> String {
    let value: PositionedValue
    if let missing {
      guard let given = with.optional(key) else { return missing }
      value = given
    } else {
      value = try with.required(key, "one of \(known?.joined(separator: ", ") ?? "the \(key)s")")
    }
    let name = try value.positionedString()
    if let known, !known.contains(name.value) {
      throw .unknown(key, name.value, known: known, at: name.position)
    }
    return name.value
  }

  /// The only world in which a check counts; nil for all.
  private func world(_ with: inout MappingReader) throws(WorkloadError) -> String? {
    try with.optional("world")?.choice(WorldName.self).rawValue
  }

  private enum WorldName: String, CaseIterable, Sendable { case simulated, real }

  private func series(
    _ with: inout MappingReader, _ key: String = "series", default missing: String? = nil
  ) throws(WorkloadError) -> String {
    try name(key, in: scope?.series, default: missing, &with)
  }

  /// The x of a check of one point: needed where there are several.
  private func place(_ with: inout MappingReader, of choice: CheckChoice) throws(WorkloadError)
    -> String
  {
    guard let value = with.optional("at") else {
      if let scope, scope.xs.count > 1 {
        throw WorkloadError(
          "the check '\(choice.name.value)' needs 'at': there are \(scope.xs.count) points",
          at: choice.name.position, expected: "one of \(scope.xs.joined(separator: ", "))")
      }
      return ""
    }
    let at = try value.positionedString()
    if let scope, !scope.has(x: at.value) {
      throw .unknown("point", at.value, known: scope.xs, at: at.position)
    }
    return at.value
  }

  private func range(_ least: Double, _ most: Double, of choice: CheckChoice)
    throws(WorkloadError) -> ClosedRange<Double>
  {
    guard least <= most else {
      throw WorkloadError(
        "the check '\(choice.name.value)' can never pass: min \(least) is above max \(most)",
        at: choice.name.position, hint: "swap them")
    }
    return least...most
  }

  /// A check whose points are missing has measured nothing, and fails.
  private static func check(
    _ name: String, value: Double?, unit: String, in range: ClosedRange<Double>, note: String
  ) -> Check {
    if let value { return Check(name: name, value: value, unit: unit, in: range, note: note) }
    return Check(
      name: name, measured: "no data", expected: "points to check", passed: false, note: note)
  }

  private func select(_ series: String, _ measure: String, _ from: Double, _ to: Double) -> [Row] {
    rows.filter {
      $0.series == series && $0.yName == measure && $0.y != nil
        && ($0.numericX ?? 0) >= from && ($0.numericX ?? 0) <= to
    }
  }

  private func points(_ series: String, _ measure: String, _ from: Double, _ to: Double) -> [Point]
  {
    select(series, measure, from, to).compactMap { row in
      guard let x = row.numericX, let y = row.y else { return nil }
      return Point(x: x, y: y)
    }.sorted { $0.x < $1.x }
  }

  private func value(_ series: String, _ measure: String, _ at: String) -> Double? {
    rows.first {
      (series.isEmpty || $0.series == series) && $0.yName == measure
        && (at.isEmpty || $0.x == at
          || $0.numericX != nil && $0.numericX == Row.number(at))
    }?.y
  }
}

/// What the checks of a workload file may name.
struct CheckScope {
  var series: [String]
  var xs: [String]
  /// As columns call them; the first is what checks mean without `measure`.
  var measures: [String]

  func has(x: String) -> Bool {
    xs.contains { $0 == x || Row.number($0) != nil && Row.number($0) == Row.number(x) }
  }

  /// Whether everything that the check names is there: after overrides, parts of a sweep may not be.
  func covers(_ choice: CheckChoice) -> Bool {
    guard var with = try? choice.parameters.mapping() else { return true }
    for (key, value) in with.all() {
      guard let text = try? value.string() else { continue }
      switch key.value {
      case "series", "over", "under": if !series.contains(text) { return false }
      case "at": if !has(x: text) { return false }
      default: break
      }
    }
    return true
  }
}
