import Benchmark
import Measurement
import Primitives

/// A recorder and latencies from 1 µs to 1 s, log-uniform.
struct Latencies {
  var recorder = LatencyRecorder()
  var values: [TimeSpan]

  init() {
    var random = RandomStream(seed: 1, stream: 4)
    values = (0..<operations).map { _ in
      let magnitude = 10 + random.below(20)
      return .nanoseconds(1 << magnitude + random.below(1 << magnitude))
    }
  }
}

func draws() -> BenchmarkSuite {
  let suite = BenchmarkSuite(name: "draws")
  let stream = RandomStream(seed: 1, stream: 5)
  suite.measure("RandomStream next", stream) { stream in
    var sum: UInt64 = 0
    for _ in 0..<operations { sum &+= stream.next() }
    return sum
  }
  suite.measure("RandomStream below 1000", stream) { stream in
    var sum: UInt64 = 0
    for _ in 0..<operations { sum &+= stream.below(1000) }
    return sum
  }
  let distributions: [(String, Distribution)] = [
    ("constant", .constant(1)), ("uniform", .uniform(low: 1, high: 2)),
    ("exponential", .exponential(mean: 1)), ("normal", .normal(mean: 4, deviation: 1)),
    ("log-normal", .logNormal(median: 1, sigma: 1)), ("gamma", .gamma(shape: 2, mean: 1)),
    ("Pareto", .pareto(minimum: 1, alpha: 1.5)),
    ("bimodal", .bimodal(share: 0.9, first: 1, second: 10)),
    ("sample of 100", .sample((1...100).map(Double.init))),
  ]
  for (name, distribution) in distributions {
    suite.measure("Distribution \(name)", stream) { stream in
      var sum = 0.0
      for _ in 0..<operations { sum += distribution.draw(&stream) }
      return sum.bitPattern
    }
  }
  suite.measure("LatencyRecorder record", Latencies()) { latencies in
    for value in latencies.values { latencies.recorder.record(value) }
    return latencies.recorder.count
  }
  return suite
}
