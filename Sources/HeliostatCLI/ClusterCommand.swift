import ArgumentParser
import Dispatch
import Experiments
import Foundation
import RealWorld
import Reporting

struct ClusterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cluster", abstract: "Start a cluster of processes on this machine.",
    usage: """
      heliostat cluster --nodes 4 --cpus 2 [options]
      heliostat cluster --nodes 4 --cpus 2 [options] -- run FILE [options]
      """,
    discussion: """
      Stays until SIGINT or SIGTERM, and says when a node has ended. The signal lets connected \
      programs and all tasks finish (--grace); exit code 0 when that was done in time, else 1. A \
      second signal ends all at once. With a run after --, that file is run on it, a new cluster for \
      each cell and seed, and its results are shown as `run` does.
      """)

  @Option(parsing: .unconditional, help: "Node processes; the first is the head.")
  var nodes = 2

  @Option(parsing: .unconditional, help: "CPUs of each node: its workers.")
  var cpus = 2

  @Option(parsing: .unconditional, help: "GPUs of each node, by name only.")
  var gpus: Int?

  @Option(
    help: ArgumentHelp("Object store of each node.", valueName: "size"))
  var store = "512MiB"

  @Option(
    help: ArgumentHelp(
      "Where objects go that do not fit into the stores; TMPDIR or /tmp by default.",
      valueName: "directory"))
  var spillDir: String?

  @Option(
    help: ArgumentHelp("A custom resource that each node has.", valueName: "name=amount"))
  var resource: [String] = []

  @Option(
    help: ArgumentHelp(
      "Where the head listens; any free port of 127.0.0.1 by default.",
      discussion: "The other nodes listen on the same address, each on a free port.",
      valueName: "address"))
  var listen = "127.0.0.1:0"

  @Option(help: "The cluster's name.")
  var name = "heliostat"

  @Option(help: WorkersOption.help)
  var workers = WorkersOption.threads

  @OptionGroup var security: SecurityOptions

  @Option(
    help: ArgumentHelp(
      "Write down everything that the nodes' machines hear, for replay.", valueName: "folder"))
  var record: String?

  @Flag(help: "Remove the recordings of earlier runs in that folder, which are refused otherwise.")
  var overwrite = false

  @Option(help: ArgumentHelp("Register the functions of this file.", valueName: "file"))
  var workload: String?

  @Option(help: ArgumentHelp("As for run, for --workload.", valueName: "role=policy"))
  var policy: [String] = []

  @Option(help: ArgumentHelp("As for run, for --workload.", valueName: "key=value"))
  var set: [String] = []

  @Option(
    help: ArgumentHelp(
      "How long a signal leaves to programs and tasks; 10s by default.", valueName: "time"))
  var grace: String?

  @Argument(parsing: .postTerminator, help: .hidden) var command: [String] = []

  func run() throws {
    guard (1...64).contains(nodes) else {
      throw BadInput("--nodes is \(nodes); expected 1 to 64")
    }
    guard (0...1024).contains(cpus) else {
      throw BadInput("--cpus is \(cpus); expected 0 to 1024")
    }
    _ = try RealOptions.size(store, "--store")
    if let spillDir { try RealOptions.check(directory: spillDir, "--spill-dir") }
    if !command.isEmpty { return try runFile() }
    try stay()
  }

  // MARK: With a file to run

  private func runFile() throws {
    guard command[0] == "run", command.count > 1 else {
      throw BadInput("after -- comes: run FILE [options of run]; not '\(command[0])'")
    }
    for (option, isGiven) in [
      ("--workload", workload != nil), ("--set", !set.isEmpty), ("--resource", !resource.isEmpty),
      ("--policy", !policy.isEmpty), ("--name", name != "heliostat"),
      ("--listen", listen != "127.0.0.1:0"), ("--spill-dir", spillDir != nil),
      ("--grace", grace != nil),
    ] + security.given.map({ ($0, true) }) where isGiven {
      throw BadInput(
        "\(option) is for a cluster that stays; with a run, its file says what the cluster has")
    }
    if overwrite {
      throw BadInput("--overwrite in front of -- : with a run, give it behind, as an option of run")
    }
    var run = try RunCommand.parse(Array(command.dropFirst()))
    guard run.real.nodes == nil, run.real.connect == nil else {
      throw BadInput("--nodes and --connect after -- : the cluster is the one in front of it")
    }
    if run.world == "simulated" {
      throw BadInput(
        "--world simulated after -- : the cluster in front of it is real; leave --world out, or "
          + "simulate the file's own cluster: heliostat run FILE")
    }
    run.world = run.world ?? "real"
    run.real.nodes = nodes
    run.real.cpus = run.real.cpus ?? cpus
    run.real.gpus = run.real.gpus ?? gpus
    run.real.store = run.real.store ?? store
    run.real.workers = run.real.workers ?? workers
    run.real.showsNodes = true
    run.record = run.record ?? record
    try run.run()
  }

  // MARK: Until a signal

  private func stay() throws {
    if overwrite && record == nil { throw BadInput("--overwrite is for recordings: give --record") }
    let grace = self.grace ?? "10s"
    _ = try RealOptions.span(grace, "--grace")
    let interruption = EndSignals()
    var flags = [
      "--cpus", "\(cpus)", "--gpus", "\(gpus ?? 0)", "--store", store, "--name", name,
      "--log", "warning", "--workers", workers.rawValue, "--grace", grace,
    ]
    for text in resource { flags += ["--resource", text] }
    for text in policy { flags += ["--policy", text] }
    for text in set { flags += ["--set", text] }
    if let workload { flags += ["--workload", workload] }
    if let spillDir { flags += ["--spill-dir", spillDir] }
    if let record { flags += ["--record", record] }
    for (option, value) in [
      ("--secret-file", security.secretFile), ("--tls-certificate", security.tlsCertificate),
      ("--tls-key", security.tlsKey), ("--tls-roots", security.tlsRoots),
    ] {
      if let value { flags += [option, value] }
    }
    _ = try security.transport()
    var headFlags: [String] = []
    if let record {
      // The nodes begin theirs there, one after the other. The head removes what was there before
      // when it begins its own, so that a cluster that does not start leaves it.
      do {
        let earlier = try RecordingFolder.earlier(in: record, isOverwriting: overwrite)
        if !earlier.isEmpty { headFlags.append("--overwrite") }
      } catch {
        throw BadInput("--record \(error)")
      }
    }
    var shown = "CPU \(cpus)" + (gpus.map { ", GPU \($0)" } ?? "") + ", store \(store)"
    for text in resource { shown += ", \(text)" }
    let cluster: LocalCluster
    do {
      cluster = try LocalCluster(
        command: [RealOptions.program, "node"],
        flags: [flags + headFlags] + Array(repeating: flags, count: nodes - 1),
        resources: Array(repeating: shown, count: nodes), head: listen)
    } catch {
      FileHandle.standardError.write(Data("error: \(error)\n".utf8))
      throw ExitCode(1)
    }
    print(Self.table(cluster))
    print(
      "Connect with: heliostat run FILE --world real --connect \(cluster.head)"
        + security.connecting)
    print("Ctrl-C ends the cluster.")
    fflush(nil)
    cluster.whenNodeEnds { text, isHead in
      log.error("\(text)")
      if isHead { interruption.end(1) }
    }
    let code = interruption.wait()
    let isFinished = code == 0 && Self.finish(cluster, grace, interruption)
    if isFinished { return cluster.stop() }
    cluster.stopAtOnce()
    throw ExitCode(1)
  }

  /// Lets programs and tasks end; false when not all did, which has been said then.
  private static func finish(
    _ cluster: LocalCluster, _ grace: String, _ interruption: EndSignals
  ) -> Bool {
    cluster.finish { interruption.wake() }
    // Mostly there is nothing to wait for.
    if !interruption.hasEvent(within: .milliseconds(300)) {
      print("Programs and tasks have \(grace) to finish. Another Ctrl-C ends the cluster at once.")
      fflush(nil)
      _ = interruption.wait()
    }
    guard let end = cluster.headEnd else {
      log.error("ended by a second signal")
      return false
    }
    // It has said itself what was left.
    if end.code == nil { log.error("node 0 (process \(cluster.nodes[0].process)) \(end)") }
    return end.code == 0
  }

  static func table(_ cluster: LocalCluster) -> String {
    let table = ResultTable(
      title: "\(cluster.nodes.count) nodes, ready in "
        + Quantity.text(cluster.startSeconds, unit: "s"),
      headings: [
        .init("node", .trailing), .init("process", .trailing), .init("address"), .init("has"),
      ],
      rows: cluster.nodes.map {
        ["\($0.number)", "\($0.process)", "\($0.endpoint)", $0.resources]
      }, notes: [])
    return table.terminalText(width: Terminal.width)
  }
}

/// SIGINT and SIGTERM as the end of a wait.
private final class EndSignals: @unchecked Sendable {
  private let ended = DispatchSemaphore(value: 0)
  private let lock = NSLock()
  private var code: Int32?
  private var sources: [any DispatchSourceSignal] = []

  init() {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [unowned self] in
        // On a busy machine one event stands for several signals.
        for _ in 0..<max(1, source.data) { end(0) }
      }
      source.resume()
      sources.append(source)
    }
  }

  /// Ends the wait; the first code counts.
  func end(_ code: Int32) {
    lock.withLock { if self.code == nil { self.code = code } }
    ended.signal()
  }

  /// Something else has happened that the wait is about.
  func wake() { ended.signal() }

  /// The code of the first end. Each signal and each `wake` ends one wait.
  func wait() -> Int32 {
    ended.wait()
    return lock.withLock { code ?? 0 }
  }

  func hasEvent(within limit: DispatchTimeInterval) -> Bool {
    ended.wait(timeout: .now() + limit) == .success
  }
}
