import Heliostat
import Primitives

/// Which episodes a task plays with a policy, without exploration.
struct EvaluationTask: Codable, RemoteValue {
  var task: ControlTask
  var policy: Network
  var seed: UInt64
  /// Number of the first episode; an episode's start depends on its number alone.
  var first: Int
  var count: Int

  /// The score of each episode.
  func run(_ parameters: [Double]) throws -> [Double] {
    try (first..<first + count).map { number in
      var random = StreamPurpose.evaluation.stream(seed: seed, number)
      return try Self.play(task, policy, parameters, &random).score
    }
  }

  /// One episode with the best action at each step.
  ///
  /// - Parameter parameters: begin with the policy's.
  static func play(
    _ task: ControlTask, _ policy: Network, _ parameters: [Double], _ random: inout RandomStream
  ) throws -> (score: Double, steps: Int) {
    try policy.requireParameters(parameters.count)
    var environment = Environment(task)
    environment.reset(&random)
    var score = 0.0
    withUnsafeTemporaryAllocation(of: Double.self, capacity: policy.tapeCount) { tape in
      let tape = tape.baseAddress!
      parameters.withUnsafeBufferPointer { parameters in
        while true {
          environment.observe(into: tape)
          let output = policy.forward(parameters.baseAddress!, tape)
          let outcome = environment.step(task.bestAction(tape[output]))
          score += outcome.reward
          if outcome.isOver { return }
        }
      }
    }
    return (score, environment.steps)
  }
}

/// Evaluation of policies by tasks: how many episodes, by how many tasks, how long each is modelled
/// to take, and the score at which a run ends.
struct Evaluation: Sendable {
  let task: ControlTask
  let policy: Network
  let target: Double
  let episodes: Int
  let tasks: Int
  let time: Distribution

  init(_ with: inout MappingReader, _ task: ControlTask, _ policy: Network) throws(WorkloadError) {
    self.task = task
    self.policy = policy
    target = try with.double("target", default: task.usualTarget, in: -1e9...1e9)
    episodes = try with.int("evaluation-episodes", default: 100, in: 1...1_000_000)
    tasks = try with.int("evaluation-tasks", default: 4, in: 1...100_000)
    time = try with.distribution(
      "evaluation-time", of: .duration, default: .uniform(low: 0.05, high: 0.15))
  }

  /// What an evaluation task is modelled to cost, apart from its time.
  var options: TaskOptions {
    TaskOptions(outputSize: ByteCount(UInt64(8 * (episodes / tasks + 1))), valueBytes: 96)
  }

  /// The mean score over the episodes of `round`: in the order of their numbers, not of their
  /// completion.
  ///
  /// - Parameter submit: submits the share of that number, with the options given.
  func score(
    round: Int, _ ray: Session, _ random: inout RandomStream,
    submit: (Int, EvaluationTask, TaskOptions) -> ObjectRef<[Double]>
  ) async throws -> Double {
    var options = options
    var parts: [ObjectRef<[Double]>] = []
    for share in 0..<tasks {
      let first = share * episodes / tasks
      let end = (share + 1) * episodes / tasks
      if first == end { continue }
      options.duration = TimeSpan(seconds: time.draw(&random))
      let part = EvaluationTask(
        task: task, policy: policy, seed: ray.seed, first: round * episodes + first,
        count: end - first)
      parts.append(submit(share, part, options))
    }
    let scores = try await ray.get(parts)
    ray.free(parts)
    return scores.reduce(0) { $0 + $1.reduce(0, +) } / Double(episodes)
  }
}

extension MappingReader {
  /// The key `hidden`: the widths of a policy's hidden layers; an empty list makes it linear.
  mutating func hiddenLayers(default value: [Int]) throws(WorkloadError) -> [Int] {
    guard let given = optional("hidden") else { return value }
    let items = try given.list()
    guard items.count <= 8 else {
      throw given.error(
        "'\(given.path)' lists \(items.count) layers", expected: "at most 8 hidden layers")
    }
    var widths: [Int] = []
    for item in items { widths.append(try item.int(in: 1...4096)) }
    return widths
  }
}
