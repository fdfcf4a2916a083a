import Primitives
import Scheduling
import Testing

@Suite("keep or escalate")
struct SpilloverTests {
  struct Case: CustomTestStringConvertible {
    var policy: String
    var demand = ResourceVector(cpus: 1)
    var available = ResourceVector(cpus: 4)
    var queue = 0
    var missing = 0
    var expected: SpilloverDecision
    var testDescription: String { "\(policy), queue \(queue), missing \(missing): \(expected)" }
  }

  /// On a node with 4 CPUs.
  static let cases: [Case] = [
    Case(policy: "QueueThreshold", queue: 8, expected: .keep),
    Case(policy: "QueueThreshold", queue: 9, expected: .escalate),
    Case(policy: "QueueThreshold", demand: ResourceVector(gpus: 1), expected: .escalate),
    Case(policy: "QueueThreshold", demand: ResourceVector(cpus: 5), expected: .escalate),
    Case(policy: "QueueThreshold", available: .zero, missing: 3, expected: .keep),
    Case(policy: "QueueThreshold[threshold=0]", queue: 0, expected: .keep),
    Case(policy: "QueueThreshold[threshold=0]", queue: 1, expected: .escalate),
    Case(policy: "QueueThreshold[perWorker=0]", queue: 1, expected: .escalate),
    Case(policy: "QueueThreshold[threshold=3,perWorker=100]", queue: 4, expected: .escalate),
    Case(policy: "Immediate", expected: .keep),
    Case(policy: "Immediate", queue: 1, expected: .escalate),
    Case(policy: "Immediate", missing: 1, expected: .escalate),
    Case(policy: "Immediate", available: .zero, expected: .escalate),
    Case(policy: "Immediate", demand: .zero, available: .zero, expected: .keep),
    Case(policy: "AlwaysEscalate", expected: .escalate),
    Case(policy: "NeverEscalate", available: .zero, queue: 10_000, missing: 9, expected: .keep),
    Case(policy: "NeverEscalate", demand: ResourceVector(gpus: 1), expected: .escalate),
  ]

  @Test("each policy decides as stated", arguments: cases)
  func decision(_ one: Case) throws {
    let policy = try PolicyRegistry.spillover(PolicySpec(parsing: one.policy))
    let view = LocalView(
      total: ResourceVector(cpus: 4), available: one.available, queueLength: one.queue, workers: 4,
      missingInputs: one.missing)
    #expect(policy.decide(demand: one.demand, view: view) == one.expected)
  }
}
