import Primitives
import Testing

@testable import Workload

@Suite("Units and distributions in workload files")
struct FileQuantityTests {
  @Test(
    "a duration with any unit is read to the nanosecond",
    arguments: [
      ("57.5us", 57_500), ("57.5µs", 57_500), ("100ms", 100_000_000), ("0.5s", 500_000_000),
      ("2min", 120_000_000_000), ("1h", 3_600_000_000_000), ("12ns", 12), ("0.1s", 100_000_000),
      ("1_000 us", 1_000_000), ("1e3us", 1_000_000), (".5ms", 500_000), ("0us", 0), ("-0us", 0),
      ("'3s'", 3_000_000_000), ("292y", nil), ("9223372036s", 9_223_372_036_000_000_000),
    ] as [(String, UInt64?)])
  func duration(text: String, nanoseconds: UInt64?) throws {
    let value = try value(text)
    #expect((try? value.duration())?.nanoseconds == nanoseconds)
  }

  @Test(
    "a size is decimal without an i and binary with one",
    arguments: [
      ("512B", 512), ("100KB", 100_000), ("100kB", 100_000), ("1MB", 1_000_000),
      ("25MB", 25_000_000), ("1GB", 1_000_000_000), ("1.5 TB", 1_500_000_000_000),
      ("5MiB", 5_242_880), ("1KiB", 1024), ("2GiB", 2_147_483_648), ("0B", 0), ("1Kb", nil),
      ("8", nil), ("0.2B", nil), ("9e18B", 9_000_000_000_000_000_000), ("1e19B", nil),
    ] as [(String, UInt64?)])
  func size(text: String, bytes: UInt64?) throws {
    let value = try value(text)
    #expect((try? value.size())?.bytes == bytes)
  }

  @Test(
    "a bandwidth is in bits or bytes per second",
    arguments: [
      ("25Gbps", 3.125e9), ("11.4Gbps", 1.425e9), ("1.42GB/s", 1.42e9), ("8bps", 1),
      ("1MiB/s", 1_048_576), ("unlimited", .infinity), ("100 Mbit/s", 12.5e6), ("0Gbps", nil),
      ("25", nil), ("25Gb", nil), ("1e999Gbps", nil),
    ] as [(String, Double?)])
  func bandwidth(text: String, rate: Double?) throws {
    let value = try value(text)
    let read = (try? value.bandwidth())?.bytesPerSecond
    if let rate, rate.isFinite {
      #expect(abs((read ?? 0) - rate) <= rate * 1e-12)
    } else {
      #expect(read == rate)
    }
  }

  @Test(
    "a whole number may have underscores or an exponent, but no fraction, quotes or unit",
    arguments: [
      ("10", 10), ("-3", -3), ("+3", 3), ("1_000_000", 1_000_000), ("1e6", 1_000_000), ("2.0", 2),
      ("007", 7), ("9223372036854775807", Int.max), ("9223372036854775808", nil), ("1.5", nil),
      ("'10'", nil), ("10ms", nil), ("ten", nil), ("0x10", nil), ("1e400", nil), ("", nil),
      ("1__0", nil), ("_1", nil), ("-", nil), ("1.", nil), ("nan", nil), ("[1]", nil),
    ] as [(String, Int?)])
  func int(text: String, number: Int?) throws {
    let value = try? value(text)
    #expect((try? value?.int()) == number)
  }

  @Test(
    "a number is finite and decimal",
    arguments: [
      ("0.5", 0.5), ("-2", -2), ("1e-3", 0.001), (".25", 0.25), ("inf", nil), ("nan", nil),
      ("1e999", nil), ("0x1p3", nil), ("'0.5'", nil), ("1/2", nil),
    ] as [(String, Double?)])
  func double(text: String, number: Double?) throws {
    let value = try value(text)
    #expect((try? value.double()) == number)
  }

  @Test(
    "a distribution of durations is in seconds, by place or by name",
    arguments: [
      ("100ms", .constant(0.1)), ("57.5us", .constant(5.75e-5)), ("constant(1s)", .constant(1)),
      ("uniform(10ms, 1s)", .uniform(low: 0.01, high: 1)),
      ("\"exponential(mean: 5ms)\"", .exponential(mean: 0.005)),
      ("exponential(mean=5ms)", .exponential(mean: 0.005)),
      ("normal(1s,100ms)", .normal(mean: 1, deviation: 0.1)),
      ("lognormal(sigma = 0.5, median = 2s)", .logNormal(median: 2, sigma: 0.5)),
      ("gamma(2, 10ms)", .gamma(shape: 2, mean: 0.01)),
      ("pareto(1ms, alpha=1.5)", .pareto(minimum: 0.001, alpha: 1.5)),
      ("bimodal(0.9, 10ms, 1s)", .bimodal(share: 0.9, first: 0.01, second: 1)),
      ("sample(1ms, 2ms, 1min)", .sample([0.001, 0.002, 60])),
    ] as [(String, Distribution)])
  func durations(text: String, expected: Distribution) throws {
    #expect(try value(text).distribution(of: .duration) == expected)
  }

  @Test("a distribution of sizes is in bytes, one of numbers has no unit")
  func otherKinds() throws {
    #expect(
      try value("uniform(1KB, 1MiB)").distribution(of: .size)
        == .uniform(low: 1000, high: 1_048_576))
    #expect(try value("uniform(1, 10)").distribution(of: .number) == .uniform(low: 1, high: 10))
    #expect(try value("1000").distribution(of: .number) == .constant(1000))
  }

  @Test(
    "a bad quantity says what was found, what was expected and what to do",
    arguments: [
      (
        "30",
        "'v' is '30'; expected a duration with a unit, such as 57.5us, 100ms or 2min, or a "
          + "distribution such as uniform(10ms, 1s); a unit is needed: write 30us, 30ms or 30s"
      ),
      (
        "uniform(10ms, 1)",
        "'v' holds '1'; expected a duration with a unit, such as 57.5us, 100ms or 2min; a unit is "
          + "needed: write 1us, 1ms or 1s"
      ),
      (
        "uniform(1s, 10ms)",
        "'v' is 'uniform(1s, 10ms)': low (1s) exceeds high (10ms); expected uniform(low, high); "
          + "swap them"
      ),
      ("unifrom(1s, 2s)", "unknown distribution 'unifrom' in 'v'; did you mean 'uniform'?"),
      (
        "exponential()",
        "'v' is 'exponential()': 'mean' is missing; expected exponential(mean)"
      ),
      (
        "exponential(1s, 2s)",
        "'v' is 'exponential(1s, 2s)': too many arguments; expected exponential(mean)"
      ),
      (
        "exponential(maen=1s)",
        "unknown parameter 'maen' in 'exponential'; did you mean 'mean'?"
      ),
      (
        "uniform(low=1s, 2s, low=3s)",
        "'v' is 'uniform(low=1s, 2s, low=3s)': 'low' is given twice; expected uniform(low, high)"
      ),
      (
        "uniform(1s,, 2s)",
        "'v' is 'uniform(1s,, 2s)': an argument is empty; expected uniform(low, high)"
      ),
      (
        "bimodal(1.5, 1s, 2s)",
        "'v' is 'bimodal(1.5, 1s, 2s)': share must be at most 1, got 1.5; expected "
          + "bimodal(share, first, second)"
      ),
      (
        "gamma(0, 1s)",
        "'v' is 'gamma(0, 1s)': shape must be positive, got 0.0; expected gamma(shape, mean)"
      ),
      (
        "sample()",
        "'v' is 'sample()': a sample needs at least one value; expected sample(value, …)"
      ),
    ])
  func badDistribution(text: String, expected: String) throws {
    let value = try value(text)
    #expect(
      message { () throws(WorkloadError) in _ = try value.distribution(of: .duration) }
        == "w.yaml:1:4: " + expected)
  }

  @Test("a bare, negative, huge or tiny duration is refused with a hint")
  func badDurations() throws {
    func text(_ yaml: String) throws -> String? {
      let value = try value(yaml)
      return message { () throws(WorkloadError) in _ = try value.duration() }
    }
    let expected = "expected a duration with a unit, such as 57.5us, 100ms or 2min"
    #expect(
      try text("30")
        == "w.yaml:1:4: 'v' is '30'; \(expected); a unit is needed: write 30us, 30ms or 30s")
    #expect(
      try text("-3ms") == "w.yaml:1:4: 'v' is '-3ms'; \(expected); it cannot be negative")
    #expect(
      try text("3 weeks")
        == "w.yaml:1:4: 'v' is '3 weeks'; \(expected); unknown unit 'weeks'; "
        + "units: ns us µs ms s min h")
    #expect(try text("9e99s") == "w.yaml:1:4: 'v' is '9e99s'; expected at most 292 years")
    #expect(
      try text("0.1ns")
        == "w.yaml:1:4: 'v' is '0.1ns'; expected 0ns, or at least the resolution of 1ns")
    #expect(try text("[1s]") == "w.yaml:1:4: 'v' is a list; \(expected)")
    #expect(try text("soon") == "w.yaml:1:4: 'v' is 'soon'; \(expected)")
  }
}
