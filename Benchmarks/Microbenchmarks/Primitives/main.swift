@preconcurrency import Benchmark

for (name, percentile) in [("ns/op", 50), ("p10", 10), ("p90", 90)] {
  BenchmarkColumn.register(nanoseconds(name, percentile: percentile))
}
Benchmark.main(
  [tables(), queues(), draws()],
  customDefaults: defaultSettings + [
    WarmupIterations(100), MinTime(seconds: 0.5),
    Columns(["name", "ns/op", "p10", "p90", "iterations"]),
  ])
