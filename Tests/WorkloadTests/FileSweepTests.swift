import Testing

@testable import Workload

@Suite("Sweeps and overrides")
struct FileSweepTests {
  let two = """
    sweep:
      cluster.nodes: [10, 20]
      workload.with.tasks: [1, 2, 3]
    x: {name: cores, from: cluster.nodes, scale: 64}
    series: "run of {workload.with.tasks}"

    """

  @Test("a sweep is expanded in order, the first dimension slowest")
  func order() throws {
    let cells = try workload(more: two).cells()
    #expect(cells.map(\.index) == Array(0..<6))
    #expect(
      cells.map { $0.labels.map(\.text).joined(separator: "/") }
        == ["10/1", "10/2", "10/3", "20/1", "20/2", "20/3"])
    #expect(cells.map { $0.x?.text } == ["640", "640", "640", "1280", "1280", "1280"])
    #expect(cells[3].x == WorkloadCell.Point(name: "cores", text: "1280", number: 1280))
    #expect(cells.map(\.series).suffix(2) == ["run of 2", "run of 3"])
    #expect(cells.map { $0.file.cluster.nodes.count } == [10, 10, 10, 20, 20, 20])
    #expect(cells.allSatisfy { $0.file.sweep.isEmpty })
    #expect(cells[0].labels[1].path == "workload.with.tasks")
  }

  @Test("values in a zip go together")
  func zipped() throws {
    let cells = try workload(
      more: """
        sweep:
          seeds: [1, 2]
          zip:
            - {cluster.nodes: 10, workload.with.duration: 1ms}
            - {workload.with.duration: 2ms, cluster.nodes: 20}
        """
    ).cells()
    #expect(
      cells.map { $0.labels.map(\.text).joined(separator: "/") }
        == ["1/10/1ms", "1/20/2ms", "2/10/1ms", "2/20/2ms"])
    #expect(cells[1].series == "seeds=1, nodes=20, duration=2ms")
  }

  @Test("a swept value is checked as if written in place, and errors point at the sweep")
  func checked() throws {
    let file = try workload(more: "sweep:\n  cluster.nodes: [10, many]\n")
    #expect(
      message { () throws(WorkloadError) in _ = try file.cells() }
        == "paper/w.yaml:8:23: 'cluster.nodes' is 'many'; expected a whole number from 1 to 100000")
  }

  @Test("a required key may come from the sweep alone, and a profile may be swept")
  func onlySwept() throws {
    let text = """
      experiment: a
      title: t
      workload: {program: es}
      sweep:
        cluster:
          - {profile: ../clusters/tiny.yaml, nodes: 3}
          - {profile: ../clusters/mixed.yaml, nodes: 4}
      """
    let cells = try workload(text).cells()
    #expect(cells.map(\.file.cluster.profile.name) == ["tiny", "mixed"])
  }

  @Test("x takes sizes and durations as numbers in base units")
  func xNumbers() throws {
    let cells = try workload(
      more: """
        sweep: {workload.with.size: [100KB, 1MB]}
        x: {name: KB, from: workload.with.size, scale: 0.001}
        """
    ).cells()
    #expect(cells.map { $0.x?.text } == ["100", "1000"])
  }

  @Test(
    "a sweep whose cells cannot be told apart, or a path that leads nowhere, is an error",
    arguments: [
      (
        "sweep: {seeds: [1, 2]}\nseries: plain",
        "8:9: the cells seeds=1 and seeds=2 share the series 'plain'; add {seeds} to 'series', "
          + "or make it the x axis"
      ),
      ("sweep: {seeds: [1, 1]}", "7:20: the sweep lists the same value twice; keep one"),
      (
        "x: {name: n, from: cluster.nods}",
        "7:20: nothing is written at 'cluster.nods'; expected the key path of a value in this "
          + "file; write the value, or sweep over it"
      ),
      (
        "x: {name: n, from: title, scale: 2}",
        "7:20: 'A try' at 'title' is not a number, so it cannot be scaled; remove 'scale'"
      ),
      (
        "series: 'ES {workload.with.tsks}'",
        "7:9: nothing is written at 'workload.with.tsks'; expected the key path of a value in "
          + "this file; write the value, or sweep over it"
      ),
      (
        "series: 'ES {workload'",
        "7:9: the series 'ES {workload' has '{' without '}'; expected "
          + "{key.path}"
      ),
    ])
  func badCells(text: String, expected: String) throws {
    let file = try workload(more: text)
    #expect(
      message { () throws(WorkloadError) in _ = try file.cells() } == "paper/w.yaml:" + expected)
  }

  @Test("a sweep with too many cells is refused before it is expanded")
  func tooMany() throws {
    let values = (0..<1000).map(String.init).joined(separator: ",")
    let file = try workload(
      more: "sweep: {parameters.a: [\(values)], parameters.b: [\(values)], seeds: [1]}")
    #expect(
      message { () throws(WorkloadError) in _ = try file.cells() }
        == "paper/w.yaml:7:3916: the sweep has more than 100000 cells; sweep over fewer values")
  }

  @Test("an override replaces a value, adds to open mappings, and is read again")
  func overrides() throws {
    let file = try workload(minimal).applying(overrides: [
      ("cluster.nodes", "9"), ("workload.with.tasks", "7"), ("workload.with.extra", "a, b: c"),
      ("parameters.heartbeat", "50ms"), ("policies.dispatch", "FIFO[a=1]"),
      ("seeds", "[3, 4]"), ("cluster.network.latency", "1ms"),
    ])
    #expect(file.cluster.nodes.count == 9 && file.seeds == [3, 4])
    #expect(file.policies[0].parameters.count == 1)
    #expect(file.cluster.profile.network.latency == .milliseconds(1))
    guard case .generator(_, let with) = file.workload else { return }
    #expect(with.inlineText == "{tasks: 7, duration: 1ms, extra: a, b: c}")
    var parameters = try file.parameters.mapping()
    #expect(try parameters.duration("heartbeat") == .milliseconds(50))
  }

  @Test(
    "a bad override names itself",
    arguments: [
      (
        "cluster.nodse", "9",
        "--set cluster.nodse=9: unknown key 'nodse' in 'cluster'; did you mean 'nodes'?"
      ),
      (
        "clstr.nodes", "9",
        "--set clstr.nodes=9: unknown key 'clstr'; known: experiment, title, "
          + "description, figure, cluster, architecture, policies, parameters, workload, measures, "
          + "seeds, sweep, x, series, compare, checks"
      ),
      (
        "cluster.nodes", "many",
        "--set cluster.nodes=many: 'cluster.nodes' is 'many'; expected a whole number from 1 to "
          + "100000"
      ),
      (
        "cluster.nodes", "", "--set cluster.nodes=: there is no value after '='; expected key=value"
      ),
      (
        "", "9",
        "--set =9: '' is not a key path; expected keys with dots between them, such as "
          + "cluster.nodes"
      ),
      (
        "title.a", "9",
        "--set title.a=9: 'title.a' goes through 'A try', which has no keys; shorten the path "
          + "before '.a'"
      ),
      (
        "seeds", "[1",
        "--set seeds=[1: not valid YAML: did not find expected ',' or ']' "
          + "(while parsing a flow sequence that begins in line 1); close the bracket, "
          + "and put quotes around a value that contains , [ ] { or }"
      ),
      (
        "cluster.network.latency", "5",
        "--set cluster.network.latency=5: 'network.latency' is '5'; expected a duration with a "
          + "unit, such as 57.5us, 100ms or 2min; a unit is needed: write 5us, 5ms or 5s"
      ),
      ("measures.0", "a", "--set measures.0=a: 'measures' is a mapping; expected a list"),
    ])
  func badOverride(key: String, text: String, expected: String) throws {
    let file = try workload(minimal)
    #expect(
      message { () throws(WorkloadError) in _ = try file.applying(overrides: [(key, text)]) }
        == expected)
  }

  @Test("an override of a swept path fixes it; sweep.path replaces its list")
  func overrideSweep() throws {
    let file = try workload(more: two)
    let fixed = try file.applying(overrides: [("cluster.nodes", "5")])
    #expect(fixed.sweep.count == 1)
    #expect(try fixed.cells().map(\.file.cluster.nodes.count) == [5, 5, 5])
    let varied = try file.applying(overrides: [("sweep.cluster.nodes", "[1, 2, 3]")])
    #expect(try varied.cells().count == 9)
    let added = try fixed.applying(overrides: [
      ("sweep.seeds", "[1, 2]"), ("series", "{seeds} {workload.with.tasks}"),
    ])
    #expect(try added.cells().count == 6)
    #expect(
      message { () throws(WorkloadError) in _ = try file.applying(overrides: [("cluster", "{}")]) }
        == "--set cluster={}: the sweep sets 'cluster.nodes', which overlaps 'cluster'; set "
        + "'sweep.cluster.nodes' instead")
    let zip = try workload(
      more: "sweep: {zip: [{cluster.nodes: 1, seeds: 1}, {cluster.nodes: 2, seeds: 2}]}")
    let rest = try zip.applying(overrides: [("seeds", "9")])
    #expect(try rest.cells().map(\.file.cluster.nodes.count) == [1, 2])
    #expect(try rest.cells().map(\.file.seeds.count) == [9, 9])
  }
}
