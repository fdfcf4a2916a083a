import Heliostat
import Primitives
import RealModule

/// How proximal policy optimisation learns (J. Schulman, F. Wolski, P. Dhariwal, A. Radford and
/// O. Klimov, "Proximal policy optimization algorithms", 2017).
struct ProximalSettings: Codable, RemoteValue {
  var model: ActorCritic
  var seed: UInt64
  var discount: Double
  var lambda: Double
  var clip: Double
  var epochs: Int
  var minibatch: Int
  var rate: Double
  /// The rate falls linearly to zero at this update; 0 keeps it.
  var annealOver: Int
  var entropyWeight: Double
  var valueWeight: Double
  /// Gradients longer than this are shortened to it.
  var largestGradient: Double
}

/// The steps of all workers, as the loss wants them.
struct ProximalBatch: Sendable {
  var observations: [Double] = []
  var actions: [Double] = []
  var logProbabilities: [Double] = []
  var advantages: [Double] = []
  /// Advantage plus value: what the value function should have said.
  var returns: [Double] = []

  var count: Int { actions.count }

  mutating func append(_ trajectory: Trajectory, discount: Double, lambda: Double) {
    let estimates = trajectory.advantages(discount: discount, lambda: lambda)
    for step in 0..<trajectory.count {
      observations += trajectory.observation(step)
      actions.append(trajectory.action(step))
      logProbabilities.append(trajectory.logProbability(step))
      advantages.append(estimates[step])
      returns.append(estimates[step] + trajectory.value(step))
    }
  }

  /// Shifts and scales the advantages to mean 0 and deviation 1.
  mutating func normaliseAdvantages() {
    let mean = advantages.reduce(0, +) / Double(count)
    let variance = advantages.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
    let scale = 1 / (variance.squareRoot() + 1e-8)
    for i in advantages.indices { advantages[i] = (advantages[i] - mean) * scale }
  }
}

extension ProximalSettings {
  /// The mean loss of `indices` of a batch — clipped surrogate (eq. 7), squared error of the value,
  /// less entropy (eq. 9) — and its derivative by every parameter, by back-propagation.
  func loss(
    _ parameters: [Double], _ batch: ProximalBatch, _ indices: ArraySlice<Int>,
    gradient: inout [Double]
  ) -> Double {
    for i in gradient.indices { gradient[i] = 0 }
    let inputs = model.task.observationCount
    let policyTape = model.policy.tapeCount
    let valueTape = model.value.tapeCount
    let logDeviation = parameters[model.count - 1]
    let share = 1 / Double(indices.count)
    var total = 0.0
    var deviationSlope = 0.0
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * (policyTape + valueTape)) { work in
      let tape = work.baseAddress!
      let deltas = tape + policyTape
      let values = deltas + policyTape
      let valueDeltas = values + valueTape
      parameters.withUnsafeBufferPointer { numbers in
        gradient.withUnsafeMutableBufferPointer { slopes in
          let policy = numbers.baseAddress!
          let value = policy + model.policy.parameterCount
          let policySlopes = slopes.baseAddress!
          let valueSlopes = policySlopes + model.policy.parameterCount
          for index in indices {
            for i in 0..<inputs {
              tape[i] = batch.observations[index * inputs + i]
              values[i] = tape[i]
            }
            let at = model.policy.forward(policy, tape)
            let output = tape[at]
            let action = batch.actions[index]
            let advantage = batch.advantages[index]
            let ratio = Double.exp(
              model.logProbability(of: action, output, logDeviation: logDeviation)
                - batch.logProbabilities[index])
            let clipped = min(max(ratio, 1 - clip), 1 + clip)
            let surrogate = min(ratio * advantage, clipped * advantage)
            // Where the clipped side is the lower one, nothing is left to gain.
            let weight = ratio * advantage <= clipped * advantage ? ratio * advantage : 0
            let slope = model.logProbabilitySlopes(
              of: action, output, logDeviation: logDeviation)
            let entropySlope = model.entropySlopes(output)
            deltas[at] = -(weight * slope.output + entropyWeight * entropySlope.output) * share
            deviationSlope -=
              (weight * slope.deviation + entropyWeight * entropySlope.deviation) * share
            model.policy.backward(policy, tape, deltas, into: policySlopes)

            let valueAt = model.value.forward(value, values)
            let error = values[valueAt] - batch.returns[index]
            valueDeltas[valueAt] = 2 * valueWeight * error * share
            model.value.backward(value, values, valueDeltas, into: valueSlopes)
            total +=
              -surrogate + valueWeight * error * error
              - entropyWeight * model.entropy(output, logDeviation: logDeviation)
          }
        }
      }
    }
    // A binary action has no deviation: its slopes are 0.
    gradient[model.count - 1] = deviationSlope
    return total * share
  }
}

/// The state of the learner: parameters, optimiser, and the batch that it gathers.
struct ProximalLearner: Sendable {
  private struct Training: Sendable {
    let settings: ProximalSettings
    var parameters: [Double]
    var adam: Adam
    var batch = ProximalBatch()
    var updates = 0
  }
  private var training: Training?

  init() {}

  /// Draws the first parameters.
  mutating func begin(_ settings: ProximalSettings) -> [Double] {
    var random = StreamPurpose.initialParameters.stream(seed: settings.seed, 0)
    let parameters = settings.model.initial(&random)
    training = Training(
      settings: settings, parameters: parameters, adam: Adam(count: parameters.count))
    return parameters
  }

  /// Adds a worker's trajectory to the batch; the answer is the batch's size.
  mutating func absorb(_ numbers: [Double]) throws -> Int {
    guard var current = training else { throw ProgramError("the learner was not begun") }
    let settings = current.settings
    let trajectory = Trajectory(settings.model.task, numbers: numbers)
    guard trajectory.isWellFormed else {
      throw ProgramError("\(numbers.count) numbers are no trajectory of \(settings.model.task)")
    }
    training = nil
    current.batch.append(trajectory, discount: settings.discount, lambda: settings.lambda)
    training = current
    return current.batch.count
  }

  /// Some epochs over the batch, which is then empty; the answer is the next policy.
  ///
  /// - Throws: when the batch has not exactly `count` steps, as after a failed rollout.
  mutating func update(count: Int) throws -> [Double] {
    guard var current = training, current.batch.count == count else {
      throw ProgramError(
        "the learner was to learn from \(count) steps and has \(training?.batch.count ?? 0)")
    }
    training = nil
    let settings = current.settings
    var batch = current.batch
    current.batch = ProximalBatch()
    batch.normaliseAdvantages()
    let rate =
      settings.annealOver == 0
      ? settings.rate
      : settings.rate * max(0, 1 - Double(current.updates) / Double(settings.annealOver))
    var random = StreamPurpose.shuffle.stream(seed: settings.seed, current.updates)
    var order = Array(0..<batch.count)
    var gradient = [Double](repeating: 0, count: current.parameters.count)
    for _ in 0..<settings.epochs {
      order.shuffle(using: &random)
      for start in stride(from: 0, to: order.count, by: settings.minibatch) {
        let indices = order[start..<min(start + settings.minibatch, order.count)]
        _ = settings.loss(current.parameters, batch, indices, gradient: &gradient)
        let length = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
        if length > settings.largestGradient {
          let scale = settings.largestGradient / length
          for i in gradient.indices { gradient[i] *= scale }
        }
        current.adam.descend(&current.parameters, gradient, rate: rate)
      }
    }
    current.updates += 1
    training = current
    return current.parameters
  }
}
