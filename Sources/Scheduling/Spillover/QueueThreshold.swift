import Primitives

/// The paper's rule (OSDI'18 §4.2.2): keep a task unless the local queue is longer than a threshold
/// or the node lacks a resource that the task requires.
///
/// The paper gives no threshold. `threshold` is the greatest queue length that still keeps; with the
/// default `perWorker=2` it is twice the node's workers (`threshold=-1` means "use perWorker").
struct QueueThreshold: SpilloverPolicy {
  let spec: PolicySpec
  let threshold: Int
  let perWorker: Int

  init(_ spec: PolicySpec) throws(PolicyError) {
    var reader = ParameterReader(spec)
    threshold = try reader.int("threshold", default: -1, in: -1...1_000_000_000)
    perWorker = try reader.int("perWorker", default: 2, in: 0...1_000_000)
    self.spec = try reader.finish()
  }

  func decide(demand: ResourceVector, view: LocalView) -> SpilloverDecision {
    guard demand.fits(in: view.total) else { return .escalate }
    let limit = threshold >= 0 ? threshold : perWorker * view.workers
    return view.queueLength <= limit ? .keep : .escalate
  }
}
