import Measurement
import Testing

@Suite struct SummaryTests {
  @Test(
    "critical values of Student's t agree with the published tables",
    arguments: [
      // degrees, level, value (NIST/SEMATECH e-Handbook of Statistical Methods, §1.3.6.7.2)
      (1.0, 0.95, 12.7062), (2, 0.95, 4.3027), (4, 0.90, 2.1318), (5, 0.95, 2.5706),
      (10, 0.95, 2.2281), (10, 0.99, 3.1693), (30, 0.95, 2.0423), (100, 0.95, 1.9840),
      (1e6, 0.95, 1.95997),
    ])
  func criticalValues(degrees: Double, level: Double, expected: Double) {
    #expect(abs(StudentT.critical(level: level, degrees: degrees) - expected) < 6e-5)
  }

  @Test("the tail of Student's t has its closed form for one and two degrees of freedom")
  func closedForms() {
    for t in [0.01, 0.3, 1, 2.5, 40] {
      let two = 1 - t / (2 + t * t).squareRoot()
      #expect(abs(StudentT.twoSidedTail(t, degrees: 2) - two) < 1e-13)
      #expect(StudentT.twoSidedTail(-t, degrees: 2) == StudentT.twoSidedTail(t, degrees: 2))
    }
    // One degree is Cauchy's distribution: half of it lies within ±1.
    #expect(abs(StudentT.twoSidedTail(1, degrees: 1) - 0.5) < 1e-14)
    #expect(StudentT.twoSidedTail(0, degrees: 3) == 1)
    #expect(StudentT.twoSidedTail(.infinity, degrees: 3) == 0)
  }

  @Test("a sample's mean, deviation and interval are those of a worked example")
  func workedExample() throws {
    let summary = try #require(Summary([9, 2, 5, 4, 12, 7, 8, 11, 9, 3, 7, 4, 12, 5, 4]))
    #expect(summary.n == 15)
    #expect(abs(summary.mean - 6.8) < 1e-12)
    #expect(abs(summary.standardDeviation - (150.4 / 14).squareRoot()) < 1e-12)
    #expect(summary.median == 7)
    #expect(summary.minimum == 2)
    #expect(summary.maximum == 12)
    let interval = try #require(summary.confidenceInterval())
    // t(14, 95 %) = 2.1448
    let half = 2.144787 * (150.4 / 14 / 15).squareRoot()
    #expect(abs(interval.lowerBound - (6.8 - half)) < 1e-5)
    #expect(abs(interval.upperBound - (6.8 + half)) < 1e-5)
  }

  @Test("percentiles interpolate between order statistics as type 7 of Hyndman and Fan")
  func percentiles() throws {
    let summary = try #require(Summary([40, 10, 20, 30]))
    let table: [(Double, Double)] = [
      (0, 10), (25, 17.5), (50, 25), (75, 32.5), (90, 37), (100, 40),
    ]
    for (percent, value) in table { #expect(abs(summary.percentile(percent) - value) < 1e-12) }
    #expect(Summary([3])?.percentile(99) == 3)
  }

  @Test("nothing can be said of no sample or of one that is not finite")
  func refused() {
    #expect(Summary([]) == nil)
    #expect(Summary([1, .nan]) == nil)
    #expect(Summary([1, .infinity]) == nil)
    #expect(Summary([1])?.confidenceInterval() == nil)
    #expect(Summary.geometricMean([]) == nil)
    #expect(Summary.geometricMean([1, 0]) == nil)
  }

  @Test("the order of samples does not change a digit of their summary")
  func orderDoesNotMatter() throws {
    let samples = (1...50).map { 1 / Double($0) }
    #expect(Summary(samples) == Summary(samples.reversed()))
  }

  @Test("the geometric mean of ratios and their inverses is one")
  func geometricMean() throws {
    let mean = try #require(Summary.geometricMean([2, 0.5, 8, 0.125]))
    #expect(abs(mean - 1) < 1e-15)
  }

  @Test("regression gives the line of Anscombe's first data set")
  func anscombe() throws {
    // F. Anscombe, "Graphs in Statistical Analysis" (1973).
    let x: [Double] = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
    let y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]
    let line = try #require(LinearRegression(x: x, y: y))
    #expect(abs(line.slope - 0.500091) < 1e-6)
    #expect(abs(line.intercept - 3.000091) < 1e-6)
    #expect(abs(line.rSquared - 0.666542) < 1e-6)
    #expect(abs(line.value(at: 10) - 8.001) < 1e-3)
  }

  @Test("a line needs two different x; a constant y is fully explained")
  func degenerateLines() {
    #expect(LinearRegression(x: [1], y: [1]) == nil)
    #expect(LinearRegression(x: [2, 2], y: [1, 5]) == nil)
    #expect(LinearRegression(x: [1, 2, 3], y: [4, 4, 4])?.rSquared == 1)
    #expect(LinearRegression(x: [1, 2, 3], y: [4, 4, 4])?.slope == 0)
  }

  @Test("a paired difference cancels what both series share")
  func paired() throws {
    let base = [10.0, 200, 3000, 40]
    let other = base.map { $0 + 2 }
    let comparison = try #require(PairedComparison(base: base, other: other))
    #expect(comparison.difference.mean == 2)
    #expect(comparison.confidenceInterval() == 2...2)
    #expect(comparison.pValue == 0)

    let same = try #require(PairedComparison(base: base, other: base))
    #expect(same.pValue == 1)
    #expect(same.ratio == 1)
  }

  @Test("the paired t test and ratio of a worked example")
  func pairedExample() throws {
    let comparison = try #require(
      PairedComparison(base: [1, 2, 3, 4, 5], other: [2, 4, 5, 4, 5]))
    // Differences 1 2 2 0 0: mean 1, s = 1, t = √5, p = 0.0890 with four degrees.
    #expect(abs(comparison.difference.standardDeviation - 1) < 1e-12)
    let p = try #require(comparison.pValue)
    #expect(abs(p - 0.0890) < 5e-5)
    let ratio = try #require(comparison.ratio)
    let interval = try #require(comparison.ratioInterval)
    #expect(interval.contains(ratio))
    #expect(PairedComparison(base: [0, 1], other: [1, 1])?.ratio == nil)
  }
}
