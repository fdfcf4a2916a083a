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

  struct Point {
    var x: Double
    var y: Double
  }

  static let names = [
    "linear", "proportional", "flat", "per-unit", "gain-per-doubling", "saturates", "ratio",
    "published", "value", "below",
  ]

  func evaluate(_ choices: [CheckChoice], measure: String) throws(WorkloadError) -> [Check] {
    var checks: [Check] = []
    for choice in choices { checks.append(try evaluate(choice, measure)) }
    return checks
  }

  /// Reads the parameters only: for validation before the run.
  static func validate(_ choices: [CheckChoice], measure: String) throws(WorkloadError) {
    _ = try ShapeChecks(rows: [], published: PublishedResults()).evaluate(choices, measure: measure)
  }

  private func evaluate(_ choice: CheckChoice, _ measure: String) throws(WorkloadError) -> Check {
    var with = try choice.parameters.mapping()
    let measure = try with.string("measure", default: measure)
    let from = try with.double("from", default: -.infinity, in: -.infinity...(.infinity))
    let to = try with.double("to", default: .infinity, in: -.infinity...(.infinity))
    let note = try with.string("note", default: "")
    let name = choice.name.value
    var check: Check
    switch name {
    case "linear":
      let series = try with.string("series")
      let least = try with.double("min-r2", default: 0.99, in: 0...1)
      let p = points(series, measure, from, to)
      let fit = LinearRegression(x: p.map(\.x), y: p.map(\.y))
      check = Self.check(
        "\(series): \(measure) is linear in x (R²)", value: fit?.rSquared, unit: "",
        in: least...1, note: note)
    case "proportional":
      let series = try with.string("series")
      let within = try with.double("within", default: 0.15, in: 0...10)
      let p = points(series, measure, from, to)
      let fit = LinearRegression(x: p.map { log($0.x) }, y: p.map { log($0.y) })
      check = Self.check(
        "\(series): \(measure) grows in proportion to x (log-log slope)",
        value: fit?.slope, unit: "", in: (1 - within)...(1 + within), note: note)
    case "flat":
      let series = try with.string("series")
      let within = try with.double("within", default: 0.1, in: 0...10)
      let y = points(series, measure, from, to).map(\.y)
      let mean = y.isEmpty ? nil : y.reduce(0, +) / Double(y.count)
      let spread = mean.map { m in y.map { abs($0 / m - 1) }.max() ?? 0 }
      check = Self.check(
        "\(series): \(measure) does not depend on x (largest deviation from the mean)",
        value: spread, unit: "", in: 0...within, note: note)
    case "per-unit":
      let series = try with.string("series")
      let within = try with.double("within", default: 0.2, in: 0...10)
      let p = points(series, measure, from, to)
      let ratio = p.count > 1 ? p[p.count - 1].y / p[p.count - 1].x / (p[0].y / p[0].x) : nil
      check = Self.check(
        "\(series): \(measure) per x at the last point over the first", value: ratio,
        unit: "x", in: (1 - within)...(1 + within), note: note)
    case "gain-per-doubling":
      let series = try with.string("series")
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
        unit: "x", in: least...max(least, most), note: note)
    case "saturates":
      let series = try with.string("series")
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
          + " (per doubling)", value: gain, unit: "x", in: 0...most, note: note)
    case "ratio", "below":
      let over = try with.string("over")
      let under = try with.string("under")
      let at = try with.string("at", default: "")
      let least = try with.double("min", default: 0, in: 0...1e12)
      let most = try with.double("max", default: name == "below" ? 1 : .infinity, in: 0...(.infinity))
      let upper = value(over, measure, at)
      let lower = value(under, measure, at)
      let ratio = upper.flatMap { u in lower.map { u / $0 } }
      let place = at.isEmpty ? "" : " at x = \(at)"
      check = Self.check(
        "\(measure): \(over) over \(under)\(place)", value: ratio, unit: "x",
        in: least...max(least, most), note: note)
    case "published":
      let series = try with.string("series")
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
      let series = try with.string("series", default: "")
      let at = try with.string("at", default: "")
      let least = try with.double("min", default: -.infinity, in: -.infinity...(.infinity))
      let most = try with.double("max", default: .infinity, in: -.infinity...(.infinity))
      let found = value(series, measure, at)
      let row = rows.first { $0.yName == measure }
      check = Self.check(
        series.isEmpty ? measure : "\(series): \(measure)", value: found,
        unit: row?.unit ?? "", in: least...max(least, most), note: note)
    default:
      throw .unknown("check", name, known: Self.names, at: choice.name.position)
    }
    try with.finish()
    return check
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

  private func points(_ series: String, _ measure: String, _ from: Double, _ to: Double) -> [Point] {
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
