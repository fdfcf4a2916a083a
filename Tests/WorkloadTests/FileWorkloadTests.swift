import Primitives
import Testing

@testable import Workload

@Suite("Workload files")
struct FileWorkloadTests {
  @Test("a file with every key is read into typed values")
  func everything() throws {
    let file = try workload(FileSyntaxTests.everything)
    #expect(file.experiment == "all-keys" && file.title == "Everything at once")
    #expect(file.description == "Several lines\n")
    #expect(file.figure?.value == "Fig14a")
    #expect(file.cluster.profilePath == "clusters/mixed.yaml")
    #expect(file.cluster.nodes.count == 4)
    #expect(file.policies.map(\.role) == ["spillover", "dispatch"])
    #expect(file.policies[0].name == "QueueThreshold")
    #expect(file.policies[0].parameters.map(\.key) == ["threshold"])
    #expect(file.policies[0].parameters.map(\.value) == ["128"])
    #expect(file.policies[1].text == "FIFO" && file.policies[1].parameters.isEmpty)
    #expect(file.policies[1].position.description == "paper/w.yaml:12:66")
    #expect(file.measures.map(\.yName) == ["time", "throughput"])
    #expect(file.measures[0].name.value == "makespan" && file.measures[0].unit?.value == "s")
    #expect(file.seeds == [1, 2, 3])
    #expect(file.compare[0].label == "paper")
    #expect(file.checks[0].name.value == "within")
    #expect(file.checks[0].parameters.inlineText == "{of: 10, factor: 1.2}")

    var parameters = try file.parameters.mapping()
    #expect(try parameters.int("gcs-shards", default: 1) == 8)
    #expect(
      message { () throws(WorkloadError) in try parameters.finish() }
        == "paper/w.yaml:13:32: unknown key 'heartbeat' in 'parameters'; known: gcs-shards")
    #expect(try parameters.duration("heartbeat") == .milliseconds(100))
    try parameters.finish()

    guard case .graph(let graph) = file.workload else {
      Issue.record("not a graph")
      return
    }
    #expect(graph.tasks.map(\.id) == ["a", "b", "c"])
    #expect(graph.tasks.map(\.function) == ["a", "b", "add"])
    #expect(graph.tasks[0].duration == .constant(0.001), "the first cell of the sweep")
    #expect(graph.tasks[1].needs == [0, 0] && graph.tasks[1].count == 3)
    #expect(graph.order == [0, 1, 2])
    var names = ResourceNames()
    let demand = try graph.tasks[1].demand(in: &names)
    #expect(names.describe(demand) == "{CPU: 1, licence: 0.5}")
    #expect(try names.describe(graph.tasks[2].demand(in: &names)) == "{CPU: 0.5, GPU: 1}")
  }

  @Test("a file with the least keys takes the documented defaults")
  func least() throws {
    let file = try workload(minimal)
    #expect(file.architecture.value == "osdi18" && file.seeds == [1])
    #expect(file.policies.isEmpty && file.measures.isEmpty && file.checks.isEmpty)
    #expect(file.parameters.inlineText == "{}" && file.parameters.path == "parameters")
    guard case .generator(let name, let with) = file.workload else {
      Issue.record("not a generator")
      return
    }
    #expect(name.value == "independent" && with.inlineText == "{tasks: 100, duration: 1ms}")
    let cells = try file.cells()
    #expect(cells.count == 1 && cells[0].series == "try-1" && cells[0].labels.isEmpty)
  }

  @Test("seeds are a count from 1, or a list")
  func seeds() throws {
    #expect(try workload(more: "seeds: 3").seeds == [1, 2, 3])
    #expect(try workload(more: "seeds: [7, 0]").seeds == [7, 0])
  }

  @Test(
    "a bad line after a good beginning names the place and the way out",
    arguments: [
      ("sseds: 5", "7:1: unknown key 'sseds'; did you mean 'seeds'?"),
      (
        "nodes: 5",
        "7:1: unknown key 'nodes'; known: experiment, title, description, figure, "
          + "cluster, architecture, policies, parameters, workload, measures, seeds, sweep, x, "
          + "series, compare, checks"
      ),
      ("seeds: 0", "7:8: 'seeds' is '0'; expected a whole number from 1 to 100000"),
      ("seeds: []", "7:8: 'seeds' is an empty list; expected a seed"),
      ("seeds: [1, 1]", "7:12: seed 1 is listed twice; keep one"),
      ("seeds: [-1]", "7:9: 'seeds[0]' is '-1'; expected a whole number of at least 0"),
      ("policies: FIFO", "7:11: 'policies' is 'FIFO'; expected a mapping of keys to values"),
      (
        "policies: {dispatch: \"FIFO[\"}",
        "7:22: 'policies.dispatch' is 'FIFO['; expected a policy: Name or Name[key=value,…]; "
          + "close the bracket"
      ),
      (
        "policies: {dispatch: \"FIFO[a]\"}",
        "7:22: 'policies.dispatch' is 'FIFO[a]'; expected a policy: Name or Name[key=value,…]; "
          + "'a' is not key=value"
      ),
      (
        "policies: {dispatch: \"FIFO[a=1,a=2]\"}",
        "7:22: 'policies.dispatch' is 'FIFO[a=1,a=2]'; expected a policy: Name or "
          + "Name[key=value,…]; 'a' is given twice; keep one"
      ),
      (
        "policies: {dispatch: FIFO[a=1]}",
        "7:26: not valid YAML: did not find expected ',' or '}'; close the bracket, and put "
          + "quotes around a value that contains , [ ] { or }"
      ),
      ("parameters: 5", "7:13: 'parameters' is '5'; expected a mapping of keys to values"),
      ("measures: makespan", "7:11: 'measures' is 'makespan'; expected a list; write [makespan]"),
      ("measures: [a, {name: a}]", "7:15: two measures are called 'a'; rename one with 'as: …'"),
      (
        "measures: [{as: a}]",
        "7:12: 'measures[0]' has no key 'name'; expected the name of a measure; add 'name: …'"
      ),
      (
        "x: {name: nodes}",
        "7:4: 'x' has no key 'from'; expected the key path of the value on the x axis; "
          + "add 'from: …'"
      ),
      (
        "compare: [{figure: F}]",
        "7:11: 'compare[0]' has no key 'series'; expected one of its series; add 'series: …'"
      ),
      (
        "checks: [{chek: a}]",
        "7:11: unknown key 'chek' in 'checks[0]'; did you mean 'check'?"
      ),
      ("figure: [1]", "7:9: 'figure' is a list; expected a text"),
      ("architecture: ''", "7:15: 'architecture' is ''; expected a text that is not empty"),
      (
        "sweep: {cluster.nodes: []}",
        "7:24: 'cluster.nodes' sweeps over nothing; expected a list with at least one value; "
          + "add values, or remove the key"
      ),
      (
        "sweep: {cluster.nodes: 5}",
        "7:24: 'sweep.cluster.nodes' is '5'; expected a list; write [5]"
      ),
      (
        "sweep: {clster.nodes: [5]}",
        "7:9: unknown section 'clster' in 'sweep'; did you mean 'cluster'?"
      ),
      (
        "sweep: {cluster..nodes: [5]}",
        "7:9: 'cluster..nodes' is not a key path; expected keys with dots between them, such as "
          + "cluster.nodes"
      ),
      (
        "sweep: {cluster.nodes: [5], cluster: [6]}",
        "7:29: 'cluster' and 'cluster.nodes' set the same value; keep one"
      ),
      (
        "sweep: {cluster.nodes: [five]}",
        "7:25: 'cluster.nodes' is 'five'; expected a whole number from 1 to 100000"
      ),
      (
        "sweep: {cluster.nodez: [5]}",
        "7:9: unknown key 'nodez' in 'cluster'; did you mean 'nodes'?"
      ),
      (
        "sweep: {architecture.a: [5]}",
        "7:9: 'architecture' is a mapping; expected a text"
      ),
      (
        "sweep: {workload.generator.a: [5]}",
        "7:9: 'workload.generator.a' goes through 'independent', which has no keys; shorten the "
          + "path before '.a'"
      ),
      (
        "sweep: {zip: []}",
        "7:14: 'zip' sweeps over nothing; expected a list of mappings with the same keys, such "
          + "as [{a: 1, b: 2}, {a: 3, b: 4}]"
      ),
      (
        "sweep: {zip: [{cluster.nodes: 1, seeds: 1}, {seeds: 2}]}",
        "7:45: this one lacks 'cluster.nodes', which the first of the zip sets; expected a list "
          + "of mappings with the same keys, such as [{a: 1, b: 2}, {a: 3, b: 4}]"
      ),
      (
        "sweep: {zip: [{seeds: 1}, {seeds: 2, cluster.nodes: 1}]}",
        "7:38: unknown key 'cluster.nodes' in 'zip'; known: seeds"
      ),
    ])
  func bad(line: String, expected: String) {
    #expect(
      message { () throws(WorkloadError) in _ = try workload(more: line) }
        == "paper/w.yaml:" + expected)
  }

  @Test(
    "a bad experiment, cluster or workload names the place and the way out",
    arguments: [
      (
        "title: t",
        "1:1: the file has no key 'experiment'; expected a name for the results; "
          + "add 'experiment: …'"
      ),
      (
        "experiment: Fig 8b",
        "1:13: 'experiment' is 'Fig 8b'; expected a name of a–z, 0–9 and '-', "
          + "at most 100 long: it becomes the results folder"
      ),
      ("experiment: a\ntitle: ", "2:7: 'title' is empty; expected a text"),
      ("experiment: a\ntitel: t", "2:1: unknown key 'titel'; did you mean 'title'?"),
      (
        "experiment: a\ntitle: t\ncluster: small",
        "3:10: 'cluster' is 'small'; expected a mapping of keys to values"
      ),
      (
        "experiment: a\ntitle: t\ncluster: {nodes: 3}",
        "3:10: 'cluster' has no key 'profile'; expected the path of a cluster profile; "
          + "add 'profile: …'"
      ),
    ])
  func badBeginning(text: String, expected: String) {
    #expect(
      message { () throws(WorkloadError) in _ = try workload(text) } == "paper/w.yaml:" + expected)
  }

  @Test(
    "a workload is exactly one of program, generator and graph",
    arguments: [
      (
        "{}",
        "4:11: 'workload' says nothing to run; expected exactly one of program, generator, "
          + "graph"
      ),
      (
        "{program: es, generator: independent}",
        "4:25: 'program' and 'generator' exclude each other; expected exactly one of program, "
          + "generator, graph; remove one"
      ),
      ("{progam: es}", "4:12: unknown key 'progam' in 'workload'; did you mean 'program'?"),
      (
        "{program: es, graph: []}",
        "4:25: 'program' and 'graph' exclude each other; expected exactly one of program, "
          + "generator, graph; remove one"
      ),
      ("{program: }", "4:12: 'workload.program' is empty"),
      (
        "{program: es, with: 5}",
        "4:31: 'workload.with' is '5'; expected a mapping of keys to values"
      ),
      (
        "{graph: [], with: {}}",
        "4:23: unknown key 'with' in 'workload'; known: program, generator, "
          + "graph"
      ),
    ])
  func badWorkload(text: String, expected: String) {
    let yaml =
      "experiment: a\ntitle: t\ncluster: {profile: ../clusters/tiny.yaml, nodes: 4}\nworkload: "
    #expect(
      message { () throws(WorkloadError) in _ = try workload(yaml + text) }
        == "paper/w.yaml:" + expected)
  }
}
