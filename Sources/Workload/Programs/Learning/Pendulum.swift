import Primitives
import RealModule

/// A pendulum to be swung up and held upright by a weak motor: Pendulum-v1.
///
/// Constants, limits and the order of the steps are those of Gymnasium's `Pendulum-v1`: a rod of 1
/// kg and 1 m under g = 10 m/s², semi-implicit Euler steps of 0.05 s, no terminal state. A step
/// earns −(θ² + 0.1 θ̇² + 0.001 u²); policies that swing up and hold score about −150 on average.
struct Pendulum: Sendable, Equatable {
  static let gravity = 10.0
  static let mass = 1.0
  static let length = 1.0
  static let timeStep = 0.05
  /// rad/s.
  static let speedLimit = 8.0
  /// N·m.
  static let torqueLimit = 2.0
  static let maximumSteps = 200

  /// Rad from upright; grows without bound as the rod turns.
  var angle = 0.0
  /// rad/s.
  var angularVelocity = 0.0

  /// Begins an episode: any angle, and a speed in ±1 rad/s.
  mutating func reset(_ random: inout RandomStream) {
    angle = (2 * random.unit() - 1) * Double.pi
    angularVelocity = 2 * random.unit() - 1
  }

  /// The same angle in −π ..< π.
  static func normalised(_ angle: Double) -> Double {
    let turns = ((angle + Double.pi) / (2 * Double.pi)).rounded(.down)
    return angle - turns * 2 * Double.pi
  }

  /// Applies a torque, cut to ±2 N·m, for one time step. The reward is that of the state before it.
  mutating func turn(torque: Double) -> Double {
    let torque = min(max(torque, -Self.torqueLimit), Self.torqueLimit)
    let away = Self.normalised(angle)
    let cost =
      away * away + 0.1 * angularVelocity * angularVelocity + 0.001 * torque * torque
    let acceleration =
      3 * Self.gravity / (2 * Self.length) * Double.sin(angle)
      + 3 / (Self.mass * Self.length * Self.length) * torque
    let speed = angularVelocity + acceleration * Self.timeStep
    angularVelocity = min(max(speed, -Self.speedLimit), Self.speedLimit)
    angle += angularVelocity * Self.timeStep
    return -cost
  }
}
