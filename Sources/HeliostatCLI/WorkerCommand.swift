import ArgumentParser
import Experiments
import Heliostat
import RealWorld
import Workload

/// What the workers of a node are, as options say it.
enum WorkersOption: String, ExpressibleByArgument, CaseIterable {
  case threads, processes

  static var help: ArgumentHelp {
    ArgumentHelp(
      "What the workers of a node are: threads, or processes.",
      discussion: "Threads of the node's process are faster; of a worker process that crashes, the "
        + "node says so and goes on without the task that it ran. Threads by default.",
      valueName: "threads|processes")
  }
}

/// What a node starts as its worker processes.
struct WorkerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "A worker process that a node starts.",
    discussion: "Registers the functions of the file that its node was given.",
    shouldDisplay: false)

  @Option(help: ArgumentHelp("As for node.", valueName: "file"))
  var workload: String?

  @Option(help: ArgumentHelp("As for run.", valueName: "role=policy"))
  var policy: [String] = []

  @Option(help: ArgumentHelp("As for run.", valueName: "key=value"))
  var set: [String] = []

  @Option(parsing: .unconditional, help: .hidden) var cell = 0

  func run() throws {
    guard WorkerProcess.isAsked else {
      throw BadInput("worker is what a node starts: see heliostat node --workers processes")
    }
    let library = FunctionLibrary()
    if let workload {
      let cells = try RunCommand.load(workload, policy: policy, set: set).cells()
      guard cells.indices.contains(cell) else {
        throw BadInput("--cell \(cell): \(workload) has \(cells.count)")
      }
      _ = try PreparedCell(cells[cell]).real.prepared(in: library)
    }
    WorkerProcess.runIfStarted(library)
  }

  /// The command line of a worker with the functions of a file, without its cell.
  static func command(
    workload: String?, policy: [String], set: [String]
  ) -> [String] {
    var command = [RealOptions.program, Self.configuration.commandName ?? "worker"]
    if let workload { command += ["--workload", workload] }
    for text in policy { command += ["--policy", text] }
    for text in set { command += ["--set", text] }
    return command
  }
}
