import Foundation
import Testing

/// Bad input: exit code 2, one clear message on standard error with its place, and nothing written.
@Suite struct CommandLineBadInputTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var what: String
    /// Replacements in the file `w.yaml`.
    var edits: [(String, String)] = []
    var files: [String: String] = [:]
    var arguments = ["run", "w.yaml"]
    /// All must be in the message.
    var says: [String]
    var testDescription: String { what }
  }

  private func check(_ bad: Case) throws {
    var text = Sandbox.base
    for (old, new) in bad.edits {
      try #require(text.contains(old))
      text = text.replacingOccurrences(of: old, with: new)
    }
    let sandbox = try Sandbox(bad.files.merging(["w.yaml": text]) { $1 })
    let before = sandbox.listing()
    let outcome = try sandbox.run(bad.arguments)
    #expect(outcome.code == 2, Comment(rawValue: outcome.errors))
    for part in bad.says {
      #expect(outcome.errors.contains(part), "‘\(part)’ in: \(outcome.errors)")
    }
    let isUsage = outcome.errors.hasPrefix("Error: ") && outcome.errors.contains("Usage: heliostat")
    let isOneLine = outcome.errors.hasPrefix("error: ") && outcome.errors.count { $0 == "\n" } == 1
    #expect(isUsage || isOneLine, "not one message: \(outcome.errors)")
    #expect(outcome.output == "", "nothing runs before bad input is found")
    #expect(sandbox.listing() == before, "nothing is written")
  }

  static let files: [Case] = [
    Case(
      what: "unknown key", edits: [("title", "titel")],
      says: ["w.yaml:2:1: unknown key 'titel'; did you mean 'title'?"]),
    Case(
      what: "wrong type", edits: [("count: 8", "count: eight")],
      says: ["w.yaml:6:31: 'workload.with.count' is 'eight'; expected a whole number"]),
    Case(
      what: "negative duration", edits: [("500ms", "-1s")],
      says: ["w.yaml:6:44: ", "it cannot be negative"]),
    Case(
      what: "duration without a unit", edits: [("500ms", "500")],
      says: ["w.yaml:6:44: ", "expected a duration with a unit"]),
    Case(
      what: "duration too large", edits: [("500ms", "1e300s")],
      says: ["w.yaml:6:44: ", "the number is too large"]),
    Case(
      what: "not YAML", edits: [("{shape: chain", "{shape: [chain")],
      says: ["w.yaml:6:", "bracket"]),
    Case(
      what: "unknown program", edits: [("tree-reduce", "tree-redcue")],
      says: ["w.yaml:5:12: unknown program 'tree-redcue'; did you mean 'tree-reduce'?"]),
    Case(
      what: "unknown generator", edits: [("program: tree-reduce", "generator: indep")],
      says: ["w.yaml:5:14: unknown generator 'indep'; known: independent"]),
    Case(
      what: "unknown parameter of a program", edits: [("count:", "cuont:")],
      says: ["w.yaml:6:24: unknown key 'cuont' in 'workload.with'; did you mean 'count'?"]),
    Case(
      what: "measure that the program does not report", edits: [("[makespan]", "[makspan]")],
      says: ["w.yaml:7:12: unknown measure 'makspan'; did you mean 'makespan'?"]),
    Case(
      what: "measure in a unit of another kind",
      edits: [("[makespan]", "[{name: makespan, unit: MB}]")],
      says: ["w.yaml:7:35: 'makespan' is measured in s, which cannot be given in 'MB'"]),
    Case(
      what: "two measures of one name", edits: [("[makespan]", "[makespan, makespan]")],
      says: ["w.yaml:7:22: two measures are called 'makespan'"]),
    Case(
      what: "unknown architecture", edits: [("measures", "architecture: raylte\nmeasures")],
      says: ["w.yaml:7:15: unknown architecture 'raylte'"]),
    Case(
      what: "unknown policy", edits: [("measures", "policies: {placement: Foo}\nmeasures")],
      says: ["w.yaml:7:23: unknown placement policy 'Foo'; known: LowestWait"]),
    Case(
      what: "unknown policy role", edits: [("measures", "policies: {placment: Random}\nmeasures")],
      says: ["w.yaml:7:12: unknown policy role 'placment'; did you mean 'placement'?"]),
    Case(
      what: "unknown parameter of a policy",
      edits: [("measures", "policies: {spillover: \"QueueThreshold[foo=1]\"}\nmeasures")],
      says: ["w.yaml:7:23: policy QueueThreshold has no parameter 'foo'"]),
    Case(
      what: "policy of the wrong form",
      edits: [("measures", "policies: {placement: \"LowestWait[\"}\nmeasures")],
      says: ["w.yaml:7:23: ", "expected a policy: Name or Name[key=value,…]"]),
    Case(
      what: "unknown system parameter",
      edits: [("measures", "parameters: {gcs-shard: 2}\nmeasures")],
      says: ["w.yaml:7:14: unknown key 'gcs-shard' in 'parameters'; did you mean 'gcs-shards'?"]),
    Case(
      what: "heartbeat of zero", edits: [("measures", "parameters: {heartbeat: 0s}\nmeasures")],
      says: ["w.yaml:7:", "a heartbeat of zero never lets time pass"]),
    Case(
      what: "empty sweep", edits: [("measures", "sweep: {workload.with.count: []}\nmeasures")],
      says: ["w.yaml:7:30: 'workload.with.count' sweeps over nothing"]),
    Case(
      what: "sweep over an unknown path",
      edits: [("measures", "sweep: {workload.with.cuont: [1, 2]}\nmeasures")],
      says: ["w.yaml:7:", "unknown key 'cuont' in 'workload.with'"]),
    Case(
      what: "a bad value in the last cell of a sweep",
      edits: [("measures", "sweep: {workload.with.count: [2, 4, 1]}\nmeasures")],
      says: ["w.yaml:7:37: 'workload.with.count' is '1'"]),
    Case(
      what: "unknown check",
      edits: [("measures", "checks: [{check: flatt, series: sums}]\nmeasures")],
      says: ["w.yaml:7:18: unknown check 'flatt'; did you mean 'flat'?"]),
    Case(
      what: "check of the wrong type",
      edits: [("measures", "checks: [{check: value, min: a}]\nmeasures")],
      says: ["w.yaml:7:30: 'checks[0].min' is 'a'; expected a number"]),
    Case(
      what: "check of an unknown series",
      edits: [("measures", "checks: [{check: value, series: sum, min: 1}]\nmeasures")],
      says: ["w.yaml:7:33: unknown series 'sum'; did you mean 'sums'?"]),
    Case(
      what: "check of an unknown measure",
      edits: [("measures", "checks: [{check: value, measure: speed, min: 1}]\nmeasures")],
      says: ["w.yaml:7:34: unknown measure 'speed'; known: makespan"]),
    Case(
      what: "check that can never pass",
      edits: [("measures", "checks: [{check: value, min: 3, max: 1}]\nmeasures")],
      says: ["w.yaml:7:18: ", "can never pass: min 3.0 is above max 1.0"]),
    Case(
      what: "check of one point among several",
      edits: [
        (
          "measures",
          "sweep: {workload.with.count: [2, 4]}\nx: {name: n, from: workload.with.count}\n"
            + "checks: [{check: value, series: sums, max: 9}]\nmeasures"
        )
      ],
      says: ["w.yaml:9:18: the check 'value' needs 'at': there are 2 points", "2, 4"]),
    Case(
      what: "nothing published to compare with",
      edits: [("measures", "compare: [{figure: Fig8b, series: a}]\nmeasures")],
      says: ["w.yaml:7:20: there is no published.csv to compare with"]),
    Case(
      what: "unknown published series",
      edits: [("measures", "compare: [{figure: Fig1, series: emtpy tasks}]\nmeasures")],
      files: ["published.csv": published],
      says: ["w.yaml:7:34: unknown published series 'emtpy tasks'; did you mean 'empty tasks'?"]),
    Case(
      what: "unknown published figure",
      edits: [("measures", "compare: [{figure: Fig2, series: empty tasks}]\nmeasures")],
      files: ["published.csv": published],
      says: ["w.yaml:7:20: published.csv has no figure 'Fig2'"]),
    Case(
      what: "unreadable published numbers", files: ["published.csv": "a,b\n1,2,3\n"],
      says: ["published.csv"]),
  ]

  static let published = """
    figure,series,x_name,x,y_name,y,y_lo,y_hi,unit,origin,source
    Fig1,empty tasks,nodes,10,throughput,1,,,tasks/s,text,a paper

    """

  static let graph = """
    experiment: graph
    title: "Graph"
    cluster: {profile: small.yaml}
    workload:
      graph:
        - {id: a, duration: 1s, output: 1MB}
        - {id: b, duration: 1s, needs: [a]}

    """

  /// The graph file with a replacement.
  static func graph(_ old: String, _ new: String) -> [String: String] {
    ["g.yaml": graph.replacingOccurrences(of: old, with: new)]
  }

  static let demands: [Case] = [
    Case(
      what: "cycle", files: graph("output: 1MB", "needs: [b]"), arguments: ["run", "g.yaml"],
      says: ["g.yaml:6:7: tasks need each other in a cycle: a → b → a"]),
    Case(
      what: "a task that needs itself", files: graph("[a]", "[b]"), arguments: ["run", "g.yaml"],
      says: ["g.yaml:7:37: task 'b' needs itself"]),
    Case(
      what: "unknown input", files: graph("[a]", "[c]"), arguments: ["run", "g.yaml"],
      says: ["g.yaml:7:37: unknown task 'c'"]),
    Case(
      what: "a task listed twice", files: graph("id: b", "id: a"), arguments: ["run", "g.yaml"],
      says: ["g.yaml:7:12: task 'a' is listed twice"]),
    Case(
      what: "a task larger than any node", files: graph("output: 1MB", "cpus: 3"),
      arguments: ["run", "g.yaml"],
      says: ["g.yaml:6:7: task 'a' needs {CPU: 3}, which no node", "at most {CPU: 2}"]),
    Case(
      what: "a resource that no node has", files: graph("output: 1MB", "resources: {tape: 1}"),
      arguments: ["run", "g.yaml"], says: ["g.yaml:6:7: task 'a' needs {CPU: 1, tape: 1}"]),
    Case(
      what: "an object larger than a store", files: graph("1MB", "5GB"),
      arguments: ["run", "g.yaml"],
      says: ["g.yaml:6:7: an object of 5GB is larger than an object store of 1GB"]),
    Case(
      what: "an object of a random size that may be larger than a store",
      files: graph("1MB", "\"uniform(1MB, 5GB)\""), arguments: ["run", "g.yaml"],
      says: ["g.yaml:6:7: an object of 5GB"]),
    Case(
      what: "an empty graph",
      files: ["g.yaml": graph.components(separatedBy: "    -")[0] + "    []\n"],
      arguments: ["run", "g.yaml"], says: ["g.yaml:6:", "'workload.graph' has no tasks"]),
    Case(
      what: "a generator's object larger than a store",
      edits: [
        ("program: tree-reduce", "generator: independent"),
        ("{shape: chain, count: 8, duration: 500ms}", "{tasks: 10, output-size: 5GB}"),
        ("[makespan]", "[throughput]"),
      ],
      says: ["w.yaml:6:9: an object of 5GB is larger than an object store of 1GB"]),
    Case(
      what: "a program's task larger than any node",
      edits: [
        ("tree-reduce", "train-policy"),
        ("{shape: chain, count: 8, duration: 500ms}", "{steps: 2}"),
      ],
      says: ["w.yaml:5:12: a Simulator needs {GPU: 1}, which no node of the cluster has"]),
    Case(
      what: "no node but the head", edits: [("small.yaml}", "small.yaml, nodes: 1}")],
      arguments: ["run", "w.yaml", "--set", "parameters.head-counts=true"],
      says: ["w.yaml:3:10: a cluster of one node, the head, runs no tasks"]),
    Case(
      what: "unknown profile", edits: [("small.yaml", "smal.yaml")],
      says: ["w.yaml:3:20: there is no file 'smal.yaml'; did you mean 'small.yaml'?"]),
    Case(
      what: "unknown component in a profile", edits: [("small.yaml", "p.yaml")],
      files: ["p.yaml": profile("raylet:", "raylte:")],
      says: ["p.yaml:5:11: unknown component 'raylte' in 'service'; did you mean 'raylet'?"]),
    Case(
      what: "unknown message in a profile", edits: [("small.yaml", "p.yaml")],
      files: ["p.yaml": profile("default", "task-submited")],
      says: [
        "p.yaml:5:20: unknown message 'task-submited' in 'service.raylet'; "
          + "did you mean 'task-submitted'?"
      ]),
  ]

  static func profile(_ old: String, _ new: String) -> String {
    """
    name: p
    head: {cpus: 0}
    nodes: [{name: cpu, count: 2, cpus: 2}]
    network: {latency: 50us}
    service: {raylet: {default: 10us}}

    """.replacingOccurrences(of: old, with: new)
  }

  static let options: [Case] = [
    Case(
      what: "no subcommand of that name", arguments: ["rum"], says: ["Unexpected argument 'rum'"]),
    Case(what: "no file given", arguments: ["run"], says: ["Missing expected argument '<file>'"]),
    Case(
      what: "missing file", arguments: ["run", "v.yaml"],
      says: ["there is no file 'v.yaml'", "w.yaml"]),
    Case(
      what: "a folder", arguments: ["run", "."], says: ["this is a folder; expected a YAML file"]),
    Case(
      what: "empty file", edits: [(Sandbox.base, "")], says: ["w.yaml:1:1: the file is empty"]),
    Case(
      what: "--set without a value", arguments: ["run", "w.yaml", "--set", "seeds"],
      says: ["--set seeds: expected key=value"]),
    Case(
      what: "--set with an empty value", arguments: ["run", "w.yaml", "--set", "seeds="],
      says: ["--set seeds=: there is no value after '='"]),
    Case(
      what: "--set with an unknown path",
      arguments: ["run", "w.yaml", "--set", "workload.with.n=3"],
      says: ["--set workload.with.n=3: unknown key 'n' in 'workload.with'"]),
    Case(
      what: "--set with an unknown section", arguments: ["run", "w.yaml", "--set", "foo.bar=3"],
      says: ["--set foo.bar=3: unknown key 'foo'"]),
    Case(
      what: "--set with a value out of range", arguments: ["run", "w.yaml", "--set", "seeds=0"],
      says: ["--set seeds=0: 'seeds' is '0'; expected a whole number from 1"]),
    Case(
      what: "--policy without a role", arguments: ["run", "w.yaml", "--policy", "Random"],
      says: ["--policy Random: expected role=Policy"]),
    Case(
      what: "--policy with an unknown role",
      arguments: ["run", "w.yaml", "--policy", "placment=Random"],
      says: ["--policy placment=Random: unknown policy role 'placment'"]),
    Case(
      what: "--policy with an unknown name",
      arguments: ["run", "w.yaml", "--policy", "placement=Randm"],
      says: ["--policy placement=Randm: unknown placement policy 'Randm'"]),
    Case(
      what: "no threads", arguments: ["run", "w.yaml", "--threads", "0"],
      says: ["--threads must be positive"]),
    Case(
      what: "fewer than no threads", arguments: ["run", "w.yaml", "--threads", "-1"],
      says: ["--threads must be positive"]),
    Case(
      what: "threads that are no number", arguments: ["run", "w.yaml", "--threads", "x"],
      says: ["The value 'x' is invalid for '--threads"]),
    Case(
      what: "a negative trace", arguments: ["run", "w.yaml", "--trace", "-1"],
      says: ["--trace must not be negative"]),
    Case(
      what: "a negative seed", arguments: ["run", "w.yaml", "--seed", "-1"],
      says: ["The value '-1' is invalid for '--seed"]),
    Case(
      what: "another world", arguments: ["run", "w.yaml", "--world", "imagined"],
      says: ["unknown world 'imagined'"]),
    Case(
      what: "unknown option", arguments: ["run", "w.yaml", "--outt", "x"],
      says: ["Unknown option '--outt'. Did you mean '--out'?"]),
    Case(
      what: "--out is a file", arguments: ["run", "w.yaml", "--out", "small.yaml"],
      says: ["will not replace", "small.yaml: it is a file"]),
    Case(
      what: "--out below a file", arguments: ["run", "w.yaml", "--out", "small.yaml/x/y"],
      says: ["cannot create", "small.yaml is a file"]),
    Case(
      what: "--out is a folder that is no result", files: ["notes/a.txt": "mine"],
      arguments: ["run", "w.yaml", "--out", "notes"],
      says: ["will not replace", "it holds a.txt and no manifest.json"]),
    Case(
      what: "--out cannot be made", arguments: ["run", "w.yaml", "--out", "/dev/null/x"],
      says: ["cannot create /dev/null/x: /dev/null is a file"]),
    Case(
      what: "unknown subject to list", arguments: ["list", "nodes"],
      says: ["The value 'nodes' is invalid", "'policies'"]),
    Case(
      what: "no folder to list", arguments: ["list", "profiles", "--folder", "nowhere"],
      says: ["no folder 'nowhere'"]),
    Case(
      what: "a file as the folder to list", arguments: ["list", "workloads", "--folder", "w.yaml"],
      says: ["no folder 'w.yaml'"]),
    Case(
      what: "a report of no result", arguments: ["report", "."],
      says: ["./manifest.json: cannot be read; expected the folder of a result"]),
    Case(
      what: "a report of a broken result", files: ["r/manifest.json": "{\"experiment\": 3}"],
      arguments: ["report", "r"], says: ["r/manifest.json"]),
    Case(
      what: "unknown benchmark", arguments: ["bench", "lunch"],
      says: ["The value 'lunch' is invalid"]),
    Case(
      what: "no benchmark runs", arguments: ["bench", "--runs", "0"],
      says: ["--runs must be positive"]),
    Case(
      what: "a negative scale", arguments: ["bench", "--scale", "-1"],
      says: ["--scale must be positive"]),
  ]

  /// A run on a cluster that runs already.
  static func connecting(_ options: String...) -> [String] {
    ["run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1"] + options
  }

  /// Options that nothing would look at.
  static let unused: [Case] = [
    Case(
      what: "--secret-file for a simulated run",
      arguments: ["run", "w.yaml", "--secret-file", "w.yaml"],
      says: ["--secret-file is for --world real"]),
    Case(
      what: "--secret-file for a run with nodes of its own",
      arguments: ["run", "w.yaml", "--world", "real", "--secret-file", "w.yaml"],
      says: ["--secret-file is for --connect"]),
    Case(
      what: "--tls-key for a simulated run",
      arguments: ["run", "w.yaml", "--tls-key", "w.yaml"],
      says: ["--tls-key is for --world real"]),
    Case(
      what: "--tls-key for a run with nodes of its own",
      arguments: ["run", "w.yaml", "--world", "real", "--tls-key", "w.yaml"],
      says: ["--tls-key is for --connect"]),
    Case(
      what: "--tls-certificate for a simulated run",
      arguments: ["run", "w.yaml", "--tls-certificate", "w.yaml"],
      says: ["--tls-certificate is for --world real"]),
    Case(
      what: "--tls-certificate for a run with nodes of its own",
      arguments: ["run", "w.yaml", "--world", "real", "--tls-certificate", "w.yaml"],
      says: ["--tls-certificate is for --connect"]),
    Case(
      what: "--tls-roots for a simulated run",
      arguments: ["run", "w.yaml", "--tls-roots", "w.yaml"],
      says: ["--tls-roots is for --world real"]),
    Case(
      what: "--tls-roots for a run with nodes of its own",
      arguments: ["run", "w.yaml", "--world", "real", "--tls-roots", "w.yaml"],
      says: ["--tls-roots is for --connect"]),
    Case(
      what: "--tls-key for a program that connects",
      arguments: [
        "run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1", "--tls-key", "w.yaml",
      ],
      says: ["--tls-key is for nodes", "give --tls-roots"]),
    Case(
      what: "--tls-certificate for a program that connects",
      arguments: [
        "run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1", "--tls-certificate",
        "w.yaml",
      ],
      says: ["--tls-certificate is for nodes", "give --tls-roots"]),
    Case(
      what: "threads of a real run",
      arguments: ["run", "w.yaml", "--world", "real", "--threads", "2"],
      says: ["--threads is for --world simulated"]),
    Case(
      what: "fingerprints of a real run",
      arguments: ["run", "w.yaml", "--world", "real", "--fingerprints"],
      says: ["--fingerprints is for --world simulated"]),
    Case(
      what: "fingerprints of a run on a cluster of its own",
      arguments: ["cluster", "--", "run", "w.yaml", "--fingerprints"],
      says: ["--fingerprints is for --world simulated"]),
    Case(
      what: "a key for a cluster that goes with its run",
      arguments: ["cluster", "--tls-key", "w.yaml", "--", "run", "w.yaml"],
      says: ["--tls-key is for a cluster that stays"]),
    Case(
      what: "roots for a cluster that goes with its run",
      arguments: ["cluster", "--tls-roots", "w.yaml", "--", "run", "w.yaml"],
      says: ["--tls-roots is for a cluster that stays"]),
    Case(
      what: "a policy for a cluster that goes with its run",
      arguments: ["cluster", "--policy", "placement=Random", "--", "run", "w.yaml"],
      says: ["--policy is for a cluster that stays"]),
    Case(
      what: "a simulated run on a cluster of its own",
      arguments: ["cluster", "--", "run", "w.yaml", "--world", "simulated"],
      says: ["--world simulated after -- : ", "leave --world out", "heliostat run FILE"]),
    Case(
      what: "another world on a cluster of its own",
      arguments: ["cluster", "--", "run", "w.yaml", "--world", "imagined"],
      says: ["unknown world 'imagined'"]),
    Case(
      what: "a policy for a cluster that runs already",
      arguments: connecting("--policy", "placement=Random"),
      says: [
        "--policy placement=Random does not go with --connect",
        "127.0.0.1:1 has the policies that it was started with",
        "`heliostat cluster`, or to the head's `heliostat node`, with --workload w.yaml",
      ]),
    Case(
      what: "a value that is a policy for a cluster that runs already",
      arguments: connecting("--set", "policies.dispatch=LIFO"),
      says: ["--set policies.dispatch=LIFO does not go with --connect"]),
    Case(
      what: "all policies for a cluster that runs already",
      arguments: connecting("--set", "policies={dispatch: LIFO}"),
      says: ["--set policies={dispatch: LIFO} does not go with --connect"]),
    Case(
      what: "a sweep over a policy for a cluster that runs already",
      arguments: connecting("--set", "sweep.policies.dispatch=[LIFO]"),
      says: ["--set sweep.policies.dispatch=[LIFO] does not go with --connect"]),
    Case(
      what: "another policy than the swept one for a cluster that runs already",
      edits: [("measures", "sweep: {policies.placement: [Random, LowestWait]}\nmeasures")],
      arguments: connecting("--policy", "placement=Random", "--policy", "dispatch=LIFO"),
      says: ["--policy dispatch=LIFO does not go with --connect"]),
    Case(
      what: "a parameter for a cluster that runs already",
      arguments: connecting("--set", "parameters.heartbeat=50ms"),
      says: ["--set parameters.heartbeat=50ms does not go with --connect", "has the parameters"]),
    Case(
      what: "a folder of policies", arguments: ["list", "policies", "--folder", "."],
      says: ["--folder is for workloads and profiles: policies lie in no folder"]),
    Case(
      what: "a folder of checks", arguments: ["list", "checks", "--folder", "Workloads"],
      says: ["--folder is for workloads and profiles: checks lie in no folder"]),
    Case(
      what: "a limit of silence for a node that joins",
      arguments: ["node", "--join", "127.0.0.1:1", "--silence", "20s"],
      says: ["--silence is for a head"]),
  ]

  @Test("bad values in a workload file", arguments: files)
  func file(_ bad: Case) throws { try check(bad) }

  @Test("work that the cluster cannot do, and bad profiles", arguments: demands)
  func demand(_ bad: Case) throws { try check(bad) }

  @Test("bad options and arguments", arguments: options)
  func option(_ bad: Case) throws { try check(bad) }

  @Test("options that the run would not look at", arguments: unused)
  func unusedOption(_ bad: Case) throws { try check(bad) }

  @Test("a binary file is refused, with the place of the first byte that is no text")
  func binary() throws {
    let sandbox = try Sandbox()
    try sandbox.write("b.yaml", Data([0x61, 0x0A, 0x62, 0xFF, 0x00, 0x80]))
    let outcome = try sandbox.run("run", "b.yaml")
    #expect(outcome.code == 2)
    #expect(outcome.errors == "error: b.yaml:2:2: the file is not UTF-8 text; save it as UTF-8\n")
    #expect(!sandbox.listing().contains { $0.hasPrefix("Results") })
  }
}
