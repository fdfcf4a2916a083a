import Measurement
import Primitives
import Testing

@Suite struct LatencyRecorderTests {
  @Test("percentiles are within three digits of those of the sorted samples")
  func percentilesAgainstSorting() {
    var random = RandomStream(seed: 11, stream: 0)
    var recorder = LatencyRecorder()
    var samples: [UInt64] = []
    for _ in 0..<20_000 {
      // Spread evenly over nine decades, where buckets of every size are hit.
      let scale = UInt64(1) << random.below(36)
      let sample = 1 + random.below(scale)
      samples.append(sample)
      recorder.record(.nanoseconds(sample))
    }
    samples.sort()
    // In hundredths of a percent, so that the rank is computed without rounding.
    for level in [1, 100, 2500, 5000, 7500, 9000, 9900, 9990, 9999, 10000] {
      let rank = (level * samples.count + 9999) / 10000
      let exact = Double(samples[rank - 1])
      let found = Double(recorder.percentile(Double(level) / 100).nanoseconds)
      #expect(found >= exact && found <= exact * 1.001 + 1, "level \(level): \(found), \(exact)")
    }
    #expect(recorder.max.nanoseconds == samples.last)
    #expect(recorder.count == 20_000)
    let mean = Double(samples.reduce(0, +)) / 20_000
    #expect(abs(Double(recorder.mean.nanoseconds) - mean) < 0.001 * mean + 1)
  }

  @Test("an empty recorder has zeros and an empty distribution")
  func empty() {
    let recorder = LatencyRecorder()
    #expect(recorder.isEmpty)
    #expect(recorder.max == .zero && recorder.min == .zero && recorder.mean == .zero)
    #expect(recorder.percentile(99) == .zero)
    #expect(recorder.distribution().isEmpty)
    #expect(recorder.hgrm.contains("Total count    =            0]"))
  }

  @Test("a stall is counted once per request that it delayed")
  func coordinatedOmission() {
    var recorder = LatencyRecorder()
    recorder.record(.milliseconds(100), expectedInterval: .milliseconds(10))
    // 100, 90, …, 10 ms
    #expect(recorder.count == 10)
    #expect(abs(recorder.mean.seconds - 0.055) < 0.0001)
    #expect(recorder.max == .milliseconds(100))

    var prompt = LatencyRecorder()
    prompt.record(.milliseconds(9), expectedInterval: .milliseconds(10))
    prompt.record(.milliseconds(9), expectedInterval: .zero)
    #expect(prompt.count == 2)
  }

  @Test("merging equals recording everything in one")
  func merging() {
    var random = RandomStream(seed: 5, stream: 2)
    var parts = [LatencyRecorder(), LatencyRecorder(), LatencyRecorder()]
    var whole = LatencyRecorder()
    for index in 0..<3000 {
      let latency = TimeSpan.nanoseconds(random.below(UInt64(10) << UInt64(index % 30)))
      parts[index % 3].record(latency)
      whole.record(latency)
    }
    var merged = LatencyRecorder()
    for part in parts { merged.merge(part) }
    #expect(merged == whole)
    #expect(merged.hgrm == whole.hgrm)
  }

  @Test("latencies of zero and of centuries are recorded, not dropped")
  func extremes() {
    var recorder = LatencyRecorder()
    recorder.record(.zero)
    recorder.record(TimeSpan(nanoseconds: .max))
    recorder.record(.seconds(3600 * 5))
    #expect(recorder.count == 3)
    #expect(recorder.min == .zero)
    #expect(recorder.max.nanoseconds == 1 << 62)
  }

  @Test("the distribution rises to the maximum at fraction one")
  func distribution() {
    var recorder = LatencyRecorder()
    for index in 1...1000 { recorder.record(.microseconds(UInt64(index))) }
    let steps = recorder.distribution()
    for (a, b) in zip(steps, steps.dropFirst()) {
      #expect(a.fraction <= b.fraction && a.latency <= b.latency)
    }
    #expect(steps.last == .init(fraction: 1, latency: .milliseconds(1)))
  }

  @Test("the hgrm text is HdrHistogram's, in microseconds")
  func hgrm() {
    var recorder = LatencyRecorder()
    for latency: UInt64 in [1, 2, 3, 4] { recorder.record(.microseconds(latency)) }
    #expect(recorder.hgrm == golden)
  }

  // Checked by hand against the format's definition: values are the upper ends of their buckets (1 ns wide up
  // to 2048 ns, 2 ns beyond), the levels halve the distance to 1 in five steps each.
  private let golden = """
           Value     Percentile TotalCount 1/(1-Percentile)

           1.000 0.000000000000          1           1.00
           1.000 0.100000000000          1           1.11
           1.000 0.200000000000          1           1.25
           2.000 0.300000000000          2           1.43
           2.000 0.400000000000          2           1.67
           2.000 0.500000000000          2           2.00
           3.001 0.550000000000          3           2.22
           3.001 0.600000000000          3           2.50
           3.001 0.650000000000          3           2.86
           3.001 0.700000000000          3           3.33
           3.001 0.750000000000          3           4.00
           4.001 0.775000000000          4           4.44
           4.001 1.000000000000          4
    #[Mean    =        2.501, StdDeviation   =        1.118]
    #[Max     =        4.001, Total count    =            4]
    #[Buckets =            2, SubBuckets     =         2048]

    """
}
