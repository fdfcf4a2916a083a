import RealModule

/// Student's t distribution, for confidence intervals of means of few samples.
public enum StudentT {
  /// The probability that |T| exceeds `t`, for `degrees` of freedom: the two-sided p-value.
  ///
  /// `I_x(ν/2, 1/2)` at `x = ν / (ν + t²)` (Abramowitz and Stegun, 26.5.27).
  public static func twoSidedTail(_ t: Double, degrees: Double) -> Double {
    precondition(degrees > 0, "degrees of freedom must be positive, got \(degrees)")
    if t == 0 { return 1 }
    if !t.isFinite { return 0 }
    let square = t * t
    // Near the centre x loses its digits to 1, so the complement is computed there.
    if square < degrees {
      return 1 - incompleteBeta(square / (degrees + square), 0.5, degrees / 2)
    }
    return incompleteBeta(degrees / (degrees + square), degrees / 2, 0.5)
  }

  /// The t that |T| does not exceed with probability `level`: the half-width of a confidence
  /// interval in standard errors.
  public static func critical(level: Double, degrees: Double) -> Double {
    precondition(level > 0 && level < 1, "a confidence level is between 0 and 1, got \(level)")
    var high = 1.0
    while twoSidedTail(high, degrees: degrees) > 1 - level && high < 1e300 { high *= 2 }
    var low = 0.0
    // Bisection ends when the two ends are neighbouring doubles.
    while true {
      let middle = low + (high - low) / 2
      if middle <= low || middle >= high { return high }
      if twoSidedTail(middle, degrees: degrees) > 1 - level { low = middle } else { high = middle }
    }
  }

  /// The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)
  /// evaluated with Lentz's method (Press et al., *Numerical Recipes*, §6.4).
  static func incompleteBeta(_ x: Double, _ a: Double, _ b: Double) -> Double {
    if x <= 0 { return 0 }
    if x >= 1 { return 1 }
    let logFront =
      Double.logGamma(a + b) - Double.logGamma(a) - Double.logGamma(b)
      + a * Double.log(x) + b * Double.log(onePlus: -x)
    let front = Double.exp(logFront)
    return x < (a + 1) / (a + b + 2)
      ? front * betaFraction(x, a, b) / a
      : 1 - front * betaFraction(1 - x, b, a) / b
  }

  private static func betaFraction(_ x: Double, _ a: Double, _ b: Double) -> Double {
    let tiny = 1e-300
    func nonzero(_ value: Double) -> Double { abs(value) < tiny ? tiny : value }
    var c = 1.0
    var d = 1 / nonzero(1 - (a + b) * x / (a + 1))
    var result = d
    // The number of terms grows as the root of the larger argument; this reaches beyond 10⁹.
    for step in 1...200_000 {
      let m = Double(step)
      let even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
      d = 1 / nonzero(1 + even * d)
      c = nonzero(1 + even / c)
      result *= d * c
      let odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
      d = 1 / nonzero(1 + odd * d)
      c = nonzero(1 + odd / c)
      let factor = d * c
      result *= factor
      if abs(factor - 1) < 1e-15 { break }
    }
    return result
  }
}
