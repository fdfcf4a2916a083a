import Primitives
import Testing

@testable import Workload

@Suite("Environments of learning programs")
struct LearningPhysicsTests {
  private func close(_ a: Double, _ b: Double, within tolerance: Double = 1e-9) -> Bool {
    abs(a - b) <= tolerance
  }

  private func push(_ cart: inout CartPole, right: Bool) -> Bool { cart.push(right: right) }

  /// By hand: at rest and upright, (10 N) ÷ 1.1 kg = 100/11; the pole's acceleration is −(100/11) ÷
  /// (½ (4/3 − 1/11)) = −600/41 rad/s², the cart's 100/11 + (0.05 ÷ 1.1)(600/41) = 400/41 m/s².
  /// After one step the angle is still 0, so the second step accelerates alike.
  @Test("a cart pushed right from rest moves as the equations of Barto, Sutton and Anderson say")
  func cartFromRest() {
    var cart = CartPole()
    #expect(!push(&cart, right: true))
    #expect(cart.position == 0 && cart.angle == 0)
    #expect(close(cart.velocity, 8.0 / 41) && close(cart.angularVelocity, -12.0 / 41))
    #expect(!push(&cart, right: true))
    #expect(close(cart.position, 0.02 * 8 / 41) && close(cart.velocity, 16.0 / 41))
    #expect(close(cart.angle, -0.02 * 12 / 41) && close(cart.angularVelocity, -24.0 / 41))
  }

  /// By hand, with sin 0.1 = 0.0998334166 and cos 0.1 = 0.9950041653: the pole accelerates by
  /// 10.0238599 ÷ 0.6216651535 = 16.124211 rad/s², the cart by −9.0909091 − 0.7292571 m/s².
  @Test("a leaning pole is driven over by a push to the left")
  func leaningPole() {
    var cart = CartPole(angle: 0.1)
    _ = cart.push(right: false)
    #expect(close(cart.angularVelocity, 0.02 * 16.124211, within: 1e-6))
    #expect(close(cart.velocity, 0.02 * -9.8201662, within: 1e-6))
  }

  @Test("a mirrored cart under mirrored pushes stays the mirror image")
  func mirrorImage() {
    var random = RandomStream(seed: 3, stream: 0)
    var cart = CartPole()
    cart.reset(&random)
    var mirror = CartPole(
      position: -cart.position, velocity: -cart.velocity, angle: -cart.angle,
      angularVelocity: -cart.angularVelocity)
    for _ in 0..<50 {
      let right = random.chance(Ratio(1, 2))
      let fell = cart.push(right: right)
      #expect(push(&mirror, right: !right) == fell)
      #expect(close(mirror.position, -cart.position) && close(mirror.angle, -cart.angle))
    }
  }

  @Test("an episode of CartPole ends at 12 degrees, at 2.4 m, and after 500 steps")
  func cartLimits() {
    // The speeds carry the state over the limit in one step of 0.02 s, or leave it just inside.
    var tilted = CartPole(angle: 0.2, angularVelocity: 0.48)
    #expect(push(&tilted, right: true), "0.2096 rad is beyond 12° = 0.20944 rad")
    tilted = CartPole(angle: 0.2, angularVelocity: 0.46)
    #expect(!push(&tilted, right: true))
    var far = CartPole(position: 2.39, velocity: 0.6)
    #expect(push(&far, right: true))
    far = CartPole(position: 2.39, velocity: 0.4)
    #expect(!push(&far, right: true))

    // Lean and speed of the pole together tell which way to push.
    var environment = Environment(.cartPole)
    var random = RandomStream(seed: 1, stream: 0)
    environment.reset(&random)
    var seen = [Double](repeating: 0, count: 4)
    var last = Environment.Outcome(reward: 0, isTerminal: false, isCutOff: false)
    while !last.isOver {
      seen.withUnsafeMutableBufferPointer { environment.observe(into: $0.baseAddress!) }
      last = environment.step(seen[0] * 0.1 + seen[1] * 0.3 + seen[2] * 3 + seen[3] > 0 ? 1 : 0)
      #expect(last.reward == 1)
    }
    #expect(environment.steps == 500 && last.isCutOff && !last.isTerminal)
  }

  @Test("episodes begin within the ranges of Gymnasium, and differ")
  func beginnings() {
    var random = RandomStream(seed: 1, stream: 0)
    var cart = CartPole()
    var pendulum = Pendulum()
    var widest = 0.0
    for _ in 0..<500 {
      cart.reset(&random)
      for v in [cart.position, cart.velocity, cart.angle, cart.angularVelocity] {
        #expect(abs(v) <= 0.05)
      }
      pendulum.reset(&random)
      #expect(abs(pendulum.angle) <= Double.pi && abs(pendulum.angularVelocity) <= 1)
      widest = max(widest, abs(pendulum.angle))
    }
    #expect(widest > 3)
  }

  /// By hand: a level rod accelerates by 15 rad/s² from gravity (3g ÷ 2l) and 3 per N·m of torque;
  /// the reward is that of the state before the step.
  @Test("a level pendulum falls by 3g/2l and turns by 3u, for the cost of where it was")
  func pendulumStep() {
    let level = Double.pi / 2
    var pendulum = Pendulum(angle: level)
    var reward = pendulum.turn(torque: 1)
    #expect(close(reward, -(level * level + 0.001)))
    #expect(close(pendulum.angularVelocity, 0.9) && close(pendulum.angle, level + 0.045))

    pendulum = Pendulum(angle: level, angularVelocity: 1)
    reward = pendulum.turn(torque: -50)
    #expect(close(reward, -(level * level + 0.1 + 0.004)), "cut to -2")
    #expect(close(pendulum.angularVelocity, 1 + 9 * 0.05))

    pendulum = Pendulum(angle: level, angularVelocity: 7.9)
    _ = pendulum.turn(torque: 0)
    #expect(pendulum.angularVelocity == 8, "the speed is limited")
  }

  @Test("angles are measured the short way round")
  func normalisedAngles() {
    #expect(Pendulum.normalised(0) == 0)
    #expect(close(Pendulum.normalised(2 * Double.pi + 0.5), 0.5))
    #expect(close(Pendulum.normalised(-2 * Double.pi - 0.5), -0.5))
    #expect(close(Pendulum.normalised(Double.pi + 0.5), 0.5 - Double.pi))
    #expect(close(Pendulum.normalised(7 * Double.pi), -Double.pi))
  }

  /// ½ (ml²/3) ω² + ½ mgl cos θ; the semi-implicit step makes it swing, and not drift.
  @Test("a pendulum without torque keeps its energy")
  func pendulumEnergy() {
    func energy(_ p: Pendulum) -> Double {
      p.angularVelocity * p.angularVelocity / 6 + 5 * cosine(p.angle)
    }
    var pendulum = Pendulum(angle: Double.pi - 0.5)
    let start = energy(pendulum)
    var sum = 0.0
    for _ in 0..<2000 {
      _ = pendulum.turn(torque: 0)
      #expect(abs(energy(pendulum) - start) < 0.2 * (start + 5))
      sum += energy(pendulum) - start
    }
    #expect(abs(sum / 2000) < 0.1 * (start + 5))
  }

  /// By Taylor's series: |x| ≤ π needs 14 terms for 1e-9.
  private func cosine(_ angle: Double) -> Double {
    let x = Pendulum.normalised(angle)
    var term = 1.0
    var sum = 1.0
    for n in 1...14 {
      term *= -x * x / Double((2 * n - 1) * 2 * n)
      sum += term
    }
    return sum
  }

  @Test("a pendulum shows cosine, sine and its speed as a share of the limit, for 200 steps")
  func pendulumEnvironment() {
    var environment = Environment(.pendulum)
    var random = RandomStream(seed: 5, stream: 0)
    environment.reset(&random)
    var seen = [Double](repeating: 0, count: 3)
    var count = 0
    var outcome = Environment.Outcome(reward: 0, isTerminal: false, isCutOff: false)
    while !outcome.isOver {
      outcome = environment.step(0.5)
      count += 1
      seen.withUnsafeMutableBufferPointer { environment.observe(into: $0.baseAddress!) }
      #expect(close(seen[0] * seen[0] + seen[1] * seen[1], 1))
      #expect(abs(seen[2]) <= 1 && outcome.reward <= 0 && outcome.reward > -16.3)
    }
    #expect(count == 200 && outcome.isCutOff && !outcome.isTerminal)
  }
}
