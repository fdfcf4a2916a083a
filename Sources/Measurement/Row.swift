/// Where a number comes from: made here, or published and how it was read there.
public enum Origin: String, CaseIterable, Codable, Sendable, Hashable {
  /// By the simulated world of this program.
  case simulated
  /// By the real world of this program.
  case real
  /// Printed in a publication's text.
  case text
  /// Printed in a publication's table.
  case table
  /// Read off a publication's plot.
  case plot
  /// Told by another source about the publication.
  case secondary
  /// Remembered without a source at hand.
  case memory

  /// True for numbers that somebody else published.
  public var isPublished: Bool { self != .simulated && self != .real }

  /// Which published number to prefer where several are given; smaller is better.
  public var preference: Int { Self.allCases.firstIndex(of: self) ?? Self.allCases.count }
}

/// One number with everything needed to read it alone: the tidy row of every `rows.csv`.
public struct Row: Sendable, Hashable, Codable {
  /// The experiment, as the published tables call it: `Fig8a`, `Table4`, or the workload's name.
  public var experiment: String
  public var series: String
  /// What varies, and its value: numeric (`256`, `100KB`) or a word (`512x64`).
  public var xName: String
  public var x: String
  /// What is measured. The value is nil where the run had no result ("did not complete").
  public var yName: String
  public var y: Double?
  /// The ends of the interval around y: of confidence, or of the spread over seeds.
  public var yLow: Double?
  public var yHigh: Double?
  public var unit: String
  public var origin: Origin
  public var world: String
  public var architecture: String
  public var policies: String
  public var network: String
  /// The seeds that y is taken over, as text: `1-20`, `7`.
  public var seeds: String

  public init(
    experiment: String, series: String, xName: String = "", x: String = "", yName: String,
    y: Double?, yLow: Double? = nil, yHigh: Double? = nil, unit: String, origin: Origin,
    world: String = "", architecture: String = "", policies: String = "", network: String = "",
    seeds: String = ""
  ) {
    self.experiment = experiment
    self.series = series
    self.xName = xName
    self.x = x
    self.yName = yName
    self.y = y
    self.yLow = yLow
    self.yHigh = yHigh
    self.unit = unit
    self.origin = origin
    self.world = world
    self.architecture = architecture
    self.policies = policies
    self.network = network
    self.seeds = seeds
  }

  /// A row over one value per seed: their mean, with the 95 % confidence interval of it.
  public init(
    experiment: String, series: String, xName: String = "", x: String = "", yName: String,
    samples: Summary, unit: String, origin: Origin, world: String = "",
    architecture: String = "", policies: String = "", network: String = "", seeds: String = ""
  ) {
    let interval = samples.confidenceInterval()
    self.init(
      experiment: experiment, series: series, xName: xName, x: x, yName: yName, y: samples.mean,
      yLow: interval?.lowerBound, yHigh: interval?.upperBound, unit: unit, origin: origin,
      world: world, architecture: architecture, policies: policies, network: network, seeds: seeds)
  }

  /// The names of the columns of `rows.csv`, in order.
  public static let columnNames = [
    "experiment", "series", "x_name", "x", "y_name", "y", "y_lo", "y_hi", "unit", "origin",
    "world", "architecture", "policies", "network", "seeds",
  ]

  /// The number that `x` stands for; nil for words.
  public var numericX: Double? { Row.number(x) }

  /// The number that a text stands for: plain (`256`, `1e6`), a size in bytes with decimal units
  /// (`100KB` is 100 000), or a time in seconds (`5ms` is 0.005); nil for anything else.
  public static func number(_ text: String) -> Double? {
    if let plain = Double(text) { return plain.isFinite ? plain : nil }
    for (suffix, factor) in suffixes where text.hasSuffix(suffix) {
      var digits = text.dropLast(suffix.count)
      if digits.last == " " { digits = digits.dropLast() }
      if let last = digits.last, last.isNumber, let value = Double(digits), value.isFinite {
        return value * factor
      }
    }
    return nil
  }

  private static let suffixes: [(String, Double)] = [
    ("KB", 1e3), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("B", 1),
    ("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("min", 60), ("s", 1),
  ]
}
