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

  func run(_ ray: Session, _ sink: MeasureSink) async throws {
    var random = RandomStream(seed: ray.seed, stream: 0x4553)
    let count = max(1, Int(iterations.draw(&random).rounded()))
    let tree = aggregation == .tree ? try await AggregationTree(self, ray) : nil
    let rollout = ray.modelled("rollout", TaskOptions(outputSize: resultSize))
    let iterationTimes = sink.latency("iteration")
    let begin = ray.now
    for iteration in 0..<count {
      let start = ray.now
      let policy = ray.put((), size: policySize)
      var options = TaskOptions(outputSize: resultSize)
      var results: [ObjectRef<Void>] = []
      results.reserveCapacity(tasks)
      for _ in 0..<tasks {
        let steps = steps.draw(&random)
        options.duration = TimeSpan(seconds: steps * stepTime.seconds)
        results.append(ray.submit(rollout, after: [policy.handle], options: options))
      }
      if let tree {
        try await tree.sum(results, ray)
      } else {
        // As results come, in the order of submission: combining overlaps with the rest.
        for block in results.chunks(ofCount: 100) {
          _ = try await ray.get(Array(block))
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

/// Aggregation actors in levels. Those of the lowest take the rollouts' results, each its share; those
/// above take the sums of `fanIn` below. The driver gets the sum of the single top actor.
private struct AggregationTree {
  typealias Actor = ActorRef<Int>

  let levels: [[Actor]]
  let method: ActorMethod<Int, Void>
  let combineTime: TimeSpan
  let fanIn: Int
  let share: Int

  init(_ es: EvolutionStrategies, _ ray: Session) async throws {
    // An actor without any demand stays on the driver's node; a resource that only the worker nodes
    // have spreads the aggregators without taking CPUs from the rollouts.
    var place = TaskOptions(resources: .zero)
    if !es.aggregatorResource.isEmpty {
      guard let lane = ray.lane(of: es.aggregatorResource) else {
        throw ProgramError("no node of the cluster has the resource '\(es.aggregatorResource)'")
      }
      place.resources.lanes[lane] = ResourceVector.unitsPerOne
    }
    let type = ray.actorClass("Aggregator", place) { 0 }
    var options = TaskOptions(resources: .zero)
    options.outputSize = es.policySize
    let method = ray.method("sum", of: type, options) { (calls: inout Int) in calls += 1 }
    var levels: [[Actor]] = []
    share = es.tasksPerAggregator
    var width = (es.tasks + es.tasksPerAggregator - 1) / es.tasksPerAggregator
    while true {
      levels.append((0..<width).map { _ in ray.create(type) })
      if width == 1 { break }
      width = (width + es.fanIn - 1) / es.fanIn
    }
    for level in levels { _ = await ray.wait(level.map(\.created), count: level.count) }
    self.levels = levels
    self.method = method
    combineTime = es.combineTime
    fanIn = es.fanIn
  }

  func sum(_ results: [ObjectRef<Void>], _ ray: Session) async throws {
    var inputs = results.map(\.handle)
    var sums: [ObjectRef<Void>] = []
    for (depth, level) in levels.enumerated() {
      let size = depth == 0 ? share : fanIn
      var next: [ObjectRef<Void>] = []
      for (i, actor) in level.enumerated() {
        let part = Array(inputs[i * size..<min((i + 1) * size, inputs.count)])
        var options = method.options
        options.duration = combineTime * UInt64(part.count)
        next.append(ray.call(actor, method, after: part, options: options))
      }
      sums += next
      inputs = next.map(\.handle)
    }
    try await ray.get(sums[sums.count - 1])
    ray.free(sums)
  }
}
