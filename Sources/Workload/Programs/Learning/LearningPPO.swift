import Heliostat
import Primitives

/// Proximal policy optimisation that really learns (Schulman et al. 2017), laid out as the paper's
/// `train_policy` (OSDI'18 Fig 3): workers roll a policy out, a learner makes the next one from all
/// rollouts.
///
/// The learner is an actor. Workers are actors that go on with their episodes (`rollouts: actors`),
/// or tasks that begin anew each time (`tasks`). Trajectories and parameters go from workers to
/// learner and back as futures; the driver sees only policies and scores. After each update the
/// workers evaluate the policy without exploration. The run ends at a mean score of `target`, and
/// fails when `iterations` did not reach it.
///
/// The learner takes trajectories in the order of workers, so the sequence of policies is a
/// function of the file and the seed, whatever the world and its timing (`policy fingerprint`).
struct LearningPPO: WorkloadProgram {
  static let name = "learning-ppo"
  static let summary = "PPO with rollout workers that learns CartPole or Pendulum to a target score"
  static let measures = [
    Measure("makespan", "s"), Measure("iterations", "count"), Measure("score", "reward"),
    Measure("environment steps", "count"), Measure("policy fingerprint", "hash"),
  ]

  enum Rollouts: String, CaseIterable, Sendable { case actors, tasks }

  let settings: ProximalSettings
  let rollouts: Rollouts
  let workers: Int
  let steps: Int
  let iterations: Int
  let rewardScale: Double
  let evaluation: Evaluation
  let learner: ResourceVector
  let rolloutTime: Distribution
  let updateTime: TimeSpan
  let startTimeout: TimeSpan

  init(_ with: inout MappingReader) throws(WorkloadError) {
    let task: ControlTask = try with.choice("environment", default: .cartPole)
    let model = ActorCritic(task, hidden: try with.hiddenLayers(default: [32, 32]))
    rollouts = try with.choice("rollouts", default: .tasks)
    workers = try with.int("workers", default: 4, in: 1...100_000)
    steps = try with.int("steps", default: 256, in: 1...10_000_000)
    iterations = try with.int("iterations", default: 100, in: 1...1_000_000)
    rewardScale = try with.double(
      "reward-scale", default: task == .pendulum ? 0.1 : 1, in: 1e-9...1e9)
    settings = ProximalSettings(
      model: model, seed: 0,
      discount: try with.double("discount", default: task == .pendulum ? 0.9 : 0.99, in: 0...1),
      lambda: try with.double("lambda", default: 0.95, in: 0...1),
      clip: try with.double("clip", default: 0.2, in: 0...1),
      epochs: try with.int("epochs", default: 10, in: 1...10_000),
      minibatch: try with.int("minibatch", default: 64, in: 1...10_000_000),
      rate: try with.double("rate", default: 0.001, in: 0...100),
      annealOver: try with.bool("anneal", default: true) ? iterations : 0,
      entropyWeight: try with.double("entropy-weight", default: 0, in: 0...100),
      valueWeight: try with.double("value-weight", default: 0.5, in: 0...100),
      largestGradient: try with.double("largest-gradient", default: 0.5, in: 1e-9...1e9))
    evaluation = try Evaluation(&with, task, model.policy)
    learner = ResourceVector(
      cpus: try with.int("learner-cpus", default: 1, in: 0...10_000),
      gpus: try with.int("learner-gpus", default: 0, in: 0...10_000))
    rolloutTime = try with.distribution(
      "rollout-time", of: .duration, default: .uniform(low: 0.05, high: 0.15))
    updateTime = try with.duration("update-time", default: .milliseconds(200))
    startTimeout = try with.duration("start-timeout", default: .seconds(30))
  }

  private var parameterSize: ByteCount { ByteCount(UInt64(8 * settings.model.count)) }
  private var trajectorySize: ByteCount {
    ByteCount(UInt64(8 * steps * Trajectory(settings.model.task).width))
  }
  var largestObject: ByteCount { max(parameterSize, trajectorySize) }

  func demands() -> [(what: String, demand: ResourceVector)] {
    [
      ("a rollout worker", ResourceVector(cpus: 1)), ("the learner", learner),
    ]
  }

  struct Functions: Sendable {
    let learner: ActorClass<ProximalLearner>
    let begin: ActorMethod<ProximalLearner, ProximalSettings, [Double]>
    let absorb: ActorMethod<ProximalLearner, [Double], Int>
    let update: ActorMethod<ProximalLearner, Int, [Double]>
    let players: PlayerFunctions
  }

  func register(_ library: FunctionLibrary) -> Functions {
    let type = library.actorClass("Learner", TaskOptions(resources: learner)) { ProximalLearner() }
    return Functions(
      learner: type,
      begin: library.method(
        "begin", of: type,
        TaskOptions(outputSize: parameterSize, resources: .zero, valueBytes: 256)
      ) { (state: inout ProximalLearner, settings: ProximalSettings) in state.begin(settings) },
      absorb: library.method("absorb", of: type) {
        (state: inout ProximalLearner, trajectory: [Double]) in try state.absorb(trajectory)
      },
      update: library.method(
        "update", of: type,
        TaskOptions(duration: updateTime, outputSize: parameterSize, resources: .zero)
      ) { (state: inout ProximalLearner, count: Int) in try state.update(count: count) },
      players: PlayerFunctions(trajectorySize: trajectorySize, library))
  }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    try checkRoom(ray)
    var settings = settings
    settings.seed = ray.seed
    let players = Players(self, functions.players, ray)
    var times = StreamPurpose.modelledTime.stream(seed: ray.seed, 0)
    var fingerprint = PolicyFingerprint()
    let log = sink.latency("iteration")
    let started = ray.now
    let trainer = ray.create(functions.learner)
    try await waitForActors([trainer.created] + players.actors.map(\.created), ray)
    var parameters = ray.call(trainer, functions.begin, .value(settings))
    var score = -Double.infinity
    var iteration = 0
    while iteration < iterations && score < evaluation.target {
      let start = ray.now
      let trajectories = players.play(parameters, iteration, self, ray, &times)
      let absorbed = trajectories.map { ray.call(trainer, functions.absorb, .ref($0)) }
      let next = ray.call(trainer, functions.update, .value(workers * steps))
      let values = try await ray.get(next)
      ray.free(trajectories)
      ray.free(absorbed)
      ray.free([parameters])
      parameters = next
      fingerprint.fold(values)
      score = try await evaluation.score(round: iteration, ray, &times) { share, part, options in
        players.evaluate(next, share, part, options, ray)
      }
      iteration += 1
      log.record(ray.now.since(start))
      sink.progress?("iteration \(iteration): mean score \(score)")
    }
    ray.free([parameters])
    sink.report("makespan", ray.now.since(started).seconds, unit: "s")
    sink.report("iterations", Double(iteration), unit: "count")
    sink.report("score", score, unit: "reward")
    sink.report("environment steps", Double(iteration * workers * steps), unit: "count")
    sink.report("policy fingerprint", Double(fingerprint.value), unit: "hash")
    guard score >= evaluation.target else {
      throw ProgramError(
        "after \(iteration) iterations the mean score is \(score), below \(evaluation.target)")
    }
  }

  /// Actors hold their CPUs for life, and a placed task stays where it is: with too few CPUs, or
  /// with tasks placed beside a learner that holds a whole node, the run would wait for ever.
  private func checkRoom(_ ray: Session) throws {
    let held = learner.amount(ResourceVector.cpuLane)
    let cpus = (0..<ray.nodeCount).map {
      ray.resources(of: NodeID($0)).amount(ResourceVector.cpuLane)
    }
    switch rollouts {
    case .actors:
      let total = cpus.reduce(0, +)
      guard held + Double(workers) <= total else {
        throw ProgramError(
          "\(workers) workers and the learner hold \(held + Double(workers)) CPUs, and the cluster "
            + "has \(total): use more nodes or fewer workers")
      }
    case .tasks:
      if held == 0 { return }
      for (node, cpus) in cpus.enumerated() where cpus >= held && cpus < held + 1 {
        throw ProgramError(
          "the learner's \(held) CPUs leave no room for a task on node \(node), which has "
            + "\(cpus): use larger nodes, rollouts: actors, or learner-cpus: 0")
      }
    }
  }

  /// An actor that was placed where others hold every CPU never begins.
  private func waitForActors(_ created: [ObjectRef<Void>], _ ray: Session) async throws {
    let (ready, rest) = try await ray.wait(created, count: created.count, timeout: startTimeout)
    guard rest.isEmpty else {
      throw ProgramError(
        "after \(startTimeout) only \(ready.count) of \(created.count) actors have begun: use more "
          + "or larger nodes, or rollouts: tasks")
    }
  }

  /// What rollout workers do, as actors or as tasks.
  struct PlayerFunctions: Sendable {
    let type: ActorClass<RolloutWorker>
    let method: ActorMethod<RolloutWorker, [Double], RolloutPlan, [Double]>
    let function: RemoteFunction<[Double], RolloutPlan, [Double]>
    let evaluateMethod: ActorMethod<RolloutWorker, [Double], EvaluationTask, [Double]>
    let evaluateFunction: RemoteFunction<[Double], EvaluationTask, [Double]>

    init(trajectorySize: ByteCount, _ library: FunctionLibrary) {
      type = library.actorClass("RolloutWorker") { RolloutWorker() }
      var options = TaskOptions(outputSize: trajectorySize, resources: .zero, valueBytes: 128)
      method = library.method("rollout", of: type, options) {
        (worker: inout RolloutWorker, parameters: [Double], plan: RolloutPlan) in
        try worker.run(parameters, plan).numbers
      }
      options.resources = ResourceVector(cpus: 1)
      function = library.remote("rollout", options) { (parameters: [Double], plan: RolloutPlan) in
        var worker = RolloutWorker()
        return try worker.run(parameters, plan).numbers
      }
      evaluateMethod = library.method("evaluate", of: type) {
        (_: inout RolloutWorker, parameters: [Double], part: EvaluationTask) in
        try part.run(parameters)
      }
      evaluateFunction = library.remote("evaluate") {
        (parameters: [Double], part: EvaluationTask) in try part.run(parameters)
      }
    }
  }

  /// The rollout workers, as actors or as tasks.
  private struct Players {
    let functions: PlayerFunctions
    let actors: [ActorRef<RolloutWorker>]

    init(_ ppo: LearningPPO, _ functions: PlayerFunctions, _ ray: Session) {
      self.functions = functions
      actors =
        ppo.rollouts == .actors ? (0..<ppo.workers).map { _ in ray.create(functions.type) } : []
    }

    func play(
      _ parameters: ObjectRef<[Double]>, _ iteration: Int, _ ppo: LearningPPO, _ ray: Session,
      _ times: inout RandomStream
    ) -> [ObjectRef<[Double]>] {
      var trajectories: [ObjectRef<[Double]>] = []
      for number in 0..<ppo.workers {
        let plan = RolloutPlan(
          model: ppo.settings.model, seed: ray.seed,
          stream: actors.isEmpty ? iteration * ppo.workers + number : number, steps: ppo.steps,
          rewardScale: ppo.rewardScale)
        var options = actors.isEmpty ? functions.function.options : functions.method.options
        options.duration = TimeSpan(seconds: ppo.rolloutTime.draw(&times))
        trajectories.append(
          actors.isEmpty
            ? ray.submit(functions.function, .ref(parameters), .value(plan), options: options)
            : ray.call(
              actors[number], functions.method, .ref(parameters), .value(plan), options: options))
      }
      return trajectories
    }

    /// The policy's parameters begin the vector, so `parameters` serves as they are.
    func evaluate(
      _ parameters: ObjectRef<[Double]>, _ share: Int, _ part: EvaluationTask,
      _ options: TaskOptions, _ ray: Session
    ) -> ObjectRef<[Double]> {
      if actors.isEmpty {
        return ray.submit(
          functions.evaluateFunction, .ref(parameters), .value(part), options: options)
      }
      return ray.call(
        actors[share % actors.count], functions.evaluateMethod, .ref(parameters), .value(part),
        options: options)
    }
  }
}
