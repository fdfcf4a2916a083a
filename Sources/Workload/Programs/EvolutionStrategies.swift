import Algorithms
import Heliostat
import Primitives

/// Evolution Strategies to a goal score (OSDI'18 §5.3.1, Fig 14a; Salimans et al. 2017).
///
/// Each iteration: the driver puts the policy, submits `tasks` rollouts that read it, and results are
/// aggregated into the next policy. A rollout lasts a random number of simulation steps. The number of
/// iterations to the goal is random. What the paper does not give is a parameter, with its reason in
/// the workload file.
///
/// `aggregation: flat` gathers every result at the driver, as the special-purpose reference system
/// does; `tree` sends them through aggregation actors, each adding up a share, whose sums are added
/// up in turn with `fan-in` inputs at a time: the driver receives one sum.
struct EvolutionStrategies: WorkloadProgram {
  static let name = "evolution-strategies"
  static let summary =
    "ES to a goal score, results aggregated flat or by a tree of actors (Fig 14a)"
  static let measures = [
    Measure("time to goal", "min"), Measure("iterations", "count"),
    Measure("time per iteration", "s"),
  ]

  enum Aggregation: String, CaseIterable, Sendable { case flat, tree }

  let aggregation: Aggregation
  let tasks: Int
  let steps: Distribution
  let stepTime: TimeSpan
  let iterations: Distribution
  let policySize: ByteCount
  let resultSize: ByteCount
  let combineTime: TimeSpan
  let updateTime: TimeSpan
  let fanIn: Int
  let tasksPerAggregator: Int
  let aggregatorResource: String

  init(_ with: inout MappingReader) throws(WorkloadError) {
    aggregation = try with.choice("aggregation", default: .tree)
    tasks = try with.int("tasks", default: 10_000, in: 1...10_000_000)
    steps = try with.distribution(
      "steps", of: .number, default: .uniform(low: 10, high: 1000))
    stepTime = try with.duration("step-time", default: .milliseconds(1))
    iterations = try with.distribution(
      "iterations", of: .number, default: .logNormal(median: 100, sigma: 0.4))
    policySize = try with.size("policy-size", default: ByteCount(700_000))
    resultSize = try with.size("result-size", default: ByteCount(100))
    combineTime = try with.duration("combine-time", default: .microseconds(100))
    updateTime = try with.duration("update-time", default: .milliseconds(10))
    fanIn = try with.int("fan-in", default: 8, in: 2...1_000_000)
    aggregatorResource = try with.string("aggregator-resource", default: "")
    tasksPerAggregator = try with.int("tasks-per-aggregator", default: 128, in: 1...1_000_000)
  }

  var largestObject: ByteCount { max(policySize, resultSize) }

  /// Known by its iteration.
  typealias Policy = Sized<Int>

  struct Functions: Sendable {
    let tree: AggregationFunctions?
    let rollout: RemoteFunction<Void>
  }

  func register(_ library: FunctionLibrary) -> Functions {
    Functions(
      tree: aggregation == .tree ? AggregationFunctions(self, library) : nil,
      rollout: library.modelled("rollout", TaskOptions(outputSize: resultSize)))
  }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    var random = RandomStream(seed: ray.seed, stream: 0x4553)
    let count = max(1, Int(iterations.draw(&random).rounded()))
    var tree: AggregationTree?
    if let functions = functions.tree { tree = try await AggregationTree(self, functions, ray) }
    let iterationTimes = sink.latency("iteration")
    let begin = ray.now
    for iteration in 0..<count {
      let start = ray.now
      let policy = try await ray.put(Policy(iteration, size: policySize), size: policySize)
      var options = TaskOptions(outputSize: resultSize)
      var results: [ObjectRef<Void>] = []
      results.reserveCapacity(tasks)
      for _ in 0..<tasks {
        let steps = steps.draw(&random)
        options.duration = TimeSpan(seconds: steps * stepTime.seconds)
        results.append(ray.submit(functions.rollout, after: [policy], options: options))
      }
      if let tree {
        try await tree.sum(results, ray)
      } else {
        // As results come, in the order of submission: combining overlaps with the rest.
        for block in results.chunks(ofCount: 100) {
          try await ray.get(Array(block))
          ray.compute(combineTime * UInt64(block.count))
        }
      }
      ray.compute(updateTime)
      ray.free(results)
      ray.free([policy])
      iterationTimes.record(ray.now.since(start))
      if iteration % 16 == 15 { sink.progress?("iteration \(iteration + 1) of \(count)") }
    }
    let total = ray.now.since(begin)
    sink.report("time to goal", total.seconds / 60, unit: "min")
    sink.report("iterations", Double(count), unit: "count")
    sink.report("time per iteration", total.seconds / Double(count), unit: "s")
  }
}

/// What aggregation actors are and do.
struct AggregationFunctions: Sendable {
  /// The state is the number of calls so far.
  let type: ActorClass<Int>
  /// Adds up as many inputs as it is told.
  let sum: ActorMethod<Int, Int, Sized<Int>>

  init(_ es: EvolutionStrategies, _ library: FunctionLibrary) {
    type = library.actorClass("Aggregator", TaskOptions(resources: .zero)) { 0 }
    let size = es.policySize
    sum = library.method("sum", of: type, TaskOptions(outputSize: size, resources: .zero)) {
      [combineTime = es.combineTime] (calls: inout Int, inputs: Int) in
      calls += 1
      TaskContext.spend(combineTime * UInt64(inputs))
      return Sized(calls, size: size)
    }
  }
}

/// Aggregation actors in levels. Those of the lowest take the rollouts' results, each its share; those
/// above take the sums of `fanIn` below. The driver gets the sum of the single top actor.
private struct AggregationTree {
  let levels: [[ActorRef<Int>]]
  let functions: AggregationFunctions
  let combineTime: TimeSpan
  let fanIn: Int
  let share: Int

  init(
    _ es: EvolutionStrategies, _ functions: AggregationFunctions, _ ray: Session
  ) async throws {
    // An actor without any demand stays on the driver's node; a resource that only the worker nodes
    // have spreads the aggregators without taking CPUs from the rollouts.
    var place = functions.type.options
    if !es.aggregatorResource.isEmpty {
      guard let lane = ray.lane(of: es.aggregatorResource) else {
        throw ProgramError("no node of the cluster has the resource '\(es.aggregatorResource)'")
      }
      place.resources.lanes[lane] = ResourceVector.unitsPerOne
    }
    var levels: [[ActorRef<Int>]] = []
    share = es.tasksPerAggregator
    var width = (es.tasks + es.tasksPerAggregator - 1) / es.tasksPerAggregator
    while true {
      levels.append((0..<width).map { _ in ray.create(functions.type, options: place) })
      if width == 1 { break }
      width = (width + es.fanIn - 1) / es.fanIn
    }
    for level in levels { _ = try await ray.wait(level.map(\.created), count: level.count) }
    self.levels = levels
    self.functions = functions
    combineTime = es.combineTime
    fanIn = es.fanIn
  }

  func sum(_ results: [ObjectRef<Void>], _ ray: Session) async throws {
    var sums = add(results, by: share, levels[0], ray)
    var all = sums
    for level in levels.dropFirst() {
      sums = add(sums, by: fanIn, level, ray)
      all += sums
    }
    _ = try await ray.get(sums[0])
    ray.free(all)
  }

  /// One level: each actor adds up `size` of the inputs, the last one the rest.
  private func add<Value>(
    _ inputs: [ObjectRef<Value>], by size: Int, _ level: [ActorRef<Int>], _ ray: Session
  ) -> [ObjectRef<Sized<Int>>] {
    var options = functions.sum.options
    return zip(level, inputs.chunks(ofCount: size)).map { actor, part in
      options.duration = combineTime * UInt64(part.count)
      return ray.call(
        actor, functions.sum, .value(part.count), after: Array(part), options: options)
    }
  }
}
