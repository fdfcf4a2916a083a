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
    let rows = traced.map { cell, name, trace in
      let breakdown = CriticalPath(trace.timeline).breakdown
      let times = parts.map { part in breakdown.named.first { $0.name == part }?.time ?? .zero }
      let bounds = [trace.timeline.criticalPathBound(), trace.workBound]
      let numbers = (times + [breakdown.makespan] + bounds).map { Self.seconds($0) }
      return [cell] + numbers + (traced.count > 1 ? [name] : [])
    }
    var notes = [
      "The chain of waits that ended in the last finish, seed \(seed); the parts add up to the "
        + "makespan.",
      "run: tasks ran; queue: they waited for a worker to begin; transfer: for their inputs to be "
        + "local; scheduling: to be placed; driver: for the program to submit them.",
      "No schedule is shorter than the longest chain of dependent tasks, or than work ÷ CPUs.",
    ]
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
        headings: [.init("traced run")] + parts.map { .init($0, .trailing) }
          + [
            .init("makespan", .trailing), .init("longest chain", .trailing),
            .init("work ÷ CPUs", .trailing),
          ] + (traced.count > 1 ? [.init("trace")] : []),
        rows: rows, notes: notes)
    ]
  }

  /// To the microsecond, so that the sum can be followed.
  private static func seconds(_ time: TimeSpan) -> String {
    String(format: "%.6f", time.seconds)
  }
}
