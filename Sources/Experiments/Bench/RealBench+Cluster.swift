import Glibc
import Heliostat
import Measurement
import Primitives
import RealWorld

extension RealBench {
  func cluster(_ report: Report) async throws {
    var nodes: [BenchProcess] = []
    defer { for node in nodes.reversed() { node.stop() } }
    let start = try await median {
      for node in nodes.reversed() { node.stop() }
      nodes = []
      let start = MonotonicClock.nanoseconds
      let head = try BenchProcess(nodeCommand + BenchNode.Options(store: 1 << 28).arguments)
      nodes.append(head)
      var options = BenchNode.Options(store: 1 << 28)
      options.join = try head.readLine()
      for _ in 1..<4 { nodes.append(try BenchProcess(nodeCommand + options.arguments)) }
      for node in nodes.dropFirst() { try node.readLine() }
      return Self.seconds(since: start)
    }
    report(
      BenchmarkResult(
        name: "cluster.start_four_nodes", value: start, unit: "s",
        limit: try await median {
          let start = MonotonicClock.nanoseconds
          let processes = try (0..<4).map { _ in try BenchProcess(["/bin/true"]) }
          for process in processes { process.stop() }
          return Self.seconds(since: start)
        }, limitMeaning: "starting and ending four empty processes"))
    // What starting has set going comes to rest first.
    try await Task.sleep(for: .seconds(min(3, 3 * scale)))
    let memory = nodes.map(\.residentBytes).max() ?? .nan
    report(
      BenchmarkResult(
        name: "cluster.idle_memory", value: memory, unit: "bytes", limit: 40e6,
        limitMeaning: "what a node may take; the largest of four, resident, shared pages included"))
    let idle = try await median {
      let before = nodes.map(\.processorSeconds)
      let start = MonotonicClock.nanoseconds
      try await Task.sleep(for: .seconds(min(3, 3 * scale)))
      let span = Self.seconds(since: start)
      let shares = zip(nodes, before).map { ($0.processorSeconds - $1) / span }
      return shares.max() ?? .nan
    }
    report(
      BenchmarkResult(
        name: "cluster.idle_cpu", value: 100 * idle, unit: "%", limit: 1,
        limitMeaning: "what a node may take of one core; the largest of four"))
  }
}
