import Foundation
import Testing

/// A temporary folder in which `heliostat` runs as a process, as from a terminal.
final class Sandbox {
  let folder: URL
  private let streams: URL

  struct Outcome {
    var code: Int32
    var output: String
    var errors: String
    /// The output with one space between words, as lines may break between any two.
    var outputText: String { output.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
    var outputLines: [String] { output.split(separator: "\n").map(String.init) }
  }

  static let repository = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The program lies beside the test bundle, which is the first argument of the test process.
  static let program: URL = {
    let places = [
      URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent(),
      Bundle.main.bundleURL, repository.appendingPathComponent(".build/debug"),
    ]
    let files = places.map { $0.appendingPathComponent("heliostat") }
    return files.first { FileManager.default.isExecutableFile(atPath: $0.path) } ?? files[0]
  }()

  /// A workload file that runs in a few milliseconds; `small.yaml` lies beside it.
  static let base = """
    experiment: sums
    title: "Sums"
    cluster: {profile: small.yaml}
    workload:
      program: tree-reduce
      with: {shape: chain, count: 8, duration: 500ms}
    measures: [makespan]

    """

  init(_ files: [String: String] = ["w.yaml": Sandbox.base]) throws {
    let root = FileManager.default.temporaryDirectory
      .appendingPathComponent("heliostat-\(UUID().uuidString)")
    folder = root.appendingPathComponent("work")
    streams = root.appendingPathComponent("streams")
    for made in [folder, streams] {
      try FileManager.default.createDirectory(at: made, withIntermediateDirectories: true)
    }
    let profile = Self.repository.appendingPathComponent("Workloads/clusters/small.yaml")
    try write("small.yaml", try String(contentsOf: profile, encoding: .utf8))
    for (name, text) in files { try write(name, text) }
  }

  deinit { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }

  func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }

  func write(_ name: String, _ data: Data) throws {
    let file = folder.appendingPathComponent(name)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: file)
  }

  func read(_ name: String) throws -> String {
    try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
  }

  func json(_ name: String) throws -> Any {
    try JSONSerialization.jsonObject(
      with: try Data(contentsOf: folder.appendingPathComponent(name)))
  }

  /// Every file and folder, hidden ones too.
  func listing() -> [String] {
    let all = FileManager.default.enumerator(atPath: folder.path)
    return (all?.compactMap { $0 as? String } ?? []).sorted()
  }

  func files(in name: String) -> [String] {
    let path = folder.appendingPathComponent(name).path
    return ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }

  func start(_ arguments: [String], output: Any, errors: Any) throws -> Process {
    let process = Process()
    process.executableURL = Self.program
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    return process
  }

  /// Runs to the end. Output goes through files, which cannot fill up as pipes can.
  func run(_ arguments: String...) throws -> Outcome { try run(arguments) }

  func run(_ arguments: [String]) throws -> Outcome {
    let names = ["output", "errors"].map { streams.appendingPathComponent($0 + UUID().uuidString) }
    let handles = try names.map { file in
      try Data().write(to: file)
      return try FileHandle(forWritingTo: file)
    }
    let process = try start(arguments, output: handles[0], errors: handles[1])
    process.waitUntilExit()
    for handle in handles { try handle.close() }
    #expect(process.terminationReason == .exit, "crashed: heliostat \(arguments)")
    return Outcome(
      code: process.terminationStatus,
      output: String(decoding: try Data(contentsOf: names[0]), as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: names[1]), as: UTF8.self))
  }
}

extension FileHandle {
  /// Reads until `text` has come; the whole of what came, or nil when the stream ended before.
  func readUntil(_ text: String) -> String? {
    var all = Data()
    while true {
      let piece = availableData
      if piece.isEmpty { return nil }
      all += piece
      let read = String(decoding: all, as: UTF8.self)
      if read.contains(text) { return read }
    }
  }
}
