import Primitives
import RealModule

/// What is to be learned. The raw values are those of workload files.
enum ControlTask: String, CaseIterable, Codable, Sendable {
  case cartPole = "cartpole"
  case pendulum

  /// Numbers that a policy sees.
  var observationCount: Int {
    switch self {
    case .cartPole: 4
    case .pendulum: 3
    }
  }

  /// Steps after which an episode is cut off.
  var maximumSteps: Int {
    switch self {
    case .cartPole: CartPole.maximumSteps
    case .pendulum: Pendulum.maximumSteps
    }
  }

  /// The action is one of two (1 or 0), not a number.
  var isBinary: Bool { self == .cartPole }

  /// The mean score at which the task counts as learned. Gymnasium registers 475 for CartPole-v1
  /// and none for Pendulum-v1, where −200 separates policies that hold the rod from those that do
  /// not.
  var usualTarget: Double {
    switch self {
    case .cartPole: 475
    case .pendulum: -200
    }
  }

  /// The action without exploration for a policy's output: a push right for positive outputs; a
  /// torque of twice the output, cut to its limits by the pendulum itself.
  func bestAction(_ output: Double) -> Double {
    switch self {
    case .cartPole: output > 0 ? 1 : 0
    case .pendulum: output
    }
  }
}

/// One environment in the middle of an episode.
struct Environment: Sendable, Equatable {
  private enum State: Sendable, Equatable {
    case cartPole(CartPole)
    case pendulum(Pendulum)
  }

  /// How a step ended.
  struct Outcome: Equatable {
    var reward: Double
    /// A terminal state was reached: nothing can be earned any more.
    var isTerminal: Bool
    /// The step limit was reached: the episode ends, though the state is like any other.
    var isCutOff: Bool
    var isOver: Bool { isTerminal || isCutOff }
  }

  let task: ControlTask
  private var state: State
  /// Steps since the last reset.
  private(set) var steps = 0

  init(_ task: ControlTask) {
    self.task = task
    switch task {
    case .cartPole: state = .cartPole(CartPole())
    case .pendulum: state = .pendulum(Pendulum())
    }
  }

  mutating func reset(_ random: inout RandomStream) {
    steps = 0
    switch state {
    case .cartPole(var cart):
      cart.reset(&random)
      state = .cartPole(cart)
    case .pendulum(var pendulum):
      pendulum.reset(&random)
      state = .pendulum(pendulum)
    }
  }

  /// Writes the `task.observationCount` numbers that Gymnasium's environment shows, but the
  /// pendulum's speed as a share of its limit, so that all inputs of a policy are of the order of
  /// one.
  func observe(into numbers: UnsafeMutablePointer<Double>) {
    switch state {
    case .cartPole(let cart):
      numbers[0] = cart.position
      numbers[1] = cart.velocity
      numbers[2] = cart.angle
      numbers[3] = cart.angularVelocity
    case .pendulum(let pendulum):
      numbers[0] = Double.cos(pendulum.angle)
      numbers[1] = Double.sin(pendulum.angle)
      numbers[2] = pendulum.angularVelocity / Pendulum.speedLimit
    }
  }

  /// - Parameter action: 1 or 0 for a binary task; else in units of half the torque's limit.
  mutating func step(_ action: Double) -> Outcome {
    steps += 1
    let cutOff = steps >= task.maximumSteps
    switch state {
    case .cartPole(var cart):
      let fell = cart.push(right: action > 0.5)
      state = .cartPole(cart)
      return Outcome(reward: 1, isTerminal: fell, isCutOff: cutOff && !fell)
    case .pendulum(var pendulum):
      let reward = pendulum.turn(torque: Pendulum.torqueLimit * action)
      state = .pendulum(pendulum)
      return Outcome(reward: reward, isTerminal: false, isCutOff: cutOff)
    }
  }
}
