import Foundation
import Testing

/// Good input: what a run prints, writes and answers.
@Suite struct CommandLineRunTests {
  static let workloads = Sandbox.repository.appendingPathComponent("Workloads").path

  /// The sum as chain and as tree, with its checks.
  static let compared = """
    experiment: sums
    title: "Chain against tree"
    cluster: {profile: small.yaml}
    workload:
      program: tree-reduce
      with: {shape: chain, count: 8, duration: 500ms}
    measures: [{name: makespan, unit: ms}]
    seeds: 2
    sweep: {workload.with.shape: [chain, tree]}
    series: "{workload.with.shape}"
    checks:
      - {check: value, series: chain, min: 3500, max: 3550}
      - {check: ratio, over: chain, under: tree, min: 2, max: 2.5}

    """

  @Test("the example of the repository passes its checks and writes a whole result")
  func example() throws {
    let sandbox = try Sandbox([:])
    let outcome = try sandbox.run("run", "\(Self.workloads)/tree-reduce.yaml")
    #expect(outcome.code == 0, Comment(rawValue: outcome.errors))
    #expect(outcome.output.contains("2 cells × 1 seed = 2 runs, simulated"))
    #expect(outcome.output.contains("all checks passed"))
    #expect(
      sandbox.files(in: "Results/tree-reduce") == [
        "checks.json", "manifest.json", "report.html", "rows.csv", "summary.md", "trace-2.json",
        "trace.json",
      ])
    let rows = try sandbox.read("Results/tree-reduce/rows.csv").split(separator: "\n")
    #expect(
      rows[0] == "experiment,series,x_name,x,y_name,y,y_lo,y_hi,unit,origin,world,architecture,"
        + "policies,network,seeds")
    #expect(rows.count == 3)
    #expect(rows[1].hasPrefix("tree-reduce,chain,,,makespan,3.50"))
    #expect(rows[2].hasPrefix("tree-reduce,tree,,,makespan,1.50"))
    #expect(rows[1].contains(",s,simulated,simulated,osdi18,"))
  }

  @Test("latencies come as one .hgrm file each, and a swept x as a chart")
  func latenciesAndCharts() throws {
    let sandbox = try Sandbox([
      "w.yaml": """
      experiment: load
      title: "Load"
      cluster: {profile: small.yaml}
      workload:
        generator: independent
        with: {tasks: 200, window: 4, duration: 1ms}
      measures: [throughput, makespan]
      sweep: {cluster.nodes: [1, 2, 4]}
      x: {name: nodes, from: cluster.nodes}

      """
    ])
    let outcome = try sandbox.run("run", "w.yaml", "--out", "out")
    #expect(outcome.code == 0, Comment(rawValue: outcome.errors))
    #expect(outcome.output.contains("3 runs, no checks"))
    let files = sandbox.files(in: "out")
    #expect(files.count { $0.hasSuffix(".hgrm") } == 3)
    #expect(files.contains("chart.svg") && files.contains("chart-2.svg"))
    #expect(files.filter { $0.hasPrefix("trace") }.count == 3)
    #expect(!sandbox.listing().contains("Results"))
  }

  @Test("a failed check gives exit code 1, says so, and still leaves the result")
  func failedCheck() throws {
    let text = Self.compared.replacingOccurrences(of: "min: 3500, max: 3550", with: "max: 3500")
    let sandbox = try Sandbox(["w.yaml": text])
    let outcome = try sandbox.run("run", "w.yaml")
    #expect(outcome.code == 1)
    #expect(outcome.output.contains("1 of 2 checks failed"))
    #expect(outcome.outputLines.contains { $0.hasPrefix("FAIL    chain: makespan") })
    #expect(sandbox.files(in: "Results/sums").contains("report.html"))
    let checks = try #require(try sandbox.json("Results/sums/checks.json") as? [[String: Any]])
    #expect(checks.map { $0["passed"] as? Bool } == [false, true])
    #expect(try sandbox.run("report", "Results/sums").code == 1, "the report repeats the verdict")
  }

  @Test("a run that cannot go on gives exit code 1 and the reason")
  func failedRun() throws {
    let sandbox = try Sandbox([
      "w.yaml": Sandbox.base
        .replacingOccurrences(of: "tree-reduce", with: "end-to-end")
        .replacingOccurrences(of: "{shape: chain, count: 8, duration: 500ms}", with: "{}")
        .replacingOccurrences(of: "[makespan]", with: "[get latency]")
    ])
    let outcome = try sandbox.run("run", "w.yaml")
    #expect(outcome.code == 1)
    #expect(outcome.output.contains("Failed: sums seed 1: the cluster's nodes have no resources"))
  }

  @Test("--json prints one object a line and nothing else: rows, checks, fingerprints")
  func json() throws {
    let sandbox = try Sandbox(["w.yaml": Self.compared])
    let outcome = try sandbox.run("run", "w.yaml", "--json")
    #expect(outcome.code == 0)
    var keys: [Set<String>] = []
    for line in outcome.outputLines {
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      keys.append(Set(try #require(object).keys))
    }
    #expect(keys.count == 2 + 2 + 4)
    #expect(keys[0].isSuperset(of: ["experiment", "series", "y", "unit", "origin", "seeds"]))
    #expect(keys[2] == ["name", "measured", "expected", "passed", "note"])
    #expect(keys[4...].allSatisfy { $0 == ["fingerprint"] })
  }

  @Test("report shows a stored result again, as tables and as CSV, but not what was removed")
  func report() throws {
    let sandbox = try Sandbox(["w.yaml": Self.compared])
    #expect(try sandbox.run("run", "w.yaml", "--out", "r").code == 0)
    let shown = try sandbox.run("report", "r")
    #expect(shown.code == 0)
    #expect(shown.output.contains("sums: makespan") && shown.output.contains("pass    chain"))
    let csv = try sandbox.run("report", "r", "--csv")
    #expect(csv.output == (try sandbox.read("r/rows.csv")))
    try sandbox.write("r/rows.csv", "experiment,series\n1,2,3\n")
    let broken = try sandbox.run("report", "r")
    #expect(broken.code == 2)
    #expect(broken.errors.contains("r/rows.csv"))
  }

  @Test(
    "list tells what there is",
    arguments: [
      ("policies", ["LowestWait", "QueueThreshold", "FIFO"]),
      ("workloads", ["tree-reduce", "independent", "measures: makespan (s)", "diamond.yaml"]),
      ("profiles", ["m4.16xlarge.yaml", "four nodes of two CPUs"]),
      ("checks", ["gain-per-doubling", "over, under, at, min, max"]),
    ])
  func list(_ subject: String, _ expected: [String]) throws {
    let isBuiltIn = subject == "policies" || subject == "checks"
    let folder = isBuiltIn ? [] : ["--folder", Self.workloads]
    let outcome = try Sandbox([:]).run(["list", subject] + folder)
    #expect(outcome.code == 0)
    for text in expected { #expect(outcome.output.contains(text)) }
  }

  @Test(
    "help says what each command takes",
    arguments: [
      ([], ["run", "list", "report", "bench", "Exit codes"]),
      (["node"], ["--join", "--workload", "--secret-file"]),
      (["cluster"], ["--nodes", "--cpus", "run FILE"]),
      (["run"], ["--world", "--policy", "--seed", "--set", "--out", "--threads", "--trace"]),
      (["list"], ["policies, workloads, profiles, checks"]), (["report"], ["--csv"]),
      (["bench"], ["simulator", "--json"]),
    ])
  func help(_ command: [String], _ expected: [String]) throws {
    let outcome = try Sandbox([:]).run(command + ["--help"])
    #expect(outcome.code == 0)
    for text in expected { #expect(outcome.output.contains(text)) }
  }

  @Test(
    "without a terminal no line is longer than 80 characters",
    arguments: [
      ["run", "parameter-server.yaml", "--seed", "1", "--trace", "0", "--out", "r"],
      ["run", "w.yaml", "--world", "real", "--trace", "0", "--out", "r"], ["list", "policies"],
      ["run", "w.yaml", "--out", "r"],
      ["list", "workloads", "--folder", "."], ["list", "profiles", "--folder", "."],
      ["list", "checks"], ["replay", "--help"], ["cluster", "--help"], ["node", "--help"],
      ["run", "--help"], ["--help"],
    ])
  func lineLengths(_ arguments: [String]) throws {
    let folder = URL(fileURLWithPath: Self.workloads)
    let names = ["parameter-server.yaml", "clusters/small.yaml", "clusters/m4.16xlarge.yaml"]
    var files = ["w.yaml": Self.compared.replacing("500ms", with: "1ms")]
    for name in names {
      files[name] = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    }
    let outcome = try Sandbox(files).run(arguments)
    #expect(outcome.code != 2, "\(outcome.errors)")
    #expect(!outcome.outputLines.isEmpty)
    // A path is never broken.
    let long = outcome.outputLines.filter { $0.count > 80 && !$0.contains("/r") }
    #expect(long == [])
  }

  @Test("--seed, --set, --policy and --trace reach the run and its manifest")
  func options() throws {
    let sandbox = try Sandbox(["w.yaml": Self.compared])
    let outcome = try sandbox.run(
      "run", "w.yaml", "--seed", "7", "--set", "workload.with.shape=tree", "--set",
      "workload.with.count=4", "--policy", "placement=Random", "--trace", "0", "--out", "r")
    #expect(outcome.code == 0, "what checks name is not there: they are left out")
    #expect(outcome.errors.contains("warning: 2 checks of series or points"))
    #expect(!sandbox.files(in: "r").contains { $0.hasPrefix("trace") })
    #expect(!outcome.output.contains("Where the makespan went"))
    let rows = try sandbox.read("r/rows.csv").split(separator: "\n")
    try #require(rows.count == 2)
    #expect(rows[1].hasPrefix("sums,tree,,,makespan,100"), "two levels of 500 ms")
    #expect(rows[1].contains("placement=Random") && rows[1].hasSuffix(",7"))
    let manifest = try #require(try sandbox.json("r/manifest.json") as? [String: Any])
    #expect(manifest["seeds"] as? [Int] == [7])
    let text = try sandbox.read("r/manifest.json")
    #expect(text.contains("\"count\" : \"4\"") || text.contains("\"count\": \"4\""))
  }

  @Test("the same seed gives the same fingerprints in two processes and with two threads")
  func fingerprints() throws {
    let sandbox = try Sandbox(["w.yaml": Self.compared])
    func prints(_ more: String...) throws -> [String] {
      try sandbox.run(["run", "w.yaml", "--fingerprints"] + more).outputLines
        .filter { $0.hasPrefix("fingerprint ") }
    }
    let one = try prints("--threads", "1")
    #expect(one.count == 4 && Set(one).count == 4)
    #expect(try prints("--threads", "1", "--trace", "0") == one, "tracing changes nothing")
    #expect(try prints("--threads", "2") == one)
    func last(_ lines: [String]) -> [Substring?] { lines.map { $0.split(separator: " ").last } }
    #expect(last(try prints("--seed", "8")) != last(try prints("--seed", "9")))
  }

  @Test("a run again replaces its own result; another run's is kept, or removed if asked for")
  func replaced() throws {
    let sandbox = try Sandbox()
    func run(_ options: String...) throws -> Sandbox.Outcome {
      let outcome = try sandbox.run(["run", "w.yaml", "--out", "r"] + options)
      #expect(outcome.code == 0, Comment(rawValue: outcome.errors))
      return outcome
    }
    #expect(!(try run().output.contains("earlier result")))
    let first = try sandbox.read("r/rows.csv")
    #expect(try run().output.contains("An earlier result of the same run was there"))
    #expect(sandbox.files(in: ".") == ["r", "small.yaml", "w.yaml"])

    let other = try run("--set", "workload.with.count=2")
    #expect(other.outputLines.contains { $0.hasSuffix("/r.1 now.") })
    #expect(try sandbox.read("r/rows.csv").contains("makespan,0.50"))
    #expect(try sandbox.read("r.1/rows.csv") == first)
    #expect(try sandbox.run("report", "r.1").code == 0)

    #expect(try run("--overwrite").output.contains("was removed (--overwrite)"))
    #expect(try sandbox.read("r/rows.csv") == first)
    let json = try run("--json", "--seed", "2")
    #expect(json.errors.contains("notice: The earlier result there was another run's"))
    #expect(json.outputLines.allSatisfy { $0.hasPrefix("{") })
    #expect(sandbox.files(in: ".") == ["r", "r.1", "r.2", "small.yaml", "w.yaml"])
  }

  @Test("the trace is valid JSON whose flow events pair up, forward in time")
  func trace() throws {
    let sandbox = try Sandbox()
    #expect(try sandbox.run("run", "w.yaml", "--out", "r").code == 0)
    let events = try #require(try sandbox.json("r/trace.json") as? [[String: Any]])
    let tasks = events.filter { $0["ph"] as? String == "X" && $0["cat"] as? String == "task" }
    #expect(tasks.count == 7)
    #expect(tasks.allSatisfy { $0["dur"] as? Double == 500_000 })
    var starts: [Int: Double] = [:]
    var ends: [Int: Double] = [:]
    for event in events {
      guard let id = event["id"] as? Int, let time = event["ts"] as? Double else { continue }
      if event["ph"] as? String == "s" { starts[id] = time }
      if event["ph"] as? String == "f" { ends[id] = time }
    }
    #expect(starts.count == 6, "each addition but the first takes the one before")
    #expect(Set(starts.keys) == Set(ends.keys))
    for (id, start) in starts { #expect(start <= ends[id] ?? 0) }
  }

  @Test("bench prints a JSON object for each benchmark, with value, unit and limit")
  func bench() throws {
    let outcome = try Sandbox([:]).run(
      "bench", "simulator", "--runs", "1", "--scale", "0.0001", "--json")
    #expect(outcome.code == 0)
    #expect(outcome.outputLines.count >= 5)
    for line in outcome.outputLines {
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      #expect(Set(try #require(object).keys) == ["name", "value", "unit", "limit"])
    }
  }
}

/// Ctrl-C and the like, once and twice.
@Suite struct CommandLineInterruptTests {
  @Test(
    "interrupted once, a run keeps what has finished and marks it, and its exit code tells",
    arguments: [SIGINT, SIGTERM, SIGHUP])
  func once(signal: Int32) throws {
    let sandbox = try Sandbox()
    let output = Pipe()
    let process = try sandbox.start(
      ["run", "w.yaml", "--set", "seeds=100000", "--out", "r", "--trace", "0", "--threads", "1"],
      output: output, errors: FileHandle.nullDevice)
    // The heading comes when the run begins; 100 000 runs take minutes.
    _ = try #require(output.fileHandleForReading.readUntil("100000 runs, simulated"))
    kill(process.processIdentifier, signal)
    let rest = String(
      decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 128 + signal)
    #expect(rest.contains("Interrupted: only the runs that had finished are shown."))
    #expect(try sandbox.read("r/summary.md").contains("Interrupted"))
    #expect(try sandbox.read("r/report.html").contains("Interrupted"))
    #expect(try sandbox.read("r/rows.csv").split(separator: "\n").count == 2)
    #expect(try sandbox.run("report", "r").code == 0)
  }

  @Test("interrupted twice, a run stops at once and leaves the folder as it was")
  func twice() throws {
    let sandbox = try Sandbox()
    let before = sandbox.listing()
    let output = Pipe()
    let errors = Pipe()
    let process = try sandbox.start(
      ["run", "w.yaml", "--set", "workload.with.count=1000000", "--trace", "0"],
      output: output, errors: errors)
    _ = try #require(output.fileHandleForReading.readUntil("1 run, simulated"))
    process.interrupt()
    _ = try #require(errors.fileHandleForReading.readUntil("press Ctrl-C again"))
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 130)
    #expect(sandbox.listing() == before)
  }
}
