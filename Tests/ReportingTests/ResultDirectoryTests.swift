import Foundation
import Reporting
import Testing

@Suite final class ResultDirectoryTests {
  private let root: String
  private let manager = FileManager.default

  init() throws {
    let url = FileManager.default.temporaryDirectory
      .appendingPathComponent("heliostat-tests-\(UUID().uuidString)").resolvingSymlinksInPath()
    root = url.path
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  private func result(_ path: String, _ files: [String: String]) throws -> ResultDirectory {
    var result = ResultDirectory(path: path)
    for (name, text) in files { try result.add(name, text: text) }
    return result
  }

  private func text(_ path: String) -> String? {
    manager.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }

  private func names(_ path: String) -> [String] {
    ((try? manager.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }

  private let manifest = Manifest(experiment: "e")

  @Test("a result is written with its manifest, and missing parents are created")
  func writes() throws {
    let path = root + "/deep/er/result"
    try result(path, ["rows.csv": "a\n", "plot.svg": "<svg/>"]).commit(manifest)
    #expect(names(path) == ["manifest.json", "plot.svg", "rows.csv"])
    #expect(text(path + "/rows.csv") == "a\n")
    let read = try Manifest(json: try #require(text(path + "/manifest.json")))
    #expect(read.files == ["plot.svg", "rows.csv"])
    #expect(names(root + "/deep/er") == ["result"])
  }

  /// What a simulated run leaves. `-1.0` reads back as a whole number.
  private func simulated(_ change: (inout Manifest) -> Void = { _ in }) -> Manifest {
    var manifest = Manifest(
      experiment: "e", workload: .init(path: "w.yaml", content: "a: 1\n"), seeds: [1],
      configuration: ["rate": .number(-1.0), "limit": .number(.infinity)],
      versions: ["heliostat": "0.1"], fingerprints: ["a seed 1: 00ff"])
    change(&manifest)
    return manifest
  }

  @Test("the same run's second result replaces the first as a whole")
  func replaces() throws {
    let path = root + "/result"
    let first = try result(path, ["rows.csv": "1", "summary.md": "1 s"]).commit(simulated())
    #expect(first == .absent)
    let again = simulated {
      $0.wallSeconds = 5
      $0.command = ["heliostat"]
      $0.startedAt = "later"
    }
    let files = ["rows.csv": "1", "summary.md": "5 s", "trace.json": "2"]
    #expect(try result(path, files).commit(again) == .same)
    #expect(names(path) == ["manifest.json", "rows.csv", "summary.md", "trace.json"])
    #expect(text(path + "/summary.md") == "5 s")
    #expect(names(root) == ["result"])
  }

  @Test(
    "a result that says anything else is kept under a number",
    arguments: [
      { (manifest: inout Manifest, _: inout [String: String]) in manifest.seeds = [2] },
      { manifest, _ in manifest.configuration = ["rate": 2] },
      { manifest, _ in manifest.workload?.content = "a: 2\n" },
      { manifest, _ in manifest.fingerprints = ["a seed 1: 00fe"] },
      // Measured in wall time.
      { manifest, _ in manifest.fingerprints = [] },
      { manifest, _ in manifest.versions = ["heliostat": "0.2"] },
      { _, files in files["rows.csv"] = "2" }, { _, files in files["checks.json"] = "[1]" },
      // Run without a trace, while the earlier one has one.
      { _, files in files["trace.json"] = nil },
    ] as [@Sendable (inout Manifest, inout [String: String]) -> Void])
  func keeps(change: @Sendable (inout Manifest, inout [String: String]) -> Void) throws {
    let path = root + "/result"
    let files = ["rows.csv": "1", "checks.json": "[]", "trace.json": "t"]
    try result(path, files).commit(simulated())
    var (second, changed) = (simulated(), files)
    change(&second, &changed)
    #expect(try result(path, changed).commit(second) == .kept(path: path + ".1"))
    #expect(text(path + ".1/rows.csv") == "1" && text(path + ".1/trace.json") == "t")
    #expect(text(path + "/rows.csv") == changed["rows.csv"])
    #expect(names(root) == ["result", "result.1"])
    // It is a result like any other.
    try result(path + ".1", changed).check()
  }

  @Test("numbers of kept results rise, also where some were taken away")
  func numbers() throws {
    let path = root + "/result"
    for run in 1...3 {
      try result(path, ["rows.csv": "\(run)"]).commit(Manifest(experiment: "real"))
    }
    try manager.removeItem(atPath: path + ".1")
    try manager.createDirectory(atPath: path + ".old", withIntermediateDirectories: false)
    let end = try result(path, ["rows.csv": "4"]).commit(Manifest(experiment: "real"))
    #expect(end == .kept(path: path + ".3"))
    #expect(names(root) == ["result", "result.2", "result.3", "result.old"])
    #expect([".2", ".3", ""].map { text(path + $0 + "/rows.csv") } == ["2", "3", "4"])
  }

  @Test("another result is removed when that was asked for")
  func overwrites() throws {
    let path = root + "/result"
    try result(path, ["rows.csv": "1", "old.csv": "1"]).commit(simulated())
    let other = simulated { $0.seeds = [2] }
    #expect(try result(path, ["rows.csv": "2"]).commit(other, overwriting: true) == .removed)
    #expect(names(path) == ["manifest.json", "rows.csv"])
    #expect(names(root) == ["result"])
  }

  @Test("a failure in the middle leaves the old result and nothing else")
  func failureKeepsTheOld() throws {
    let path = root + "/result"
    try result(path, ["a.csv": "old"]).commit(manifest)
    // The file system refuses the second name after the first file has been written.
    let tooLong = String(repeating: "x", count: 300)
    var second = ResultDirectory(path: path)
    try second.add("a.csv", text: "new")
    try second.add(tooLong, text: "")
    let error = #expect(throws: ResultDirectoryError.self) { try second.commit(self.manifest) }
    #expect(error?.description.contains(tooLong) == true)
    #expect(text(path + "/a.csv") == "old")
    #expect(names(root) == ["result"])
  }

  @Test("a directory that holds anything but a result is left alone")
  func foreignFiles() throws {
    let path = root + "/precious"
    try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
    // An empty directory is nobody's.
    try result(path, ["a": "1"]).check()
    try Data("thesis".utf8).write(to: URL(fileURLWithPath: path + "/thesis.tex"))
    let first = #expect(throws: ResultDirectoryError.self) {
      try self.result(path, ["a": "1"]).commit(self.manifest)
    }
    #expect(first?.description.contains("thesis.tex") == true)
    #expect(names(path) == ["thesis.tex"])

    let other = root + "/result"
    try result(other, ["a": "1"]).commit(manifest)
    try Data("mine".utf8).write(to: URL(fileURLWithPath: other + "/notes.txt"))
    let second = #expect(throws: ResultDirectoryError.self) {
      try self.result(other, ["a": "2"]).commit(self.manifest)
    }
    #expect(second?.description.contains("notes.txt") == true)
    #expect(text(other + "/a") == "1")
  }

  @Test("a target or parent that is a file is refused by name")
  func files() throws {
    let file = root + "/file"
    try Data().write(to: URL(fileURLWithPath: file))
    for path in [file, file + "/below"] {
      let error = #expect(throws: ResultDirectoryError.self) {
        try self.result(path, ["a": "1"]).commit(self.manifest)
      }
      #expect(error?.description.contains(file) == true)
    }
    #expect(names(root) == ["file"])
  }

  @Test(
    "names that would leave the directory are refused",
    arguments: [
      "", ".", "..", "../up", "sub/file", "/etc/x", "manifest.json",
    ])
  func badNames(name: String) {
    var result = ResultDirectory(path: root + "/r")
    #expect(throws: ResultDirectoryError.badName(name)) { try result.add(name, text: "") }
  }

  @Test("a path is made absolute, and a link to a result is followed")
  func paths() throws {
    #expect(ResultDirectory(path: "some/where").path.hasPrefix("/"))
    #expect(ResultDirectory(path: root + "/a/../b/").path == root + "/b")
    try result(root + "/target", ["a": "1"]).commit(manifest)
    try manager.createSymbolicLink(atPath: root + "/link", withDestinationPath: root + "/target")
    try result(root + "/link", ["a": "2"]).commit(manifest)
    #expect(text(root + "/target/a") == "2" && text(root + "/target.1/a") == "1")
    #expect(names(root) == ["link", "target", "target.1"])
  }
}

@Suite struct ManifestTests {
  private let manifest = Manifest(
    experiment: "Fig14a", workload: .init(path: "w/a.yaml", content: "a: 1\n"),
    command: ["heliostat", "run"], seeds: [1, .max],
    configuration: [
      "cluster": ["nodes": 40, "ratio": 0.5, "on": true], "list": ["a", 2], "deep": [["x": 1]],
    ], versions: ["swift": "6.3", "heliostat": "0.1"], fingerprints: ["00ff"], cores: 2,
    wallSeconds: 1.5, startedAt: "2025-01-01T00:00:00Z")

  @Test("a manifest comes back as it was written, and its text does not vary")
  func roundTrip() throws {
    let json = try manifest.json()
    #expect(try Manifest(json: json) == manifest)
    #expect(try manifest.json() == json)
    #expect(json.contains("\"path\" : \"w/a.yaml\""))
    let keys = ["\"command\"", "\"configuration\"", "\"cores\"", "\"experiment\"", "\"seeds\""]
    let places = keys.compactMap { json.firstRange(of: $0)?.lowerBound }
    #expect(places.count == keys.count && places == places.sorted())
  }

  @Test("numbers that JSON does not have keep their names")
  func notFinite() throws {
    var odd = manifest
    odd.configuration = ["limit": .number(.infinity)]
    odd.wallSeconds = .infinity
    #expect(try odd.json().contains("\"limit\" : \"inf\""))
    #expect(try Manifest(json: odd.json()).wallSeconds == .infinity)
  }

  @Test("a configuration flattens to dotted names in order")
  func leaves() {
    #expect(
      manifest.configuration.leaves.map { "\($0.path)=\($0.value)" } == [
        "cluster.nodes=40", "cluster.on=true", "cluster.ratio=0.5", "deep.0.x=1", "list=a, 2",
      ])
  }
}
