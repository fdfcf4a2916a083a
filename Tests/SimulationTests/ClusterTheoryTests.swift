import Primitives
import RuntimeCore
import Simulation
import Testing

/// Independent tasks that arrive at random moments: the moments are drawn ahead.
private final class ArrivalApplication: Application {
  let count: Int
  private var gaps: [TimeSpan]
  private var works: [TimeSpan]
  private var cluster: SimulatedCluster!
  private var driver = 0
  private var started: [TaskHandle: Instant] = [:]
  private var submitted = 0
  private(set) var responses: [Double] = []

  init(arrivalRate: Double, serviceRate: Double, count: Int, seed: UInt64) {
    self.count = count
    var random = RandomStream(seed: seed, stream: 9)
    let gap = Distribution.exponential(mean: 1 / arrivalRate)
    let work = Distribution.exponential(mean: 1 / serviceRate)
    gaps = (0..<count).map { _ in TimeSpan(seconds: gap.draw(&random)) }
    works = (0..<count).map { _ in TimeSpan(seconds: work.draw(&random)) }
  }

  var isFinished: Bool { responses.count == count }

  func start(on cluster: SimulatedCluster) {
    self.cluster = cluster
    driver = cluster.addDriver(on: NodeID(0))
    sleep()
  }

  private func sleep() {
    _ = cluster.request(
      UnsafeBufferPointer(start: nil, count: 0), needed: 1, isGet: false,
      timeout: gaps[submitted], at: driver)
  }

  func requestEnded(_ request: RequestID, _ outcome: RequestOutcome, at driver: Int) {
    var spec = cluster.newTask(
      of: driver, function: FunctionID(0), shape: cluster.specs.shape(ResourceVector(cpus: 1)))
    spec.work = works[submitted]
    submitted += 1
    started[cluster.submit(spec, wanted: true, at: driver)] = cluster.clock
    if submitted < count { sleep() }
  }

  func resultArrived(_ object: ObjectHandle, _ status: ObjectStatus, at driver: Int) {
    responses.append(cluster.clock.since(started.removeValue(forKey: object.producer)!).seconds)
    cluster.free(object, at: driver)
  }
}

@Suite("the simulated cluster against theory")
struct ClusterTheoryTests {
  @Test("one CPU with Poisson arrivals is an M/M/1 queue", arguments: [0.3, 0.6, 0.8])
  func singleServer(load: Double) throws {
    let serviceRate = 100.0
    let configuration = try freeCluster(nodes: 1, cpus: 1)
    let application = ArrivalApplication(
      arrivalRate: load * serviceRate, serviceRate: serviceRate, count: 40_000, seed: 3)
    let cluster = SimulatedCluster(configuration)
    #expect(cluster.run(application) == .finished)
    let mean = application.responses.reduce(0, +) / Double(application.responses.count)
    let theory = 1 / (serviceRate * (1 - load))
    #expect(abs(mean / theory - 1) < 0.06, "\(mean) s, theory \(theory) s")
  }

  @Test("several CPUs share one queue: M/M/c by Erlang's formula")
  func severalServers() throws {
    let (servers, load, serviceRate) = (4, 0.8, 100.0)
    let application = ArrivalApplication(
      arrivalRate: load * serviceRate * Double(servers), serviceRate: serviceRate, count: 40_000,
      seed: 4)
    let cluster = SimulatedCluster(try freeCluster(nodes: 1, cpus: servers))
    #expect(cluster.run(application) == .finished)
    let mean = application.responses.reduce(0, +) / Double(application.responses.count)
    // Erlang C, from the recursion of Erlang B.
    let offered = load * Double(servers)
    var blocking = 1.0
    for k in 1...servers { blocking = offered * blocking / (Double(k) + offered * blocking) }
    let waiting = blocking / (1 - load * (1 - blocking))
    let theory = 1 / serviceRate + waiting / (serviceRate * Double(servers) * (1 - load))
    #expect(abs(mean / theory - 1) < 0.06, "\(mean) s, theory \(theory) s")
  }

  @Test(
    "list scheduling of random graphs stays within Graham's bound, 2 − 1/m, on one node",
    arguments: ["FIFO", "LIFO"])
  func graham(dispatch: String) throws {
    for seed in UInt64(0)..<40 {
      var random = RandomStream(seed: seed, stream: 5)
      let cpus = 1 + Int(random.below(8))
      let graph = TaskGraph.random(tasks: 150, &random)
      let cluster = SimulatedCluster(
        try freeCluster(nodes: 1, cpus: cpus, dispatch: dispatch), isChecked: true)
      let application = GraphApplication(graph)
      #expect(cluster.run(application) == .finished)
      let makespan = application.end.nanoseconds
      let bound = max(graph.criticalPath, graph.work / UInt64(cpus))
      #expect(makespan >= bound, "seed \(seed)")
      // Exactly: critical path · (1 − 1/m) + work ÷ m.
      let m = Double(cpus)
      let graham = Double(graph.criticalPath) * (1 - 1 / m) + Double(graph.work) / m
      #expect(Double(makespan) <= graham + 1, "seed \(seed): \(makespan) over \(graham)")
    }
  }

  @Test("one CPU does all the work without a gap, whatever the graph")
  func sequential() throws {
    for seed in UInt64(0)..<20 {
      var random = RandomStream(seed: seed, stream: 6)
      let graph = TaskGraph.random(tasks: 100, &random)
      let cluster = SimulatedCluster(try freeCluster(nodes: 1, cpus: 1), isChecked: true)
      let application = GraphApplication(graph)
      #expect(cluster.run(application) == .finished)
      #expect(application.end.nanoseconds == graph.work, "seed \(seed)")
    }
  }

  @Test("on many nodes no policy beats the lower bound")
  func lowerBound() throws {
    for (i, placement) in ["LowestWait", "Random", "RoundRobin"].enumerated() {
      for seed in UInt64(0)..<10 {
        var random = RandomStream(seed: seed, stream: UInt64(i))
        let graph = TaskGraph.random(tasks: 120, &random)
        let configuration = try freeCluster(
          nodes: 4, cpus: 2, spillover: "AlwaysEscalate", placement: placement,
          latency: .microseconds(10))
        let cluster = SimulatedCluster(configuration, isChecked: true)
        let application = GraphApplication(graph)
        #expect(cluster.run(application) == .finished)
        #expect(application.end.nanoseconds >= max(graph.criticalPath, graph.work / 8))
        for node in 0..<4 {
          #expect(cluster.available(of: NodeID(node)) == ResourceVector(cpus: 2))
        }
      }
    }
  }
}
