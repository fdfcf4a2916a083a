import Heliostat
import Primitives

/// A sharded parameter server: actors hold the parameters of a linear regression on generated data,
/// workers compute gradients on batches of their own.
///
/// `mode: synchronous` applies the mean gradient of all workers in every step, behind a barrier;
/// `asynchronous` lets each worker pull, compute and push on its own. The data are drawn from known
/// weights, so that convergence can be checked: the run fails when the final error is too large.
///
/// `wait between steps` is the mean time for which a worker has ended a step and may not begin the
/// next: for the slowest, with a barrier. It leaves out how long steps take, and so holds on a busy
/// machine too: gradient times of different length are drawn, not measured.
struct ParameterServer: WorkloadProgram {
  static let name = "parameter-server"
  static let summary = "linear regression on sharded actors, synchronous or asynchronous workers"
  static let measures = [
    Measure("makespan", "s"), Measure("gradients per second", "1/s"),
    Measure("weight error", "rms"), Measure("wait between steps", "s"),
  ]

  enum Mode: String, CaseIterable, Sendable { case synchronous, asynchronous }

  let mode: Mode
  let workers: Int
  let shards: Int
  let steps: Int
  let dimension: Int
  let batch: Int
  let rate: Double
  let gradientTime: Distribution
  let parameterSize: ByteCount
  let tolerance: Double

  init(_ with: inout MappingReader) throws(WorkloadError) {
    mode = try with.choice("mode", default: .synchronous)
    workers = try with.int("workers", default: 8, in: 1...100_000)
    shards = try with.int("shards", default: 2, in: 1...10_000)
    steps = try with.int("steps", default: 50, in: 1...1_000_000)
    dimension = try with.int("dimension", default: 16, in: 1...100_000)
    batch = try with.int("batch", default: 32, in: 1...1_000_000)
    rate = try with.double("rate", default: 0.2, in: 0...100)
    gradientTime = try with.distribution(
      "gradient-time", of: .duration, default: .logNormal(median: 0.05, sigma: 0.3))
    parameterSize = try with.size("parameter-size", default: ByteCount(10_000_000))
    tolerance = try with.double("tolerance", default: 0.05, in: 0...1e9)
  }

  var largestObject: ByteCount { parameterSize }

  private func range(_ shard: Int) -> Range<Int> {
    shard * dimension / shards..<(shard + 1) * dimension / shards
  }

  /// The mean gradient of the squared error on one batch of exact data `y = w · x`.
  private func gradient(_ weights: [Double], _ truth: [Double], _ random: inout RandomStream)
    -> [Double]
  {
    var sum = [Double](repeating: 0, count: dimension)
    let scale = 1 / Double(batch)
    for _ in 0..<batch {
      let x = (0..<dimension).map { _ in 2 * random.unit() - 1 }
      var error = 0.0
      for i in 0..<dimension { error += (weights[i] - truth[i]) * x[i] }
      for i in 0..<dimension { sum[i] += 2 * error * x[i] * scale }
    }
    return sum
  }

  private func truth(_ seed: UInt64) -> [Double] {
    var random = RandomStream(seed: seed, stream: 0x5053)
    return (0..<dimension).map { _ in 2 * random.unit() - 1 }
  }

  /// A part of the parameters, as large as if the model had the size that the file gives.
  typealias Part = Sized<[Double]>

  /// When a worker began and ended a step, by the clock of its host: only differences mean something.
  struct Step: PlainValue {
    var begin: Instant
    var end: Instant
    var time: TimeSpan { end.since(begin) }
  }

  struct Functions: Sendable {
    let server: ActorClass<[Double]>
    let pull: ActorMethod<[Double], Int, Part>
    let push: ActorMethod<[Double], [Double], Double, Void>
    let loop: RemoteFunction<[ActorRef<[Double]>], Int, Int, Double, [Step]>
  }

  func register(_ library: FunctionLibrary) -> Functions {
    let part = ByteCount(max(1, parameterSize.bytes / UInt64(shards)))
    let server = library.actorClass("Shard", TaskOptions(resources: .zero)) { [Double]() }
    let pull = library.method(
      "pull", of: server, TaskOptions(outputSize: part, resources: .zero)
    ) { (weights: inout [Double], size: Int) in
      if weights.isEmpty { weights = [Double](repeating: 0, count: size) }
      return Part(weights, size: part)
    }
    let push = library.method(
      "push", of: server, TaskOptions(outputSize: ByteCount(8), resources: .zero)
    ) { [rate] (weights: inout [Double], gradient: [Double], share: Double) in
      if weights.isEmpty { weights = [Double](repeating: 0, count: gradient.count) }
      for i in weights.indices { weights[i] -= rate * share * gradient[i] }
    }
    // One worker's loop: the program of a task, so that it blocks by itself.
    let loop = library.program("worker", TaskOptions(outputSize: ByteCount(8))) {
      [self]
      (ray: Session, servers: [ActorRef<[Double]>], number: Int, count: Int, share: Double) in
      var random = RandomStream(seed: ray.seed, stream: 0x5753 << 32 | UInt64(number))
      let truth = truth(ray.seed)
      var steps: [Step] = []
      for _ in 0..<count {
        let begin = ray.now
        let parts = pulls(servers, pull, ray)
        let weights = try await ray.get(parts).flatMap(\.value)
        ray.compute(TimeSpan(seconds: gradientTime.draw(&random)))
        let gradient = gradient(weights, truth, &random)
        let pushes = servers.enumerated().map { shard, actor in
          ray.call(actor, push, .value(Array(gradient[range(shard)])), .value(share))
        }
        try await ray.get(pushes)
        ray.free(parts)
        ray.free(pushes)
        steps.append(Step(begin: begin, end: ray.now))
      }
      return steps
    }
    return Functions(server: server, pull: pull, push: push, loop: loop)
  }

  private func pulls(
    _ servers: [ActorRef<[Double]>], _ pull: ActorMethod<[Double], Int, Part>, _ ray: Session
  ) -> [ObjectRef<Part>] {
    servers.enumerated().map { shard, actor in
      ray.call(actor, pull, .value(range(shard).count))
    }
  }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    let truth = truth(ray.seed)
    let servers = (0..<shards).map { _ in ray.create(functions.server) }
    let begin = ray.now
    let log = sink.latency("gradient step")
    let share = 1 / Double(workers)
    var (waited, waits) = (0.0, 0)
    switch mode {
    case .asynchronous:
      let all = (0..<workers).map {
        ray.submit(
          functions.loop, .value(servers), .value($0), .value(steps), .value(share))
      }
      for done in try await ray.get(all) {
        for step in done { log.record(step.time) }
        for (step, next) in zip(done, done.dropFirst()) {
          waited += next.begin.since(step.end).seconds
          waits += 1
        }
      }
    case .synchronous:
      for step in 0..<steps {
        let start = ray.now
        let all = (0..<workers).map {
          ray.submit(
            functions.loop, .value(servers), .value(step * workers + $0), .value(1), .value(share))
        }
        let done = try await ray.get(all).compactMap(\.first)
        // The step lasts for all as long as for the slowest.
        let whole = ray.now.since(start)
        for own in done {
          log.record(own.time)
          waited += whole.seconds - own.time.seconds
          waits += 1
        }
        ray.free(all)
      }
    }
    let total = ray.now.since(begin).seconds
    let weights = try await ray.get(pulls(servers, functions.pull, ray)).flatMap(\.value)
    var error = 0.0
    for i in 0..<dimension { error += (weights[i] - truth[i]) * (weights[i] - truth[i]) }
    error = (error / Double(dimension)).squareRoot()
    sink.report("makespan", total, unit: "s")
    sink.report("gradients per second", Double(workers * steps) / total, unit: "1/s")
    sink.report("weight error", error, unit: "rms")
    sink.report("wait between steps", waits > 0 ? waited / Double(waits) : 0, unit: "s")
    guard error <= tolerance else {
      throw ProgramError(
        "after \(steps) steps the weights are off by \(error) (rms), more than \(tolerance)")
    }
  }
}
