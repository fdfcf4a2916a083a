import Primitives

/// Ready tasks leave in order of arrival. A task whose resources are not free is passed over by
/// tasks of other shapes, so that it does not hold up the whole node.
struct FIFODispatch: DispatchPolicy {
  let spec: PolicySpec
  var order: DispatchOrder { .fifo }

  init(_ spec: PolicySpec) throws(PolicyError) {
    self.spec = try ParameterReader(spec).finish()
  }
}

/// The youngest ready task leaves first: depth first for nested programs.
struct LIFODispatch: DispatchPolicy {
  let spec: PolicySpec
  var order: DispatchOrder { .lifo }

  init(_ spec: PolicySpec) throws(PolicyError) {
    self.spec = try ParameterReader(spec).finish()
  }
}
