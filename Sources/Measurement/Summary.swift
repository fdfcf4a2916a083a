import RealModule

/// What a sample of numbers says: centre, spread, order statistics.
public struct Summary: Sendable, Equatable {
  /// The samples in ascending order.
  public let sorted: [Double]
  public let mean: Double
  /// The sample's standard deviation (divisor n − 1); zero for a single sample.
  public let standardDeviation: Double

  /// Nil when there is no sample or one of them is not finite.
  public init?(_ samples: [Double]) {
    guard !samples.isEmpty, samples.allSatisfy(\.isFinite) else { return nil }
    sorted = samples.sorted()
    // Summed in ascending order, so that the order of arrival does not change the last digit.
    let count = Double(sorted.count)
    let mean = sorted.reduce(0, +) / count
    self.mean = mean
    let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    standardDeviation = sorted.count < 2 ? 0 : (squares / (count - 1)).squareRoot()
  }

  public var n: Int { sorted.count }
  public var minimum: Double { sorted[0] }
  public var maximum: Double { sorted[sorted.count - 1] }
  public var median: Double { percentile(50) }

  /// The standard error of the mean; zero for a single sample.
  public var standardError: Double { standardDeviation / Double(n).squareRoot() }

  /// The value at `percent` (0 to 100), interpolated linearly between order statistics: type 7 of
  /// R. Hyndman and Y. Fan, "Sample Quantiles in Statistical Packages" (1996).
  public func percentile(_ percent: Double) -> Double {
    precondition(percent >= 0 && percent <= 100, "a percentile is from 0 to 100, got \(percent)")
    let position = percent / 100 * Double(n - 1)
    let below = Int(position.rounded(.down))
    if below + 1 >= n { return sorted[n - 1] }
    let fraction = position - Double(below)
    return sorted[below] + fraction * (sorted[below + 1] - sorted[below])
  }

  /// The confidence interval of the mean by Student's t; nil with fewer than two samples, of which
  /// nothing about the spread can be said.
  public func confidenceInterval(level: Double = 0.95) -> ClosedRange<Double>? {
    guard n >= 2 else { return nil }
    let half = StudentT.critical(level: level, degrees: Double(n - 1)) * standardError
    return (mean - half)...(mean + half)
  }

  /// The n-th root of the product, for ratios; nil when empty or when a value is not positive.
  public static func geometricMean(_ values: [Double]) -> Double? {
    guard !values.isEmpty, values.allSatisfy({ $0 > 0 && $0.isFinite }) else { return nil }
    return Double.exp(values.reduce(0) { $0 + Double.log($1) } / Double(values.count))
  }
}

/// The least-squares line `y = intercept + slope · x`.
public struct LinearRegression: Sendable, Equatable {
  public let slope: Double
  public let intercept: Double
  /// The share of the variance of y that the line explains; 1 when y is constant, as nothing is
  /// left to explain.
  public let rSquared: Double

  /// Nil with fewer than two points, with values that are not finite, or when all x are equal.
  /// - Precondition: as many x as y.
  public init?(x: [Double], y: [Double]) {
    precondition(x.count == y.count, "\(x.count) values of x, \(y.count) of y")
    guard let xs = Summary(x), let ys = Summary(y), x.count >= 2 else { return nil }
    var xx = 0.0
    var xy = 0.0
    var yy = 0.0
    for (a, b) in zip(x, y) {
      xx += (a - xs.mean) * (a - xs.mean)
      xy += (a - xs.mean) * (b - ys.mean)
      yy += (b - ys.mean) * (b - ys.mean)
    }
    guard xx > 0 else { return nil }
    slope = xy / xx
    intercept = ys.mean - xy / xx * xs.mean
    rSquared = yy > 0 ? Swift.min(1, xy * xy / (xx * yy)) : 1
  }

  public func value(at x: Double) -> Double { intercept + slope * x }
}

/// Two series measured under the same conditions pair by pair (the same seeds): the difference is
/// taken within each pair, so that what both share cancels.
public struct PairedComparison: Sendable, Equatable {
  /// Of `other − base`.
  public let difference: Summary
  public let base: Summary
  public let other: Summary
  /// The geometric mean of `other / base`; nil unless all values are positive.
  public let ratio: Double?
  /// The 95 % confidence interval of `ratio`, of Student's t over the logarithms.
  public let ratioInterval: ClosedRange<Double>?

  /// Nil when empty or when a value is not finite.
  /// - Precondition: both series have the same length; element i of both forms a pair.
  public init?(base: [Double], other: [Double]) {
    precondition(base.count == other.count, "\(base.count) base values, \(other.count) others")
    guard let a = Summary(base), let b = Summary(other),
      let d = Summary(zip(base, other).map { $1 - $0 })
    else { return nil }
    self.base = a
    self.other = b
    difference = d
    let positive = a.minimum > 0 && b.minimum > 0
    let logs = positive ? Summary(zip(base, other).map { Double.log($1 / $0) }) : nil
    ratio = logs.map { Double.exp($0.mean) }
    ratioInterval = logs?.confidenceInterval().map {
      Double.exp($0.lowerBound)...Double.exp($0.upperBound)
    }
  }

  /// The confidence interval of the mean difference; nil with fewer than two pairs.
  public func confidenceInterval(level: Double = 0.95) -> ClosedRange<Double>? {
    difference.confidenceInterval(level: level)
  }

  /// The two-sided p-value of "no difference" (paired t test); nil with fewer than two pairs.
  public var pValue: Double? {
    guard difference.n >= 2 else { return nil }
    if difference.standardError == 0 { return difference.mean == 0 ? 1 : 0 }
    return StudentT.twoSidedTail(
      difference.mean / difference.standardError, degrees: Double(difference.n - 1))
  }
}
