import Heliostat
import Measurement
import Primitives
import RealWorld

extension RealBench {
  /// A node in this process whose two workers are processes, against one whose workers are threads.
  func workers(_ report: Report) async throws {
    let functions = BenchFunctions()
    let count = scaled(300_000, least: Self.batch / 10)
    let oneByOne = scaled(5000, least: 50)
    @Sendable func measure(_ ray: Session) async throws -> [String: Double] {
      _ = try await Self.taskRate(ray, functions.noop, count: min(count, 20_000))
      return try await medians {
        let latencies = try await Self.taskLatencies(ray, functions.noop, count: oneByOne)
        return [
          "rate": try await Self.taskRate(ray, functions.noop, count: count),
          "p50": latencies.percentile(50).seconds, "p99": latencies.percentile(99).seconds,
        ]
      }
    }
    let threads = try await inProcess(functions, measure)
    let processes = try await inProcess(
      functions,
      workers: .processes(
        WorkerLaunch(executable: nodeCommand[0], arguments: Array(nodeCommand.dropFirst()))),
      measure)
    let meaning = "the same with workers that are threads"
    report(
      BenchmarkResult(
        name: "tasks.worker_processes", value: processes["rate"] ?? .nan, unit: "tasks/s",
        limit: threads["rate"], limitMeaning: meaning))
    for quantile in ["p50", "p99"] {
      report(
        BenchmarkResult(
          name: "latency.worker_processes_\(quantile)", value: processes[quantile] ?? .nan,
          unit: "s", limit: threads[quantile], limitMeaning: meaning))
    }
  }
}
