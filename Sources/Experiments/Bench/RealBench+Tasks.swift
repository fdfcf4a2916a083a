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

    let figures = try await oneAndTwoNodes(functions, count, warm)
    let frames = try await frameLimit(length: 64)
    func value(_ figure: Figure) -> Double { figures[figure] ?? .nan }
    report(
      BenchmarkResult(
        name: "tasks.two_processes", value: value(.oneNode), unit: "tasks/s", limit: frames,
        limitMeaning: Self.frameMeaning))
    report(
      BenchmarkResult(
        name: "tasks.two_processes_per_core", value: value(.oneNodePerCore), unit: "tasks/s",
        limit: frames,
        limitMeaning: "\(Self.frameMeaning); per second of processor time of all processes"))
    report(
      BenchmarkResult(name: "tasks.two_nodes", value: value(.twoNodes), unit: "tasks/s"))
    report(
      BenchmarkResult(
        name: "tasks.two_nodes_per_core", value: value(.twoNodesPerCore), unit: "tasks/s",
        limit: value(.oneNodePerCore), limitMeaning: "driver and one node in two processes"))
  }

  private enum Figure { case oneNode, oneNodePerCore, twoNodes, twoNodesPerCore }

  /// A driver with one node in another process, and a driver on each of two nodes, both at once; as many
  /// workers in all. In turn, so that both have the same minutes of the machine.
  private func oneAndTwoNodes(
    _ functions: BenchFunctions, _ count: Int, _ warm: Int
  ) async throws -> [Figure: Double] {
    let small = BenchNode.Options.smallStore
    let half = BenchNode.Options(cpus: 1, store: small)
    return try await withNodes([BenchNode.Options(store: small)]) { one in
      try await withNodes([half, half]) { two in
        let single = try await connect(to: one[0], functions)
        let first = try await connect(to: two[0], functions)
        let second = try await connect(to: two[1], functions)
        @Sendable func run(_ cluster: Cluster, _ count: Int) async throws {
          try await cluster.run { _ = try await Self.taskRate($0, functions.noop, count: count) }
        }
        func both(_ count: Int) async throws {
          async let one: Void = run(first, count / 2)
          async let other: Void = run(second, count / 2)
          _ = try await (one, other)
        }
        try await run(single, warm)
        try await both(warm)
        let result = try await medians {
          let (rate, perCore) = try await Self.perCore(one, count) { try await run(single, count) }
          let (pair, pairPerCore) = try await Self.perCore(two, count) { try await both(count) }
          return [
            Figure.oneNode: rate, .oneNodePerCore: perCore, .twoNodes: pair,
            .twoNodesPerCore: pairPerCore,
          ]
        }
        for cluster in [single, first, second] { await cluster.stop() }
        return result
      }
    }
  }

  /// The rate of `count` tasks, and that for each second of processor time of this process and `nodes`.
  private static func perCore(
    _ nodes: [BenchProcess], _ count: Int, _ work: () async throws -> Void
  ) async throws -> (rate: Double, perCore: Double) {
    func used() -> Double {
      nodes.reduce(ProcessFacts.own.processorSeconds) { $0 + $1.processorSeconds }
    }
    let before = used()
    let start = MonotonicClock.nanoseconds
    try await work()
    let time = seconds(since: start)
    return (Double(count) / time, Double(count) / (used() - before))
  }
}
