import Foundation
import Measurement
import Primitives
import Reporting
import Testing
import Workload

@testable import Experiments

/// Where the makespan of a traced run went.
@Suite struct MakespanTests {
  private func trace(_ name: String, _ overrides: [(String, String)]) throws -> (
    RunResult, RunTrace
  ) {
    let path = WalkThroughTests.workloads.appendingPathComponent("\(name).yaml").path
    let file = try WorkloadFile.load(path).applying(overrides: overrides)
    var options = RunOptions()
    options.traceLimit = 10_000
    let run = try PreparedCell(try file.cells()[0]).run(seed: 1, options)
    #expect(run.failure == nil)
    return (run, try #require(run.trace))
  }

  @Test(
    "seven additions in a row run for 3.5 s and three levels for 1.5 s; the rest is accounted for",
    arguments: [("chain", 7), ("tree", 3)])
  func treeReduce(_ shape: String, _ depth: Int) throws {
    let (run, trace) = try trace("tree-reduce", [("workload.with.shape", shape)])
    let path = CriticalPath(trace.timeline)
    let parts = path.breakdown
    #expect(path.tasks.count == depth)
    #expect(parts.run == TimeSpan.milliseconds(500) * UInt64(depth), "to the nanosecond")
    #expect(parts.makespan == trace.timeline.makespan, "the parts sum to the makespan")
    #expect(
      parts.run + parts.queue + parts.transfer + parts.scheduling + parts.driver
        == trace.timeline.makespan)
    #expect(trace.timeline.criticalPathBound() == parts.run, "no wait hides a longer chain")
    // What the driver measured, from its submission to its answer, holds the traced makespan and the
    // answer's way back, which is less than a millisecond.
    let measured = try #require(run.figure("makespan"))
    #expect(measured > trace.timeline.makespan.seconds)
    #expect(measured < trace.timeline.makespan.seconds + 0.001)
    // Dispatching each task takes 20 us, which the worker spends on nothing else.
    #expect(parts.queue == TimeSpan.microseconds(20) * UInt64(depth))
    #expect(parts.transfer > .zero && parts.scheduling > .zero)
    #expect(parts.makespan.seconds - parts.run.seconds < 0.005, "overhead is small beside the work")
  }

  @Test("the work bound counts the CPUs that tasks hold, on all CPUs of the cluster")
  func workBound() throws {
    let (_, trace) = try trace("tree-reduce", [("workload.with.shape", "tree")])
    #expect(trace.cpus == 8)
    #expect(abs(trace.processorTime.seconds - 7 * 0.5) < 1e-9)
    #expect(abs(trace.workBound.seconds - 3.5 / 8) < 1e-9)
    #expect(trace.workBound < trace.timeline.makespan)
    #expect(!trace.isCut)
  }

  @Test("what a program waited for counts as that, not as the program's own time")
  func control() throws {
    // Ten steps of a 200 ms rollout and a 50 ms update, one after another through the driver.
    let (_, trace) = try trace("train-policy", [])
    let parts = CriticalPath(trace.timeline).breakdown
    #expect(parts.run.seconds >= 10 * 0.25)
    #expect(parts.driver.seconds < 0.05 * parts.makespan.seconds)
  }

  @Test("with more tasks than are to be recorded, the trace is cut and says so")
  func cut() throws {
    let path = WalkThroughTests.workloads.appendingPathComponent("tree-reduce.yaml").path
    var runner = ExperimentRunner(try WorkloadFile.load(path), threads: 1)
    runner.traceLimit = 3
    let report = try ExperimentReport(
      try runner.run(), seeds: runner.seeds, command: [], startedAt: "",
      published: PublishedResults())
    #expect(report.result.runs.allSatisfy { $0[0].trace?.timeline.tasks.count == 3 })
    let table = try #require(report.details.first)
    #expect(table.headings.map(\.title) == ["", "chain", "tree"])
    #expect(table.notes.contains("Traces: trace.json (chain), trace-2.json (tree)."))
    #expect(table.notes.contains("Only the first 3 tasks were recorded; --trace records more."))
  }

  @Test("the parts of a run add up to its makespan")
  func table() throws {
    let table = try table([])
    for run in [1, 2] {
      let numbers = table.rows.prefix(6).compactMap { Double($0[run]) }
      try #require(numbers.count == 6)
      #expect(abs(numbers[..<5].reduce(0, +) - numbers[5]) < 3e-6)
    }
    #expect(table.rows[0] == ["run", "3.500000", "1.500000"])
    #expect(table.rows.map { $0[0] }.suffix(3) == ["makespan", "longest chain", "work ÷ CPUs"])
  }

  @Test(
    "the table of as many runs as are traced fits into 80 characters, whatever they are called",
    arguments: [
      ("[1, 2, 3, 4]", "\"{workload.with.shape}\""), ("[1, 200000]", "short"),
      ("[1, 200000]", "\"a-series-with-a-name-that-has-no-place-to-break {workload.with.shape}\""),
      ("[1]", "\"a-series-with-a-name-that-has-no-place-to-break {workload.with.shape}\""),
    ])
  func width(seconds: String, series: String) throws {
    let table = try table([
      ("workload.with.shape", "chain"), ("workload.with.duration", "1s"), ("series", series),
      ("sweep.workload.with.duration", seconds.replacing(/[0-9]+/) { "\($0.output)s" }),
      ("checks", "[]"), ("compare", "[]"), ("x", "{name: task time, from: workload.with.duration}"),
    ])
    let lines = table.terminalText(width: 80).split(separator: "\n")
    #expect(lines.filter { $0.count > 80 } == [])
    #expect(table.headings.count == 1 + seconds.count { $0 == "," } + 1)
  }

  /// The table of the tree reduce with some changes.
  private func table(_ changes: [(String, String)]) throws -> ResultTable {
    let path = WalkThroughTests.workloads.appendingPathComponent("tree-reduce.yaml").path
    let file = try WorkloadFile.load(path).applying(overrides: changes)
    var runner = ExperimentRunner(file, threads: 1)
    runner.traceLimit = 100
    let report = try ExperimentReport(
      try runner.run(), seeds: runner.seeds, command: [], startedAt: "",
      published: PublishedResults())
    return try #require(report.details.first)
  }
}
