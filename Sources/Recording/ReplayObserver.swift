import Primitives
import RuntimeCore

/// Hears, while recordings are replayed, what became of tasks.
///
/// Recordings hold no steps of a trace: these cost a real node time. But the machines make them again
/// when a replay asks for it. Identities are the same in all recordings of a cluster, and moments are
/// those of its hosts' clocks. Streams come one after the other, so moments do not come in order.
public protocol ReplayObserver: AnyObject {
  /// A program submitted a task, when it had last heard of the result of `awaited`.
  func submitted(_ task: TaskID, at now: Instant, awaited: TaskID?)
  /// A raylet or a global scheduler took a step.
  func took(_ step: Transition, in specs: TaskSpecTable, at now: Instant)
}
