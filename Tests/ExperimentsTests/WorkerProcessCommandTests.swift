import Foundation
import Testing

/// `--workers processes`, as from a terminal.
@Suite(.serialized, .timeLimit(.minutes(10))) struct WorkerProcessCommandTests {
  /// A run of some seconds: tasks of 20 ms.
  private static let load = """
    experiment: load
    title: "Load"
    cluster: {profile: small.yaml, nodes: 2}
    workload:
      generator: independent
      with: {tasks: 600, window: 8, duration: 20ms}
    measures: [throughput]

    """

  /// The processes whose parent is `process`.
  private func children(of process: Int32) -> [Int32] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.compactMap(Int32.init).filter { child in
      guard let status = try? String(contentsOfFile: "/proc/\(child)/status", encoding: .utf8)
      else { return false }
      return status.contains("\nPPid:\t\(process)\n")
    }.sorted()
  }

  @Test("ES on CartPole learns the same policies with worker processes, on one node and on two")
  func cartpole() throws {
    let sandbox = try Sandbox([:])
    let file = "\(CommandLineRunTests.workloads)/es-cartpole.yaml"
    let common = [
      file, "--seed", "1", "--set", "workload.with.aggregators=4", "--set",
      "workload.with.iterations=4", "--set", "workload.with.target=-1",
    ]
    // The check of the score fails so early, and is not what counts here.
    func short(_ arguments: [String]) throws -> [String: Double] {
      try sandbox.measures(common + arguments, mayFail: true)
    }
    let simulated = try short(["--out", "simulated"])
    let real = ["--world", "real", "--workers", "processes"]
    let one = try short(real + ["--out", "one"])
    let two = try short(real + ["--nodes", "2", "--out", "two"])
    #expect(simulated["policy fingerprint"] != nil)
    for name in ["score", "iterations", "environment steps", "policy fingerprint"] {
      #expect(one[name] == simulated[name], "\(name), on one node")
      #expect(two[name] == simulated[name], "\(name), on two nodes")
    }
  }

  @Test("words are counted right by worker processes, and a graph of modelled tasks runs")
  func words() throws {
    let sandbox = try Sandbox(["words.yaml": Sandbox.words, "sums.yaml": Sandbox.base])
    let real = ["--world", "real", "--workers", "processes"]
    let words = try sandbox.measures(["words.yaml", "--out", "words"] + real)
    #expect(words["words"] == 3600)
    let outcome = try sandbox.run(
      "cluster", "--nodes", "2", "--cpus", "2", "--workers", "processes", "--", "run",
      "words.yaml", "--out", "cluster")
    #expect(outcome.code == 0, Comment(rawValue: outcome.output + outcome.errors))
    #expect(outcome.output.contains("its check passed"))
    #expect(
      try sandbox.measures(
        ["sums.yaml", "--out", "sums", "--set", "workload.with.duration=10ms"] + real)[
          "makespan"] != nil)
  }

  @Test("SIGKILL of a worker: its node says so, and the rest of the cluster goes on")
  func killedWorker() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    let (cluster, head, processes) = try sandbox.cluster(
      2, "--workload", "w.yaml", "--workers", "processes")
    let first = try sandbox.startConnected(head, "--trace", "0", out: "first")
    _ = try first.outputLine(containing: "1 run, real, connected to \(head)")
    let victim = try #require(children(of: processes[1]).first)
    kill(victim, SIGKILL)
    // It may have been on its way to being a worker only.
    let line = try cluster.errorLine(containing: "of node 1 (process \(victim))")
    #expect(line.contains("was killed by SIGKILL"))
    let code = first.end()
    #expect(code == 0 || code == 1, "it finishes or fails with a typed error, it does not crash")
    try sandbox.runConnected(head, "--set", "workload.with.tasks=100", out: "second")
    #expect(cluster.end(SIGTERM) == 0)
    cluster.waitForAll()
  }

  @Test("The workers of a node end with it: by SIGTERM, and when it is killed", arguments: [15, 9])
  func nodeEnds(_ signal: Int32) throws {
    let sandbox = try Sandbox([:])
    let node = try Running(
      sandbox,
      [
        "node", "--cpus", "2", "--store", "64MiB", "--listen", "127.0.0.1:0", "--workers",
        "processes", "--log", "debug",
      ])
    let workers = try (0..<2).map { _ in
      // worker 0 of node 0 (process 123) is ready
      let line = try node.errorLine(containing: ") is ready")
      return try #require(Int32(line.split(separator: " ").dropLast(2).last?.dropLast() ?? ""))
    }
    #expect(children(of: node.process.processIdentifier) == workers.sorted())
    #expect(node.end(signal) == (signal == SIGKILL ? -1 : 0))
    // They share its standard error, which ends with the last of them.
    node.waitForAll()
    for worker in workers {
      // Its files are closed a moment before it is gone.
      var looks = 0
      while kill(worker, 0) == 0, !isZombie(worker), looks < 5000 {
        usleep(1000)
        looks += 1
      }
      #expect(kill(worker, 0) != 0 || isZombie(worker))
    }
    // After SIGKILL the next node to start cleans up.
    if signal == SIGKILL { return }
    let files = try FileManager.default.contentsOfDirectory(atPath: "/dev/shm")
    #expect(!files.contains { $0.contains("-\(node.process.processIdentifier)-") })
  }

  /// Nobody may be there to wait for the child of a process that was killed.
  private func isZombie(_ process: Int32) -> Bool {
    let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    return status?.contains("\nState:\tZ") ?? true
  }

  @Test("Bad values of --workers, and a worker that no node started: one line each")
  func badInput() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    for (arguments, text) in [
      (["node", "--workers", "fibres"], "fibres"), (["worker"], "--workers processes"),
      (["run", "w.yaml", "--workers", "processes"], "--world real"),
      (
        ["run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1", "--workers", "threads"],
        "--connect"
      ),
    ] as [([String], String)] {
      let outcome = try sandbox.run(arguments)
      #expect(outcome.code == 2, Comment(rawValue: "\(arguments): \(outcome.errors)"))
      #expect(outcome.errors.contains(text), Comment(rawValue: "\(arguments): \(outcome.errors)"))
    }
  }
}
