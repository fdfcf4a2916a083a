import Primitives
import Testing

@testable import Workload

@Suite("Monte Carlo π")
struct MonteCarloPiTests {
  @Test("the estimate lies within five standard errors of π, alike under any timing")
  func estimate() throws {
    let text = "{tasks: 20, samples: 2000}"
    let outcome = try run(program(MonteCarloPi.self, text))
    #expect(outcome.error == nil)
    // √(π(4 − π) ÷ 40 000) = 0.0082.
    let estimate = try outcome.figure("estimate")
    #expect(abs(estimate - Double.pi) < 5 * 0.0083)
    #expect(try outcome.figure("standard errors from pi") < 5)
    let other = try run(
      program(MonteCarloPi.self, "{tasks: 20, samples: 2000, task-time: 'exponential(1s)'}"),
      nodes: 1, cpus: 3)
    #expect(try other.figure("estimate") == estimate)
  }

  @Test("tasks draw points of their own")
  func ownPoints() {
    let counts = (0..<8).map { MonteCarloPi.hits(seed: 1, task: $0, samples: 1000) }
    #expect(Set(counts).count > 1)
    #expect(counts[0] == MonteCarloPi.hits(seed: 1, task: 0, samples: 1000))
    #expect(MonteCarloPi.hits(seed: 2, task: 0, samples: 1000) != counts[0])
  }

  @Test("an estimate outside the bounds is an error")
  func outside() throws {
    let outcome = try run(program(MonteCarloPi.self, "{tasks: 1, samples: 10, sigmas: 0}"))
    #expect("\(try #require(outcome.error))".contains("standard errors from π, more than 0.0"))
  }

  @Test("a bad parameter names the place")
  func bad() {
    #expect(
      message { () throws(WorkloadError) in
        var reader = try PositionedValue(
          SourceNode.parse("{tasks: 5, samples: 1.5}", file: "w.yaml"), path: ""
        ).mapping()
        _ = try MonteCarloPi(&reader)
      } == "w.yaml:1:21: 'samples' is '1.5'; expected a whole number from 1 to 1000000000")
  }
}
