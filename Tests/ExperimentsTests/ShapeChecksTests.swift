import Measurement
import Reporting
import Testing
import Workload

@testable import Experiments

/// Every check over small tables of rows: one that passes, one that fails, and none to look at.
@Suite struct ShapeChecksTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var check: String
    /// y by x, of the series a.
    var a: [(Double, Double)]
    var b: [(Double, Double)] = []
    var passes: Bool
    var testDescription: String { "\(passes ? "pass" : "fail"): \(check)" }
  }

  private static func rows(_ series: String, _ points: [(Double, Double)], unit: String = "s")
    -> [Row]
  {
    points.map { x, y in
      Row(
        experiment: "Fig1", series: series, xName: "n", x: Quantity.digits(x), yName: "time", y: y,
        unit: unit, origin: .simulated)
    }
  }

  private static func choices(_ check: String) throws -> [CheckChoice] {
    try WorkloadFile(
      text: """
        experiment: e
        title: "E"
        cluster: {profile: p.yaml}
        workload: {program: tree-reduce}
        checks: [\(check)]
        """,
      path: "w.yaml",
      files: FileReader([
        "p.yaml": "{name: p, nodes: [{name: c, count: 1, cpus: 1}], network: {latency: 1us}}"
      ])
    ).checks
  }

  private static func evaluate(_ check: String, _ rows: [Row]) throws -> Check {
    let point = PublishedPoint(
      experiment: "Fig1", series: "a", xName: "n", x: "2", yName: "time", y: 10, unit: "s",
      origin: .text, source: "a paper")
    let checks = try ShapeChecks(rows: rows, published: PublishedResults([point]))
      .evaluate(try choices(check), measure: "time")
    return try #require(checks.first)
  }

  static let line: [(Double, Double)] = [(1, 5), (2, 10), (4, 20), (8, 40)]
  static let bent: [(Double, Double)] = [(1, 5), (2, 20), (4, 6), (8, 19)]
  static let level: [(Double, Double)] = [(1, 5), (2, 5.1), (4, 4.9)]

  static let cases: [Case] = [
    Case(check: "{check: linear, series: a}", a: line, passes: true),
    Case(check: "{check: linear, series: a}", a: bent, passes: false),
    Case(check: "{check: linear, series: a, min-r2: 0.01}", a: bent, passes: true),
    Case(check: "{check: proportional, series: a}", a: line, passes: true),
    Case(check: "{check: proportional, series: a}", a: level, passes: false),
    Case(
      check: "{check: proportional, series: a, from: 2}", a: [(1, 9)] + line.dropFirst(),
      passes: true),
    Case(check: "{check: flat, series: a}", a: level, passes: true),
    Case(check: "{check: flat, series: a}", a: line, passes: false),
    Case(check: "{check: flat, series: a, to: 2}", a: [(1, 5), (2, 5), (4, 50)], passes: true),
    Case(check: "{check: per-unit, series: a}", a: line, passes: true),
    Case(check: "{check: per-unit, series: a}", a: level, passes: false),
    Case(
      check: "{check: gain-per-doubling, series: a, min: 1.9, max: 2.1}",
      a: [(1, 40), (2, 20), (4, 10)], passes: true),
    Case(
      check: "{check: gain-per-doubling, series: a, min: 1.9, max: 2.1}",
      a: [(1, 40), (2, 38), (4, 36)], passes: false),
    Case(
      check: "{check: saturates, series: a, from: 2}", a: [(1, 40), (2, 20), (4, 19)],
      passes: true),
    Case(
      check: "{check: saturates, series: a, from: 2}", a: [(1, 40), (2, 20), (4, 10)],
      passes: false),
    Case(
      check: "{check: saturates, series: a, rises: true}", a: [(1, 10), (2, 10.5), (4, 11)],
      passes: true),
    Case(check: "{check: saturates, series: a, rises: true}", a: line, passes: false),
    Case(
      check: "{check: ratio, over: a, under: b, at: 2, min: 4}", a: line, b: [(2, 2)],
      passes: true),
    Case(
      check: "{check: ratio, over: a, under: b, at: 2, max: 4}", a: line, b: [(2, 2)],
      passes: false),
    Case(check: "{check: below, over: a, under: b, at: 4}", a: line, b: [(4, 21)], passes: true),
    Case(check: "{check: below, over: a, under: b, at: 4}", a: line, b: [(4, 19)], passes: false),
    Case(check: "{check: published, series: a}", a: [(2, 10.5)], passes: true),
    Case(check: "{check: published, series: a}", a: [(2, 12)], passes: false),
    Case(check: "{check: published, series: a, within: 0.5}", a: [(2, 12)], passes: true),
    Case(check: "{check: value, series: a, at: 8, min: 39, max: 41}", a: line, passes: true),
    Case(check: "{check: value, series: a, at: 8, max: 39}", a: line, passes: false),
    Case(check: "{check: value, min: 5}", a: [(1, 5)], passes: true),
  ]

  @Test("checks pass and fail as their rows say", arguments: cases)
  func verdict(_ test: Case) throws {
    let check = try Self.evaluate(
      test.check, Self.rows("a", test.a) + Self.rows("b", test.b))
    #expect(check.passed == test.passes, "measured \(check.measured), expected \(check.expected)")
    #expect(check.measured != "no data")
  }

  @Test("a check without the points that it needs fails and says so", arguments: cases)
  func noData(_ test: Case) throws {
    let check = try Self.evaluate(test.check, [])
    #expect(!check.passed)
    #expect(check.measured == "no data")
  }

  @Test("every kind of check is among the cases")
  func complete() {
    for name in ShapeChecks.names {
      #expect(Self.cases.contains { $0.check.hasPrefix("{check: \(name),") && $0.passes })
      #expect(
        name == "value"
          || Self.cases.contains { $0.check.hasPrefix("{check: \(name),") && !$0.passes })
    }
  }

  @Test("one point is no trend: checks of growth need two")
  func onePoint() throws {
    for kind in ["linear", "proportional", "per-unit", "saturates"] {
      let check = try Self.evaluate("{check: \(kind), series: a}", Self.rows("a", [(1, 5)]))
      #expect(!check.passed, "\(kind): \(check.measured)")
    }
  }

  @Test(
    "a check that needs more CPUs than the machine has is skipped, and says so; in virtual time not"
  )
  func tooFewProcessors() throws {
    let choices = try Self.choices("{check: value, max: 39, needs-cpus: 8, note: why}")
    let rows = Self.rows("a", [(1, 40)])
    func evaluate(on processors: Int?) throws -> Check {
      try #require(
        try ShapeChecks(rows: rows, published: PublishedResults(), processors: processors)
          .evaluate(choices, measure: "time").first)
    }
    let skipped = try evaluate(on: 2)
    #expect(!skipped.failed && !skipped.passed && skipped.measured == "40 s")
    #expect(skipped.skipped == "needs 8 CPUs, this machine has 2")
    #expect(try evaluate(on: 8).failed)
    #expect(try evaluate(on: nil).failed)
    let table = SummaryDocument.table([skipped]).terminalText
    #expect(table.contains("skipped: needs 8 CPUs, this machine has 2; why"))
    #expect(table.contains("Checks: 0 passed, 1 skipped"))
  }

  @Test("a check for one world is skipped in the other, and says so; other worlds there are none")
  func world() throws {
    let choices = try Self.choices("{check: value, max: 39, world: simulated}")
    let rows = Self.rows("a", [(1, 40)])
    func evaluate(in world: String) throws -> Check {
      try #require(
        try ShapeChecks(rows: rows, published: PublishedResults(), world: world)
          .evaluate(choices, measure: "time").first)
    }
    #expect(try evaluate(in: "simulated").failed)
    let skipped = try evaluate(in: "real")
    #expect(!skipped.failed && skipped.skipped == "counts in the simulated world alone")
    #expect(throws: WorkloadError.self) {
      try Self.evaluate("{check: value, max: 39, world: virtual}", rows)
    }
  }

  @Test("a value that fails by little is shown with as many digits as it takes")
  func closeFailure() throws {
    let check = try Self.evaluate("{check: value, min: 100}", Self.rows("a", [(1, 99.99987)]))
    #expect(!check.passed)
    #expect(check.measured == "99.9999 s" && check.expected == "at least 100 s")
  }

  @Test("names are looked up before the run, points by their number")
  func validation() throws {
    let scope = CheckScope(series: ["a", "b"], xs: ["100KB", "1MB"], measures: ["time"])
    func problem(_ check: String) throws -> String? {
      do {
        try ShapeChecks.validate(try Self.choices(check), in: scope)
        return nil
      } catch let error as WorkloadError { return error.message }
    }
    #expect(try problem("{check: value, series: a, at: 1000000}") == nil)
    #expect(try problem("{check: value, series: a, at: 2MB}") == "unknown point '2MB'")
    #expect(try problem("{check: flat, series: c}") == "unknown series 'c'")
    #expect(try problem("{check: flat, series: a, measure: speed}") == "unknown measure 'speed'")
    #expect(try problem("{check: ratio, over: a, under: b}")?.contains("needs 'at'") == true)
    #expect(try problem("{check: flat, series: a, wihtin: 1}")?.contains("unknown key") == true)
    #expect(try problem("{check: value, at: 1MB}")?.contains("series") == true, "two series")
    let absent = try Self.choices("{check: ratio, over: a, under: c, at: 1MB}")[0]
    #expect(!scope.covers(absent))
    #expect(scope.covers(try Self.choices("{check: ratio, over: a, under: b, at: 1MB}")[0]))
  }
}
