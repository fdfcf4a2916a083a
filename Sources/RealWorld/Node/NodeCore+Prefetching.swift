import Primitives
import RuntimeCore

/// Tasks come and end in bursts of thousands, and what the tables know of one has left the nearest
/// cache by its next step. A burst tells which task is next: its lines come while the ones before it
/// are served.
extension NodeCore {
  /// As many reports before its own a task is looked for.
  private static var reportsAhead: Int { 6 }

  /// A worker will soon report the ends of several tasks.
  @inline(__always)
  func prefetch(reports count: Int, of worker: Worker) {
    for ahead in 0..<min(count, Self.reportsAhead) { prefetch(report: ahead, of: worker) }
  }

  /// A worker will report the end of a task after some others.
  @inline(__always)
  func prefetchReport(of worker: Worker) { prefetch(report: Self.reportsAhead, of: worker) }

  @inline(__always)
  private func prefetch(report ahead: Int, of worker: Worker) {
    guard let later = worker.reports.peek(ahead), later.kind == .finished else { return }
    raylet.pointee.prefetch(
      for: .taskFinished(later.task, worker.number, later.status), ahead: ahead)
    // With several shards, which one records the task is told by its specification, which is not here.
    if map.shards == 1 { replicas[0]?.pointee.prefetchRecord(of: later.task) }
  }

  /// Another task will soon be submitted.
  @inline(__always)
  func prefetchSubmission(after message: Message) {
    guard case .taskSubmitted(let task, let notice) = message, let later = specs.upcoming(3) else {
      return
    }
    raylet.pointee.prefetch(for: .taskSubmitted(later, notice: notice), ahead: 3)
    // Siblings belong to one shard more often than not.
    replicas[map.head(map.shard(specs[task].id)).number]?.pointee.prefetchRecord(of: later)
  }
}
