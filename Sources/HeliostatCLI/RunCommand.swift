import ArgumentParser
import Experiments
import Foundation
import Reporting
import Workload

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a workload file and show its results beside the published ones.")

  @Argument(help: "The workload file (YAML).")
  var file: String

  @Option(
    help: ArgumentHelp(
      "Where it runs.", discussion: "Only the simulated world exists so far.", valueName: "world"))
  var world = "simulated"

  @Option(
    help: ArgumentHelp(
      "Use this policy, such as placement=Random or spillover=QueueThreshold[threshold=10].",
      valueName: "role=policy"))
  var policy: [String] = []

  @Option(help: "Run with this one seed instead of the file's.")
  var seed: UInt64?

  @Option(help: ArgumentHelp("Set a value of the file.", valueName: "key=value"))
  var set: [String] = []

  @Option(help: "The result's folder; Results/<experiment> by default.")
  var out: String?

  @Option(help: "Runs side by side; the number of cores by default.")
  var threads: Int?

  @Option(
    help: "Record up to this many tasks of the first run for trace.json and the makespan breakdown.")
  var trace = 20_000

  @Flag(help: "Print rows and checks as JSON, one object a line, instead of tables.")
  var json = false

  @Flag(help: "Print the fingerprint of every run.")
  var fingerprints = false

  func run() throws {
    guard world == "simulated" else {
      throw BadInput("unknown world '\(world)'; this version has: simulated")
    }
    guard (threads ?? 1) > 0 else { throw BadInput("--threads must be positive") }
    guard trace >= 0 else { throw BadInput("--trace must not be negative") }
    var workload = try WorkloadFile.load(file)
    workload = try workload.applying(overrides: try overrides())
    var runner = ExperimentRunner(
      workload, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    if let seed { runner.seeds = [seed] }
    runner.traceLimit = trace
    let cells = try runner.prepare()
    let published = try PublishedResults.beside(file)
    if published.points.isEmpty && workload.figure != nil {
      log.warning("no published.csv beside \(file): results stand alone")
    }
    try Self.checkComparisons(workload, published)
    let target = out ?? "Results/\(workload.experiment)"
    try ResultDirectory(path: target).check()

    let runs = cells.count * runner.seeds.count
    if !json {
      print("\(workload.title)")
      print("\(cells.count) cell(s) × \(runner.seeds.count) seed(s), simulated, \(runs) run(s)\n")
    }
    let progress = Progress()
    let interruption = Interruption()
    runner.progress = { finished, total, text in progress.show(finished, total, text) }
    runner.isInterrupted = { interruption.requested }
    let startedAt = ISO8601DateFormatter().string(from: Date())
    let result = try runner.run()
    progress.end()

    let report = try ExperimentReport(
      result, seeds: runner.seeds, command: CommandLine.arguments, startedAt: startedAt,
      published: published)
    let directory = try report.directory(target)
    try directory.commit(report.manifest)
    json ? try printJSON(report) : printTables(report, directory)
    if !report.passed { throw ExitCode(1) }
  }

  private func overrides() throws -> [(String, String)] {
    var all: [(String, String)] = []
    for (texts, option) in [(policy, "--policy"), (set, "--set")] {
      for text in texts {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
          let form = option == "--policy" ? "role=Policy" : "key=value"
          throw BadInput("\(option) \(text): expected \(form)")
        }
        let key = String(text[..<equals])
        let value = String(text[text.index(after: equals)...])
        all.append((option == "--policy" ? "policies.\(key)" : key, value))
      }
    }
    return all
  }

  private static func checkComparisons(
    _ file: WorkloadFile, _ published: PublishedResults
  ) throws {
    for compared in file.compare {
      let points = published.points(experiment: compared.figure.value)
      guard points.contains(where: { $0.series == compared.series.value }) else {
        var known: [String] = []
        for point in points where !known.contains(point.series) { known.append(point.series) }
        throw WorkloadError.unknown(
          "published series", compared.series.value, known: known, at: compared.series.position)
      }
    }
  }

  private func printTables(_ report: ExperimentReport, _ directory: ResultDirectory) {
    for table in ResultTable.tables(report.rows, published: report.published) {
      print(table.terminalText)
    }
    let latencies = report.latencies
    if !latencies.isEmpty && latencies.count <= 12 {
      print(ResultTable(latencies: latencies).terminalText)
    }
    for note in report.notes.dropFirst(report.result.file.description.isEmpty ? 0 : 1) {
      print(note)
    }
    if !report.checks.isEmpty { print(SummaryDocument.table(report.checks).terminalText) }
    if fingerprints { for line in report.manifest.fingerprints { print("fingerprint \(line)") } }
    let failed = report.checks.filter { !$0.passed }.count + report.failures.count
    let verdict = failed == 0 ? "all checks passed" : "\(failed) check(s) or run(s) failed"
    print(String(format: "%.1f s, %@. Results in %@", report.result.wallSeconds, verdict, directory.path))
    print("Open \(directory.path)/report.html in a browser.")
  }

  private func printJSON(_ report: ExperimentReport) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    for row in report.rows { print(String(decoding: try encoder.encode(row), as: UTF8.self)) }
    for check in report.checks {
      print(String(decoding: try encoder.encode(check), as: UTF8.self))
    }
    for line in report.manifest.fingerprints {
      print(String(decoding: try encoder.encode(["fingerprint": line]), as: UTF8.self))
    }
  }
}
