import Experiments
import Foundation
import Testing
import Workload

/// One workload file, two worlds.
@Suite(.serialized) struct RealWorldRunTests {
  @Test("ES reaches 475 on CartPole in both worlds, with the same policies for the same seed")
  func cartpole() throws {
    let sandbox = try Sandbox([:])
    let file = "\(CommandLineRunTests.workloads)/es-cartpole.yaml"
    let common = [file, "--seed", "1", "--set", "workload.with.aggregators=0"]
    let simulated = try sandbox.measures(common + ["--out", "simulated"])
    let real = try sandbox.measures(common + ["--world", "real", "--out", "real"])
    let apart = try sandbox.measures(
      common + ["--world", "real", "--nodes", "2", "--out", "apart"])
    #expect(try #require(simulated["score"]) >= 475)
    for name in ["score", "iterations", "environment steps", "policy fingerprint"] {
      #expect(real[name] == simulated[name], "\(name), in this process")
      #expect(apart[name] == simulated[name], "\(name), with two nodes")
    }
  }

  @Test(
    "a graph and independent tasks run for real, as one node and as two",
    arguments: [[], ["--nodes", "2"]])
  func declared(_ place: [String]) throws {
    let sandbox = try Sandbox([
      "graph.yaml": """
      experiment: graph
      title: "Graph"
      cluster: {profile: small.yaml}
      workload:
        graph:
          - {id: split, duration: 1ms, returns: 2, output: 1KB}
          - {id: work, duration: 20ms, needs: [split], count: 3, output: 100KB}
          - {id: join, duration: 1ms, needs: [work]}
      measures: [{name: makespan, unit: ms}]
      checks:
        - {check: value, min: 22, note: "three levels"}

      """,
      "load.yaml": """
      experiment: load
      title: "Load"
      cluster: {profile: small.yaml}
      workload:
        generator: independent
        with: {tasks: 500, window: 4, duration: 10us}
      measures: [throughput]

      """,
    ])
    for file in ["graph", "load"] {
      let outcome = try sandbox.run(
        ["run", "\(file).yaml", "--world", "real", "--out", file] + place)
      #expect(outcome.code == 0, Comment(rawValue: outcome.output + outcome.errors))
      let rows = try sandbox.read("\(file)/rows.csv").split(separator: "\n")
      #expect(rows.count == 2 && rows[1].contains(",real,real,osdi18,"))
    }
    #expect(sandbox.files(in: "load").contains { $0.hasSuffix(".hgrm") })
  }

  @Test("the parameter server's checks hold on a busy machine too, and fail when nobody waits")
  func parameterServer() throws {
    let sandbox = try Sandbox([:])
    let arguments = [
      "run", "\(CommandLineRunTests.workloads)/parameter-server.yaml", "--seed", "1", "--set",
      "workload.with.steps=15", "--set", "workload.with.tolerance=1",
    ]
    let real = try sandbox.run(arguments + ["--world", "real", "--out", "real"])
    #expect(real.code == 0, Comment(rawValue: real.output + real.errors))
    #expect(try sandbox.read("real/summary.md").contains("counts in the simulated world alone"))
    // Steps that all take the same: a barrier costs next to nothing.
    let equal = try sandbox.run(
      arguments + ["--out", "equal", "--set", "workload.with.gradient-time=50ms"])
    #expect(equal.code == 1)
    let checks = try #require(try sandbox.json("equal/checks.json") as? [[String: Any]])
    let failed = checks.filter { $0["passed"] as? Bool == false }.compactMap {
      $0["name"] as? String
    }
    #expect(failed.count { $0.contains("wait between") } == 1, "\(failed)")
    #expect(failed.count { $0.contains("gradients per") } == 1, "\(failed)")
  }

  @Test("rows, manifest and the heading say that it was real, and what ran")
  func origin() throws {
    let sandbox = try Sandbox(["w.yaml": Sandbox.words])
    let outcome = try sandbox.run("run", "w.yaml", "--world", "real", "--seed", "3")
    #expect(outcome.code == 0, Comment(rawValue: outcome.output + outcome.errors))
    let world = "real, in one process: 1 node with {CPU: 6} in all, workers are threads"
    #expect(outcome.outputText.contains("1 run, \(world) "))
    try sandbox.expect("Results/words-real", saysItsWorld: world)
    #expect(try sandbox.read("Results/words-real/rows.csv").contains(",real,real,osdi18,"))
    let manifest = try sandbox.read("Results/words-real/manifest.json")
    #expect(manifest.contains("\"world\" : \"real\""))
    #expect(manifest.contains("3 nodes with {CPU: 6} in all"))
    #expect(manifest.contains("\"fingerprints\" : [\n\n  ]"))
  }

  @Test("the head of every form of a report says the world, its nodes and their workers")
  func worlds() throws {
    let quick = Sandbox.base.replacing("500ms", with: "1ms")
    let sandbox = try Sandbox(["w.yaml": quick])
    let real = ["run", "w.yaml", "--seed", "3", "--world", "real"]
    #expect(try sandbox.run("run", "w.yaml", "--seed", "3", "--out", "simulated").code == 0)
    try sandbox.expect("simulated", saysItsWorld: "simulated")
    let nodes = ["--nodes", "2", "--cpus", "3", "--workers", "processes"]
    #expect(try sandbox.run(real + nodes + ["--out", "apart"]).code == 0)
    try sandbox.expect(
      "apart",
      saysItsWorld:
        "real, a process for each node: 2 nodes with {CPU: 6} in all, workers are processes")
    let swept = ["--set", "sweep.cluster.nodes=[1, 2, 3, 4]"]
    #expect(try sandbox.run(real + swept + ["--out", "swept"]).code == 0)
    try sandbox.expect(
      "swept",
      saysItsWorld: "real, in one process: 1 node with {CPU: 2} in all; …; 1 node with {CPU: 8} in "
        + "all, workers are threads")
    let cluster = try sandbox.nodes(2, ["--workload", "w.yaml"])
    try sandbox.runConnected(cluster.address, "--seed", "3", out: "connected")
    try sandbox.expect(
      "connected",
      saysItsWorld: "real, connected to \(cluster.address): 2 nodes with {CPU: 4} in all")
    cluster.end()
  }

  @Test(
    "what does not fit this machine, or makes no sense, is said before anything runs",
    arguments: [
      (["--set", "cluster.nodes=5000"], "CPU: 10000", "--cpus"),
      (["--set", "cluster.nodes=5000"], "this machine has", "--set cluster.nodes=2"),
      (["--store", "1B"], "larger than an object store", "--store"),
      (["--nodes", "0"], "--nodes is 0", "1 to 64"),
      (["--nodes", "2", "--connect", "127.0.0.1:1"], "--nodes", "--connect"),
      (["--connect", "nowhere"], "--connect", "HOST:PORT"),
      (["--store", "much"], "--store much", "512MiB"),
    ])
  func refused(_ arguments: [String], _ what: String, _ hint: String) throws {
    let sandbox = try Sandbox(["w.yaml": Sandbox.words])
    let outcome = try sandbox.run(["run", "w.yaml", "--world", "real"] + arguments)
    #expect(outcome.code == 2)
    #expect(outcome.errors.contains(what) && outcome.errors.contains(hint))
    #expect(outcome.errors.split(separator: "\n").count == 1)
    #expect(!sandbox.listing().contains("Results"))
  }

  @Test("options of the real world are refused for the simulated one")
  func simulatedOptions() throws {
    let outcome = try Sandbox().run("run", "w.yaml", "--nodes", "2")
    #expect(outcome.code == 2)
    #expect(outcome.errors.contains("--nodes is for --world real"))
  }

  @Test("with fewer processes than the file has nodes, their resources are dealt out")
  func plan() throws {
    let sandbox = try Sandbox(["w.yaml": Sandbox.words])
    let file = try WorkloadFile.load(sandbox.folder.appendingPathComponent("w.yaml").path)
    let cell = try PreparedCell(try file.cells()[0])
    func cpus(_ place: RealWorldOptions.Place, _ cpus: Int? = nil) throws -> [Double] {
      var options = RealWorldOptions()
      options.place = place
      options.cpus = cpus
      return try RealPlan(cell, options).nodes.map { $0.resources.amount(0) }
    }
    #expect(try cpus(.inProcess) == [6])
    #expect(try cpus(.processes(2)) == [4, 2])
    #expect(try cpus(.processes(9)) == [2, 2, 2], "no more nodes than the file has")
    #expect(try cpus(.processes(4), 1) == [1, 1, 1, 1], "unless they are given their CPUs")
  }
}

extension Sandbox {
  /// Expects a result in the folder whose reports begin with where it ran.
  fileprivate func expect(_ folder: String, saysItsWorld world: String) throws {
    let html = try read("\(folder)/report.html")
    let header = try #require(html.split(separator: "</header>").first)
    #expect(header.contains("<p>World: \(world)</p>"), "\(header.suffix(900))")
    let summary = try read("\(folder)/summary.md").replacing("\\", with: "")
    #expect(summary.split(separator: "\n").dropFirst().first == "World: \(world)")
    #expect(try run("report", folder).outputText.contains(" world: \(world) "))
  }
}
