import Heliostat
import Primitives

/// Evolution strategies that really learn (T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever,
/// "Evolution strategies as a scalable alternative to reinforcement learning", 2017).
///
/// Each iteration: the driver puts the parameters; each of `tasks` tasks draws `pairs-per-task`
/// directions from the seed and plays `episodes` episodes at θ + σε and at θ − σε; only scores come
/// back. The driver makes them centred ranks and moves θ along the sum of directions weighted by
/// rank, with Adam. The directions are drawn again from the seed, by the driver or, with
/// `aggregators`, by that many tasks, whose sums are added up in a binary tree. Then tasks evaluate
/// the new policy. The run ends at a mean score of `target`, and fails when `iterations` did not
/// reach it. Episodes and environment steps are those that were learned from; evaluation is not
/// counted.
///
/// Everything is summed in the order of numbers, so the sequence of policies is a function of the
/// file and the seed, whatever the world and its timing (`policy fingerprint`). The number of
/// aggregators is part of that: it changes the order of additions.
struct LearningES: WorkloadProgram {
  static let name = "learning-es"
  static let summary = "evolution strategies that learn CartPole or Pendulum to a target score"
  static let measures = [
    Measure("makespan", "s"), Measure("iterations", "count"), Measure("score", "reward"),
    Measure("episodes", "count"), Measure("environment steps", "count"),
    Measure("policy fingerprint", "hash"),
  ]

  let task: ControlTask
  let policy: Network
  let tasks: Int
  let pairsPerTask: Int
  let episodes: Int
  let iterations: Int
  let sigma: Double
  let rate: Double
  let weightDecay: Double
  let aggregators: Int
  let evaluation: Evaluation
  let rolloutTime: Distribution
  let aggregateTime: TimeSpan
  let updateTime: TimeSpan

  init(_ with: inout MappingReader) throws(WorkloadError) {
    task = try with.choice("environment", default: .cartPole)
    let hidden = try with.hiddenLayers(default: [16])
    policy = Network(inputs: task.observationCount, hidden: hidden, outputs: 1)
    tasks = try with.int("tasks", default: 16, in: 1...1_000_000)
    pairsPerTask = try with.int("pairs-per-task", default: 2, in: 1...10_000)
    episodes = try with.int("episodes", default: 1, in: 1...10_000)
    iterations = try with.int("iterations", default: 100, in: 1...1_000_000)
    sigma = try with.double("sigma", default: 0.1, in: 1e-6...100)
    rate = try with.double("rate", default: 0.05, in: 0...100)
    weightDecay = try with.double("weight-decay", default: 0, in: 0...100)
    aggregators = try with.int("aggregators", default: 0, in: 0...100_000)
    evaluation = try Evaluation(&with, task, policy)
    rolloutTime = try with.distribution(
      "rollout-time", of: .duration, default: .uniform(low: 0.01, high: 0.1))
    aggregateTime = try with.duration("aggregate-time", default: .milliseconds(2))
    updateTime = try with.duration("update-time", default: .milliseconds(5))
  }

  private var parameterSize: ByteCount { ByteCount(UInt64(8 * policy.parameterCount)) }
  var largestObject: ByteCount { parameterSize }

  func register(_ library: FunctionLibrary) -> Functions { Functions(self, library) }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    let pairs = tasks * pairsPerTask
    var random = StreamPurpose.initialParameters.stream(seed: ray.seed, 0)
    var times = StreamPurpose.modelledTime.stream(seed: ray.seed, 0)
    var parameters = policy.initial(&random, outputScale: 1)
    var adam = Adam(count: parameters.count)
    var fingerprint = PolicyFingerprint()
    let log = sink.latency("iteration")
    let begin = ray.now
    var object = try await ray.put(parameters, size: parameterSize)
    var steps = 0
    var score = -Double.infinity
    var iteration = 0
    while iteration < iterations && score < evaluation.target {
      let start = ray.now
      let results = try await rollouts(of: object, iteration, functions.rollout, ray, &times)
      steps += results.reduce(0) { $0 + $1.steps }
      let ranks = centredRanks(results.flatMap(\.scores))
      let weights = (0..<pairs).map { ranks[2 * $0] - ranks[2 * $0 + 1] }
      let sum = try await weightedNoise(weights, first: iteration * pairs, functions, ray)
      // The gradient of the expected rank, with its sign turned: Adam descends.
      let scale = -1 / (Double(2 * pairs) * sigma)
      let gradient = parameters.indices.map { sum[$0] * scale + weightDecay * parameters[$0] }
      adam.descend(&parameters, gradient, rate: rate)
      // In the real world it has just taken its time.
      if TaskContext.world == .simulated { ray.compute(updateTime) }
      fingerprint.fold(parameters)
      ray.free([object])
      object = try await ray.put(parameters, size: parameterSize)
      score = try await evaluation.score(round: iteration, ray, &times) {
        [object] _, part, options in
        ray.submit(functions.evaluate, .ref(object), .value(part), options: options)
      }
      iteration += 1
      log.record(ray.now.since(start))
      sink.progress?("iteration \(iteration): mean score \(score)")
    }
    ray.free([object])
    sink.report("makespan", ray.now.since(begin).seconds, unit: "s")
    sink.report("iterations", Double(iteration), unit: "count")
    sink.report("score", score, unit: "reward")
    sink.report("episodes", Double(iteration * 2 * pairs * episodes), unit: "count")
    sink.report("environment steps", Double(steps), unit: "count")
    sink.report("policy fingerprint", Double(fingerprint.value), unit: "hash")
    guard score >= evaluation.target else {
      throw ProgramError(
        "after \(iteration) iterations the mean score is \(score), below \(evaluation.target)")
    }
  }

  /// The scores of one iteration, in the order of tasks.
  private func rollouts(
    of object: ObjectRef<[Double]>, _ iteration: Int,
    _ rollout: RemoteFunction<[Double], PerturbedRollouts, PerturbedScores>, _ ray: Session,
    _ times: inout RandomStream
  ) async throws -> [PerturbedScores] {
    var options = rollout.options
    var futures: [ObjectRef<PerturbedScores>] = []
    for number in 0..<tasks {
      options.duration = TimeSpan(seconds: rolloutTime.draw(&times))
      let work = PerturbedRollouts(
        task: task, policy: policy, seed: ray.seed,
        firstPair: (iteration * tasks + number) * pairsPerTask, pairs: pairsPerTask,
        episodes: episodes, sigma: sigma)
      futures.append(ray.submit(rollout, .ref(object), .value(work), options: options))
    }
    let results = try await ray.get(futures)
    ray.free(futures)
    return results
  }

  /// The sum of the directions of an iteration, each with its weight.
  private func weightedNoise(
    _ weights: [Double], first: Int, _ functions: Functions, _ ray: Session
  ) async throws -> [Double] {
    let count = policy.parameterCount
    if aggregators == 0 {
      return NoiseSum(seed: ray.seed, firstPair: first, weights: weights, count: count).run()
    }
    let shares = min(aggregators, weights.count)
    var sums = (0..<shares).map { share in
      let range = share * weights.count / shares..<(share + 1) * weights.count / shares
      let part = NoiseSum(
        seed: ray.seed, firstPair: first + range.lowerBound, weights: Array(weights[range]),
        count: count)
      return ray.submit(functions.sumNoise, .value(part))
    }
    var all = sums
    while sums.count > 1 {
      var next: [ObjectRef<[Double]>] = []
      for i in stride(from: 0, to: sums.count - 1, by: 2) {
        next.append(ray.submit(functions.add, .ref(sums[i]), .ref(sums[i + 1])))
      }
      all += next
      if sums.count % 2 == 1 { next.append(sums[sums.count - 1]) }
      sums = next
    }
    let sum = try await ray.get(sums[0])
    ray.free(all)
    return sum
  }

  /// The remote functions of the program.
  struct Functions: Sendable {
    let rollout: RemoteFunction<[Double], PerturbedRollouts, PerturbedScores>
    let evaluate: RemoteFunction<[Double], EvaluationTask, [Double]>
    let sumNoise: RemoteFunction<NoiseSum, [Double]>
    let add: RemoteFunction<[Double], [Double], [Double]>

    init(_ es: LearningES, _ library: FunctionLibrary) {
      rollout = library.remote(
        "rollout",
        TaskOptions(outputSize: ByteCount(UInt64(16 * es.pairsPerTask + 8)), valueBytes: 128)
      ) { (parameters: [Double], work: PerturbedRollouts) in try work.run(parameters) }
      evaluate = library.remote("evaluate", es.evaluation.options) {
        (parameters: [Double], part: EvaluationTask) in try part.run(parameters)
      }
      let share = es.tasks * es.pairsPerTask / max(1, es.aggregators) + 1
      sumNoise = library.remote(
        "sum_noise",
        TaskOptions(
          duration: es.aggregateTime, outputSize: es.parameterSize, valueBytes: 8 * share + 32)
      ) { (part: NoiseSum) in part.run() }
      add = library.remote(
        "add", TaskOptions(duration: es.aggregateTime, outputSize: es.parameterSize)
      ) { (a: [Double], b: [Double]) in a.indices.map { a[$0] + b[$0] } }
    }
  }
}
