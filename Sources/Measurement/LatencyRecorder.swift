import Histogram
import Primitives

/// Latencies in a High Dynamic Range histogram (G. Tene, http://hdrhistogram.org): every value from
/// 1 ns up is kept to three significant digits, in constant memory, and recorders merge exactly.
///
/// Recording costs a few nanoseconds; percentiles walk the whole histogram, so ask for them at the
/// end. The store grows with the largest value (16 kB at first, about 270 kB at one hour).
public struct LatencyRecorder: Sendable, Equatable {
  @usableFromInline var histogram: Histogram<UInt64>

  /// Longer latencies are recorded as this one (about 146 years): the end of the histogram's range.
  @usableFromInline static var longest: UInt64 { 1 << 62 }

  public init() {
    histogram = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
  }

  @inlinable public mutating func record(_ latency: TimeSpan) {
    histogram.record(Swift.min(latency.nanoseconds, Self.longest))
  }

  /// Records `latency` as seen by a client that meant to ask every `expectedInterval`.
  ///
  /// A closed-loop client that waits for a slow answer does not send the requests that would have
  /// been slow too ("coordinated omission", G. Tene). This adds them: `latency − interval`,
  /// `latency − 2 · interval`, … down to the interval. It costs `latency / expectedInterval` steps;
  /// a zero interval adds nothing.
  @inlinable public mutating func record(_ latency: TimeSpan, expectedInterval: TimeSpan) {
    histogram.recordCorrectedValue(
      Swift.min(latency.nanoseconds, Self.longest),
      expectedInterval: expectedInterval.nanoseconds)
  }

  /// Adds everything that `other` holds, as though it had been recorded here.
  public mutating func merge(_ other: LatencyRecorder) { histogram.add(other.histogram) }

  public var count: UInt64 { histogram.totalCount }
  public var isEmpty: Bool { count == 0 }

  /// The mean, of values rounded to three digits; zero when empty.
  public var mean: TimeSpan { TimeSpan(nanoseconds: UInt64(histogram.mean.rounded())) }

  /// The population's standard deviation; zero when empty.
  public var standardDeviation: TimeSpan {
    TimeSpan(nanoseconds: UInt64(histogram.stdDeviation.rounded()))
  }

  /// The largest recorded value, exact; zero when empty.
  public var max: TimeSpan { TimeSpan(nanoseconds: histogram.maxRecorded) }

  /// The smallest recorded value, within three digits; zero when empty.
  public var min: TimeSpan {
    isEmpty ? .zero : TimeSpan(nanoseconds: Swift.min(histogram.min, histogram.maxRecorded))
  }

  /// The value that `percent` of the recorded values do not exceed, within three digits; zero when
  /// empty.
  /// - Parameter percent: from 0 to 100.
  public func percentile(_ percent: Double) -> TimeSpan {
    precondition(percent >= 0 && percent <= 100, "a percentile is from 0 to 100, got \(percent)")
    return isEmpty ? .zero : TimeSpan(nanoseconds: histogram.valueAtPercentile(percent))
  }

  /// One step of the distribution: `fraction` of all values are at most `latency`.
  public struct Quantile: Sendable, Equatable {
    public var fraction: Double
    public var latency: TimeSpan
    public init(fraction: Double, latency: TimeSpan) {
      self.fraction = fraction
      self.latency = latency
    }
  }

  /// The distribution in steps that halve the distance to 1, `ticksPerHalving` for each half: the
  /// points of a percentile chart. The last one has fraction 1 and is the maximum.
  public func distribution(ticksPerHalving: Int = 5) -> [Quantile] {
    if isEmpty { return [] }
    return histogram.percentiles(ticksPerHalfDistance: ticksPerHalving).map { step in
      Quantile(
        fraction: step.percentileLevelIteratedTo / 100,
        latency: TimeSpan(nanoseconds: Swift.min(step.value, histogram.maxRecorded)))
    }
  }

  /// The distribution as an `.hgrm` file: HdrHistogram's own text form, in microseconds, as its
  /// plotters read it.
  public var hgrm: String {
    var text = ""
    histogram.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1000)
    return text
  }
}
