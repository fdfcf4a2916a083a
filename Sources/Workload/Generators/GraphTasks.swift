import Primitives
import RuntimeCore
import Simulation

/// A declared graph of tasks, submitted by one driver in an order that respects its edges; the run is
/// over when every task that nobody depends on has ended.
public final class GraphTasks: Application {
  /// What a run reports.
  public static let measures = [Measure("makespan", "s")]

  private let graph: TaskGraph
  private let demands: [ResourceVector]
  private let sink: MeasureSink
  private var random: RandomStream
  private var cluster: SimulatedCluster!
  private var remaining = 0
  private var sinks: [ObjectHandle] = []
  public private(set) var isFinished = false
  /// Names by function number.
  public private(set) var functionNames: [String] = ["driver"]

  /// - Parameter demands: what each task of the graph requires, in the graph's order.
  public init(_ graph: TaskGraph, demands: [ResourceVector], seed: UInt64, _ sink: MeasureSink) {
    self.graph = graph
    self.demands = demands
    self.sink = sink
    random = RandomStream(seed: seed, stream: 0x475250)
  }

  public func start(on cluster: SimulatedCluster) {
    self.cluster = cluster
    let driver = cluster.addDriver(on: cluster.configuration.head)
    var objects = [[ObjectHandle]](repeating: [], count: graph.tasks.count)
    var isNeeded = [Bool](repeating: false, count: graph.tasks.count)
    for task in graph.tasks { for need in task.needs { isNeeded[need] = true } }
    for index in graph.order {
      let task = graph.tasks[index]
      let function = number(of: task.function)
      let inputs = task.needs.flatMap { objects[$0] }
      for _ in 0..<task.count {
        var spec = cluster.newTask(
          of: driver, function: function, shape: cluster.specs.shape(demands[index]))
        spec.work = TimeSpan(seconds: task.duration.draw(&random))
        spec.outputSize = ByteCount(UInt64(task.output.draw(&random)))
        spec.returns = UInt16(task.returns)
        let handle = inputs.withUnsafeBufferPointer {
          cluster.submit(spec, arguments: $0, at: driver)
        }
        for i in 0..<Int32(task.returns) {
          objects[index].append(ObjectHandle(producer: handle, index: i))
        }
      }
      if !isNeeded[index] { sinks += objects[index] }
    }
    sinks.withUnsafeBufferPointer {
      _ = cluster.request($0, needed: $0.count, isGet: false, fetch: false, at: driver)
    }
  }

  private func number(of name: String) -> FunctionID {
    if let known = functionNames.firstIndex(of: name) { return FunctionID(known) }
    functionNames.append(name)
    return FunctionID(functionNames.count - 1)
  }

  public func requestEnded(_ request: RequestID, _ outcome: RequestOutcome, at driver: Int) {
    sink.report("makespan", cluster.now(of: driver).seconds, unit: "s")
    isFinished = true
  }
}
