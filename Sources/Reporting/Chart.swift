import Measurement

/// A line chart of several series with error bars, drawn as SVG by `svg`.
public struct Chart: Sendable, Hashable {
  public enum Scale: Sendable, Hashable {
    case linear
    /// Logarithmic with decimal ticks. A scale with a value that is not positive is drawn linear.
    case log10
    /// Logarithmic with powers of two as ticks.
    case log2
    /// For x = 1 / (1 − p): logarithmic, labelled with the percentile 100 · p.
    case percentile
  }

  public struct Axis: Sendable, Hashable {
    public var label: String
    public var unit: String
    public var scale: Scale
    public init(_ label: String, unit: String = "", scale: Scale = .linear) {
      self.label = label
      self.unit = unit
      self.scale = scale
    }
  }

  public struct Point: Sendable, Hashable {
    public var x: Double
    public var y: Double
    /// The ends of the error bar.
    public var low: Double?
    public var high: Double?
    public init(x: Double, y: Double, low: Double? = nil, high: Double? = nil) {
      self.x = x
      self.y = y
      self.low = low
      self.high = high
    }
  }

  public struct Series: Sendable, Hashable {
    public var name: String
    public var points: [Point]
    /// Drawn dashed with hollow markers.
    public var isPublished: Bool
    /// Which colour and marker; a published series shares those of ours that it belongs to.
    public var style: Int
    /// Whether each point has a marker.
    public var hasMarkers: Bool

    public init(
      _ name: String, points: [Point], isPublished: Bool = false, style: Int,
      hasMarkers: Bool = true
    ) {
      self.name = name
      self.points = points
      self.isPublished = isPublished
      self.style = style
      self.hasMarkers = hasMarkers
    }
  }

  public var title: String
  public var subtitle: String
  public var xAxis: Axis
  public var yAxis: Axis
  public var series: [Series]
  /// Names for x = 0, 1, 2, …; empty when x is a number.
  public var categories: [String]
  /// In pixels, unless it is shown at another size.
  public var width: Double
  public var height: Double

  /// Points that are not finite are left out when the chart is drawn.
  public init(
    title: String, subtitle: String = "", xAxis: Axis, yAxis: Axis, series: [Series],
    categories: [String] = [], width: Double = 720, height: Double = 420
  ) {
    self.title = title
    self.subtitle = subtitle
    self.xAxis = xAxis
    self.yAxis = yAxis
    self.series = series
    self.categories = categories
    self.width = width
    self.height = height
  }

  /// The distribution of latencies: percentiles up to the last that the count supports, on an axis
  /// where each further nine is as wide as the one before.
  public static func percentiles(
    title: String, subtitle: String = "", _ recorders: [(name: String, recorder: LatencyRecorder)]
  ) -> Chart {
    var values: [Double] = []
    let series = recorders.enumerated().map { index, entry in
      let count = Double(entry.recorder.count)
      let points = entry.recorder.distribution(ticksPerHalving: 10).map { step in
        // The maximum has no finite place on this axis; it stands where one value in n exceeds it.
        Point(x: step.fraction < 1 ? 1 / (1 - step.fraction) : count, y: step.latency.seconds)
      }.filter { $0.x <= count }
      values += points.map(\.y)
      return Series(entry.name, points: points, style: index, hasMarkers: false)
    }
    return Chart(
      title: title, subtitle: subtitle, xAxis: Axis("percentile", scale: .percentile),
      yAxis: Axis("latency", unit: "s", scale: Chart.scale(for: values)), series: series)
  }

  /// Logarithmic when all values are positive and span more than the given factor.
  static func scale(for values: [Double], beyond factor: Double = 20) -> Scale {
    guard let low = values.min(), let high = values.max(), low > 0, high / low > factor else {
      return .linear
    }
    return .log10
  }

  /// Logarithmic with base two for powers of two, with base ten beyond a factor of fifty.
  static func horizontalScale(for values: [Double]) -> Scale {
    guard let low = values.min(), let high = values.max(), low > 0 else { return .linear }
    let powers = values.allSatisfy { $0.significand == 1 }
    if powers && high / low >= 8 { return .log2 }
    return high / low > 50 ? .log10 : .linear
  }
}
