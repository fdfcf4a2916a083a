import Primitives

/// The next live node that could ever run the task, in a circle. Several schedulers start at
/// different places (`offset=random`), or they would march in step.
struct RoundRobin: PlacementPolicy {
  enum Offset: String, CaseIterable { case random, zero }

  let spec: PolicySpec
  private var next: Int

  init(_ spec: PolicySpec) throws(PolicyError) {
    var reader = ParameterReader(spec)
    next = try reader.choice("offset", default: Offset.random) == .random ? -1 : 0
    self.spec = try reader.finish()
  }

  mutating func place(
    _ request: PlacementRequest, view: ClusterView, random: inout RandomStream
  ) -> NodeID? {
    let count = view.nodes.count
    guard count > 0 else { return nil }
    if next < 0 { next = Int(random.below(UInt64(count))) }
    for step in 0..<count {
      let index = (next + step) % count
      if view.nodes[index].isAlive && request.demand.fits(in: view.nodes[index].total) {
        next = (index + 1) % count
        return NodeID(index)
      }
    }
    return nil
  }
}
