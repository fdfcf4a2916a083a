import Primitives

/// Uniform among the live nodes that could ever run the task: the baseline that every comparison
/// needs, and the default that Ray shipped in 2018.
struct RandomFeasible: PlacementPolicy {
  let spec: PolicySpec

  init(_ spec: PolicySpec) throws(PolicyError) {
    self.spec = try ParameterReader(spec).finish()
  }

  func place(
    _ request: PlacementRequest, view: ClusterView, random: inout RandomStream
  ) -> NodeID? {
    var chosen = -1
    var feasible: UInt64 = 0
    for index in 0..<view.nodes.count
    where view.nodes[index].isAlive && request.demand.fits(in: view.nodes[index].total) {
      feasible += 1
      if random.below(feasible) == 0 { chosen = index }
    }
    return chosen < 0 ? nil : NodeID(chosen)
  }
}
