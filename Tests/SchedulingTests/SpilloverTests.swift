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
    var seconds = 0.0
    var peers = 3
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
    // 9 tasks ahead on 4 workers: 2.25 of them each.
    Case(policy: "WaitThreshold", queue: 9, seconds: 0.004, expected: .keep),
    Case(policy: "WaitThreshold", queue: 9, seconds: 0.005, expected: .escalate),
    Case(policy: "WaitThreshold", queue: 8, seconds: 0.005, expected: .keep),
    Case(policy: "WaitThreshold", queue: 30_000, seconds: 1e-6, expected: .keep),
    Case(policy: "WaitThreshold", queue: 50_000, seconds: 1e-6, expected: .escalate),
    Case(policy: "WaitThreshold", queue: 50_000, seconds: 9, peers: 0, expected: .keep),
    Case(policy: "WaitThreshold", available: .zero, missing: 3, seconds: 9, expected: .keep),
    Case(policy: "WaitThreshold", demand: ResourceVector(gpus: 1), peers: 0, expected: .escalate),
    Case(policy: "WaitThreshold[milliseconds=0]", queue: 1, seconds: 1e-6, expected: .escalate),
    Case(policy: "WaitThreshold[milliseconds=0.5]", queue: 4, seconds: 5e-4, expected: .keep),
    Case(policy: "WaitThreshold[milliseconds=0.5]", queue: 5, seconds: 5e-4, expected: .escalate),
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
      missingInputs: one.missing, averageTaskSeconds: one.seconds, peers: one.peers)
    #expect(policy.decide(demand: one.demand, view: view) == one.expected)
  }
}
