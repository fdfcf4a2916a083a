import Foundation
import Testing

/// What a file that does not fit this machine is told to do: whoever does it can run.
@Suite("advice for runs in the real world", .timeLimit(.minutes(10)))
struct RealAdviceTests {
  /// Two nodes of the given CPUs and GPUs, and a graph of one task.
  private func sandbox(cpus: Int = 2, gpus: Int = 0, task: String) throws -> Sandbox {
    try Sandbox([
      "big.yaml": """
      name: big
      head: {cpus: 0, store: 1GB}
      nodes: [{name: big, count: 2, cpus: \(cpus), gpus: \(gpus), store: 1GB}]
      network: {latency: 50us}

      """,
      "w.yaml": """
      experiment: fit
      title: "Fit"
      cluster: {profile: big.yaml}
      workload:
        graph: [{id: a, duration: 1ms, \(task)}]
      measures: [makespan]

      """,
    ])
  }

  /// The ways out that an error names, each as options.
  private func ways(_ errors: String) throws -> [[String]] {
    let advice = try #require(errors.split(separator: "; give ").last, "\(errors)")
    return advice.components(separatedBy: ", or ").map {
      $0.replacing(" (of each node)", with: "").split(whereSeparator: \.isWhitespace)
        .map(String.init)
    }
  }

  private let cores = ProcessInfo.processInfo.activeProcessorCount

  /// Expects an error, and good runs with each of its ways out.
  private func check(
    _ sandbox: Sandbox, _ options: [String] = [], names: [String]
  ) throws {
    let run = ["run", "w.yaml", "--world", "real", "--seed", "1", "--out"]
    let refused = try sandbox.run(run + ["r"] + options)
    #expect(refused.code == 2)
    let ways = try ways(refused.errors)
    #expect(ways.map { $0[0] } == names, "\(refused.errors)")
    for way in ways {
      let outcome = try sandbox.run(run + [UUID().uuidString] + options.without(way[0]) + way)
      #expect(outcome.code == 0, "\(way) after \(refused.errors): \(outcome.errors)")
    }
  }

  @Test("a cluster of too many nodes: fewer CPUs of each, or fewer nodes")
  func manyNodes() throws {
    let many = try Sandbox(["w.yaml": Sandbox.base.replacing("500ms", with: "1ms")])
    try check(
      many, ["--set", "cluster.nodes=5000"], names: ["--cpus", "--set"])
  }

  @Test("nodes that are too large: fewer CPUs, and no smaller cluster, which would not help")
  func largeNodes() throws {
    try check(
      try sandbox(cpus: cores * 16 + 1, task: "output: 1KB"), names: ["--cpus"])
    try check(
      try sandbox(cpus: cores * 16 + 1, task: "output: 1KB"), ["--nodes", "2"],
      names: ["--cpus"])
    try check(
      try sandbox(task: "output: 1KB"), ["--nodes", "2", "--cpus", "\(cores * 16)"],
      names: ["--cpus", "--nodes"])
  }

  @Test("a task that no node can run: what it needs, where that can be had")
  func demands() throws {
    try check(try sandbox(task: "cpus: 2"), ["--cpus", "1"], names: ["--cpus"])
    try check(
      try sandbox(gpus: 2, task: "gpus: 2"), ["--gpus", "0"], names: ["--gpus"])
    try check(
      try sandbox(gpus: 1, task: "cpus: 2, gpus: 1"), ["--gpus", "0", "--cpus", "1"],
      names: ["--cpus"])
    try check(try sandbox(task: "output: 5MB"), ["--store", "1MiB"], names: ["--store"])
  }

  @Test("a task that is too large for this machine: no option helps, and none is named")
  func impossible() throws {
    let sandbox = try sandbox(cpus: cores * 16 + 1, task: "cpus: \(cores * 16 + 1)")
    let refused = try sandbox.run("run", "w.yaml", "--world", "real")
    #expect(refused.code == 2)
    #expect(refused.errors.contains("no option makes it fit here: leave out --world real"))
    #expect(try sandbox.run("run", "w.yaml").code == 0)
  }
}

extension [String] {
  /// Without an option and its value, where it is about to be given otherwise; `--set` adds up.
  fileprivate func without(_ option: String) -> [String] {
    guard option != "--set", let index = firstIndex(of: option) else { return self }
    var rest = self
    rest.removeSubrange(index...(index + 1))
    return rest
  }
}
