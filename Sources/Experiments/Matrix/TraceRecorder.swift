import Measurement
import Primitives
import RuntimeCore
import Simulation

/// Gathers the transitions of a run into a timeline, for traces and the breakdown of its makespan.
final class TraceRecorder {
  private struct Partial {
    var submitted = Instant.zero
    var placed: Instant?
    var ready: Instant?
    var started = Instant.zero
    var dependencies: [UInt64] = []
  }

  private let cluster: SimulatedCluster
  private let limit: Int
  private var open: [UInt32: Partial] = [:]
  private var transfers: [TransferKey: Instant] = [:]
  private var timeline = TaskTimeline()

  private struct TransferKey: Hashable {
    var object: ObjectHandle
    var to: NodeID
  }

  init(_ cluster: SimulatedCluster, limit: Int) {
    self.cluster = cluster
    self.limit = limit
    cluster.onTransition = { [unowned self] transition, now in record(transition, now) }
  }

  private func record(_ transition: Transition, _ now: Instant) {
    switch transition {
    case .submitted(let task):
      guard timeline.tasks.count + open.count < limit else { return }
      var partial = Partial()
      partial.submitted = now
      for i in 0..<cluster.specs[task].argumentCount {
        let producer = cluster.specs.argument(task, i).producer
        partial.dependencies.append(cluster.specs[producer].id.high)
      }
      open[task.index] = partial
    case .queued(let task, _):
      open[task.index]?.placed = now
    case .inputsReady(let task, _):
      open[task.index]?.ready = now
    case .started(let task, _, _):
      open[task.index]?.started = now
    case .finished(let task, let node, let worker, _):
      guard let partial = open.removeValue(forKey: task.index) else { return }
      let spec = cluster.specs[task]
      let placed = partial.placed ?? partial.submitted
      timeline.append(
        TaskRecord(
          function: spec.function.index, task: spec.id.high, node: node, worker: worker,
          submitted: partial.submitted, placed: placed, ready: partial.ready ?? placed,
          started: partial.started, finished: now),
        dependencies: partial.dependencies)
    case .transferStarted(let object, let to):
      if transfers.count < limit { transfers[TransferKey(object: object, to: to)] = now }
    case .transferFinished(let object, let from, let to):
      guard let start = transfers.removeValue(forKey: TransferKey(object: object, to: to)),
        timeline.transfers.count < limit
      else { return }
      let size = cluster.specs[object.producer].outputSize
      timeline.append(
        TransferRecord(
          object: cluster.specs[object.producer].id.high, from: from, to: to, start: start,
          end: now, size: size))
    default: break
    }
  }

  func finish(names: [String]) -> TaskTimeline {
    timeline.functions = names
    return timeline
  }
}
