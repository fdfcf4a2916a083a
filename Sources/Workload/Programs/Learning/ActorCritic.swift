import Primitives
import RealModule

/// A stochastic policy and a value function side by side, as proximal policy optimisation trains
/// them. Their parameters are one flat vector: the policy's, the value's, and the logarithm of the
/// standard deviation of actions (unused where the action is binary).
struct ActorCritic: Codable, Sendable, Equatable {
  let task: ControlTask
  let policy: Network
  let value: Network

  init(_ task: ControlTask, hidden: [Int]) {
    self.task = task
    policy = Network(inputs: task.observationCount, hidden: hidden, outputs: 1)
    value = policy
  }

  var count: Int { policy.parameterCount + value.parameterCount + 1 }

  /// A policy that begins near indifference, and a deviation of one: half of the torque's limit.
  func initial(_ random: inout RandomStream) -> [Double] {
    policy.initial(&random, outputScale: 0.01) + value.initial(&random, outputScale: 1) + [0]
  }

  /// Draws an action: 1 or 0 with the odds that the output is the logarithm of; or normal around
  /// the output.
  func draw(_ output: Double, logDeviation: Double, _ random: inout RandomStream) -> Double {
    if task.isBinary { return random.unit() < sigmoid(output) ? 1 : 0 }
    return output + Double.exp(logDeviation) * random.normal()
  }

  /// The logarithm of an action's probability (density).
  func logProbability(of action: Double, _ output: Double, logDeviation: Double) -> Double {
    if task.isBinary { return -softplus(action > 0.5 ? -output : output) }
    let away = (action - output) * Double.exp(-logDeviation)
    return -0.5 * away * away - logDeviation - 0.5 * Double.log(2 * Double.pi)
  }

  /// The derivatives of `logProbability` by the output and by the deviation's logarithm.
  func logProbabilitySlopes(of action: Double, _ output: Double, logDeviation: Double)
    -> (output: Double, deviation: Double)
  {
    if task.isBinary { return (action - sigmoid(output), 0) }
    let away = (action - output) * Double.exp(-logDeviation)
    return (away * Double.exp(-logDeviation), away * away - 1)
  }

  /// How undecided the policy is, in nats.
  func entropy(_ output: Double, logDeviation: Double) -> Double {
    if task.isBinary { return softplus(output) - output * sigmoid(output) }
    return logDeviation + 0.5 + 0.5 * Double.log(2 * Double.pi)
  }

  /// The derivatives of `entropy` by the output and by the deviation's logarithm.
  func entropySlopes(_ output: Double) -> (output: Double, deviation: Double) {
    if !task.isBinary { return (0, 1) }
    let p = sigmoid(output)
    return (-output * p * (1 - p), 0)
  }
}

/// 1 ÷ (1 + e⁻ˣ) without overflow.
func sigmoid(_ x: Double) -> Double {
  if x >= 0 { return 1 / (1 + Double.exp(-x)) }
  let e = Double.exp(x)
  return e / (1 + e)
}

/// log(1 + eˣ) without overflow.
func softplus(_ x: Double) -> Double { max(x, 0) + Double.log(onePlus: Double.exp(-abs(x))) }
