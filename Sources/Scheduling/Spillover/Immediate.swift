import Primitives

/// The rule of the code that Ray shipped until 0.5 (`local_scheduler_algorithm.cc`): keep a task
/// only when it can start at once, that is when nothing is queued ahead of it, its resources are
/// free and all its inputs are local.
struct Immediate: SpilloverPolicy {
  let spec: PolicySpec

  init(_ spec: PolicySpec) throws(PolicyError) {
    self.spec = try ParameterReader(spec).finish()
  }

  func decide(demand: ResourceVector, view: LocalView) -> SpilloverDecision {
    let startsNow =
      view.missingInputs == 0 && view.queueLength == 0 && demand.fits(in: view.available)
    return startsNow ? .keep : .escalate
  }
}
