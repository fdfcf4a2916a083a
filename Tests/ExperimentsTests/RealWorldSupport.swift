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

extension Sandbox {
  /// A node that takes part; its address is the end of its line.
  func node(_ arguments: String...) throws -> (running: Running, address: String, line: String) {
    let listen = arguments.contains("--listen") ? [] : ["--listen", "127.0.0.1:0"]
    let running = try Running(
      self, ["node", "--cpus", "2", "--store", "64MiB"] + listen + arguments)
    let line = try running.outputLine(containing: "listens on")
    return (running, String(try #require(line.split(separator: " ").last)), line)
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
