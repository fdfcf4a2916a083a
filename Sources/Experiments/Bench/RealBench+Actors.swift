import Heliostat
import Primitives
import RealWorld

extension RealBench {
  /// Calls a method of an actor `count` times, the next batch before the last one's results, and
  /// checks that the calls ran in order; the rate.
  ///
  /// - Parameter before: calls that the actor has had already.
  @Sendable static func callRate(
    _ ray: Session, _ functions: BenchFunctions, _ actor: ActorRef<Int>, count: Int, before: Int
  ) async throws -> Double {
    let start = MonotonicClock.nanoseconds
    var previous: [ObjectRef<Int>] = []
    var checked = before
    func check() async throws {
      for answer in try await ray.get(previous) {
        checked += 1
        guard answer == checked else {
          throw BenchError("call \(checked) of an actor ran as number \(answer)")
        }
      }
      ray.free(previous)
    }
    var left = count
    while left > 0 {
      let size = min(batch, left)
      left -= size
      let present = (0..<size).map { _ in ray.call(actor, functions.next) }
      try await check()
      previous = present
    }
    try await check()
    return Double(count) / seconds(since: start)
  }

  func actors(_ report: Report) async throws {
    let functions = BenchFunctions()
    let count = scaled(1_000_000, least: 200)
    let warm = min(count, 20_000)
    @Sendable func measure(_ ray: Session) async throws -> Double {
      let actor = ray.create(functions.counter)
      var before = warm
      _ = try await Self.callRate(ray, functions, actor, count: warm, before: 0)
      return try await median {
        defer { before += count }
        return try await Self.callRate(ray, functions, actor, count: count, before: before)
      }
    }
    let local = try await inProcess(functions, measure)
    report(
      BenchmarkResult(
        name: "actors.in_process", value: local, unit: "calls/s", limit: await ringLimit(),
        limitMeaning: Self.ringMeaning()))
    let two = try await withNodes([BenchNode.Options(store: BenchNode.Options.smallStore)]) {
      nodes in
      try await connected(to: nodes[0], functions, measure)
    }
    report(
      BenchmarkResult(
        name: "actors.two_processes", value: two, unit: "calls/s",
        limit: try await frameLimit(length: 64), limitMeaning: Self.frameMeaning))
  }
}
