import Foundation
import Testing

/// What would make a run depend on more than its seed is kept out of the modules below the worlds.
@Suite("sources below the worlds")
struct TidyTests {
  static let modules = ["Primitives", "Scheduling", "RuntimeCore", "Simulation"]

  /// What may not stand in a line of code, unless the line also has the second; and why.
  static let banned: [(text: String, unless: String?, reason: String)] = [
    ("import Foundation", nil, "a clock, files, the system's random numbers"),
    ("import Dispatch", nil, "threads"),
    ("import NIO", nil, "sockets"),
    ("import Glibc", nil, "system calls"),
    ("Date(", nil, "wall time"),
    ("ContinuousClock", nil, "wall time"),
    ("SuspendingClock", nil, "wall time"),
    (".random(", "using:", "the system's random numbers"),
    (".shuffled()", nil, "the system's random numbers"),
    (".shuffle()", nil, "the system's random numbers"),
    (".randomElement()", nil, "the system's random numbers"),
    ("SystemRandomNumberGenerator", nil, "the system's random numbers"),
    ("UUID(", nil, "the system's random numbers"),
    (".hashValue", nil, "a hash that differs from process to process"),
    ("Hasher(", nil, "a hash that differs from process to process"),
    ("ObjectIdentifier(", nil, "an address that differs from run to run"),
  ]

  /// Why `line` is banned, if it is; comments may say anything.
  private static func problem(_ line: Substring) -> String? {
    let code = line.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false)[0]
    for (text, unless, reason) in banned where code.contains(text) {
      if let unless, code.contains(unless) { continue }
      return "\(text): \(reason)"
    }
    return nil
  }

  private static func sources() throws -> [(path: String, lines: [Substring])] {
    let root = URL(filePath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Sources")
    var files: [(String, [Substring])] = []
    for module in modules {
      let folder = root.appending(path: module).resolvingSymlinksInPath()
      let walker = try #require(
        FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
      for case let file as URL in walker where file.pathExtension == "swift" {
        let text = try String(contentsOf: file, encoding: .utf8)
        files.append((file.path(), text.split(separator: "\n", omittingEmptySubsequences: false)))
      }
    }
    return files
  }

  @Test("nothing there reads a clock, the system's random numbers or a seeded hash")
  func banned() throws {
    let files = try Self.sources()
    #expect(files.count > 40)
    for (path, lines) in files {
      for (number, line) in lines.enumerated() {
        if let problem = Self.problem(line) { Issue.record("\(path):\(number + 1): \(problem)") }
      }
    }
  }

  @Test("the test finds what it looks for")
  func examples() {
    #expect(Self.problem("import Foundation") != nil)
    #expect(Self.problem("  let t = ContinuousClock.now") != nil)
    #expect(Self.problem("let x = Int.random(in: 0..<3)") != nil)
    #expect(Self.problem("let x = Int.random(in: 0..<3, using: &stream)") == nil)
    #expect(Self.problem("// no Date() here") == nil)
    #expect(Self.problem("let updated = update(x)") == nil)
  }
}
