import Foundation
import Testing

/// Nodes and clusters as processes, as from a terminal.
@Suite(.serialized) struct RealWorldClusterTests {
  @Test("a node says where it listens, and SIGTERM or SIGINT ends it with code 0")
  func signals() throws {
    let sandbox = try Sandbox([:])
    for signal in [SIGTERM, SIGINT] {
      let (node, _, line) = try sandbox.node()
      #expect(line.hasPrefix("node 0 of cluster 'heliostat' listens on 127.0.0.1:"))
      #expect(node.end(signal) == 0)
    }
  }

  @Test("a port in use, a head that is not there and bad input: one line each, with its code")
  func refusals() throws {
    let sandbox = try Sandbox([:])
    try sandbox.write("short", "too short")
    let (node, address, _) = try sandbox.node()
    let port = address.split(separator: ":").last ?? ""
    for (arguments, code, text) in [
      (["--listen", address], 1, "\(port)"), (["--join", "127.0.0.1:1"], 1, "127.0.0.1:1"),
      (["--listen", "nowhere"], 2, "HOST:PORT"), (["--listen", "0.0.0.0:0"], 2, "0.0.0.0"),
      (["--store", "1XB"], 2, "512MiB"), (["--resource", "tpu"], 2, "name=amount"),
      (["--secret-file", "short"], 2, "at least 16 bytes"), (["--set", "a=1"], 2, "--workload"),
      (["--tls-key", "short"], 2, "go together"), (["--log", "loud"], 2, "warning"),
    ] as [([String], Int32, String)] {
      let listen = arguments.contains("--listen") ? [] : ["--listen", "127.0.0.1:0"]
      let outcome = try sandbox.run(
        ["node", "--cpus", "1", "--store", "16MiB"] + listen + arguments)
      #expect(outcome.code == code, Comment(rawValue: "\(arguments): \(outcome.errors)"))
      #expect(outcome.errors.contains(text), Comment(rawValue: "\(arguments)"))
      #expect(outcome.errors.split(separator: "\n").last?.hasPrefix("error: ") == true)
      #expect(outcome.output.isEmpty)
    }
    #expect(node.end(SIGTERM) == 0)
  }

  @Test("a node whose head is gone says so and ends with code 1")
  func headGone() throws {
    let sandbox = try Sandbox([:])
    let nodes = try sandbox.nodes(2)
    _ = nodes.head.end(SIGKILL)
    #expect(try nodes.all[1].errorLine(containing: "error: the head is gone").isEmpty == false)
    #expect(nodes.all[1].end() == 1)
  }

  @Test("a wrong secret is refused, and both sides say so")
  func secret() throws {
    let sandbox = try Sandbox([:])
    try sandbox.write("one", "0123456789abcdef0123")
    try sandbox.write("two", "fedcba98765432103210")
    let (head, address, _) = try sandbox.node("--secret-file", "one")
    for arguments in [["--secret-file", "two"], []] {
      let outcome = try sandbox.run(
        ["node", "--listen", "127.0.0.1:0", "--store", "16MiB", "--join", address] + arguments)
      #expect(outcome.code == 1)
      #expect(outcome.errors.contains("secret"), Comment(rawValue: outcome.errors))
      #expect(try head.errorLine(containing: "secret").isEmpty == false)
    }
    let (member, _, _) = try sandbox.node("--join", address, "--secret-file", "one")
    #expect(member.end(SIGTERM) == 0)
    #expect(head.end(SIGTERM) == 0)
  }

  @Test("a program or node with other functions or resources is refused, with the difference")
  func differences() throws {
    let sandbox = try Sandbox(["w.yaml": Sandbox.words, "sums.yaml": Sandbox.base])
    let (head, address, _) = try sandbox.node("--workload", "w.yaml", "--resource", "tpu=1")
    let outcome = try sandbox.run(
      "run", "sums.yaml", "--world", "real", "--connect", address, "--out", "r")
    #expect(outcome.code == 1)
    #expect(outcome.errors.contains("'read'"), Comment(rawValue: outcome.errors))
    let other = try sandbox.run(
      "node", "--listen", "127.0.0.1:0", "--store", "16MiB", "--join", address, "--workload",
      "w.yaml", "--resource", "disk=1")
    #expect(other.code == 1)
    #expect(other.errors.contains("tpu") && other.errors.contains("disk"))
    let (member, _, _) = try sandbox.node(
      "--join", address, "--workload", "w.yaml", "--resource", "tpu=0")
    try sandbox.runConnected(address, "--seed", "5")
    #expect(member.end(SIGTERM) == 0)
    #expect(head.end(SIGTERM) == 0)
  }

  @Test("a cluster of three processes runs a word count and shows its nodes")
  func wordCount() throws {
    let sandbox = try Sandbox(["w.yaml": Sandbox.words])
    let outcome = try sandbox.run(
      "cluster", "--nodes", "3", "--cpus", "2", "--", "run", "w.yaml", "--seed", "2", "--out", "r")
    #expect(outcome.code == 0, Comment(rawValue: outcome.output + outcome.errors))
    #expect(outcome.output.contains("3 nodes, ready in"))
    #expect(outcome.output.contains("its check passed"))
    #expect(try sandbox.read("r/rows.csv").contains(",real,real,osdi18,"))
  }

  @Test(
    "SIGKILL of a driver: the nodes say so and let go of all that it had, and the next one works",
    .timeLimit(.minutes(10)),
    arguments: [
      "generator: independent\nwith: {tasks: 20000, window: 400, duration: 20ms, output-size: 1MB}",
      "program: parameter-server\nwith: {workers: 3, shards: 2, steps: 20000, dimension: 2000}",
    ])
  func killedDriver(workload: String) throws {
    let usesActors = workload.contains("server")
    let sandbox = try Sandbox(["w.yaml": Self.file(workload, nodes: 2)])
    let nodes = try sandbox.nodes(2, ["--workload", "w.yaml"], head: ["--log", "info"])
    let (head, member) = (nodes.head, nodes.all[1])
    let driver = try sandbox.startConnected(nodes.address, out: "first")
    try Self.wait(head, 0) { line in
      let isBusy = usesActors ? !line.contains(" 0 actors") : !line.contains("(0 queued)")
      return isBusy && !line.contains(" 0 objects")
    }
    #expect(driver.end(SIGKILL) == -1)
    #expect(try head.errorLine(containing: "has gone").contains("Its job ends"))
    try Self.wait(head, 0) { $0.hasSuffix("\(Self.nothing); GCS here 0 tasks, 0 objects") }
    try Self.wait(member, 1) { $0.contains(Self.nothing) }
    try sandbox.runConnected(
      nodes.address, "--set", usesActors ? "workload.with.steps=20" : "workload.with.tasks=100",
      "--set", usesActors ? "workload.with.tolerance=1e9" : "workload.with.window=10",
      out: "second")
    nodes.end()
  }

  @Test(
    "SIGKILL of a node with a driver: what the driver had on other nodes goes, and the next one works",
    .timeLimit(.minutes(10)))
  func killedNodeOfDriver() throws {
    let workload =
      "generator: independent\nwith: {tasks: 20000, window: 400, duration: 20ms, output-size: 1MB}"
    let sandbox = try Sandbox(["w.yaml": Self.file(workload, nodes: 3)])
    let nodes = try sandbox.nodes(2, ["--workload", "w.yaml"], head: ["--log", "info"])
    let (head, member) = (nodes.head, nodes.all[1])
    let (victim, place, _) = try sandbox.node("--workload", "w.yaml", "--join", nodes.address)
    let first = try sandbox.startConnected(place, out: "first")
    for (number, node) in [head, member].enumerated() {
      try Self.wait(node, number) {
        !$0.contains("(0 queued)") && !$0.contains("actors, 0 objects")
      }
    }
    #expect(victim.end(SIGKILL) == -1)
    #expect(try head.errorLine(containing: "have gone with it").contains("connected to node 2"))
    try Self.wait(head, 0) { $0.hasSuffix("\(Self.nothing); GCS here 0 tasks, 0 objects") }
    try Self.wait(member, 1) { $0.contains(Self.nothing) }
    #expect(first.end() == 1)
    try sandbox.runConnected(
      nodes.address, "--set", "workload.with.tasks=100", "--set", "workload.with.window=10",
      out: "second")
    nodes.end()
  }

  private static let nothing =
    "holds 0 tasks (0 queued), 0 actors, 0 objects (0B in memory), 0 loans, 0 names"

  private static func file(_ workload: String, nodes: Int) -> String {
    """
    experiment: load
    title: "Load"
    cluster: {profile: small.yaml, nodes: \(nodes)}
    workload:
      \(workload.replacingOccurrences(of: "\n", with: "\n  "))
    measures: [\(workload.contains("server") ? "{name: makespan, unit: s}" : "throughput")]

    """
  }

  /// Asks a node until it holds what it should.
  private static func wait(
    _ node: Running, _ number: Int, until holds: (String) -> Bool
  ) throws {
    while true {
      kill(node.process.processIdentifier, SIGUSR1)
      if holds(try node.errorLine(containing: "node \(number) holds")) { return }
    }
  }

  @Test("SIGKILL of a node: the cluster says so, and the rest runs the next program")
  func killedNode() throws {
    // Tasks of 20 ms, 2000 of them: the run is under way for long when the node goes.
    let sandbox = try Sandbox([
      "w.yaml": """
      experiment: load
      title: "Load"
      cluster: {profile: small.yaml, nodes: 3}
      workload:
        generator: independent
        with: {tasks: 2000, window: 8, duration: 20ms}
      measures: [throughput]

      """
    ])
    let (cluster, head, processes) = try sandbox.cluster(3, "--workload", "w.yaml")
    let victim = processes[2]
    let first = try sandbox.startConnected(head, "--trace", "0", out: "first")
    _ = try first.outputLine(containing: "1 run, real, connected to \(head)")
    kill(victim, SIGKILL)
    #expect(
      try cluster.errorLine(containing: "node 2 (process \(victim)) was killed by SIGKILL")
        .isEmpty == false)
    let code = first.end()
    #expect(code == 0 || code == 1, "it finishes or fails with a typed error, it does not crash")
    try sandbox.runConnected(head, "--set", "workload.with.tasks=100", out: "second")
    #expect(cluster.end(SIGTERM) == 0)
  }

  @Test("the nodes of a cluster end with it, also when it is killed")
  func orphans() throws {
    let sandbox = try Sandbox([:])
    let cluster = try Running(
      sandbox, ["cluster", "--nodes", "2", "--cpus", "1", "--store", "16MiB"])
    _ = try cluster.outputLine(containing: "Ctrl-C ends the cluster.")
    _ = cluster.end(SIGKILL)
    cluster.waitForAll()
  }

  @Test("a node that is stopped in its tracks is lost after a while; the rest goes on")
  func silentNode() throws {
    let sandbox = try Sandbox(["w.yaml": Sandbox.words])
    // Long enough that a loaded machine makes no other node silent.
    let nodes = try sandbox.nodes(3, ["--workload", "w.yaml"], head: ["--silence", "4s"])
    let (head, first, second) = (nodes.head, nodes.all[1], nodes.all[2])
    kill(first.process.processIdentifier, SIGSTOP)
    #expect(try head.errorLine(containing: "node 1 is lost").contains("no heartbeat for"))
    #expect(try second.errorLine(containing: "node 1 is lost").isEmpty == false)
    try sandbox.runConnected(nodes.address, "--seed", "5")
    // When it goes on, it finds that it was taken for lost.
    kill(first.process.processIdentifier, SIGCONT)
    #expect(try first.errorLine(containing: "error: the head is gone").isEmpty == false)
    #expect(first.end() == 1)
    nodes.end()
  }

  @Test("a head that was stopped itself takes no node for silent")
  func stoppedHead() throws {
    let sandbox = try Sandbox(["w.yaml": Sandbox.words])
    let nodes = try sandbox.nodes(2, ["--workload", "w.yaml"], head: ["--silence", "3s"])
    kill(nodes.head.process.processIdentifier, SIGSTOP)
    usleep(5_000_000)
    kill(nodes.head.process.processIdentifier, SIGCONT)
    try sandbox.runConnected(nodes.address, "--seed", "5")
    // A lost one would end by itself, with code 1.
    #expect(nodes.all[1].end(SIGTERM) == 0)
    nodes.end()
  }

  static let load = """
    experiment: load
    title: "Load"
    cluster: {profile: small.yaml, nodes: 3}
    workload:
      generator: independent
      with: {tasks: 400, window: 12, duration: 20ms}
    measures: [throughput]

    """

  @Test("SIGTERM of a node in the midst of tasks: all results arrive, and it ends with code 0")
  func drain() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    let nodes = try sandbox.nodes(3, ["--workload", "w.yaml"], head: ["--log", "debug"])
    let (head, first, second) = (nodes.head, nodes.all[1], nodes.all[2])
    let run = try sandbox.startConnected(nodes.address)
    _ = try head.errorLine(containing: "driver 0 connects")
    #expect(first.end(SIGTERM) == 0)
    #expect(try head.errorLine(containing: "node 1 has left").isEmpty == false)
    #expect(try second.errorLine(containing: "node 1 has left").isEmpty == false)
    #expect(run.end() == 0)
    nodes.end()
    for node in nodes.all {
      #expect(Self.leftovers(of: node.process.processIdentifier).isEmpty)
    }
  }

  @Test("SIGTERM of the head in the midst of tasks: these end, and then every node with code 0")
  func drainCluster() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    let nodes = try sandbox.nodes(
      2, ["--workload", "w.yaml"], head: ["--grace", "60s", "--log", "debug"])
    let run = try sandbox.startConnected(nodes.address)
    _ = try nodes.head.errorLine(containing: "driver 0 connects")
    #expect(nodes.head.end(SIGTERM) == 0)
    #expect(run.end() == 0)
    #expect(nodes.all[1].end() == 0)
    for node in nodes.all {
      #expect(Self.leftovers(of: node.process.processIdentifier).isEmpty)
    }
  }

  @Test("what does not end within the grace is named; a second signal ends a node at once")
  func graceOver() throws {
    let long = Self.load.replacingOccurrences(of: "20ms", with: "60s")
    let sandbox = try Sandbox(["w.yaml": long])
    for (grace, text) in [("100ms", "left: "), ("60s", "second signal")] {
      let (head, address, _) = try sandbox.node(
        "--workload", "w.yaml", "--grace", grace, "--log", "debug")
      let run = try sandbox.startConnected(address)
      _ = try head.errorLine(containing: "driver 0 connects")
      kill(head.process.processIdentifier, SIGTERM)
      if grace == "60s" {
        _ = try head.errorLine(containing: "finishes what it has")
        kill(head.process.processIdentifier, SIGTERM)
      }
      #expect(try head.errorLine(containing: "error: ").contains(text))
      #expect(head.end() == 1)
      #expect(Self.leftovers(of: head.process.processIdentifier).isEmpty)
      _ = run.end(SIGKILL)
    }
  }

  /// What a process has in shared memory.
  /// Files of this process in shared memory, and its directory for spilled objects.
  static func leftovers(of process: Int32) -> [String] {
    let places = ["/dev/shm", FileManager.default.temporaryDirectory.path]
    let names = places.flatMap {
      (try? FileManager.default.contentsOfDirectory(atPath: $0)) ?? []
    }
    // Not the number alone: those of others may contain it, and so may what is random in a name.
    return names.filter { $0.hasPrefix("heliostat") && $0.contains("-\(process)-") }
  }
}
