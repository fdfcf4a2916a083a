import Heliostat
import Primitives

/// What one worker saw and did, step after step, as the flat numbers that travel between processes.
///
/// A record is: the observation, the action, its log-probability, the value that was estimated, the
/// reward, 1 where the next record does not continue this one (else 0), and there the value of what
/// comes after: 0 after a terminal state, else the estimate for the state that was cut off.
struct Trajectory: Sendable, Equatable {
  let observationCount: Int
  private(set) var numbers: [Double] = []

  init(_ task: ControlTask, numbers: [Double] = []) {
    observationCount = task.observationCount
    self.numbers = numbers
  }

  /// Whole records, of which the last says that it is the last.
  var isWellFormed: Bool { numbers.count % width == 0 && count > 0 && isEnd(count - 1) }

  var width: Int { observationCount + 6 }
  var count: Int { numbers.count / width }

  func observation(_ step: Int) -> ArraySlice<Double> {
    numbers[step * width..<step * width + observationCount]
  }
  private func field(_ step: Int, _ index: Int) -> Double {
    numbers[step * width + observationCount + index]
  }
  func action(_ step: Int) -> Double { field(step, 0) }
  func logProbability(_ step: Int) -> Double { field(step, 1) }
  func value(_ step: Int) -> Double { field(step, 2) }
  func reward(_ step: Int) -> Double { field(step, 3) }
  func isEnd(_ step: Int) -> Bool { field(step, 4) != 0 }
  func endValue(_ step: Int) -> Double { field(step, 5) }

  mutating func append(
    observation: UnsafePointer<Double>, action: Double, logProbability: Double, value: Double,
    reward: Double
  ) {
    for i in 0..<observationCount { numbers.append(observation[i]) }
    numbers += [action, logProbability, value, reward, 0, 0]
  }

  /// The last step ends an episode, or the trajectory.
  mutating func end(value: Double) {
    numbers[numbers.count - 2] = 1
    numbers[numbers.count - 1] = value
  }

  /// Generalised advantage estimates (J. Schulman, P. Moritz, S. Levine, M. Jordan and P. Abbeel,
  /// "High-dimensional continuous control using generalized advantage estimation", 2016, eq. 16).
  func advantages(discount: Double, lambda: Double) -> [Double] {
    var advantages = [Double](repeating: 0, count: count)
    var later = 0.0
    for step in (0..<count).reversed() {
      let next = isEnd(step) ? endValue(step) : value(step + 1)
      let error = reward(step) + discount * next - value(step)
      later = error + (isEnd(step) ? 0 : discount * lambda * later)
      advantages[step] = later
    }
    return advantages
  }
}

/// What a worker is asked to play with the current policy, with exploration.
struct RolloutPlan: Codable, RemoteValue {
  var model: ActorCritic
  var seed: UInt64
  /// Number of the worker's random stream.
  var stream: Int
  var steps: Int
  /// Rewards are multiplied by this for the learner, so that values are of the order of one to ten.
  var rewardScale: Double
}

/// A worker that goes on with its episode from one rollout to the next.
struct RolloutWorker: Sendable {
  private struct Play: Sendable {
    var environment: Environment
    var random: RandomStream
  }
  private var play: Play?

  init() {}

  /// Plays `plan.steps` steps. The first call begins the worker's stream and episode.
  mutating func run(_ parameters: [Double], _ plan: RolloutPlan) throws -> Trajectory {
    let model = plan.model
    guard parameters.count == model.count else {
      throw ProgramError("the model takes \(model.count) parameters, got \(parameters.count)")
    }
    var current = play ?? Self.begin(plan)
    var trajectory = Trajectory(model.task)
    let logDeviation = parameters[model.count - 1]
    withUnsafeTemporaryAllocation(
      of: Double.self, capacity: model.policy.tapeCount + model.value.tapeCount
    ) { tapes in
      let tape = tapes.baseAddress!
      let valueTape = tape + model.policy.tapeCount
      parameters.withUnsafeBufferPointer { numbers in
        let policy = numbers.baseAddress!
        let value = policy + model.policy.parameterCount
        for step in 0..<plan.steps {
          current.environment.observe(into: tape)
          current.environment.observe(into: valueTape)
          let output = tape[model.policy.forward(policy, tape)]
          let estimate = valueTape[model.value.forward(value, valueTape)]
          let action = model.draw(output, logDeviation: logDeviation, &current.random)
          let outcome = current.environment.step(action)
          trajectory.append(
            observation: tape, action: action,
            logProbability: model.logProbability(of: action, output, logDeviation: logDeviation),
            value: estimate, reward: outcome.reward * plan.rewardScale)
          if outcome.isTerminal {
            trajectory.end(value: 0)
          } else if outcome.isCutOff || step == plan.steps - 1 {
            current.environment.observe(into: valueTape)
            trajectory.end(value: valueTape[model.value.forward(value, valueTape)])
          }
          if outcome.isOver { current.environment.reset(&current.random) }
        }
      }
    }
    play = current
    return trajectory
  }

  private static func begin(_ plan: RolloutPlan) -> Play {
    var random = StreamPurpose.worker.stream(seed: plan.seed, plan.stream)
    var environment = Environment(plan.model.task)
    environment.reset(&random)
    return Play(environment: environment, random: random)
  }
}
