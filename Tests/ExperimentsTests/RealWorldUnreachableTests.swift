import Experiments
import Foundation
import Testing
import Workload

/// Clusters that are not there.
@Suite("No cluster to run on", .serialized, .timeLimit(.minutes(2)))
struct RealWorldUnreachableTests {
  private static let load = """
    experiment: load
    title: "Load"
    cluster: {profile: small.yaml, nodes: 1}
    workload:
      generator: independent
      with: {tasks: 20, window: 4, duration: 10us}
    measures: [throughput]
    seeds: 4

    """
  private static let swept = load + "sweep: {policies.placement: [LowestWait, Random]}\n"

  @Test("with nobody at the address a run ends at once, says so once, and how to start a cluster")
  func nobody() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    let before = sandbox.listing()
    let outcome = try sandbox.run(
      "run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1", "--set",
      "workload.with.duration=uniform(1us, 2us)")
    #expect(outcome.code == 1)
    let errors = outcome.errors.split(separator: "\n")
    #expect(errors.count == 1)
    #expect(errors.first?.hasPrefix("error: nobody listens on 127.0.0.1:1") == true)
    #expect(
      errors.first?.hasSuffix(
        "Expected a node with the functions of w.yaml; start some with: heliostat cluster "
          + "--nodes 2 --listen 127.0.0.1:1 --workload w.yaml --set "
          + "'workload.with.duration=uniform(1us, 2us)'") == true)
    #expect(!outcome.output.contains("Failed"))
    #expect(sandbox.listing() == before, "no result, no recording")
  }

  @Test("the cluster that is advised starts, with the policies that the run chooses of a sweep")
  func advised() throws {
    let sandbox = try Sandbox(["w.yaml": Self.swept])
    let policy = ["--policy", "placement=Random"]
    let outcome = try sandbox.run(
      ["run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1", "--seed", "1"] + policy)
    let advice = try #require(outcome.errors.split(separator: ": heliostat ").last)
    var words = advice.split(whereSeparator: \.isWhitespace).map(String.init)
    let listen = try #require(words.firstIndex(of: "127.0.0.1:1"))
    words[listen] = "127.0.0.1:0"
    #expect(words.suffix(2) == policy)
    let cluster = try Running(sandbox, words)
    let address = try #require(
      try cluster.outputLine(containing: "--connect").split(separator: " ").last)
    try sandbox.runConnected(String(address), "--seed", "1", "--policy", "placement=Random")
    #expect(try sandbox.read("r/rows.csv").contains("placement=Random dispatch=FIFO"))
    #expect(cluster.end(SIGTERM) == 0)
  }

  @Test("a recording is not begun where there is no cluster")
  func recording() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    let outcome = try sandbox.run(
      "run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1", "--seed", "1", "--record",
      "rec")
    #expect(outcome.code == 1)
    #expect(sandbox.files(in: "rec") == [])
  }

  @Test("a node with other functions refuses a run, which says so once")
  func otherFunctions() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load, "words.yaml": Sandbox.words])
    let nodes = try sandbox.nodes(1, ["--workload", "words.yaml"])
    let outcome = try sandbox.run(
      "run", "w.yaml", "--world", "real", "--connect", nodes.address)
    #expect(outcome.code == 1)
    #expect(outcome.errors.split(separator: "\n").count == 1, Comment(rawValue: outcome.errors))
    #expect(outcome.errors.hasPrefix("error: no link to \(nodes.address)"))
    nodes.end()
  }

  @Test("node processes that cannot start end a run at once")
  func nodesThatDoNotStart() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    let file = try WorkloadFile.load(sandbox.folder.appendingPathComponent("w.yaml").path)
    var options = RealWorldOptions()
    options.place = .processes(1)
    options.nodeCommand = ["/bin/false"]
    var runner = ExperimentRunner(file, threads: 1)
    runner.world = .real(options)
    let error = #expect(throws: ClusterUnavailable.self) { try runner.run() }
    #expect(error.map { "\($0)".contains("node 0") } == true)
  }

  @Test("when the cluster goes between two runs, the first is kept and the later ones are left out")
  func gone() throws {
    let sandbox = try Sandbox(["w.yaml": Self.load])
    let path = sandbox.folder.appendingPathComponent("w.yaml").path
    let nodes = try sandbox.nodes(1, ["--workload", "w.yaml"])
    var options = RealWorldOptions()
    options.place = .cluster(try .init(parsing: nodes.address))
    var runner = ExperimentRunner(try WorkloadFile.load(path), threads: 1)
    runner.world = .real(options)
    let head = nodes.head.process.processIdentifier
    runner.progress = { finished, _, text in
      // Its port refuses from the moment that it is dead.
      guard finished == 1, text.contains("done"), kill(head, SIGKILL) == 0 else { return }
      var status = siginfo_t()
      waitid(P_PID, id_t(head), &status, WEXITED | WNOWAIT)
    }
    let result = try runner.run()
    #expect(result.lostCluster && !result.isComplete)
    #expect(result.runs.map { $0.map(\.failure).map { $0 == nil } } == [[true, false]])
    let report = try ExperimentReport(
      result, seeds: runner.seeds, command: [], startedAt: "", published: .init())
    #expect(!report.passed && report.failures.count == 1)
    #expect(report.notes.contains("The cluster was gone: the runs after that are left out."))
  }
}
