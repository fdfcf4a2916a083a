import Testing

@testable import Reporting

@Suite struct QuantityTests {
  @Test(
    "a time to wait for is in seconds, from two minutes on in minutes, from an hour on in hours too",
    arguments: [
      (0, "0 s"), (-1, "0 s"), (94.6, "95 s"), (119.4, "119 s"), (120, "2 min"), (3075, "51 min"),
      (3569, "59 min"), (3571, "1 h"), (7500, "2 h 5 min"), (360_000, "100 h"),
      (3.6e12, "1000000000 h"), (.infinity, "—"), (.nan, "—"),
    ] as [(Double, String)])
  func wait(_ seconds: Double, _ text: String) {
    #expect(Quantity.wait(seconds: seconds) == text)
  }

  @Test(
    "a quantity is written with three digits and a prefix that fits its unit",
    arguments: [
      (0.000543, "s", "543 µs"), (0.0001, "s", "100 µs"), (54, "s", "54 s"), (5400, "s", "5400 s"),
      (0.9996e-6, "s", "1 µs"), (35.2, "ms", "35.2 ms"), (0.05, "ms", "50 µs"),
      (3.7, "min", "3.7 min"),
      (1_820_000, "tasks/s", "1.82 M tasks/s"), (3000, "tasks/s", "3000 tasks/s"),
      (100_000, "B", "100 KB"), (0.5, "GB/s", "500 MB/s"), (1.6, "x", "1.6×"), (72, "%", "72 %"),
      (1024, "count", "1024"), (1_500_000, "count", "1.5 M"), (0, "s", "0 s"),
      (-0.002, "s", "−2 ms"),
      (1.2345e-7, "share", "1.23e−7 share"), (.nan, "s", "—"), (.infinity, "s", "∞"),
      (999_999, "tasks/s", "1 M tasks/s"), (25, "Gbps", "25 Gbps"),
    ])
  func text(value: Double, unit: String, expected: String) {
    #expect(Quantity.text(value, unit: unit) == expected)
  }

  @Test("an interval is written around its value, evenly or by its ends")
  func intervals() {
    #expect(Quantity.text(42.59, low: 22.98, high: 62.2, unit: "min") == "42.6 ± 20 min")
    #expect(Quantity.text(0.005, low: 0.0042, high: 0.009, unit: "s") == "5 [4.2, 9] ms")
    #expect(Quantity.text(nil, low: 10, high: 100, unit: "ms") == "10–100 ms")
    #expect(Quantity.text(nil, low: 5, high: nil, unit: "x") == "≥ 5×")
    #expect(Quantity.text(nil, low: nil, high: 5, unit: "x") == "≤ 5×")
    #expect(Quantity.text(nil, low: nil, high: nil, unit: "x") == "—")
    #expect(Quantity.text(7, low: 7, high: 7, unit: "s") == "7 s")
  }

  @Test("units of one dimension convert; others do not")
  func conversion() {
    #expect(Quantity.conversion(from: "min", to: "s") == 60)
    #expect(Quantity.conversion(from: "GB/s", to: "MB/s") == 1000)
    #expect(Quantity.conversion(from: "Gbps", to: "GB/s") == 0.125)
    #expect(Quantity.conversion(from: "tasks/s", to: "tasks/s") == 1)
    #expect(Quantity.conversion(from: "tasks/s", to: "ops/s") == nil)
    #expect(Quantity.conversion(from: "s", to: "B") == nil)
  }
}

@Suite struct TickTests {
  @Test(
    "linear ticks are round, evenly spaced, and enclose the range",
    arguments: [
      (0.0, 1.0), (0, 97), (-3, 12), (1e-9, 4e-9), (17, 17), (0, 0), (-5, -5), (1e12, 1.001e12),
      (0.1, 0.3), (5, -5),
    ])
  func linear(low: Double, high: Double) {
    let ticks = Ticks.linear(low, high, count: 6)
    #expect(ticks.count >= 2 && ticks.count <= 14)
    #expect(ticks[0] <= min(low, high) && ticks[ticks.count - 1] >= max(low, high))
    let step = ticks[1] - ticks[0]
    for (a, b) in zip(ticks, ticks.dropFirst()) { #expect(abs(b - a - step) < 1e-6 * step) }
  }

  @Test("linear ticks carry no rounding errors")
  func exact() {
    #expect(Ticks.linear(0, 0.3, count: 3) == [0, 0.1, 0.2, 0.3])
    #expect(Ticks.linear(0, 847_000, count: 5) == [0, 200_000, 400_000, 600_000, 800_000, 1e6])
    #expect(Ticks.linear(-1, 1, count: 4) == [-1, -0.5, 0, 0.5, 1])
  }

  @Test("logarithmic ticks are 1, 2, 5 within few decades and powers of ten beyond")
  func decimal() {
    #expect(Ticks.log10Ticks(4.1, 62, count: 6) == [2, 5, 10, 20, 50, 100])
    #expect(Ticks.log10Ticks(1, 1e6, count: 8) == [1, 10, 100, 1e3, 1e4, 1e5, 1e6])
    #expect(Ticks.log10Ticks(1, 1e12, count: 4) == [1, 1e3, 1e6, 1e9, 1e12])
    #expect(Ticks.log10Ticks(10, 100, count: 4) == [10, 20, 50, 100])
  }

  @Test("logarithmic ticks enclose any positive range", arguments: 0..<100)
  func encloses(seed: Int) {
    let low = Double(seed + 1) * 0.037e-6
    let high = low * (1 + Double(seed * seed) * 10)
    for ticks in [
      Ticks.log10Ticks(low, high, count: 6), Ticks.log2Ticks(low, high, count: 6),
    ] {
      #expect(ticks.count >= 2 && ticks.count <= 15)
      #expect(ticks[0] <= low * 1.000001 && ticks[ticks.count - 1] >= high * 0.999999)
      #expect(zip(ticks, ticks.dropFirst()).allSatisfy { $0 < $1 })
    }
  }

  @Test("binary ticks are powers of two")
  func binary() {
    #expect(Ticks.log2Ticks(256, 8192, count: 40) == [256, 512, 1024, 2048, 4096, 8192])
    #expect(Ticks.log2Ticks(3, 5, count: 4) == [2, 4, 8])
  }

  @Test("percentile ticks are labelled with as many nines as they have")
  func percentLabels() {
    let labels = [1, 2, 4, 10, 100, 1000, 1e4, 1e5].map(ChartLayout.percentLabel)
    #expect(
      labels == ["0%", "50%", "75%", "90%", "99%", "99.9%", "99.99%", "99.999%"])
  }
}
