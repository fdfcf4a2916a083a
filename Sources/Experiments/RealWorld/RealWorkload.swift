import Heliostat
import Primitives
import RuntimeCore
import Workload

/// A workload as the real world runs it: functions to register in every process, and a driver.
public struct RealWorkload: Sendable {
  /// What is left to run when the functions are registered.
  public struct Driver: Sendable {
    /// Which of the file's nodes the driver runs on; nil for the head.
    var node: NodeID?
    var run: @Sendable (Session, MeasureSink) async throws -> Void
  }

  private let prepare: @Sendable (FunctionLibrary) -> Driver

  /// Registers the functions; every process of a cluster does so before it connects.
  public func prepared(in library: FunctionLibrary) -> Driver { prepare(library) }

  init(_ program: any WorkloadProgram) {
    prepare = { library in
      let prepared = program.prepared(in: library)
      return Driver(node: prepared.driverNode, run: prepared.run)
    }
  }

  /// Independent tasks in a closed loop: `lanes` submitters with `window` tasks each, so that as many
  /// are under way as in the simulated world.
  init(_ options: IndependentTasks.Options, nodes: Int) {
    prepare = { library in
      let task = library.modelled(
        "task", TaskOptions(outputSize: options.outputSize, resources: options.demand))
      let submitters = max(1, options.submittersPerNode * nodes)
      let lanes = min(options.tasks, submitters * options.window)
      return Driver { ray, sink in
        try await ClosedLoop(options, lanes: lanes, ray.seed).run(ray, task, sink)
      }
    }
  }

  /// A declared graph: the driver submits every task in an order that respects the edges, and waits
  /// for those that nobody depends on.
  init(_ graph: TaskGraph, demands: [ResourceVector]) {
    var names: [String] = []
    for task in graph.tasks where !names.contains(task.function) { names.append(task.function) }
    let functions = names
    prepare = { library in
      var byName: [String: RemoteFunction<Void>] = [:]
      for name in functions { byName[name] = library.modelled(name) }
      let registered = byName
      return Driver { ray, sink in
        try await RealWorkload.run(graph, demands, registered, ray, sink)
      }
    }
  }

  private static func run(
    _ graph: TaskGraph, _ demands: [ResourceVector], _ functions: [String: RemoteFunction<Void>],
    _ ray: Session, _ sink: MeasureSink
  ) async throws {
    var random = RandomStream(seed: ray.seed, stream: 0x475250)
    var objects = [[ObjectRef<Void>]](repeating: [], count: graph.tasks.count)
    var isNeeded = [Bool](repeating: false, count: graph.tasks.count)
    for task in graph.tasks { for need in task.needs { isNeeded[need] = true } }
    var ends: [ObjectRef<Void>] = []
    let begin = ray.now
    for index in graph.order {
      let task = graph.tasks[index]
      guard let function = functions[task.function] else { continue }
      let inputs = task.needs.flatMap { objects[$0] }
      for _ in 0..<task.count {
        let options = TaskOptions(
          duration: TimeSpan(seconds: task.duration.draw(&random)),
          outputSize: ByteCount(UInt64(task.output.draw(&random))), resources: demands[index])
        objects[index] += ray.submit(
          function, returns: task.returns, after: inputs, options: options)
      }
      if !isNeeded[index] { ends += objects[index] }
    }
    try await ray.get(ends)
    sink.report("makespan", ray.now.since(begin).seconds, unit: "s")
    ray.free(objects.flatMap { $0 })
  }
}

/// Submitters that each keep one task under way. They share one thread: the program's own.
private final class ClosedLoop: @unchecked Sendable {
  private let options: IndependentTasks.Options
  private let lanes: Int
  private var random: RandomStream
  private var submitted = 0

  init(_ options: IndependentTasks.Options, lanes: Int, _ seed: UInt64) {
    self.options = options
    self.lanes = lanes
    random = RandomStream(seed: seed, stream: 0x494E44)
  }

  func run(_ ray: Session, _ task: RemoteFunction<Void>, _ sink: MeasureSink) async throws {
    let latencies = sink.latency("task latency")
    let begin = ray.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<lanes {
        group.addTask { try await self.lane(ray, task, latencies) }
      }
      try await group.waitForAll()
    }
    let seconds = ray.now.since(begin).seconds
    sink.report("makespan", seconds, unit: "s")
    sink.report("throughput", Double(options.tasks) / seconds, unit: "tasks/s")
  }

  private func lane(
    _ ray: Session, _ task: RemoteFunction<Void>, _ latencies: LatencyLog
  ) async throws {
    var call = task.options
    while submitted < options.tasks {
      submitted += 1
      call.duration = TimeSpan(seconds: options.duration.draw(&random))
      let start = ray.now
      let result = ray.submit(task, options: call)
      try await ray.get(result)
      latencies.record(ray.now.since(start))
      ray.free([result])
    }
  }
}
