import ArgumentParser
import Experiments
import Foundation
import Reporting

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Show a result again, from its folder.")

  @Argument(help: "The result's folder, such as Results/fig8b-empty-tasks.")
  var directory: String

  @Flag(help: "Print the rows as CSV.")
  var csv = false

  func run() throws {
    let stored = try StoredResult(directory)
    if csv {
      print(stored.csv, terminator: "")
      return
    }
    print("\(stored.manifest.experiment), run \(stored.manifest.startedAt)")
    if let world = stored.manifest.world { Terminal.print("world: \(world)") }
    print("command: \(stored.manifest.command.joined(separator: " "))\n")
    for table in ResultTable.tables(stored.rows, published: stored.published) {
      Terminal.print(table)
    }
    if !stored.checks.isEmpty { Terminal.print(SummaryDocument.table(stored.checks)) }
    print("Open \(stored.path)/report.html in a browser.")
    if stored.checks.contains(where: \.failed) { throw ExitCode(1) }
  }
}
