import Foundation
import Testing

@Suite("How heliostat cluster ends", .serialized, .timeLimit(.minutes(10)))
struct RealWorldClusterEndTests {
  private struct Started {
    let cluster: Running
    let head: String
    let processes: [Int32]

    /// Nothing of the nodes is left: no process and no shared memory.
    func checkGone() {
      for process in processes {
        #expect(kill(process, 0) == -1 && errno == ESRCH, "process \(process)")
        #expect(RealWorldClusterTests.leftovers(of: process).isEmpty)
      }
    }
  }

  /// Two nodes that stay, with tasks of this length.
  private func start(
    _ sandbox: Sandbox, _ flags: String...
  ) throws -> Started {
    let cluster = try Running(
      sandbox,
      ["cluster", "--nodes", "2", "--cpus", "1", "--store", "64MiB", "--workload", "w.yaml"]
        + flags)
    var lines: [[Substring]] = []
    for _ in 0..<2 {
      lines.append(try cluster.outputLine(containing: "127.0.0.1:").split(separator: " "))
    }
    _ = try cluster.outputLine(containing: "Ctrl-C ends the cluster.")
    return Started(
      cluster: cluster,
      head: String(try #require(lines[0].first { $0.hasPrefix("127.0.0.1:") })),
      processes: try lines.map { try #require(Int32($0[1])) })
  }

  /// As many tasks as fill both nodes for a while, and a program that waits for them.
  private func load(_ duration: String, tasks: Int) -> [String: String] {
    [
      "w.yaml": """
      experiment: load
      title: "Load"
      cluster: {profile: small.yaml, nodes: 2}
      workload:
        generator: independent
        with: {tasks: \(tasks), window: 2, duration: \(duration), output-size: 1MB}
      measures: [throughput]

      """
    ]
  }

  /// A program on the cluster, connected by now, and the node of its own that says so.
  private func run(
    _ sandbox: Sandbox, on started: Started
  ) throws -> (program: Running, node: Running) {
    let (node, address, _) = try sandbox.node(
      "--workload", "w.yaml", "--join", started.head, "--log", "debug")
    let program = try Running(
      sandbox, ["run", "w.yaml", "--world", "real", "--connect", address, "--out", "r"])
    _ = try node.errorLine(containing: " connects from")
    return (program, node)
  }

  @Test("An idle cluster ends with code 0 and leaves nothing", arguments: [SIGTERM, SIGINT])
  func idle(signal: Int32) throws {
    let sandbox = try Sandbox(load("10ms", tasks: 10))
    let started = try start(sandbox)
    #expect(started.cluster.end(signal) == 0)
    started.checkGone()
  }

  @Test("A program on it finishes first; nobody else is let in")
  func finishes() throws {
    let sandbox = try Sandbox(load("20ms", tasks: 300))
    let started = try start(sandbox, "--grace", "60s")
    let (program, node) = try run(sandbox, on: started)
    kill(started.cluster.process.processIdentifier, SIGTERM)
    #expect(
      try started.cluster.outputLine(containing: "have 60s to finish").contains("Another Ctrl-C"))
    let late = try sandbox.run(
      "run", "w.yaml", "--world", "real", "--connect", started.head, "--out", "late")
    #expect(late.code != 0)
    #expect(program.end() == 0)
    #expect(node.end() == 0)
    #expect(started.cluster.end() == 0)
    started.checkGone()
  }

  @Test("What is not finished in time is named; code 1, and nothing is left")
  func graceOver() throws {
    let sandbox = try Sandbox(load("60s", tasks: 4))
    let started = try start(sandbox, "--grace", "100ms")
    let (program, node) = try run(sandbox, on: started)
    kill(started.cluster.process.processIdentifier, SIGTERM)
    let text = try started.cluster.errorLine(containing: "error: ")
    #expect(text.contains("not all was finished within 100ms; left: "), "\(text)")
    #expect(started.cluster.end() == 1)
    started.checkGone()
    #expect(program.end() != 0)
    // Its head is gone, or has told it to end; its task does not.
    #expect(node.end() == 1)
  }

  @Test("A second signal ends it at once, with code 1, and nothing is left")
  func secondSignal() throws {
    let sandbox = try Sandbox(load("60s", tasks: 4))
    let started = try start(sandbox, "--grace", "1h")
    let (program, node) = try run(sandbox, on: started)
    kill(started.cluster.process.processIdentifier, SIGTERM)
    _ = try started.cluster.outputLine(containing: "Another Ctrl-C ends the cluster at once")
    kill(started.cluster.process.processIdentifier, SIGTERM)
    #expect(try started.cluster.errorLine(containing: "error: ").contains("second signal"))
    #expect(started.cluster.end() == 1)
    started.checkGone()
    #expect(program.end() != 0)
    // Its head is gone, or has told it to end; its task does not.
    #expect(node.end() == 1)
  }

  @Test("--grace is checked, and is for a cluster that stays")
  func badInput() throws {
    let sandbox = try Sandbox(load("10ms", tasks: 10))
    let wrong = try sandbox.run("cluster", "--nodes", "1", "--grace", "soon")
    #expect(wrong.code == 2 || wrong.code == 64)
    #expect(wrong.errors.contains("--grace soon"))
    let misplaced = try sandbox.run("cluster", "--grace", "1s", "--", "run", "w.yaml")
    #expect(misplaced.errors.contains("--grace is for a cluster that stays"))
  }
}
