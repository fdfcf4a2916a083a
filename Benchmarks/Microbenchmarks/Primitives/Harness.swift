@preconcurrency import Benchmark

/// Operations in one timed iteration: enough that reading the clock does not count.
let operations = 1000

/// A benchmark's state between iterations.
final class State<Value: ~Copyable> {
  var value: Value
  init(_ value: consuming Value) { self.value = value }
}

/// Makes the compiler believe that `value` is used.
@inline(never) @_optimize(none)
func consume<Value>(_ value: Value) {}

extension BenchmarkSuite {
  /// Times `body`, which does `operations` operations on the state and returns a checksum.
  func measure<Value: ~Copyable>(
    _ name: String, _ initial: consuming Value, _ body: @escaping (inout Value) -> UInt64
  ) {
    let state = State(initial)
    benchmark(name) { consume(body(&state.value)) }
  }
}

/// A percentile of the iterations' times, for each operation. The standard deviation would say how
/// often the machine did something else.
func nanoseconds(_ name: String, percentile: Int) -> BenchmarkColumn {
  BenchmarkColumn(
    name: name,
    value: { result in
      let sorted = result.measurements.sorted()
      return sorted[(sorted.count - 1) * percentile / 100] / Double(operations)
    })
}
