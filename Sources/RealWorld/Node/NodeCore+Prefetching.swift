import Primitives
import RuntimeCore

/// Tasks come and end in bursts of thousands, and what the tables know of one has left the nearest
/// cache by its next step. A burst tells which task is next: its lines come while the ones before it
/// are served.
extension NodeCore {
  /// A worker will soon report the end of a task.
  @inline(__always)
  func prefetch(endOf worker: Worker) {
    if let later = worker.reports.peek(6), later.kind == .finished {
      raylet.pointee.prefetch(
        for: .taskFinished(later.task, worker.number, later.status), ahead: 6)
    }
    if let soon = worker.reports.peek(3), soon.kind == .finished {
      // Which shard a task belongs to is told by its specification, which is here by now.
      replicas[map.head(map.shard(specs[soon.task].id)).number]?.pointee.prefetch(
        for: .taskCompleted(soon.task, plan.node, soon.status))
    }
  }

  /// Another task will soon be submitted.
  @inline(__always)
  func prefetchSubmission(after message: Message) {
    guard case .taskSubmitted(let task, let notice) = message, let later = specs.upcoming(3) else {
      return
    }
    raylet.pointee.prefetch(for: .taskSubmitted(later, notice: notice), ahead: 3)
    // Siblings belong to one shard more often than not.
    replicas[map.head(map.shard(specs[task].id)).number]?.pointee.prefetch(
      for: .taskLogged(later, plan.node))
  }
}
