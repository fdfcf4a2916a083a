import Heliostat
import Primitives

/// π from random points: tasks count those of the unit square that fall into the quarter disc.
///
/// The share of hits is binomial, so the standard error of the estimate is √(π(4 − π) ÷ points);
/// the run fails when the estimate is farther from π than `sigmas` of these. Each task draws from a
/// stream of its own and hits are whole numbers, so the estimate is a function of the file and the
/// seed.
struct MonteCarloPi: WorkloadProgram {
  static let name = "monte-carlo-pi"
  static let summary = "π from random points counted by tasks, within statistical bounds"
  static let measures = [
    Measure("makespan", "s"), Measure("estimate", "number"),
    Measure("standard errors from pi", "count"), Measure("samples per second", "1/s"),
  ]

  let tasks: Int
  let samples: Int
  let sigmas: Double
  let taskTime: Distribution

  init(_ with: inout MappingReader) throws(WorkloadError) {
    tasks = try with.int("tasks", default: 64, in: 1...1_000_000)
    samples = try with.int("samples", default: 100_000, in: 1...1_000_000_000)
    sigmas = try with.double("sigmas", default: 5, in: 0...1000)
    taskTime = try with.distribution(
      "task-time", of: .duration, default: .uniform(low: 0.09, high: 0.11))
  }

  /// Points of `samples` that are nearer to the origin than one.
  static func hits(seed: UInt64, task: Int, samples: Int) -> Int {
    var random = RandomStream(seed: seed, stream: 0x5049 << 32 | UInt64(task))
    var hits = 0
    for _ in 0..<samples {
      let x = random.unit()
      let y = random.unit()
      if x * x + y * y < 1 { hits += 1 }
    }
    return hits
  }

  func register(_ library: FunctionLibrary) -> RemoteFunction<UInt64, Int, Int, Int> {
    library.remote("count_hits", TaskOptions(outputSize: ByteCount(8), valueBytes: 24)) {
      (seed: UInt64, task: Int, samples: Int) in Self.hits(seed: seed, task: task, samples: samples)
    }
  }

  func run(
    _ ray: Session, _ count: RemoteFunction<UInt64, Int, Int, Int>, _ sink: MeasureSink
  ) async throws {
    var random = RandomStream(seed: ray.seed, stream: 0x5049)
    let begin = ray.now
    var options = count.options
    let counts = (0..<tasks).map { task in
      options.duration = TimeSpan(seconds: taskTime.draw(&random))
      return ray.submit(
        count, .value(ray.seed), .value(task), .value(samples), options: options)
    }
    let hits = try await ray.get(counts).reduce(0, +)
    let total = ray.now.since(begin).seconds
    ray.free(counts)
    let points = Double(tasks) * Double(samples)
    let estimate = 4 * Double(hits) / points
    let error = (Double.pi * (4 - Double.pi) / points).squareRoot()
    let away = abs(estimate - Double.pi) / error
    sink.report("makespan", total, unit: "s")
    sink.report("estimate", estimate, unit: "number")
    sink.report("standard errors from pi", away, unit: "count")
    sink.report("samples per second", points / total, unit: "1/s")
    guard away <= sigmas else {
      throw ProgramError(
        "\(tasks) × \(samples) points gave \(estimate): \(away) standard errors from π, more than "
          + "\(sigmas)")
    }
  }
}
