import Primitives

/// Every policy by name. A new policy is one file and one line here.
public enum PolicyRegistry {
  /// A policy that can be asked for.
  public struct Entry: Sendable {
    public let name: String
    public let kind: String
    /// One sentence for `heliostat list policies`.
    public let summary: String
  }

  private struct Maker<Policy>: Sendable {
    let name: String
    let summary: String
    let make: @Sendable (PolicySpec) throws(PolicyError) -> Policy
  }

  private static let spillovers: [Maker<any SpilloverPolicy>] = [
    .init(
      name: "QueueThreshold", summary: "keep unless the queue is long or a resource lacks (OSDI'18)"
    ) {
      s throws(PolicyError) in try QueueThreshold(s)
    },
    .init(
      name: "WaitThreshold",
      summary: "keep unless the wait would be long, by the node's average task, or a resource lacks"
    ) {
      s throws(PolicyError) in try WaitThreshold(s)
    },
    .init(
      name: "Immediate", summary: "keep only what can start at once (the code of Ray up to 0.5)"
    ) {
      s throws(PolicyError) in try Immediate(s)
    },
    .init(name: "AlwaysEscalate", summary: "hand every task to a global scheduler (centralised)") {
      s throws(PolicyError) in try AlwaysEscalate(s)
    },
    .init(name: "NeverEscalate", summary: "keep every task that the node could ever run") {
      s throws(PolicyError) in try NeverEscalate(s)
    },
  ]

  private static let placements: [Maker<any PlacementPolicy>] = [
    .init(
      name: "LowestWait", summary: "lowest estimated waiting time, queue and transfer (OSDI'18)"
    ) {
      s throws(PolicyError) in try LowestWait(s)
    },
    .init(name: "Random", summary: "uniform among feasible nodes") {
      s throws(PolicyError) in try RandomFeasible(s)
    },
    .init(name: "RoundRobin", summary: "the next feasible node in a circle") {
      s throws(PolicyError) in try RoundRobin(s)
    },
  ]

  private static let dispatches: [Maker<any DispatchPolicy>] = [
    .init(name: "FIFO", summary: "ready tasks in order of arrival") {
      s throws(PolicyError) in try FIFODispatch(s)
    },
    .init(name: "LIFO", summary: "the youngest ready task first") {
      s throws(PolicyError) in try LIFODispatch(s)
    },
  ]

  public static var entries: [Entry] {
    spillovers.map { Entry(name: $0.name, kind: "spillover", summary: $0.summary) }
      + placements.map { Entry(name: $0.name, kind: "placement", summary: $0.summary) }
      + dispatches.map { Entry(name: $0.name, kind: "dispatch", summary: $0.summary) }
  }

  private static func make<Policy>(
    _ spec: PolicySpec, _ kind: String, _ makers: [Maker<Policy>]
  ) throws(PolicyError) -> Policy {
    guard let maker = makers.first(where: { $0.name == spec.name }) else {
      throw .unknownPolicy(spec.name, kind: kind, known: makers.map(\.name))
    }
    return try maker.make(spec)
  }

  public static func spillover(_ spec: PolicySpec) throws(PolicyError) -> any SpilloverPolicy {
    try make(spec, "spillover", spillovers)
  }

  public static func placement(_ spec: PolicySpec) throws(PolicyError) -> any PlacementPolicy {
    try make(spec, "placement", placements)
  }

  public static func dispatch(_ spec: PolicySpec) throws(PolicyError) -> any DispatchPolicy {
    try make(spec, "dispatch", dispatches)
  }
}
