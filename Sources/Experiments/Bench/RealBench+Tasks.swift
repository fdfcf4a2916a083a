import Heliostat
import Measurement
import Primitives
import RealWorld

extension RealBench {
  /// Submits `count` calls that do nothing and gets all results, the next batch before the last
  /// one's; the rate.
  @Sendable public static func taskRate(
    _ ray: Session, _ noop: RemoteFunction<Void>, count: Int, batch: Int = RealBench.batch
  ) async throws -> Double {
    var previous: [ObjectRef<Void>] = []
    var present: [ObjectRef<Void>] = []
    present.reserveCapacity(batch)
    previous.reserveCapacity(batch)
    let start = MonotonicClock.nanoseconds
    var left = count
    while left > 0 {
      let size = min(batch, left)
      left -= size
      for _ in 0..<size { present.append(ray.submit(noop)) }
      try await ray.get(previous)
      ray.free(previous)
      swap(&previous, &present)
      present.removeAll(keepingCapacity: true)
    }
    try await ray.get(previous)
    ray.free(previous)
    return Double(count) / seconds(since: start)
  }

  func ringLimit() async -> Double {
    await median { RawLimits.ringRate(records: scaled(10_000_000, least: 1000)) }
  }
  static func ringMeaning(_ batch: Int = batch) -> String {
    "records through the same kind of ring between two threads; batches of \(batch)"
  }

  func frameLimit(length: Int) async throws -> Double {
    try await median {
      let link = try await LinkLimits(echoes: false)
      do {
        let count = scaled(128_000_000 / length, least: 1000)
        let rate = try await link.frameRate(frames: count, length: length)
        await link.close()
        return rate
      } catch {
        await link.close()
        throw error
      }
    }
  }
  static var frameMeaning: String { "64-byte frames one way over NIO; batches of \(batch)" }

  func tasks(_ report: Report) async throws {
    let count = scaled(1_000_000, least: Self.batch / 10)
    let warm = min(count, 20_000)
    let functions = BenchFunctions()
    let inProcess = try await inProcess(functions) { ray in
      _ = try await Self.taskRate(ray, functions.noop, count: warm)
      return try await median {
        try await Self.taskRate(ray, functions.noop, count: count, batch: Self.largeBatch)
      }
    }
    report(
      BenchmarkResult(
        name: "tasks.in_process", value: inProcess, unit: "tasks/s",
        limit: await ringLimit(), limitMeaning: Self.ringMeaning(Self.largeBatch)))

    let two = try await withNodes([BenchNode.Options(store: BenchNode.Options.smallStore)]) {
      nodes in
      try await connected(to: nodes[0], functions) { ray in
        _ = try await Self.taskRate(ray, functions.noop, count: warm)
        return try await medians {
          try await Self.perCore(nodes) {
            try await Self.taskRate(ray, functions.noop, count: count)
          }
        }
      }
    }
    let frames = try await frameLimit(length: 64)
    report(
      BenchmarkResult(
        name: "tasks.two_processes", value: two["rate"] ?? .nan, unit: "tasks/s", limit: frames,
        limitMeaning: Self.frameMeaning))
    let perCore = two["per core"] ?? .nan
    report(
      BenchmarkResult(
        name: "tasks.two_processes_per_core", value: perCore, unit: "tasks/s", limit: frames,
        limitMeaning: "\(Self.frameMeaning); per second of processor time of all processes"))
    try await twoNodes(functions, count, warm, perCore, report)
  }

  /// A driver on each of two nodes, both at once; as many workers in all as on the single node.
  private func twoNodes(
    _ functions: BenchFunctions, _ count: Int, _ warm: Int, _ single: Double, _ report: Report
  ) async throws {
    let options = BenchNode.Options(cpus: 1, store: BenchNode.Options.smallStore)
    let both = try await withNodes([options, options]) { nodes in
      let first = try await connect(to: nodes[0], functions)
      let second = try await connect(to: nodes[1], functions)
      @Sendable func half(_ cluster: Cluster, _ count: Int) async throws -> Double {
        try await cluster.run { try await Self.taskRate($0, functions.noop, count: count) }
      }
      func pair(_ count: Int) async throws -> Double {
        let start = MonotonicClock.nanoseconds
        async let one = half(first, count / 2)
        async let other = half(second, count / 2)
        _ = try await (one, other)
        return Double(count) / Self.seconds(since: start)
      }
      _ = try await pair(warm)
      let result = try await medians { try await Self.perCore(nodes) { try await pair(count) } }
      await first.stop()
      await second.stop()
      return result
    }
    report(
      BenchmarkResult(name: "tasks.two_nodes", value: both["rate"] ?? .nan, unit: "tasks/s"))
    report(
      BenchmarkResult(
        name: "tasks.two_nodes_per_core", value: both["per core"] ?? .nan, unit: "tasks/s",
        limit: single, limitMeaning: "driver and one node in two processes"))
  }

  /// A rate, and the same work for each second of processor time of this process and `nodes`.
  private static func perCore(
    _ nodes: [BenchProcess], _ rate: () async throws -> Double
  ) async throws -> [String: Double] {
    func used() -> Double {
      nodes.reduce(ProcessFacts.own.processorSeconds) { $0 + $1.processorSeconds }
    }
    let before = used()
    let start = MonotonicClock.nanoseconds
    let rate = try await rate()
    let cores = (used() - before) / seconds(since: start)
    return ["rate": rate, "per core": rate / cores]
  }
}
