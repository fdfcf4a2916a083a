import Foundation
import Reporting
import Testing
import Workload

@testable import Experiments

/// Small versions of the paper's experiments, so that the shape is watched on every change; the full
/// sizes are run by hand and by the headline command.
@Suite struct PaperShapeTests {
  private func report(_ name: String, _ overrides: [(String, String)]) throws -> ExperimentReport {
    let path = WalkThroughTests.workloads.appendingPathComponent("paper/\(name).yaml").path
    let file = try WorkloadFile.load(path).applying(overrides: overrides)
    let runner = ExperimentRunner(file, threads: 2)
    return try ExperimentReport(
      try runner.run(), seeds: runner.seeds, command: [], startedAt: "",
      published: try PublishedResults.beside(path))
  }

  private func y(_ report: ExperimentReport, _ series: String, _ x: String) throws -> Double {
    let row = report.rows.first { $0.series == series && $0.x == x }
    return try #require(row?.y)
  }

  @Test("placement that sees locations is flat in the input's size, unaware placement is not")
  func locality() throws {
    let report = try report(
      "fig8a-locality",
      [
        ("workload.with.tasks", "100"), ("seeds", "2"),
        ("sweep.workload.with.object-size", "[100KB, 100MB]"),
      ])
    #expect(report.failures.isEmpty)
    let aware = "LowestWait[locality=on]"
    let unaware = "LowestWait[locality=off]"
    let base = try y(report, aware, "100KB")
    #expect(abs(try y(report, aware, "100MB") / base - 1) < 0.1)
    #expect(try y(report, unaware, "100MB") / base > 70)
  }

  @Test("empty tasks scale with the nodes bottom-up, and not through one global scheduler")
  func emptyTasks() throws {
    let report = try report(
      "fig8b-empty-tasks",
      [("workload.with.tasks", "30000"), ("sweep.cluster.nodes", "[9, 17]")])
    #expect(report.failures.isEmpty)
    let local = "QueueThreshold[perWorker=2], GCS shards: 64"
    #expect(try y(report, local, "17") / y(report, local, "9") > 1.8)
    let central = "AlwaysEscalate, GCS shards: 64"
    #expect(try y(report, central, "17") / y(report, central, "9") < 1.1)
  }

  @Test("tree aggregation goes on scaling where flat aggregation has stopped")
  func evolutionStrategies() throws {
    let report = try report(
      "fig14a-evolution-strategies",
      [
        ("workload.with.tasks", "2000"), ("workload.with.iterations", "2"), ("seeds", "1"),
        ("workload.with.steps", "uniform(1, 100)"), ("sweep.cluster.nodes", "[4, 16]"),
      ])
    #expect(report.failures.isEmpty)
    let tree = try y(report, "tree", "256") / y(report, "tree", "1024")
    let flat = try y(report, "flat", "256") / y(report, "flat", "1024")
    #expect(tree > 1.5 * flat, "tree gains \(tree), flat \(flat)")
  }
}
