import ArgumentParser
import Experiments
import Foundation
import RealWorld
import Reporting
import Synchronization
import Workload

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a workload file and show its results beside the published ones.")

  @Argument(help: "The workload file (YAML).")
  var file: String

  @Option(
    help: ArgumentHelp(
      "Where it runs: simulated, as by default, or real.",
      discussion: """
        The real world runs on this machine, in wall time: as one node in this process, as --nodes \
        processes, or on a cluster that runs already (--connect). Durations of the file are slept \
        where a function is modelled; others take what they take.
        """, valueName: "world"))
  var world: String?

  @OptionGroup(title: "The real world") var real: RealOptions

  @Option(
    help: ArgumentHelp(
      "Use this policy, such as placement=Random or spillover=QueueThreshold[threshold=10].",
      valueName: "role=policy"))
  var policy: [String] = []

  @Option(parsing: .unconditional, help: "Run with this one seed instead of the file's.")
  var seed: UInt64?

  @Option(
    help: ArgumentHelp(
      "Set a value of the file, such as cluster.nodes=8 or workload.with.count=16.",
      discussion: "A value that the file sweeps over is then fixed.", valueName: "key=value"))
  var set: [String] = []

  @Option(
    help: ArgumentHelp(
      "The result's folder; Results/<experiment> by default, with -real for the real world.",
      discussion: """
        An earlier result there is replaced by the same run's, which says the same. Any other is \
        kept and renamed to <folder>.1, .2 and so on. Anything else is left alone.
        """, valueName: "folder"))
  var out: String?

  @Flag(
    help: ArgumentHelp(
      "Remove an earlier result in the folder instead of renaming it.",
      discussion: "And earlier recordings in the folder of --record, which are refused otherwise."))
  var overwrite = false

  @Option(parsing: .unconditional, help: "Runs side by side; the number of cores by default.")
  var threads: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Tasks to show in a trace; 20000 by default, in the real world none.",
      discussion: """
        Traces show where the makespan went, and open in Perfetto (trace.json). The first seed is \
        traced: of every cell when there are at most four, else of the first. In the real world that \
        run is recorded for it, as with --record, and takes longer.
        """))
  var trace: Int?

  @Option(
    help: ArgumentHelp(
      "Write down everything that every machine hears, for replay.",
      discussion: "One file a process; with several runs, a folder for each.",
      valueName: "folder"))
  var record: String?

  @Flag(help: "Print rows and checks as JSON, one object a line, instead of tables.")
  var json = false

  @Flag(help: "Print the fingerprint of every run.")
  var fingerprints = false

  func run() throws {
    if let world, !["simulated", "real"].contains(world) {
      throw BadInput("unknown world '\(world)'; there are: simulated, real")
    }
    let isReal = world == "real"
    try real.validate(isReal: isReal)
    guard (threads ?? 1) > 0 else { throw BadInput("--threads must be positive") }
    for (option, isGiven, why) in [
      ("--threads", threads != nil, "real runs go one after the other; see --cpus"),
      ("--fingerprints", fingerprints, "a real run is never the same twice, so it has none"),
    ] where isGiven && isReal {
      throw BadInput("\(option) is for --world simulated: \(why)")
    }
    guard trace ?? 0 >= 0 else { throw BadInput("--trace must not be negative") }
    if let trace, trace > 0, real.connect != nil {
      throw BadInput(
        "--trace does not go with --connect: a trace needs the recordings of all nodes; "
          + "expected a run with nodes of its own, such as --nodes 2")
    }
    let workload = try Self.load(file, policy: policy, set: set)
    let fixed = try real.connect.map { try fixedSettings($0) } ?? []
    var runner = ExperimentRunner(
      workload, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    if let seed { runner.seeds = [seed] }
    runner.traceLimit = trace ?? (isReal ? 0 : 20_000)
    runner.recordings = record
    if isReal { runner.world = .real(try realWorld(fixed)) }
    let cells = try runner.prepare()
    let leftOut = runner.absentChecks(cells)
    let published = try PublishedResults.beside(file)
    try Self.checkComparisons(workload, published)
    if published.points.isEmpty && workload.figure != nil {
      log.warning("no published.csv beside \(file): results stand alone")
    }
    if leftOut > 0 {
      log.warning(
        "\(count(leftOut, "check")) of series or points that --set or --policy took away left out")
    }
    let suffix = isReal ? "-real" : ""
    let target = out ?? "Results/\(workload.experiment)\(suffix)"
    try ResultDirectory(path: target).check()
    if let record { runner.earlierRecordings = try earlierRecordings(record, beside: target) }

    let progress = Progress()
    let interruption = Interruption()
    if !json {
      let runs = cells.count * runner.seeds.count
      Terminal.print(workload.title)
      Terminal.print(
        "\(count(cells.count, "cell")) × \(count(runner.seeds.count, "seed")) = "
          + "\(count(runs, "run")), \(runner.world.text(cells))\n")
      // Also into a pipe, before a long run begins.
      fflush(nil)
    }
    runner.progress = { finished, total, text in progress.show(finished, total, text) }
    runner.isInterrupted = { interruption.requested }
    let startedAt = ISO8601DateFormatter().string(from: Date())
    let result: ExperimentResult
    do {
      result = try runner.run()
    } catch let error as ClusterUnavailable {
      progress.end()
      log.error("\(text(error))")
      throw ExitCode(1)
    }
    progress.end()
    let report = try ExperimentReport(
      result, seeds: runner.seeds, command: CommandLine.arguments, startedAt: startedAt,
      published: published)
    let directory = try report.directory(target)
    let earlier = try directory.commit(report.manifest, overwriting: overwrite)
    if json {
      try printJSON(report)
      for note in report.connectedNotes { log.notice("\(note)") }
      if let text = Self.text(earlier) { log.notice("\(text)") }
    } else {
      printTables(report, directory, earlier)
    }
    if !result.isComplete && !result.lostCluster { throw ExitCode(interruption.exitCode) }
    if !report.passed { throw ExitCode(1) }
  }

  /// - Throws: when nothing may be recorded there.
  private func earlierRecordings(
    _ record: String, beside target: String
  ) throws -> EarlierRecordings {
    let result = ResultDirectory(path: target).path
    guard !(ResultDirectory(path: record).path + "/").hasPrefix(result + "/") else {
      throw BadInput(
        "--record \(record): the result comes into \(target), where nothing else may lie; choose "
          + "another folder")
    }
    do { return try RecordingFolder.earlier(in: record, isOverwriting: overwrite) } catch {
      throw BadInput("--record \(error)")
    }
  }

  /// Why there is no cluster, and how to have one.
  private func text(_ error: ClusterUnavailable) -> String {
    guard let connect = real.connect, let cause = error.cause as? TransportError,
      cause.kind == .unreachable
    else { return "\(error)" }
    var command = ["heliostat", "cluster", "--nodes", "2", "--listen", connect]
    command += ["--workload", file]
    for text in policy { command += ["--policy", text] }
    for text in set { command += ["--set", text] }
    return "\(cause) Expected a node with the functions of \(file); start some with: "
      + command.map(Self.quoted).joined(separator: " ")
  }

  /// An argument as a shell takes it.
  private static func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "+")...UInt8(ascii: ":"), UInt8(ascii: "="), UInt8(ascii: "_"): true
      default: false
      }
    }
    if isPlain && !text.isEmpty { return text }
    return "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }

  private func realWorld(_ fixed: [String]) throws -> RealWorldOptions {
    var options = RealWorldOptions()
    options.fixed = fixed
    options.logger = RealOptions.logger(.warning)
    options.cpus = real.cpus
    options.gpus = real.gpus
    options.store = try real.storeSize()
    if real.workers == .processes {
      options.workerCommand = WorkerCommand.command(workload: file, policy: policy, set: set)
    }
    if let connect = real.connect {
      options.place = .cluster(try RealOptions.endpoint(connect, "--connect"))
      options.transport = try real.security.transport()
    } else if let nodes = real.nodes {
      options.place = .processes(nodes)
      options.nodeCommand = nodeCommand
    }
    let isShown = Mutex(!real.showsNodes || json)
    options.started = { cluster in
      cluster.whenNodeEnds { text, _ in log.error("\(text)") }
      // Each run starts its own; the first stands for all.
      let isFirst = isShown.withLock { isShown in
        defer { isShown = true }
        return !isShown
      }
      if isFirst { print(ClusterCommand.table(cluster)) }
    }
    return options
  }

  /// What starts a node with the functions of this run.
  private var nodeCommand: [String] {
    var command = [RealOptions.program, "node", "--log", "error", "--workload", file]
    for text in policy { command += ["--policy", text] }
    for text in set { command += ["--set", text] }
    if let workers = real.workers { command += ["--workers", workers.rawValue] }
    return command
  }

  /// A workload file with what the command line changes.
  static func load(_ file: String, policy: [String], set: [String]) throws -> WorkloadFile {
    try WorkloadFile.load(file)
      .applying(
        overrides: try pairs(policy, "--policy", form: "role=Policy"), option: "--policy",
        section: "policies."
      ).applying(overrides: try pairs(set, "--set", form: "key=value"))
  }

  static func pairs(_ texts: [String], _ option: String, form: String) throws
    -> [(String, String)]
  {
    try texts.map { text in
      guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
        throw BadInput("\(option) \(text): expected \(form)")
      }
      return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
  }

  private func count(_ number: Int, _ what: String) -> String {
    "\(number) \(what)\(number == 1 ? "" : "s")"
  }

  private static func checkComparisons(
    _ file: WorkloadFile, _ published: PublishedResults
  ) throws {
    for compared in file.compare {
      if published.points.isEmpty {
        throw WorkloadError(
          "there is no published.csv to compare with", at: compared.figure.position,
          expected: "published.csv beside \(file.path), or in a folder 'paper' there",
          hint: "add it, or remove 'compare'")
      }
      let points = published.points(experiment: compared.figure.value)
      if points.isEmpty {
        throw WorkloadError(
          "published.csv has no figure '\(compared.figure.value)'", at: compared.figure.position,
          hint: "see its first column")
      }
      guard points.contains(where: { $0.series == compared.series.value }) else {
        var known: [String] = []
        for point in points where !known.contains(point.series) { known.append(point.series) }
        throw WorkloadError.unknown(
          "published series", compared.series.value, known: known, at: compared.series.position)
      }
    }
  }

  /// What became of a result that was there before.
  private static func text(_ earlier: ResultDirectory.Earlier) -> String? {
    switch earlier {
    case .absent: nil
    case .same: "An earlier result of the same run was there; it said the same and was replaced."
    case .kept(let path): "The earlier result there was another run's; it is in \(path) now."
    case .removed: "The earlier result there was another run's and was removed (--overwrite)."
    }
  }

  private func printTables(
    _ report: ExperimentReport, _ directory: ResultDirectory, _ earlier: ResultDirectory.Earlier
  ) {
    for table in ResultTable.tables(report.rows, published: report.published) {
      Terminal.print(table)
    }
    let latencies = report.latencies
    if !latencies.isEmpty && latencies.count <= 12 {
      Terminal.print(ResultTable(latencies: latencies))
    }
    for table in report.details { Terminal.print(table) }
    for note in report.notes.dropFirst(report.result.file.description.isEmpty ? 0 : 1) {
      Terminal.print(note)
    }
    if !report.checks.isEmpty { Terminal.print(SummaryDocument.table(report.checks)) }
    if fingerprints { for line in report.manifest.fingerprints { print("fingerprint \(line)") } }
    print("\(verdict(report)) in \(Quantity.text(report.result.wallSeconds, unit: "s")).")
    if let record { print("Recordings in \(record): heliostat replay \(record)") }
    print("Results in \(directory.path)")
    if let text = Self.text(earlier) { print(text) }
    print("Open \(directory.path)/report.html in a browser.")
  }

  private func verdict(_ report: ExperimentReport) -> String {
    let finished = report.result.runs.reduce(0) { $0 + $1.count }
    var parts = [count(finished, "run")]
    if report.result.lostCluster {
      parts[0] += " until the cluster was gone"
    } else if !report.result.isComplete {
      parts[0] += " before interruption"
    }
    if !report.failures.isEmpty { parts.append("\(report.failures.count) of them failed") }
    let failed = report.checks.count(where: \.failed)
    let skipped = report.checks.count { $0.skipped != nil }
    if report.checks.isEmpty {
      parts.append("no checks")
    } else if failed > 0 {
      parts.append("\(failed) of \(count(report.checks.count, "check")) failed")
    } else if skipped == 0 {
      parts.append(report.checks.count == 1 ? "its check passed" : "all checks passed")
    } else {
      let passed = report.checks.count - skipped
      parts.append("\(passed) of \(count(report.checks.count, "check")) passed")
    }
    if skipped > 0 { parts.append("\(skipped) skipped") }
    return parts.joined(separator: ", ")
  }

  private func printJSON(_ report: ExperimentReport) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    for row in report.rows { print(String(decoding: try encoder.encode(row), as: UTF8.self)) }
    for check in report.checks {
      print(String(decoding: try encoder.encode(check), as: UTF8.self))
    }
    for failure in report.failures {
      print(String(decoding: try encoder.encode(["failure": failure]), as: UTF8.self))
    }
    for line in report.manifest.fingerprints {
      print(String(decoding: try encoder.encode(["fingerprint": line]), as: UTF8.self))
    }
  }
}
