import Primitives
import RealModule

/// A pole hinged to a cart that is pushed left or right: CartPole-v1.
///
/// The equations are those of A. Barto, R. Sutton and C. Anderson, "Neuronlike adaptive elements
/// that can solve difficult learning control problems" (1983), without friction, stepped by Euler's
/// method; constants, limits and the order of the steps are those of Gymnasium's `CartPole-v1`. A
/// step earns 1; the task counts as solved at a mean of 475 over 100 episodes.
struct CartPole: Sendable, Equatable {
  /// m/s².
  static let gravity = 9.8
  /// kg.
  static let cartMass = 1.0
  static let poleMass = 0.1
  /// Half of the pole, in m: from the hinge to its centre of mass.
  static let halfLength = 0.5
  /// N.
  static let force = 10.0
  /// s per step.
  static let timeStep = 0.02
  /// m from the middle.
  static let positionLimit = 2.4
  /// Rad from upright: 12°.
  static let angleLimit = 12 * 2 * Double.pi / 360
  static let maximumSteps = 500

  /// m.
  var position = 0.0
  /// m/s.
  var velocity = 0.0
  /// Rad, clockwise from upright.
  var angle = 0.0
  /// Rad/s.
  var angularVelocity = 0.0

  /// Begins an episode: each state variable is uniform in ±0.05.
  mutating func reset(_ random: inout RandomStream) {
    position = 0.1 * random.unit() - 0.05
    velocity = 0.1 * random.unit() - 0.05
    angle = 0.1 * random.unit() - 0.05
    angularVelocity = 0.1 * random.unit() - 0.05
  }

  /// Pushes for one time step. True when the pole fell or the cart left the track.
  mutating func push(right: Bool) -> Bool {
    let totalMass = Self.cartMass + Self.poleMass
    let poleMoment = Self.poleMass * Self.halfLength
    let force = right ? Self.force : -Self.force
    let cosine = Double.cos(angle)
    let sine = Double.sin(angle)
    let common = (force + poleMoment * angularVelocity * angularVelocity * sine) / totalMass
    let angularAcceleration =
      (Self.gravity * sine - cosine * common)
      / (Self.halfLength * (4.0 / 3 - Self.poleMass * cosine * cosine / totalMass))
    let acceleration = common - poleMoment * angularAcceleration * cosine / totalMass
    position += Self.timeStep * velocity
    velocity += Self.timeStep * acceleration
    angle += Self.timeStep * angularVelocity
    angularVelocity += Self.timeStep * angularAcceleration
    return abs(position) > Self.positionLimit || abs(angle) > Self.angleLimit
  }
}
