import Foundation
import Testing

/// A `heliostat` process that stays, with its output line by line.
final class Running {
  let process: Process
  private let output = Pipe()
  private let errors = Pipe()
  private var rests: [ObjectIdentifier: Data] = [:]

  init(_ sandbox: Sandbox, _ arguments: [String]) throws {
    process = try sandbox.start(arguments, output: output, errors: errors)
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  /// Reads a stream until a line contains `text`; nil when it ends before.
  private func line(_ pipe: Pipe, containing text: String) -> String? {
    let key = ObjectIdentifier(pipe)
    var rest = rests[key] ?? Data()
    defer { rests[key] = rest }
    while true {
      while let end = rest.firstIndex(of: 10) {
        let line = String(decoding: rest[rest.startIndex..<end], as: UTF8.self)
        rest = Data(rest[(end + 1)...])
        if line.contains(text) { return line }
      }
      let piece = pipe.fileHandleForReading.availableData
      if piece.isEmpty { return nil }
      rest += piece
    }
  }

  func outputLine(containing text: String) throws -> String {
    try #require(line(output, containing: text), "the process ended without '\(text)'")
  }

  func errorLine(containing text: String) throws -> String {
    try #require(line(errors, containing: text), "the process ended without '\(text)'")
  }

  /// Returns when every process that writes to the same standard error has ended: children too.
  func waitForAll() { while !errors.fileHandleForReading.availableData.isEmpty {} }

  /// Sends a signal, or nothing, and waits for the end.
  func end(_ signal: Int32? = nil) -> Int32 {
    if let signal { kill(process.processIdentifier, signal) }
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : -1
  }
}

/// Nodes of one cluster, the head first.
struct RunningNodes {
  /// Of the head.
  let address: String
  let all: [Running]
  var head: Running { all[0] }

  /// Ends those that are there still by SIGTERM, the head last: all have to end well.
  func end() {
    for node in all.reversed() where node.process.isRunning { #expect(node.end(SIGTERM) == 0) }
  }
}

extension Sandbox {
  /// A node that takes part; its address is the end of its line.
  func node(_ arguments: String...) throws -> (running: Running, address: String, line: String) {
    try node(arguments)
  }

  private func node(
    _ arguments: [String]
  ) throws -> (running: Running, address: String, line: String) {
    let listen = arguments.contains("--listen") ? [] : ["--listen", "127.0.0.1:0"]
    let running = try Running(
      self, ["node", "--cpus", "2", "--store", "64MiB"] + listen + arguments)
    let line = try running.outputLine(containing: "listens on")
    return (running, String(try #require(line.split(separator: " ").last)), line)
  }

  /// A head and nodes that have joined it one after the other, each a process. All are given
  /// `arguments`, and the head those of its own.
  func nodes(_ count: Int, _ arguments: [String] = [], head: [String] = []) throws -> RunningNodes {
    let (first, address, _) = try node(arguments + head)
    var all = [first]
    for number in 1..<count {
      let (member, _, line) = try node(["--join", address] + arguments)
      #expect(line.hasPrefix("node \(number) of cluster 'heliostat' listens on"))
      all.append(member)
    }
    return RunningNodes(address: address, all: all)
  }

  /// `heliostat cluster`, with the address of its head and the processes of its nodes.
  func cluster(
    _ count: Int, _ arguments: String...
  ) throws -> (running: Running, address: String, processes: [Int32]) {
    let running = try Running(
      self,
      ["cluster", "--nodes", "\(count)", "--cpus", "2", "--store", "64MiB"] + arguments)
    var address: String?
    var processes: [Int32] = []
    for number in 0..<count {
      // 0  4711  127.0.0.1:7600  {CPU: 2}
      let fields = try running.outputLine(containing: "127.0.0.1:").split(separator: " ")
      try #require(fields.count > 2 && fields[0] == "\(number)")
      processes.append(try #require(Int32(fields[1])))
      if number == 0 { address = fields.first { $0.hasPrefix("127.0.0.1:") }.map(String.init) }
    }
    return (running, try #require(address), processes)
  }

  /// Runs a file on a running cluster, to the end, which has to be a good one.
  func runConnected(_ address: String, _ arguments: String..., out: String = "r") throws {
    let outcome = try run(Self.connected(address, arguments, out: out))
    #expect(outcome.code == 0, Comment(rawValue: outcome.output + outcome.errors))
  }

  /// Starts the run of a file on a running cluster.
  func startConnected(
    _ address: String, _ arguments: String..., out: String = "r"
  ) throws -> Running {
    try Running(self, Self.connected(address, arguments, out: out))
  }

  private static func connected(
    _ address: String, _ arguments: [String], out: String
  ) -> [String] {
    ["run", "w.yaml", "--world", "real", "--connect", address, "--out", out] + arguments
  }

  /// The measures of a run, by name.
  func measures(
    _ arguments: [String], mayFail: Bool = false
  ) throws -> [String: Double] {
    let outcome = try run(["run"] + arguments + ["--json", "--trace", "0"])
    if !mayFail {
      try #require(outcome.code == 0, Comment(rawValue: outcome.output + outcome.errors))
      #expect(outcome.errors.split(separator: "\n").allSatisfy { !$0.hasPrefix("error") })
    }
    var found: [String: Double] = [:]
    for line in outcome.outputLines {
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      if let name = object?["yName"] as? String { found[name] = object?["y"] as? Double }
    }
    return found
  }

  /// A word count of a few thousand words.
  static let words = """
    experiment: words
    title: "Words"
    cluster: {profile: small.yaml, nodes: 3}
    workload:
      program: word-count
      with: {documents: 12, words-per-document: 300, vocabulary: 500, mappers: 6, reducers: 3}
    measures: [{name: words, unit: count}]
    checks:
      - {check: value, measure: words, min: 3600, max: 3600}

    """
}
