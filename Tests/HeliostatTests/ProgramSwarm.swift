import Heliostat
import Primitives
import RuntimeCore
import Scheduling
import Simulation

/// A cluster and a program drawn from a seed, with the values that the program must find.
struct ProgramSwarm {
  let seed: UInt64
  var configuration: ClusterConfiguration
  let hasGPUs: Bool

  init(seed: UInt64) throws {
    var random = RandomStream(seed: seed, stream: 1)
    func pick<T>(_ choices: [T]) -> T { choices[Int(random.below(UInt64(choices.count)))] }
    func span(_ most: UInt64) -> TimeSpan { TimeSpan(nanoseconds: random.below(most + 1)) }
    let nodeCount = 1 + Int(random.below(6))
    let store = ByteCount(pick([1_000_000, 5_000_000, 1_000_000_000]))
    var hasGPUs = false
    let nodes = (0..<nodeCount).map { index in
      let gpus = Int(random.below(3)) - (index == 0 ? 1 : 0)
      if gpus > 0 { hasGPUs = true }
      return SimulatedNode(
        NodeDescription(
          resources: ResourceVector(cpus: 1 + Int(random.below(4)), gpus: max(0, gpus)),
          store: store),
        speed: pick([0.5, 1, 1, 3]))
    }
    let racks = 1 + Int(random.below(2))
    let topology = try Topology(
      nics: (0..<nodeCount).map { _ in
        DuplexBandwidth(Bandwidth(bytesPerSecond: pick([1e7, 1e8, 1e9])))
      },
      rackOfNode: (0..<nodeCount).map { $0 % racks },
      rackUplinks: Array(repeating: .unlimited, count: racks),
      latencyWithinRack: span(200_000), latencyAcrossRacks: span(1_000_000))
    configuration = ClusterConfiguration(
      nodes: nodes, head: NodeID(Int(random.below(UInt64(nodeCount)))), topology: topology,
      network: pick(BulkNetworkModel.allCases),
      spillover: try PolicyRegistry.spillover(
        PolicySpec(
          parsing: pick([
            "QueueThreshold", "QueueThreshold[threshold=0]", "Immediate", "AlwaysEscalate",
            "NeverEscalate",
          ]))),
      placement: try PolicyRegistry.placement(
        PolicySpec(
          parsing: pick([
            "LowestWait", "LowestWait[queue=heartbeat,perSlot=yes,tie=first]",
            "LowestWait[available=ignore,locality=off,scope=node]", "Random", "RoundRobin",
          ]))),
      dispatch: try PolicyRegistry.dispatch(PolicySpec(parsing: pick(["FIFO", "LIFO"]))))
    configuration.seed = seed
    configuration.localLatency = span(50_000)
    configuration.smallTransfer = ByteCount(pick([0, 1000, 64_000]))
    configuration.parameters.gcsShards = 1 + Int(random.below(3))
    configuration.parameters.chainLength = 1 + Int(random.below(3))
    configuration.parameters.globalSchedulers = 1 + Int(random.below(3))
    configuration.parameters.heartbeat = .milliseconds(pick([1, 10, 100]))
    configuration.parameters.freeDelay = .milliseconds(pick([0, 1, 100]))
    configuration.parameters.chunkSize = ByteCount(pick([10_000, 100_000, 5 << 20]))
    configuration.parameters.chunksInFlight = 1 + Int(random.below(4))
    for role in Address.Role.allCases {
      configuration.service.set(role, to: span(pick([0, 20_000, 100_000])))
    }
    configuration.client.submit = span(20_000)
    configuration.client.call = span(20_000)
    configuration.worker.start = span(5_000_000)
    configuration.worker.dispatch = span(50_000)
    configuration.worker.finish = span(50_000)
    self.hasGPUs = hasGPUs
    self.seed = seed
  }

  /// The value that a program must find: nil for an error.
  typealias Expected = UInt64?

  /// Runs the program; the answer is the run and what was found wrong.
  func run() -> (run: ProgramRun, problems: [String]) {
    let problems = Log<String>()
    let cluster = SimulatedCluster(configuration, isChecked: true)
    let (seed, hasGPUs) = (seed, hasGPUs)
    let runtime = ProgramRuntime(driverNode: NodeID(0)) { ray async throws in
      var driver = SwarmDriver(ray, seed: seed, hasGPUs: hasGPUs, problems: problems)
      try await driver.run()
    }
    let end = cluster.run(
      runtime, until: Instant.zero + .seconds(3600), maximumEvents: 3_000_000)
    return (ProgramRun(end: end, cluster: cluster, runtime: runtime), problems.entries)
  }
}

/// The driver program of a swarm run.
private struct SwarmDriver {
  let ray: Session
  let problems: Log<String>
  let hasGPUs: Bool
  var random: RandomStream
  /// Live objects with the values that they must have.
  var known: [(ref: ObjectRef<UInt64>, expected: ProgramSwarm.Expected)] = []

  init(_ ray: Session, seed: UInt64, hasGPUs: Bool, problems: Log<String>) {
    self.ray = ray
    self.problems = problems
    self.hasGPUs = hasGPUs
    random = RandomStream(seed: seed, stream: 2)
  }

  private mutating func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }

  private mutating func options(cpus: Bool = true) -> TaskOptions {
    var demand = ResourceVector(cpus: cpus ? 1 : 0)
    switch below(6) {
    case 0: demand.lanes[0] = 5_000
    case 1: demand = .zero
    case 2 where hasGPUs: demand.lanes[1] = below(2) == 0 ? 10_000 : 3_000
    default: break
    }
    return TaskOptions(
      duration: .microseconds(UInt64(below(20_000))),
      outputSize: ByteCount([0, 100, 50_000, 300_000][below(4)]), resources: demand)
  }

  private func check(
    _ what: String, _ ref: ObjectRef<UInt64>, _ expected: ProgramSwarm.Expected
  ) async {
    do {
      let value = try await ray.get(ref)
      if value != expected {
        problems.add("\(what): \(value), expected \(String(describing: expected))")
      }
    } catch {
      if expected != nil { problems.add("\(what): \(error)") }
    }
  }

  mutating func run() async throws {
    let leaf = ray.remote("leaf") { (x: UInt64) in mix64(x) }
    let mix = ray.remote("mix") { (a: UInt64, b: UInt64) in mix64(a ^ (b &+ 1)) }
    let split = ray.remoteSplit("split") { (a: UInt64) in [a &+ 1, a &+ 2] }
    let bad = ray.remote("bad") { () throws -> UInt64 in throw Failure() }
    let accumulator = ray.actorClass("Accumulator", TaskOptions(resources: .zero)) {
      (start: UInt64) in start
    }
    let fold = ray.method("fold", of: accumulator) { (state: inout UInt64, x: UInt64) in
      state = mix64(state ^ x)
      return state
    }
    let branch = ray.program("branch") { (worker: Session, x: UInt64, ref: UInt64) in
      let a = worker.submit(leaf, .value(x))
      let b = try await worker.put(ref, size: ByteCount(x % 1000))
      let c = worker.submit(mix, .ref(a), .ref(b))
      let value = try await worker.get(c)
      worker.compute(.microseconds(x % 500))
      worker.free([a, b, c])
      return value
    }
    // One that starts at once, one whose input comes later, and one that never starts.
    let start = random.next()
    let inputs = [
      ray.submit(leaf, .value(start), options: options()), ray.submit(bad, options: options()),
    ]
    let actors =
      [ray.create(accumulator, .value(UInt64(0)))]
      + inputs.map {
        ray.create(accumulator, .ref($0))
      }
    var states: [ProgramSwarm.Expected] = [0, mix64(start), nil]

    for step in 0..<(10 + below(40)) {
      switch below(10) {
      case 0, 1:
        let x = random.next()
        known.append((ray.submit(leaf, .value(x), options: options()), mix64(x)))
      case 2, 3:
        guard known.count >= 2 else { continue }
        let (a, b) = (known[below(known.count)], known[below(known.count)])
        let expected: UInt64? = a.expected.flatMap { x in
          b.expected.map { y in mix64(x ^ (y &+ 1)) }
        }
        known.append((ray.submit(mix, .ref(a.ref), .ref(b.ref), options: options()), expected))
      case 4:
        let x = random.next()
        known.append((try await ray.put(x, size: ByteCount(UInt64(below(400_000)))), x))
      case 5:
        guard let a = known.last else { continue }
        let refs = ray.submit(split, returns: 2, .ref(a.ref), options: options())
        known.append((refs[0], a.expected.map { $0 &+ 1 }))
        known.append((refs[1], a.expected.map { $0 &+ 2 }))
      case 6:
        guard let a = known.first else { continue }
        let x = random.next()
        let expected: UInt64? = a.expected.map { mix64(mix64(x) ^ ($0 &+ 1)) }
        known.append((ray.submit(branch, .value(x), .ref(a.ref)), expected))
      case 7:
        let which = below(3)
        guard !known.isEmpty else { continue }
        let a = known[below(known.count)]
        var expected: UInt64?
        if let x = a.expected, let state = states[which] {
          expected = mix64(state ^ x)
          states[which] = expected
        }
        known.append((ray.call(actors[which], fold, .ref(a.ref)), expected))
      case 8:
        switch below(3) {
        case 0: known.append((ray.submit(bad), nil))
        case 1: await ray.sleep(.microseconds(UInt64(below(30_000))))
        default: ray.compute(.microseconds(UInt64(below(3000))))
        }
      default:
        guard !known.isEmpty else { continue }
        if below(2) == 0 {
          let one = known[below(known.count)]
          await check("step \(step)", one.ref, one.expected)
        } else {
          let refs = known.map(\.ref)
          let count = 1 + below(refs.count)
          let (ready, rest) = try await ray.wait(
            refs, count: count, timeout: below(2) == 0 ? .milliseconds(5) : nil,
            fetch: below(2) == 0)
          if ready.count + rest.count != refs.count || ready.count > count {
            problems.add(
              "step \(step): wait split \(refs.count) into \(ready.count), \(rest.count)")
          }
        }
        if below(3) == 0 { await freeSome(step) }
      }
    }
    for (i, one) in known.enumerated() { await check("object \(i)", one.ref, one.expected) }
    ray.free(known.map(\.ref))
    // Their inputs are theirs until they have started.
    _ = try await ray.wait(actors.map(\.created), count: actors.count)
    ray.free(inputs)
    ray.free(actors.map(\.created))
    await ray.sleep(.seconds(2))
  }

  /// Frees a part of what is known, when nothing pending needs it any more.
  private mutating func freeSome(_ step: Int) async {
    for (i, one) in known.enumerated() {
      await check("step \(step), object \(i)", one.ref, one.expected)
    }
    let count = below(known.count + 1)
    ray.free(known[..<count].map(\.ref))
    known.removeFirst(count)
  }
}
