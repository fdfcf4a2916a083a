import RealModule

/// A distribution of non-negative numbers: durations in seconds, sizes in bytes, counts.
///
/// Parameters are checked by `validate`; a draw is a function of the stream alone.
public indirect enum Distribution: Sendable, Equatable {
  case constant(Double)
  /// Uniform from `low` to `high`.
  case uniform(low: Double, high: Double)
  case exponential(mean: Double)
  /// Normal, cut off at zero.
  case normal(mean: Double, deviation: Double)
  /// Log-normal by its median and the standard deviation of its logarithm.
  case logNormal(median: Double, sigma: Double)
  /// Gamma with shape k and the given mean (scale = mean ÷ shape).
  case gamma(shape: Double, mean: Double)
  /// Pareto with smallest value `minimum` and tail index `alpha`.
  case pareto(minimum: Double, alpha: Double)
  /// `first` with probability `share`, else `second`: the usual short/long mix.
  case bimodal(share: Double, first: Double, second: Double)
  /// One of the given values, each equally likely: an empirical sample.
  case sample([Double])

  /// What is wrong with the parameters, or nil.
  public var problem: String? {
    func finite(_ pairs: [(String, Double)]) -> String? {
      for (name, value) in pairs where !(value.isFinite && value >= 0) {
        return "\(name) must be a non-negative number, got \(value)"
      }
      return nil
    }
    switch self {
    case .constant(let v): return finite([("value", v)])
    case .uniform(let low, let high):
      return finite([("low", low), ("high", high)])
        ?? (low <= high ? nil : "low (\(low)) must not exceed high (\(high))")
    case .exponential(let mean): return finite([("mean", mean)])
    case .normal(let mean, let deviation):
      return finite([("mean", mean), ("deviation", deviation)])
    case .logNormal(let median, let sigma): return finite([("median", median), ("sigma", sigma)])
    case .gamma(let shape, let mean):
      return finite([("shape", shape), ("mean", mean)])
        ?? (shape > 0 ? nil : "shape must be positive, got \(shape)")
    case .pareto(let minimum, let alpha):
      return finite([("minimum", minimum), ("alpha", alpha)])
        ?? (alpha > 0 ? nil : "alpha must be positive, got \(alpha)")
    case .bimodal(let share, let first, let second):
      return finite([("share", share), ("first", first), ("second", second)])
        ?? (share <= 1 ? nil : "share must be at most 1, got \(share)")
    case .sample(let values):
      if values.isEmpty { return "a sample needs at least one value" }
      return finite(values.enumerated().map { ("value \($0.offset)", $0.element) })
    }
  }

  /// The mean; infinite for a Pareto with alpha ≤ 1. For `normal` the cut at zero is ignored.
  public var mean: Double {
    switch self {
    case .constant(let v): return v
    case .uniform(let low, let high): return (low + high) / 2
    case .exponential(let mean), .normal(let mean, _), .gamma(_, let mean): return mean
    case .logNormal(let median, let sigma): return median * Double.exp(sigma * sigma / 2)
    case .pareto(let minimum, let alpha):
      return alpha > 1 ? alpha * minimum / (alpha - 1) : .infinity
    case .bimodal(let share, let first, let second): return share * first + (1 - share) * second
    case .sample(let values): return values.reduce(0, +) / Double(values.count)
    }
  }

  /// The largest value that can be drawn; infinite where there is no bound.
  public var maximum: Double {
    switch self {
    case .constant(let v): return v
    case .uniform(_, let high): return high
    case .bimodal(_, let first, let second): return max(first, second)
    case .sample(let values): return values.max() ?? 0
    case .exponential, .normal, .logNormal, .gamma, .pareto: return .infinity
    }
  }

  public func draw(_ stream: inout RandomStream) -> Double {
    switch self {
    case .constant(let v): return v
    case .uniform(let low, let high): return low + (high - low) * stream.unit()
    case .exponential(let mean): return -mean * Double.log(1 - stream.unit())
    case .normal(let mean, let deviation):
      return max(0, mean + deviation * Self.standardNormal(&stream))
    case .logNormal(let median, let sigma):
      return median * Double.exp(sigma * Self.standardNormal(&stream))
    case .gamma(let shape, let mean):
      return Self.standardGamma(shape, &stream) * mean / shape
    case .pareto(let minimum, let alpha):
      return minimum / Double.pow(1 - stream.unit(), 1 / alpha)
    case .bimodal(let share, let first, let second): return stream.unit() < share ? first : second
    case .sample(let values): return values[Int(stream.below(UInt64(values.count)))]
    }
  }

  /// Box and Muller (1958); one of the pair is thrown away to keep the stream's state plain.
  static func standardNormal(_ stream: inout RandomStream) -> Double {
    let radius = (-2 * Double.log(1 - stream.unit())).squareRoot()
    return radius * Double.cos(2 * Double.pi * stream.unit())
  }

  /// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); for shapes
  /// below 1 the draw at shape + 1 is scaled by a power of a uniform.
  static func standardGamma(_ shape: Double, _ stream: inout RandomStream) -> Double {
    if shape < 1 {
      let boost = Double.pow(1 - stream.unit(), 1 / shape)
      return standardGamma(shape + 1, &stream) * boost
    }
    let d = shape - 1.0 / 3
    let c = 1 / (9 * d).squareRoot()
    while true {
      let x = standardNormal(&stream)
      let v = 1 + c * x
      if v <= 0 { continue }
      let cube = v * v * v
      let u = 1 - stream.unit()
      if Double.log(u) < x * x / 2 + d * (1 - cube + Double.log(cube)) { return d * cube }
    }
  }
}
