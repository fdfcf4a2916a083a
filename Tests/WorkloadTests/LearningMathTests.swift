import Primitives
import Testing

@testable import Workload

@Suite("Networks and optimisers of learning programs")
struct LearningMathTests {
  private func output(_ network: Network, _ parameters: [Double], _ input: [Double]) -> Double {
    var tape = input + [Double](repeating: 0, count: network.tapeCount - input.count)
    let at = tape.withUnsafeMutableBufferPointer { network.forward(parameters, $0.baseAddress!) }
    return tape[at]
  }

  @Test("a network without hidden layers is a linear map with a bias")
  func linear() {
    let network = Network(inputs: 2, hidden: [], outputs: 1)
    #expect(network.parameterCount == 3)
    #expect(output(network, [2, -3, 0.5], [1, 4]) == 2 - 12 + 0.5)
  }

  /// By hand: 1.5 tanh(0.5·1 + 0.25·2 + 0.1) − 0.5 tanh(−1·1 + 2·2 − 0.2) + 0.3, with
  /// tanh 1.1 = 0.8004990218 and tanh 2.8 = 0.9926315202.
  @Test("a hidden layer passes through tanh, the output does not")
  func hidden() {
    let network = Network(inputs: 2, hidden: [2], outputs: 1)
    let parameters = [0.5, -1, 0.25, 2, 0.1, -0.2, 1.5, -0.5, 0.3]
    #expect(network.parameterCount == parameters.count)
    #expect(abs(output(network, parameters, [1, 2]) - 1.0044327726) < 1e-9)
  }

  private func settings(_ task: ControlTask, clip: Double) -> ProximalSettings {
    ProximalSettings(
      model: ActorCritic(task, hidden: [5, 4]), seed: 1, discount: 0.9, lambda: 0.8, clip: clip,
      epochs: 1, minibatch: 8, rate: 0.01, annealOver: 0, entropyWeight: 0.03, valueWeight: 0.5,
      largestGradient: 1)
  }

  @Test(
    "back-propagation through the whole loss agrees with finite differences",
    arguments: [
      (ControlTask.cartPole, 0.2), (.cartPole, 0.01), (.pendulum, 0.2), (.pendulum, 0.01),
    ])
  func gradient(task: ControlTask, clip: Double) throws {
    let settings = settings(task, clip: clip)
    var random = RandomStream(seed: 9, stream: 0)
    let old = settings.model.initial(&random)
    var worker = RolloutWorker()
    let trajectory = try worker.run(
      old, RolloutPlan(model: settings.model, seed: 4, stream: 0, steps: 24, rewardScale: 0.1))
    var batch = ProximalBatch()
    batch.append(trajectory, discount: 0.9, lambda: 0.8)
    batch.normaliseAdvantages()
    // Away from the policy that drew the actions, so that some ratios are clipped and some not.
    var parameters = old.map { $0 + 0.1 * random.normal() }
    let indices = Array(0..<batch.count)[...]
    var gradient = [Double](repeating: 0, count: parameters.count)
    var ignored = gradient
    _ = settings.loss(parameters, batch, indices, gradient: &gradient)
    let step = 1e-6
    for i in parameters.indices {
      let here = parameters[i]
      parameters[i] = here + step
      let above = settings.loss(parameters, batch, indices, gradient: &ignored)
      parameters[i] = here - step
      let below = settings.loss(parameters, batch, indices, gradient: &ignored)
      parameters[i] = here
      let slope = (above - below) / (2 * step)
      #expect(abs(slope - gradient[i]) < 1e-7, "parameter \(i): \(gradient[i]), not \(slope)")
    }
    #expect(gradient.contains { abs($0) > 1e-3 })
    #expect((gradient[parameters.count - 1] != 0) == (task == .pendulum))
  }

  @Test("clipping takes the slope away where nothing is left to gain")
  func clipping() throws {
    var settings = settings(.pendulum, clip: 0.2)
    settings.entropyWeight = 0
    settings.valueWeight = 0
    var random = RandomStream(seed: 9, stream: 0)
    let parameters = settings.model.initial(&random)
    let policy = 0..<settings.model.policy.parameterCount
    func slopes(logRatio: Double, advantage: Double) -> Bool {
      var batch = ProximalBatch()
      batch.observations = [1, 0, 0]
      batch.actions = [1.5]
      let mean = output(settings.model.policy, Array(parameters[policy]), [1, 0, 0])
      let now = settings.model.logProbability(of: 1.5, mean, logDeviation: 0)
      batch.logProbabilities = [now - logRatio]
      batch.advantages = [advantage]
      batch.returns = [0]
      var gradient = [Double](repeating: 0, count: parameters.count)
      _ = settings.loss(parameters, batch, [0], gradient: &gradient)
      return gradient.contains { $0 != 0 }
    }
    #expect(!slopes(logRatio: 0.4, advantage: 1), "already likelier by e^0.4 > 1.2")
    #expect(slopes(logRatio: 0.4, advantage: -1))
    #expect(slopes(logRatio: -0.4, advantage: 1))
    #expect(!slopes(logRatio: -0.4, advantage: -1), "already rarer by e^-0.4 < 0.8")
    #expect(slopes(logRatio: 0.1, advantage: 1))
  }

  /// By hand, with γ = λ = ½ and every value 1: errors 0.5, 1.5 and 3 + ½·4 − 1 = 4; advantages
  /// backwards 4, 1.5 + ¼·4 = 2.5, 0.5 + ¼·2.5 = 1.125.
  @Test("advantages look past a cut with the value there, and not past a terminal state")
  func advantages() {
    func trajectory(endAfterFirst: Bool) -> Trajectory {
      var trajectory = Trajectory(.pendulum)
      for reward in [1.0, 2, 3] {
        trajectory.append(
          observation: [0, 0, 0], action: 0, logProbability: 0, value: 1, reward: reward)
        if endAfterFirst && reward == 1 { trajectory.end(value: 0) }
      }
      trajectory.end(value: 4)
      return trajectory
    }
    let whole = trajectory(endAfterFirst: false)
    #expect(whole.isWellFormed)
    #expect(whole.advantages(discount: 0.5, lambda: 0.5) == [1.125, 2.5, 4])
    let cut = trajectory(endAfterFirst: true)
    #expect(cut.advantages(discount: 0.5, lambda: 0.5) == [0, 2.5, 4])
    let back = Trajectory(.pendulum, numbers: cut.numbers)
    #expect(back == cut, "the flat numbers are the whole trajectory")
  }

  @Test("a learner refuses numbers that are no trajectory, and a batch that is not complete")
  func malformed() throws {
    var learner = ProximalLearner()
    #expect(throws: ProgramError.self) { try learner.absorb([]) }
    _ = learner.begin(settings(.pendulum, clip: 0.2))
    for numbers in [[], [1, 2, 3], [Double](repeating: 0, count: 9)] {
      #expect(throws: ProgramError.self) { try learner.absorb(numbers) }
    }
    #expect(throws: ProgramError.self) { try learner.update(count: 1) }
    let network = Network(inputs: 3, hidden: [], outputs: 1)
    var random = RandomStream(seed: 1, stream: 0)
    #expect(throws: ProgramError.self) {
      try EvaluationTask.play(.pendulum, network, [1, 2, 3], &random)
    }
  }

  @Test("the first step of Adam moves every parameter by the rate, whatever the slope")
  func adam() {
    var adam = Adam(count: 3)
    var parameters = [1.0, 2, 3]
    adam.descend(&parameters, [1000, -0.001, 0], rate: 0.1)
    for (found, expected) in zip(parameters, [0.9, 2.1, 3]) {
      #expect(abs(found - expected) < 1e-5)
    }
  }

  @Test("centred ranks run from -1/2 to 1/2, and equal scores share theirs")
  func ranks() {
    #expect(centredRanks([10, 1e9, 20]) == [-0.5, 0.5, 0])
    #expect(centredRanks([1, 2, 2, 3]) == [-0.5, 0, 0, 0.5])
    #expect(centredRanks([7, 7, 7, 7]) == [0, 0, 0, 0])
    #expect(centredRanks([3]) == [0])
  }

  @Test("directions are standard normal, and a sum of shares is the sum of all")
  func directions() {
    let noise = direction(seed: 1, pair: 0, count: 20_000)
    let mean = noise.reduce(0, +) / 20_000
    let variance = noise.reduce(0) { $0 + $1 * $1 } / 20_000
    // Five standard errors: 1 ÷ √n and √(2 ÷ n).
    #expect(abs(mean) < 0.036 && abs(variance - 1) < 0.05)
    #expect(direction(seed: 1, pair: 1, count: 3) != direction(seed: 1, pair: 0, count: 3))

    let weights = [0.5, 0, -1, 0.25]
    let whole = NoiseSum(seed: 1, firstPair: 6, weights: weights, count: 5).run()
    let low = NoiseSum(seed: 1, firstPair: 6, weights: [0.5, 0], count: 5).run()
    let high = NoiseSum(seed: 1, firstPair: 8, weights: [-1, 0.25], count: 5).run()
    for i in 0..<5 {
      let expected = (0..<4).reduce(0) {
        $0 + weights[$1] * direction(seed: 1, pair: 6 + $1, count: 5)[i]
      }
      #expect(abs(whole[i] - expected) < 1e-12 && abs(low[i] + high[i] - expected) < 1e-12)
    }
  }

  @Test("actions are drawn with the odds that the model states")
  func odds() {
    var random = RandomStream(seed: 2, stream: 0)
    let coin = ActorCritic(.cartPole, hidden: [])
    let ones = (0..<10_000).reduce(0) { sum, _ in
      sum + coin.draw(1, logDeviation: 0, &random)
    }
    // 1 ÷ (1 + 1/e) = 0.731059, five standard errors of 0.0044.
    #expect(abs(ones / 10_000 - 0.731059) < 0.023)
    #expect(abs(coin.logProbability(of: 1, 1, logDeviation: 0) + 0.313262) < 1e-6)
    #expect(abs(coin.logProbability(of: 0, 1, logDeviation: 0) + 1.313262) < 1e-6)
    // Normal density at its mean with deviation 1: −½ log 2π; one deviation away ½ less.
    let normal = ActorCritic(.pendulum, hidden: [])
    #expect(abs(normal.logProbability(of: 3, 3, logDeviation: 0) + 0.918939) < 1e-6)
    #expect(abs(normal.logProbability(of: 4, 3, logDeviation: 0) + 1.418939) < 1e-6)
    #expect(sigmoid(-1000) == 0 && sigmoid(1000) == 1 && softplus(1000) == 1000)
  }

  @Test("a fingerprint tells policies and their order apart")
  func fingerprint() {
    func value(_ policies: [[Double]]) -> UInt32 {
      var fingerprint = PolicyFingerprint()
      for policy in policies { fingerprint.fold(policy) }
      return fingerprint.value
    }
    #expect(value([[1, 2], [3]]) == value([[1, 2], [3]]))
    #expect(value([[1, 2], [3]]) != value([[2, 1], [3]]))
    #expect(value([[1, 2]]) != value([[1, 2.0.nextUp]]))
  }
}
