import Heliostat
import Primitives
import Simulation
import Testing
import Workload

@testable import Experiments

@Suite struct PreparedCellTests {
  private func prepare(_ workload: String, _ more: String = "") throws -> PreparedCell {
    try PreparedCell(try Texts.file(more, workload: workload).cells()[0])
  }

  private func problem(_ workload: String, _ more: String = "") throws -> String {
    do {
      _ = try prepare(workload, more)
      return "none"
    } catch let error as WorkloadError { return error.message }
  }

  @Test("a task must fit one node in every resource at once")
  func demand() throws {
    func task(_ demand: String) throws -> String {
      try problem("{graph: [{id: a, duration: 1s, \(demand)}]}")
    }
    #expect(try task("cpus: 4, gpus: 3") == "none")
    #expect(try task("cpus: 5").hasPrefix("task 'a' needs {CPU: 5}"))
    #expect(try task("gpus: 4").hasPrefix("task 'a' needs"))
    #expect(try task("resources: {tape: 2}") == "none")
    #expect(try task("resources: {tape: 3}").hasPrefix("task 'a' needs"))
    #expect(try task("resources: {disk: 1}").hasPrefix("task 'a' needs"))
  }

  @Test("an object must fit the smallest store")
  func objects() throws {
    #expect(try problem("{graph: [{id: a, duration: 1s, output: 1GB}]}") == "none")
    #expect(
      try problem("{graph: [{id: a, duration: 1s, output: 1.1GB}]}")
        .contains("larger than an object store of 1GB"))
    #expect(
      try problem("{program: locality, with: {tasks: 1, object-size: 2GB}}")
        .contains("larger than an object store"))
  }

  @Test("measures are those that the workload reports, in their unit or one of its kind")
  func measures() throws {
    let program = "{program: tree-reduce}"
    #expect(try problem(program, "measures: [sum, {name: makespan, unit: min}]") == "none")
    #expect(try problem(program, "measures: [throughput]") == "unknown measure 'throughput'")
    #expect(
      try problem(program, "measures: [{name: makespan, unit: GB}]")
        == "'makespan' is measured in s, which cannot be given in 'GB'")
    #expect(
      try problem("{generator: independent, with: {tasks: 1}}", "measures: [throughput]")
        == "none")
    #expect(
      try problem("{graph: [{id: a, duration: 1s}]}", "measures: [sum]")
        == "unknown measure 'sum'")
  }

  @Test(
    "a run reports exactly the measures that its workload declares",
    arguments: [
      "{program: tree-reduce}", "{generator: independent, with: {tasks: 50}}",
      "{program: parameter-server, with: {workers: 2, shards: 1, steps: 60}}",
      "{program: train-policy, with: {simulators: 2, steps: 2}}",
      "{graph: [{id: a, duration: 1s}]}",
      "{program: evolution-strategies, with: {tasks: 5, iterations: 1, steps: 1}}",
    ])
  func declared(_ workload: String) throws {
    let cell = try prepare(workload)
    let run = cell.run(seed: 1)
    #expect(run.failure == nil)
    #expect(run.figures.map { Measure($0.name, $0.unit) } == cell.measures)
  }

  @Test("programs of two sites, too, report exactly what they declare")
  func declaredOnSites() throws {
    for (name, overrides) in [
      ("fig7-end-to-end", []), ("fig8a-locality", [("workload.with.tasks", "4")]),
    ] {
      let path = WalkThroughTests.workloads.appendingPathComponent("paper/\(name).yaml").path
      let file = try WorkloadFile.load(path).applying(overrides: overrides)
      let cell = try PreparedCell(try file.cells()[0])
      let run = cell.run(seed: 1)
      #expect(run.failure == nil)
      #expect(run.figures.map { Measure($0.name, $0.unit) } == cell.measures)
    }
  }

  @Test("a run that cannot go on names what is wanted and not to be had")
  func stalled() throws {
    // Actors keep their GPU: the seventh never gets one of the six.
    let cell = try prepare("{program: train-policy, with: {simulators: 7, steps: 1}}")
    let failure = try #require(cell.run(seed: 1).failure)
    #expect(failure.contains("stay pending: no node has {GPU: 1} that actors do not hold for life"))
  }

  @Test("the same seed gives the same run, another seed another, and a trace changes nothing")
  func fingerprints() throws {
    let cell = try prepare(
      "{generator: independent, with: {tasks: 100, duration: \"uniform(1ms, 2ms)\"}}")
    let one = cell.run(seed: 1)
    var traced = RunOptions()
    traced.traceLimit = 1000
    #expect(cell.run(seed: 1).fingerprint == one.fingerprint)
    #expect(cell.run(seed: 1, traced).fingerprint == one.fingerprint)
    #expect(cell.run(seed: 2).fingerprint != one.fingerprint)
  }

  @Test("seeds that follow each other are written as a range")
  func seeds() {
    let cases: [([UInt64], String)] = [
      ([1], "1"), ([1, 2, 3], "1-3"), ([1, 3], "1 3"), ([4, 5, 9, 1, 2], "4-5 9 1-2"), ([], ""),
      ([.max - 1, .max], "18446744073709551614-18446744073709551615"),
    ]
    for (seeds, text) in cases { #expect(ExperimentReport.seedText(seeds) == text) }
  }
}
