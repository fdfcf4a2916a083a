import Primitives
import RuntimeCore

/// What makes a cluster of separate processes.
struct SeparateTablesPlan {
  var parameters = Parameters()
  var cpus = 1
  var store = ByteCount(10_000)
  var spillover = "QueueThreshold[threshold=1]"
  var placement = "LowestWait"
  var dispatch = "FIFO"
  var driverNodes = [0]
  var homes = SeparateTablesCluster.Homes()
  /// Whether tasks make results of other sizes than they said.
  var sizesVary = true

  var resources: ResourceVector { ResourceVector(cpus: cpus) }

  /// As a real cluster is laid out: each node and each driver a process, and on node 0 all the rest.
  static func headed(nodes: Int, parameters: Parameters, driverNodes: [Int] = [0]) -> Self {
    var plan = SeparateTablesPlan()
    plan.parameters = parameters
    plan.driverNodes = driverNodes
    plan.homes.raylets = Array(0..<nodes)
    plan.homes.schedulers = Array(repeating: 0, count: parameters.globalSchedulers)
    plan.homes.replicas = Array(
      repeating: 0, count: parameters.gcsShards * parameters.chainLength)
    plan.homes.drivers = driverNodes.indices.map { nodes + $0 }
    return plan
  }

  /// Everything drawn from the seed: parameters, policies, and who shares a process with whom.
  static func random(seed: UInt64, headed isHeaded: Bool = false) -> Self {
    var random = RandomStream(seed: seed, stream: 79)
    func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }
    func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
    var parameters = Parameters()
    parameters.globalSchedulers = 1 + below(2)
    parameters.gcsShards = 1 + below(2)
    parameters.chainLength = 1 + below(3)
    parameters.chunkSize = ByteCount(10)
    parameters.chunksInFlight = 1 + below(3)
    parameters.pipelineTime = pick([.zero, .seconds(1)])
    parameters.pipelineLimit = 1 + below(4)
    let nodes = isHeaded ? 2 + below(3) : 1 + below(4)
    // One driver stays on the head, whose node never dies.
    var plan = headed(
      nodes: nodes, parameters: parameters, driverNodes: below(2) == 0 ? [0] : [0, below(nodes)])
    plan.cpus = 1 + below(2)
    plan.store = ByteCount(pick([60, 150, 10_000]))
    plan.spillover = pick(["QueueThreshold[threshold=1]", "AlwaysEscalate", "Immediate"])
    plan.placement = pick(["LowestWait", "Random", "RoundRobin"])
    plan.dispatch = pick(["FIFO", "LIFO"])
    if isHeaded { return plan }
    switch below(4) {
    case 0: break
    case 1:
      // Every machine a process of its own.
      var next = 0
      func apart(_ homes: inout [Int]) {
        for i in homes.indices {
          homes[i] = next
          next += 1
        }
      }
      apart(&plan.homes.drivers)
      apart(&plan.homes.raylets)
      apart(&plan.homes.schedulers)
      apart(&plan.homes.replicas)
    case 2:
      // The members of a chain apart, on nodes or alone.
      for i in plan.homes.replicas.indices {
        plan.homes.replicas[i] = below(nodes + plan.driverNodes.count + 3)
      }
    default:
      // Anyone with anyone.
      let count = 1 + below(5)
      func mix(_ homes: inout [Int]) { for i in homes.indices { homes[i] = below(count) } }
      mix(&plan.homes.drivers)
      mix(&plan.homes.raylets)
      mix(&plan.homes.schedulers)
      mix(&plan.homes.replicas)
    }
    return plan
  }
}

/// What a driver asks for; afterwards its process ends its turn.
extension SeparateTablesCluster {
  func specs(ofDriver driver: Int) -> TaskSpecTable { processes[homes.drivers[driver]].specs }

  private func endCall(_ driver: Int) {
    perform(from: .driver(driver))
    endTurn(homes.drivers[driver])
  }

  /// Submits a task, and holds references to its return values.
  func submit(
    _ driver: Int = 0, _ inputs: [ObjectHandle] = [], kind: TaskKind = .task,
    actor: TaskHandle = .none, cpus: Int? = nil, size: UInt64 = 8, returns: Int = 1,
    fails: Bool = false, notice: ResultNotice = .none
  ) -> TaskHandle {
    let specs = specs(ofDriver: driver)
    let demand = ResourceVector(cpus: cpus ?? (kind == .task ? 1 : 0))
    var spec = TaskSpec(
      id: drivers[driver].nextTaskID(), function: FunctionID(fails ? 13 : 1),
      shape: specs.shape(demand), outputSize: ByteCount(size), returns: returns, kind: kind,
      submitter: Address.driver(driver).raw, actor: actor)
    spec.caller = roots[driver].word
    if kind == .actorMethod { spec.sequence = drivers[driver].nextCall(on: actor) }
    let task = inputs.withUnsafeBufferPointer { specs.insert(spec, arguments: $0) }
    drivers[driver].submit(task, notice: notice, into: &effects)
    endCall(driver)
    return task
  }

  func put(_ driver: Int = 0, size: UInt64) -> ObjectHandle {
    let object = drivers[driver].put(ByteCount(size), into: &effects)
    endCall(driver)
    return object
  }

  func request(
    _ driver: Int = 0, _ objects: [ObjectHandle], needed: Int? = nil, isGet: Bool = true,
    fetch: Bool = true, timeout: TimeSpan? = nil
  ) -> UInt64 {
    let id = objects.withUnsafeBufferPointer {
      drivers[driver].request(
        $0, needed: needed ?? objects.count, isGet: isGet, fetch: fetch, timeout: timeout, at: now,
        into: &effects)
    }
    endCall(driver)
    return UInt64(driver) << 32 | UInt64(id.number)
  }

  func free(_ driver: Int = 0, _ objects: [ObjectHandle]) {
    for object in objects { drivers[driver].free(object, into: &effects) }
    endCall(driver)
  }

  func cancel(_ driver: Int = 0, _ object: ObjectHandle, isRecursive: Bool = true) {
    drivers[driver].cancel(object.producer, isRecursive: isRecursive, into: &effects)
    endCall(driver)
  }

  /// Runs until the request has ended; nil when nothing goes on and it has not.
  func outcome(of request: UInt64) -> RequestOutcome? {
    while ended[request] == nil && step() {}
    return ended[request]
  }

  /// Gets one object; the outcome and what the driver knows of it then.
  func get(_ object: ObjectHandle, by driver: Int = 0) -> (RequestOutcome?, ObjectStatus?) {
    let outcome = outcome(of: request(driver, [object]))
    return (outcome, drivers[driver].status(object))
  }

  /// For messages of failed tests: what makes an object.
  func describe(_ object: ObjectHandle, ofDriver driver: Int) -> String {
    let spec = specs(ofDriver: driver)[object.producer]
    return "return value \(object.index) of \(spec.kind) \(spec.id) by driver \(driver)"
  }
}
