import Glibc
import Heliostat
import Measurement
import Primitives
import RealWorld

extension RealBench {
  /// Each run in a process of its own: memory that an earlier one gave back would hide growth.
  func queue(_ report: Report) async throws {
    let tasks = scaled(1_000_000, least: 1000)
    let figures = try await medians {
      var options = BenchNode.Options()
      options.queue = tasks
      let process = try BenchProcess(nodeCommand + options.arguments)
      defer { process.stop() }
      let measured = try QueueMeasurement(line: try process.readLine())
      return ["ratio": measured.long / measured.short, "bytes": measured.bytesPerTask]
    }
    report(
      BenchmarkResult(
        name: "queue.drain_ratio", value: figures["ratio"] ?? .nan, unit: "x", limit: 1.5,
        limitMeaning: "what may be: the time of a task with \(tasks) queued over 100 times fewer"))
    report(
      BenchmarkResult(
        name: "queue.bytes_per_task", value: figures["bytes"] ?? .nan, unit: "bytes", limit: 400,
        limitMeaning: "what may be: growth of the resident memory of driver and node together"))
  }
}

/// Many tasks queued in one node, all submitted before one runs, in a process of its own.
struct QueueMeasurement: Equatable {
  /// Seconds for each task with 100 times fewer queued, from its submission to all results.
  var short: Double
  /// The same with all.
  var long: Double
  /// Growth of the process's resident memory for each queued task.
  var bytesPerTask: Double

  init(short: Double, long: Double, bytesPerTask: Double) {
    self.short = short
    self.long = long
    self.bytesPerTask = bytesPerTask
  }

  /// As one process tells another.
  var line: String { "\(short) \(long) \(bytesPerTask)" }

  init(line: String) throws {
    let numbers = line.split(separator: " ").compactMap { Double($0) }
    guard numbers.count == 3 else {
      throw BenchError("a process of the benchmark said '\(line)' in place of three numbers")
    }
    self.init(short: numbers[0], long: numbers[1], bytesPerTask: numbers[2])
  }

  static func measure(tasks: Int) async throws -> QueueMeasurement {
    let functions = BenchFunctions()
    let cpus = 2
    let cluster = try Cluster.inProcess(cpus: cpus, library: functions.library)
    return try await cluster.runAndStop { ray in
      /// Seconds a task, and bytes a task.
      func drain(_ count: Int) async throws -> (Double, Double) {
        // All workers are held, so that every task waits in the node.
        let held = (0..<cpus).map { _ in ray.submit(functions.hold) }
        let before = ProcessFacts.own.residentBytes
        let start = MonotonicClock.nanoseconds
        let refs = (0..<count).map { _ in ray.submit(functions.noop) }
        // The node answers in the order of what it is sent: it has queued them all.
        let last = try await ray.put(count)
        guard try await ray.get(last) == count else { throw BenchError("a put came back changed") }
        let submitted = MonotonicClock.nanoseconds - start
        let bytes = ProcessFacts.own.residentBytes - before
        let begin = MonotonicClock.nanoseconds
        functions.gate.open(cpus)
        try await ray.get(refs)
        let seconds = Double(submitted + MonotonicClock.nanoseconds - begin) * 1e-9
        try await ray.get(held)
        ray.free(refs)
        ray.free(held)
        ray.free([last])
        return (seconds / Double(count), bytes / Double(count))
      }
      let few = max(10, tasks / 100)
      _ = try await drain(few)
      // The first long queue brings every table to its size: that is its memory, and no part of the
      // time of a task.
      let (_, bytes) = try await drain(tasks)
      var shorts: [Double] = []
      var longs: [Double] = []
      for _ in 0..<20 { shorts.append(try await drain(few).0) }
      for _ in 0..<3 { longs.append(try await drain(tasks).0) }
      return QueueMeasurement(
        short: Summary(shorts)?.median ?? .nan, long: Summary(longs)?.median ?? .nan,
        bytesPerTask: bytes)
    }
  }
}
