import Primitives

/// The paper's rule with the threshold in time instead of in tasks: keep a task unless those ahead of
/// it here would take longer than `milliseconds`, by the node's smoothed task time, or the node lacks
/// a resource that the task requires. Where there is no other node, it keeps.
///
/// A queue of a thousand tasks is long when each takes a second and nothing when each takes a
/// microsecond: to send such a task away costs more than to run it. The estimate is that of the global
/// scheduler (OSDI'18 §4.2.2): queue × average task time, over the workers that share it.
struct WaitThreshold: SpilloverPolicy {
  let spec: PolicySpec
  let seconds: Double

  init(_ spec: PolicySpec) throws(PolicyError) {
    var reader = ParameterReader(spec)
    seconds = try reader.double("milliseconds", default: 10, in: 0...1e9) / 1e3
    self.spec = try reader.finish()
  }

  func decide(demand: ResourceVector, view: LocalView) -> SpilloverDecision {
    guard demand.fits(in: view.total) else { return .escalate }
    if view.peers == 0 { return .keep }
    let work = Double(view.queueLength) * view.averageTaskSeconds
    return work <= seconds * Double(max(1, view.workers)) ? .keep : .escalate
  }
}
