import Foundation
import Testing

/// Whose policies a run on a running cluster has: the cluster's, and it says so.
@Suite("policies of a cluster that runs already", .serialized, .timeLimit(.minutes(10)))
struct ConnectedPolicyTests {
  private static let load = """
    experiment: load
    title: "Load"
    cluster: {profile: small.yaml, nodes: 1}
    workload:
      generator: independent
      with: {tasks: 20, window: 4, duration: 10us}
    measures: [throughput]

    """
  private static let cluster =
    "spillover=NeverEscalate placement=Random dispatch=LIFO"

  private func policies(_ sandbox: Sandbox, _ folder: String) throws -> [String: String] {
    let manifest = try #require(try sandbox.json("\(folder)/manifest.json") as? [String: Any])
    let configuration = try #require(manifest["configuration"] as? [String: Any])
    let cells = try #require(configuration["cells"] as? [[String: Any]])
    return try #require(cells.first?["policies"] as? [String: String])
  }

  @Test("what the file names in vain is said; rows, manifest and report have the cluster's")
  func other() throws {
    let named = """
      policies: {spillover: NeverEscalate, dispatch: FIFO}
      parameters: {heartbeat: 70ms}

      """
    let sandbox = try Sandbox(["w.yaml": Self.load + named, "plain.yaml": Self.load])
    let nodes = try sandbox.nodes(
      2,
      [
        "--workload", "w.yaml", "--policy", "dispatch=LIFO", "--policy", "placement=Random",
        "--set", "parameters.heartbeat=50ms",
      ])
    let run = ["--world", "real", "--connect", nodes.address]
    let outcome = try sandbox.run(["run", "w.yaml", "--out", "r"] + run)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let note =
      "The policies are the running cluster's own: \(Self.cluster). The file's did not run: "
      + "dispatch=FIFO."
    let parameters = "The parameters are the running cluster's own too: they are not the file's."
    #expect(outcome.outputText.contains("\(note) \(parameters)"), "\(outcome.output)")
    let report = try sandbox.read("r/report.html")
    #expect(report.contains("The file&#39;s did not run") || report.contains("The file's did not"))
    #expect(try sandbox.read("r/summary.md").contains("The file's did not run: dispatch=FIFO"))
    #expect(try sandbox.read("r/rows.csv").contains(Self.cluster))
    #expect(
      try policies(sandbox, "r")
        == ["spillover": "NeverEscalate", "placement": "Random", "dispatch": "LIFO"])
    #expect(try sandbox.read("r/manifest.json").contains("\"heartbeat\" : \"50"))

    let json = try sandbox.run(["run", "w.yaml", "--out", "j", "--json"] + run)
    #expect(json.errors.contains("The file's did not run: dispatch=FIFO."), "\(json.errors)")
    #expect(json.output.contains(Self.cluster))

    // A file that names none has nothing to be said.
    let plain = try sandbox.run(["run", "plain.yaml", "--out", "p"] + run)
    #expect(plain.outputText.contains("the running cluster's own: \(Self.cluster)."))
    #expect(!plain.output.contains("not the file's") && !plain.output.contains("did not run"))
    #expect(try policies(sandbox, "p")["dispatch"] == "LIFO")
    nodes.end()
  }

  @Test("a policy or parameter that options choose of a sweep has to be the cluster's")
  func chosen() throws {
    let sweep = """
      sweep: {policies.dispatch: [FIFO, LIFO], parameters.heartbeat: [50ms, 80ms]}

      """
    let sandbox = try Sandbox(["w.yaml": Self.load + sweep])
    func options(_ dispatch: String, _ heartbeat: String) -> [String] {
      ["--policy", "dispatch=\(dispatch)", "--set", "parameters.heartbeat=\(heartbeat)"]
    }
    let nodes = try sandbox.nodes(1, ["--workload", "w.yaml"] + options("LIFO", "50ms"))
    let run = ["run", "w.yaml", "--world", "real", "--connect", nodes.address, "--out", "r"]
    let before = sandbox.listing()
    for (chosen, says) in [
      (options("FIFO", "50ms"), "has dispatch=LIFO, and the options ask for another value of "),
      (options("LIFO", "80ms"), "has other parameters, and the options ask for another value of "),
    ] {
      let outcome = try sandbox.run(run + chosen)
      #expect(outcome.code == 1)
      #expect(outcome.errors.hasPrefix("error: the cluster at \(nodes.address) \(says)"))
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }
    #expect(sandbox.listing() == before)
    let outcome = try sandbox.run(run + options("LIFO", "50ms"))
    #expect(outcome.code == 0, "\(outcome.output) \(outcome.errors)")
    #expect(!outcome.output.contains("did not run"))
    #expect(try policies(sandbox, "r")["dispatch"] == "LIFO")
    nodes.end()
  }
}
