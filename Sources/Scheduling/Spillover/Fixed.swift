import Primitives

/// Hands every task to a global scheduler: the centralised counter-experiment of Fig 8b.
struct AlwaysEscalate: SpilloverPolicy {
  let spec: PolicySpec

  init(_ spec: PolicySpec) throws(PolicyError) {
    self.spec = try ParameterReader(spec).finish()
  }

  func decide(demand: ResourceVector, view: LocalView) -> SpilloverDecision { .escalate }
}

/// Keeps every task that the node could ever run, however long its queue.
struct NeverEscalate: SpilloverPolicy {
  let spec: PolicySpec

  init(_ spec: PolicySpec) throws(PolicyError) {
    self.spec = try ParameterReader(spec).finish()
  }

  func decide(demand: ResourceVector, view: LocalView) -> SpilloverDecision {
    demand.fits(in: view.total) ? .keep : .escalate
  }
}
