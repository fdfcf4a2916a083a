import Primitives
import RuntimeCore
import Scheduling
import Testing

/// All machines of a small cluster without a world: messages between two machines keep their order,
/// everything else — links, workers, timers — goes on in an order drawn from a seed. A real network
/// orders no more than that.
final class HandWiredCluster {
  enum Step {
    case message(Message, from: Address, to: Address)
  }

  let specs = TaskSpecTable.allocate()
  let payloads = MessagePayloads.allocate()
  let map: ControlStoreMap
  let parameters: Parameters
  let nodes: Int
  let raylets: UnsafeMutablePointer<Raylet>
  let schedulers: UnsafeMutablePointer<GlobalScheduler>
  let replicas: UnsafeMutablePointer<ChainReplica>
  let driver: UnsafeMutablePointer<Driver>
  let resources: ResourceVector
  var effects = EffectBuffer<Effect>()
  var random: RandomStream
  /// First-in first-out links, by kind and ends, in the order in which they came into use.
  var links: [(key: UInt64, queue: [Step])] = []
  /// Timers, running tasks and starting workers: any may be next.
  var loose: [Step] = []
  /// Timers that go on for ever.
  var background: [Step] = []
  var now = Instant.zero
  var ready: Set<UInt64> = []
  var ended: [UInt32: RequestOutcome] = [:]
  var executed: [TaskHandle] = []
  var isDriverGone = false

  init(seed: UInt64) throws {
    var random = RandomStream(seed: seed, stream: 77)
    func pick<T>(_ choices: [T]) -> T { choices[Int(random.below(UInt64(choices.count)))] }
    var parameters = Parameters()
    parameters.globalSchedulers = 1 + Int(random.below(2))
    parameters.gcsShards = 1 + Int(random.below(2))
    parameters.chainLength = 1 + Int(random.below(3))
    parameters.chunkSize = ByteCount(10)
    parameters.chunksInFlight = 1 + Int(random.below(3))
    parameters.pipelineTime = pick([.zero, .seconds(1)])
    parameters.pipelineLimit = 1 + Int(random.below(4))
    self.parameters = parameters
    nodes = 1 + Int(random.below(4))
    map = ControlStoreMap(shards: parameters.gcsShards, chainLength: parameters.chainLength)
    resources = ResourceVector(cpus: 1 + Int(random.below(2)))
    let description = NodeDescription(
      resources: resources, store: ByteCount(pick([60, 150, 10_000])))
    let spillover = try PolicyRegistry.spillover(
      PolicySpec(parsing: pick(["QueueThreshold[threshold=1]", "AlwaysEscalate", "Immediate"])))
    let placement = try PolicyRegistry.placement(
      PolicySpec(parsing: pick(["LowestWait", "Random", "RoundRobin"])))
    let dispatch = try PolicyRegistry.dispatch(PolicySpec(pick(["FIFO", "LIFO"])))
    self.random = random
    raylets = .allocate(capacity: nodes)
    for i in 0..<nodes {
      (raylets + i).initialize(
        to: Raylet(
          node: NodeID(i), description: description, parameters: parameters, map: map,
          spillover: spillover, dispatch: dispatch, specs: specs, payloads: payloads, seed: seed))
    }
    schedulers = .allocate(capacity: parameters.globalSchedulers)
    for i in 0..<parameters.globalSchedulers {
      (schedulers + i).initialize(
        to: GlobalScheduler(
          number: i, nodes: Array(repeating: resources, count: nodes), parameters: parameters,
          map: map, placement: placement, specs: specs, payloads: payloads, seed: seed))
    }
    replicas = .allocate(capacity: parameters.gcsShards * parameters.chainLength)
    for i in 0..<parameters.gcsShards * parameters.chainLength {
      (replicas + i).initialize(
        to: ChainReplica(
          shard: UInt32(i / parameters.chainLength), position: UInt32(i % parameters.chainLength),
          map: map, specs: specs, payloads: payloads))
    }
    let root = specs.insert(
      TaskSpec(
        id: .root(driver: 0, seed: seed), function: FunctionID(0), shape: specs.shape(.zero),
        returns: 0, kind: .driver))
    driver = .allocate(capacity: 1)
    driver.initialize(
      to: Driver(
        address: .driver(0), node: NodeID(0), root: root, freeDelay: .milliseconds(1), specs: specs,
        payloads: payloads))
    for i in 0..<nodes {
      raylets[i].start(at: now, into: &effects)
      perform(from: .raylet(NodeID(i)))
    }
  }

  deinit {
    raylets.deinitialize(count: nodes).deallocate()
    schedulers.deinitialize(count: parameters.globalSchedulers).deallocate()
    replicas.deinitialize(count: parameters.gcsShards * parameters.chainLength).deallocate()
    driver.deinitialize(count: 1).deallocate()
    specs.deallocate()
    payloads.deallocate()
  }

  func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }

  private func link(_ step: Step, _ from: Address, _ to: Address) {
    let key = UInt64(from.raw) << 32 | UInt64(to.raw)
    if let place = links.firstIndex(where: { $0.key == key }) {
      links[place].queue.append(step)
    } else {
      links.append((key, [step]))
    }
  }

  /// Does what a machine ordered.
  func perform(from source: Address) {
    for i in 0..<effects.count {
      switch effects[i] {
      case .send(let message, let target):
        link(.message(message, from: source, to: target), source, target)
      case .startTimer(let token, _):
        let step = Step.message(.timerFired(token), from: source, to: source)
        if Raylet.isBackground(.timerFired(token)) {
          background.append(step)
        } else {
          loose.append(step)
        }
      case .execute(let task, let worker):
        executed.append(task)
        let status: ObjectStatus = specs[task].function.index == 13 ? .taskFailed : .value
        // A worker ends its tasks in the order in which they came.
        link(
          .message(.taskFinished(task, worker, status), from: source, to: source), source,
          .driver(1 << 20 + Int(worker.index)))
      case .startWorker(let worker):
        loose.append(.message(.workerStarted(worker), from: source, to: source))
      case .transfer(let transfer):
        // Chunks may overtake each other and control messages.
        loose.append(
          .message(
            .chunkArrived(
              transfer.object, index: transfer.index, count: transfer.count, transfer.status,
              transfer.objectSize), from: source, to: .raylet(transfer.to)))
        if transfer.push != .single {
          loose.append(.message(.chunkSent(transfer.push), from: source, to: source))
        }
      case .resultArrived(let object, _): ready.insert(object.key)
      case .requestEnded(let request, let outcome): ended[request.number] = outcome
      case .restore(_, let slot, _):
        loose.append(.message(.objectRestored(slot), from: source, to: source))
      case .record, .drop, .spill, .endActor, .cancel, .inheritError: break
      }
    }
    effects.removeAll()
  }

  /// One random step; false when only heartbeats are left.
  func step() -> Bool {
    let full = links.indices.filter { !links[$0].queue.isEmpty }
    if full.isEmpty && loose.isEmpty { return false }
    now += .microseconds(1)
    if below(50) == 0 && !background.isEmpty {
      deliver(background.remove(at: below(background.count)))
    }
    let choice = below(full.count + (loose.isEmpty ? 0 : 1 + full.count / 2))
    if choice < full.count {
      deliver(links[full[choice]].queue.removeFirst())
    } else {
      deliver(loose.remove(at: below(loose.count)))
    }
    return true
  }

  /// Every node sends a heartbeat to every scheduler, and all that follows happens.
  func beat() {
    for step in background { deliver(step) }
    background.removeFirst(nodes)
    while step() {}
  }

  private func deliver(_ step: Step) {
    guard case .message(let message, let source, let target) = step else { return }
    switch target.role {
    case .raylet:
      raylets[target.number].receive(message, from: source, at: now, into: &effects)
      raylets[target.number].checkInvariants()
    case .globalScheduler:
      schedulers[target.number].receive(message, from: source, at: now, into: &effects)
    case .replica:
      replicas[target.number].receive(message, from: source, at: now, into: &effects)
      replicas[target.number].checkInvariants()
    case .driver:
      if isDriverGone { return }
      driver.pointee.receive(message, from: source, at: now, into: &effects)
    }
    perform(from: target)
  }

  /// The driver's process ends; its node hears of it after all that it said. In a table of its own its
  /// names would be gone; in this one, which all share, messages on their way still go by them.
  func killDriver() {
    driver.pointee.flush(into: &effects)
    perform(from: .driver(0))
    isDriverGone = true
    let job = specs[driver.pointee.root].id.job
    link(
      .message(.driverLost(.driver(0), job), from: .raylet(NodeID(0)), to: .raylet(NodeID(0))),
      .driver(0), .raylet(NodeID(0)))
  }

  // MARK: The driver

  func submit(_ inputs: [ObjectHandle], size: UInt64, returns: Int, fails: Bool, wanted: Bool)
    -> TaskHandle
  {
    var spec = TaskSpec(
      id: driver.pointee.nextTaskID(), function: FunctionID(fails ? 13 : 1),
      shape: specs.shape(ResourceVector(cpus: 1)), outputSize: ByteCount(size), returns: returns,
      submitter: Address.driver(0).raw)
    spec.caller = 1
    let task = inputs.withUnsafeBufferPointer { specs.insert(spec, arguments: $0) }
    driver.pointee.submit(task, wanted: wanted, into: &effects)
    perform(from: .driver(0))
    return task
  }

  func put(size: UInt64) -> ObjectHandle {
    let object = driver.pointee.put(ByteCount(size), into: &effects)
    perform(from: .driver(0))
    return object
  }

  func request(_ objects: [ObjectHandle], needed: Int, isGet: Bool, fetch: Bool, timeout: TimeSpan?)
    -> RequestID
  {
    let id = objects.withUnsafeBufferPointer {
      driver.pointee.request(
        $0, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout, at: now, into: &effects)
    }
    perform(from: .driver(0))
    return id
  }

  func free(_ objects: [ObjectHandle]) {
    for object in objects { driver.pointee.free(object, into: &effects) }
    perform(from: .driver(0))
  }
}
