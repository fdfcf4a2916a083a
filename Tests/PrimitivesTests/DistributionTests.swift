import Primitives
import Testing

@Suite("random streams and distributions")
struct DistributionTests {
  static let all: [Distribution] = [
    .constant(3), .uniform(low: 1, high: 5), .exponential(mean: 2),
    .normal(mean: 10, deviation: 2), .logNormal(median: 1, sigma: 0.5),
    .gamma(shape: 0.5, mean: 3), .gamma(shape: 4, mean: 3), .pareto(minimum: 1, alpha: 4),
    .bimodal(share: 0.9, first: 1, second: 100), .sample([1, 2, 3, 10]),
  ]

  @Test("the mean of many draws is the stated mean", arguments: 0..<10)
  func means(index: Int) {
    let distribution = Self.all[index]
    var stream = RandomStream(seed: 5, stream: UInt64(index))
    let count = 40_000
    let draws = (0..<count).map { _ in distribution.draw(&stream) }
    let mean = draws.reduce(0, +) / Double(count)
    let variance = draws.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(count - 1)
    // Five standard errors: one false alarm in a million draws of the seed.
    #expect(abs(mean - distribution.mean) <= 5 * (variance / Double(count)).squareRoot() + 1e-12)
    #expect(draws.allSatisfy { $0 >= 0 && $0 <= distribution.maximum })
  }

  @Test("a stream is a function of its seed and number; others are different", arguments: 0..<10)
  func deterministic(index: Int) {
    func draws(_ seed: UInt64, _ stream: UInt64) -> [Double] {
      var stream = RandomStream(seed: seed, stream: stream)
      return (0..<20).map { _ in Self.all[index].draw(&stream) }
    }
    #expect(draws(1, 2) == draws(1, 2))
    if index != 0 { #expect(draws(1, 2) != draws(1, 3) && draws(1, 2) != draws(2, 2)) }
  }

  @Test("whole numbers below a bound are uniform")
  func below() {
    for bound in [UInt64(1), 2, 3, 10, 37] {
      var stream = RandomStream(seed: bound, stream: 0)
      var hits = Array(repeating: 0, count: Int(bound))
      for _ in 0..<20_000 { hits[Int(stream.below(bound))] += 1 }
      let expected = 20_000 / Double(bound)
      for hit in hits { #expect(abs(Double(hit) - expected) <= 5 * expected.squareRoot()) }
    }
    var stream = RandomStream(seed: 1, stream: 1)
    #expect((0..<1000).allSatisfy { _ in stream.below(1 << 63 + 1) <= 1 << 63 })
    var hits = 0
    for _ in 0..<10_000 where stream.chance(Ratio(1, 4)) { hits += 1 }
    #expect(abs(hits - 2500) < 220)
    #expect((0..<1000).allSatisfy { _ in (0..<1).contains(stream.unit()) })
  }

  @Test(
    "parameters that make no sense are refused with a reason",
    arguments: [
      (Distribution.constant(-1), "value must be"), (.uniform(low: 3, high: 2), "must not exceed"),
      (.exponential(mean: .nan), "mean must be"),
      (.gamma(shape: 0, mean: 1), "shape must be positive"),
      (.pareto(minimum: 1, alpha: 0), "alpha must be positive"),
      (.bimodal(share: 1.5, first: 1, second: 2), "share must be at most 1"),
      (.sample([]), "at least one value"), (.sample([1, .infinity]), "value 1 must be"),
    ])
  func problems(distribution: Distribution, text: String) {
    #expect(distribution.problem?.contains(text) == true)
  }

  @Test("sensible parameters have no problem", arguments: 0..<10)
  func noProblem(index: Int) { #expect(Self.all[index].problem == nil) }
}
