import Benchmark
import CAllocationCounter
import Foundation

extension BenchmarkMetric {
  /// Heap allocations of the measured work, counted by the library itself: the same on every
  /// machine with the same toolchain and C library.
  public static let allocations = BenchmarkMetric.custom("Allocations", useScalingFactor: false)

  /// How much work a second of this thread's processor time does: other processes do not count.
  public static func rate(of thing: String) -> BenchmarkMetric {
    .custom("\(thing) per second", polarity: .prefersLarger, useScalingFactor: false)
  }

  public static let bytesPerTask = BenchmarkMetric.custom("Bytes per task", useScalingFactor: false)
  public static let bytesPerWorker = BenchmarkMetric.custom(
    "Bytes per worker", useScalingFactor: false)
}

extension BenchmarkThresholds {
  /// How far the machine-independent figures may lie from those in the folder Thresholds, in
  /// percent. Rates are compared with a baseline of the same machine instead.
  public static func tolerances(
    for metrics: [BenchmarkMetric] = [.allocations]
  ) -> [BenchmarkMetric: BenchmarkThresholds] {
    Dictionary(
      uniqueKeysWithValues: metrics.map { ($0, BenchmarkThresholds(relative: [.p90: 5])) })
  }
}

/// Seconds of processor time that the calling thread has used.
private func threadSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

extension Benchmark {
  /// Counts the allocations of `body` and reports them.
  public func countAllocations(_ body: () -> Void) {
    heliostat_allocations_start()
    body()
    let count = heliostat_allocations_stop()
    // Where nothing counts, nothing is reported: a 0 would pass every threshold.
    if heliostat_allocations_available() != 0 { measurement(.allocations, Int(count)) }
  }

  /// Measures work that does `count` of `thing`, five times after once unmeasured.
  @discardableResult
  public static func rate(
    _ name: String, of thing: String, _ count: Int, _ body: @escaping () -> Void
  ) -> Benchmark? {
    let rate = BenchmarkMetric.rate(of: thing)
    return Benchmark(
      name,
      configuration: Configuration(
        metrics: [rate, .allocations, .cpuTotal, .wallClock, .peakMemoryResident],
        warmupIterations: 1, maxDuration: .seconds(120), maxIterations: 5,
        thresholds: BenchmarkThresholds.tolerances())
    ) { benchmark in
      let start = threadSeconds()
      benchmark.countAllocations(body)
      benchmark.measurement(rate, Int(Double(count) / (threadSeconds() - start)))
    }
  }
}
