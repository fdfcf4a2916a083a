import Foundation
import Measurement
import Primitives
import Recording
import RuntimeCore

/// Makes the timeline of a real run from its recordings: the machines hear everything again, and tell
/// what became of each task.
///
/// Moments are as the nodes saw them. A node hears of the end of a task when it reads its worker's
/// reports, of several in one turn. What it sent ahead begins when the one before has ended.
final class RecordedTimeline: ReplayObserver {
  private struct Partial {
    var function: FunctionID?
    var submitted: Instant?
    var queued: Instant?
    var ready: Instant?
    var started: Instant?
    var finished: Instant?
    var node = NodeID(0)
    var worker = WorkerID.none
    var cpus = 0.0
    var dependencies: [UInt64] = []
    var awaited: [UInt64] = []
  }

  private struct Copy: Hashable {
    var object: UInt64
    var index: Int32
    var to: NodeID
  }

  private var tasks: [UInt64: Partial] = [:]
  private var starts: [Copy: Instant] = [:]
  private var transfers: [TransferRecord] = []

  /// The timeline of what these files hold: the first `limit` tasks that finished.
  ///
  /// - Throws: `RecordingError` or `RecordedTimelineError`.
  static func trace(
    of files: [String], functions: [String], cpus: Double, limit: Int
  ) throws -> RunTrace {
    let recorded = RecordedTimeline()
    var replay = Replay()
    replay.observer = recorded
    for file in files {
      let report = try ReplayReport(file, replay)
      if let difference = report.result.difference {
        throw RecordedTimelineError(
          "\(difference.machine) does not do again what it did: see heliostat replay \(file)")
      }
    }
    return recorded.trace(functions, cpus, limit)
  }

  func submitted(_ task: TaskID, at now: Instant, awaited: TaskID?) {
    tasks[task.word, default: Partial()].submitted = now
    if let awaited { tasks[task.word]?.awaited = [awaited.word] }
  }

  func took(_ step: Transition, in specs: TaskSpecTable, at now: Instant) {
    switch step {
    case .queued(let task, _):
      change(task, specs) {
        // A node may have handed it on: the last one counts, whichever file comes last.
        if let before = $0.queued, before > now { return }
        $0.queued = now
        let spec = specs[task]
        $0.function = spec.function
        $0.cpus = specs.demand(task).amount(ResourceVector.cpuLane)
        $0.dependencies = (0..<spec.argumentCount).map {
          specs[specs.argument(task, $0).producer].id.word
        }
      }
    case .inputsReady(let task, _): change(task, specs) { $0.ready = max($0.ready ?? now, now) }
    case .started(let task, _, _): change(task, specs) { $0.started = now }
    case .finished(let task, let node, let worker, _):
      change(task, specs) {
        $0.finished = now
        $0.node = node
        $0.worker = worker
      }
    case .transferStarted(let object, let to): starts[copy(object, to, specs)] = now
    case .transferFinished(let object, let from, let to, let size):
      let copy = copy(object, to, specs)
      guard let start = starts.removeValue(forKey: copy) else { return }
      transfers.append(
        TransferRecord(object: copy.object, from: from, to: to, start: start, end: now, size: size))
    default: break
    }
  }

  private func change(
    _ task: TaskHandle, _ specs: TaskSpecTable, _ body: (inout Partial) -> Void
  ) {
    body(&tasks[specs[task].id.word, default: Partial()])
  }

  private func copy(_ object: ObjectHandle, _ to: NodeID, _ specs: TaskSpecTable) -> Copy {
    Copy(object: specs[object.producer].id.word, index: object.index, to: to)
  }

  func trace(_ functions: [String], _ cpus: Double, _ limit: Int) -> RunTrace {
    var ended: [(number: UInt64, task: Partial, end: Instant)] = []
    for (number, task) in tasks {
      guard task.function != nil, task.started != nil, let end = task.finished else { continue }
      ended.append((number, task, end))
    }
    ended.sort { ($0.end, $0.number) < ($1.end, $1.number) }
    let isCut = ended.count > limit
    if isCut { ended.removeLast(ended.count - limit) }
    // The clock of a host begins somewhere.
    let last = ended.last?.end ?? .zero
    let transfers = transfers.filter { !isCut || $0.end <= last }
    let firsts = ended.compactMap { $0.task.submitted ?? $0.task.queued } + transfers.map(\.start)
    let begin = firsts.min() ?? .zero
    func moment(_ time: Instant) -> Instant { Instant.zero + time.since(min(begin, time)) }

    var timeline = TaskTimeline(functions: functions)
    timeline.reserve(tasks: ended.count)
    var processorSeconds = 0.0
    for (number, task, end) in ended {
      guard let function = task.function, let started = task.started else { continue }
      processorSeconds += end.since(started).seconds * task.cpus
      let submitted = moment(task.submitted ?? task.queued ?? started)
      let placed = max(submitted, moment(task.queued ?? started))
      let ready = max(placed, moment(task.ready ?? task.queued ?? started))
      timeline.append(
        TaskRecord(
          function: function.index, task: number, node: task.node, worker: task.worker,
          submitted: submitted, placed: placed, ready: ready, started: max(ready, moment(started)),
          finished: moment(end)),
        dependencies: task.dependencies, control: task.awaited)
    }
    for transfer in transfers {
      var transfer = transfer
      transfer.start = moment(transfer.start)
      transfer.end = moment(transfer.end)
      timeline.append(transfer)
    }
    return RunTrace(
      timeline: timeline, processorTime: TimeSpan(seconds: processorSeconds), cpus: cpus,
      isCut: isCut)
  }
}

/// Why there is no timeline of a recording.
struct RecordedTimelineError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
