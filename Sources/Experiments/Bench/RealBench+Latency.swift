import Glibc
import Heliostat
import Measurement
import Primitives
import RealWorld

extension RealBench {
  /// One task at a time: from `submit` until `get` has its result.
  @Sendable static func taskLatencies(
    _ ray: Session, _ noop: RemoteFunction<Void>, count: Int
  ) async throws -> LatencyRecorder {
    var latencies = LatencyRecorder()
    for _ in 0..<count {
      let start = MonotonicClock.now
      let ref = ray.submit(noop)
      try await ray.get(ref)
      latencies.record(MonotonicClock.now.since(start))
      ray.free([ref])
    }
    return latencies
  }

  /// Tasks at the times of a schedule, `interval` apart, whatever the answers do. The latency
  /// counts from the time that the schedule says, so a driver that is late hides nothing
  /// (coordinated omission).
  @Sendable static func openLoopLatencies(
    _ ray: Session, _ noop: RemoteFunction<Void>, count: Int, interval: TimeSpan
  ) async throws -> LatencyRecorder {
    var latencies = LatencyRecorder()
    var waiting: [ObjectRef<Void>] = []
    let step = max(1, interval.nanoseconds)
    let start = MonotonicClock.nanoseconds
    var submitted = 0
    var ended = 0
    while ended < count {
      let due = min(count, Int((MonotonicClock.nanoseconds - start) / step) + 1)
      while submitted < due {
        waiting.append(ray.submit(noop))
        submitted += 1
      }
      if waiting.isEmpty {
        // Too short for a timer.
        while MonotonicClock.nanoseconds < start + UInt64(submitted) * step {}
        continue
      }
      try await ray.get(waiting)
      let now = MonotonicClock.nanoseconds
      for _ in waiting {
        latencies.record(TimeSpan(nanoseconds: now - (start + UInt64(ended) * step)))
        ended += 1
      }
      ray.free(waiting)
      waiting.removeAll(keepingCapacity: true)
    }
    return latencies
  }

  private static func quantiles(_ latencies: LatencyRecorder) -> [String: Double] {
    [
      "p50": latencies.percentile(50).seconds, "p99": latencies.percentile(99).seconds,
    ]
  }

  func latency(_ report: Report) async throws {
    let functions = BenchFunctions()
    let count = scaled(20_000, least: 50)
    let warm = min(count, 2000)
    @Sendable func measure(_ ray: Session) async throws -> [String: Double] {
      _ = try await Self.taskLatencies(ray, functions.noop, count: warm)
      return try await medians {
        Self.quantiles(try await Self.taskLatencies(ray, functions.noop, count: count))
      }
    }
    func show(_ name: String, _ values: [String: Double], _ limit: Double?, _ meaning: String) {
      for quantile in ["p50", "p99"] {
        report(
          BenchmarkResult(
            name: "latency.\(name)_\(quantile)", value: values[quantile] ?? .nan, unit: "s",
            limit: limit, limitMeaning: meaning))
      }
    }
    let inProcess = try await inProcess(functions, measure)
    let condition = await median { RawLimits.conditionPingPong(rounds: scaled(10_000, least: 50)) }
    show("in_process", inProcess, condition, "p50 of a mutex-and-condition ping-pong")
    let two = try await withNodes([BenchNode.Options(store: BenchNode.Options.smallStore)]) {
      nodes in
      try await connected(to: nodes[0], functions, measure)
    }
    let socket = try await median {
      try RawLimits.socketPingPong(rounds: scaled(10_000, least: 50))
    }
    show("two_processes", two, socket, "p50 of a blocking TCP ping-pong of 64 bytes")

    let tasks = scaled(500_000, least: 200)
    let open = try await self.inProcess(functions) { ray in
      let rate = try await median { try await Self.taskRate(ray, functions.noop, count: tasks) }
      let interval = TimeSpan(nanoseconds: UInt64(max(1, 1e9 / (0.2 * rate))))
      var values = try await medians {
        Self.quantiles(
          try await Self.openLoopLatencies(
            ray, functions.noop, count: tasks, interval: interval))
      }
      values["rate"] = 0.2 * rate
      return values
    }
    show(
      "open_loop", open, nil,
      "in process at \(Int((open["rate"] ?? 0) / 1000)) k tasks/s, a fifth of the rate in batches")
  }
}
