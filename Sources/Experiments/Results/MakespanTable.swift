import Foundation
import Measurement
import Primitives
import Reporting

extension ExperimentReport {
  /// The traced runs: the cell, the name of the trace's file, and what was recorded.
  var traced: [(cell: String, name: String, trace: RunTrace)] {
    var found: [(cell: String, name: String, trace: RunTrace)] = []
    for (prepared, runs) in zip(result.cells, result.runs) {
      guard let trace = runs.first?.trace, !trace.timeline.tasks.isEmpty else { continue }
      let x = prepared.cell.x.map { " \($0.name)=\($0.text)" } ?? ""
      let name = found.isEmpty ? "trace.json" : "trace-\(found.count + 1).json"
      found.append((prepared.cell.series + x, name, trace))
    }
    return found
  }

  /// Tables beside the rows: where the makespan of each traced run went, next to its lower bounds.
  public var details: [ResultTable] {
    let traced = traced
    guard let seed = manifest.seeds.first, !traced.isEmpty else { return [] }
    let parts = ["run", "queue", "transfer", "scheduling", "driver"]
    // A row for each part, as a terminal is no wider than eight times of a microsecond.
    var rows = (parts + ["makespan", "longest chain", "work ÷ CPUs"]).map { [$0] }
    for (_, _, trace) in traced {
      let breakdown = CriticalPath(trace.timeline).breakdown
      let times = parts.map { part in breakdown.named.first { $0.name == part }?.time ?? .zero }
      let bounds = [trace.timeline.criticalPathBound(), trace.workBound]
      for (row, time) in (times + [breakdown.makespan] + bounds).enumerated() {
        rows[row].append(Self.seconds(time))
      }
    }
    // The longest word that a column's heading may have for the table to fit into 80 characters.
    let room = (80 - "longest chain".count) / traced.count - 1
    let isShort = traced.allSatisfy {
      $0.cell.split(separator: " ").allSatisfy { $0.count <= room }
    }
    let headings = traced.map { ResultTable.Heading(isShort ? $0.cell : $0.name, .trailing) }
    var notes = [
      "The chain of waits that ended in the last finish, seed \(seed); the parts add up to the "
        + "makespan.",
      "run: tasks ran; queue: they waited for a worker to begin; transfer: for their inputs to be "
        + "local; scheduling: to be placed; driver: for the program to submit them.",
      "No schedule is shorter than the longest chain of dependent tasks, or than work ÷ CPUs.",
    ]
    if traced.count > 1 {
      let files = traced.map { "\($0.name) (\($0.cell))" }.joined(separator: ", ")
      notes.append("Traces: \(files).")
    }
    if let cut = traced.first(where: \.trace.isCut) {
      notes.append(
        "Only the first \(cut.trace.timeline.tasks.count) tasks were recorded; "
          + "--trace records more.")
    }
    if case .real = result.world {
      notes.append(
        "As the nodes saw it: they hear of the ends of tasks on a worker in turns, of several at once."
      )
    }
    return [
      ResultTable(
        title: "Where the makespan went (\(result.world.name), in seconds)",
        headings: [.init("")] + headings,
        rows: rows, notes: notes)
    ]
  }

  /// To the microsecond, so that the sum can be followed.
  private static func seconds(_ time: TimeSpan) -> String {
    String(format: "%.6f", time.seconds)
  }
}
