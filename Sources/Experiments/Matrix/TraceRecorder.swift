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
    /// What its submitter had heard of last: usually what it had waited for.
    var awaited: [UInt64] = []
  }

  private let cluster: SimulatedCluster
  private let limit: Int
  private var open: [UInt32: Partial] = [:]
  private var transfers: [TransferKey: Instant] = [:]
  private var timeline = TaskTimeline()
  /// By submitter, the task whose value it was told of last.
  private var told = WordMap<UInt64>()
  private var processorSeconds = 0.0
  private var isCut = false

  private struct TransferKey: Hashable {
    var object: ObjectHandle
    var to: NodeID
  }

  init(_ cluster: SimulatedCluster, limit: Int) {
    self.cluster = cluster
    self.limit = limit
    cluster.onTransition = { [unowned self] transition, now in record(transition, now) }
    cluster.observe { [unowned self] _, _, target, message in
      guard case .objectReady(let object, _) = message, target.role == .driver else { return }
      told.set(UInt64(target.raw), cluster.specs[object.producer].id.word)
    }
  }

  private func record(_ transition: Transition, _ now: Instant) {
    switch transition {
    case .submitted(let task):
      guard timeline.tasks.count + open.count < limit else {
        isCut = true
        // The handle may have been that of a task which ended without running.
        if !open.isEmpty { open[task.index] = nil }
        return
      }
      var partial = Partial()
      partial.submitted = now
      if let awaited = told[UInt64(cluster.specs[task].submitter)] { partial.awaited = [awaited] }
      for i in 0..<cluster.specs[task].argumentCount {
        let producer = cluster.specs.argument(task, i).producer
        partial.dependencies.append(cluster.specs[producer].id.word)
      }
      open[task.index] = partial
    case .queued(let task, _) where !open.isEmpty:
      open[task.index]?.placed = now
    case .inputsReady(let task, _) where !open.isEmpty:
      open[task.index]?.ready = now
    case .started(let task, _, _) where !open.isEmpty:
      // The raylet's order; the first instruction follows.
      open[task.index]?.started = now + cluster.configuration.worker.dispatch
    case .finished(let task, let node, let worker, _) where !open.isEmpty:
      guard let partial = open.removeValue(forKey: task.index) else { return }
      let spec = cluster.specs[task]
      let placed = partial.placed ?? partial.submitted
      // The raylet hears of the end after it; how long a program ran, only its end tells.
      var end = now
      if spec.body != .program {
        let speed = cluster.configuration.nodes[Int(node.index)].speed
        let work =
          speed == 1
          ? spec.work : TimeSpan(nanoseconds: UInt64(Double(spec.work.nanoseconds) / speed))
        end = min(now, partial.started + work)
      }
      let cpus = cluster.specs.demand(task).amount(ResourceVector.cpuLane)
      processorSeconds += end.since(partial.started).seconds * cpus
      timeline.append(
        TaskRecord(
          function: spec.function.index, task: spec.id.word, node: node, worker: worker,
          submitted: partial.submitted, placed: placed, ready: partial.ready ?? placed,
          started: partial.started, finished: end),
        dependencies: partial.dependencies, control: partial.awaited)
    case .transferStarted(let object, let to):
      if transfers.count < limit { transfers[TransferKey(object: object, to: to)] = now }
    case .transferFinished(let object, let from, let to, let size):
      guard let start = transfers.removeValue(forKey: TransferKey(object: object, to: to)),
        timeline.transfers.count < limit
      else { return }
      timeline.append(
        TransferRecord(
          object: cluster.specs[object.producer].id.word, from: from, to: to, start: start,
          end: now, size: size))
    default: break
    }
  }

  func finish(names: [String]) -> RunTrace {
    timeline.functions = names
    let cpus = cluster.configuration.nodes.reduce(0) {
      $0 + $1.description.resources.amount(ResourceVector.cpuLane)
    }
    return RunTrace(
      timeline: timeline, processorTime: TimeSpan(seconds: processorSeconds), cpus: cpus,
      isCut: isCut)
  }
}
