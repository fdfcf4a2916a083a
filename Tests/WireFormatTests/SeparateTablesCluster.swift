import Primitives
import RuntimeCore
import Scheduling

@testable import WireFormat

/// The machines of a small cluster in several processes, without a world: each process has a table of
/// its own, machines of one process talk directly and run to completion, everything else crosses as
/// bytes. Frames keep their order on the way from one process to another; all else goes on in an
/// order drawn from a seed.
final class SeparateTablesCluster {
  struct Envelope {
    var message: Message
    var source: Address
    var target: Address
  }

  /// One process: its table, and what its machines have still to hear in this turn.
  final class Process {
    let specs = TaskSpecTable.allocate(interning: true)
    let payloads = MessagePayloads.allocate()
    var local: [Envelope] = []
    var borrowed = EffectBuffer<TaskHandle>()
    var isDead = false

    deinit {
      specs.deallocate()
      payloads.deallocate()
    }
  }

  /// The frames on their way from one process to another.
  final class Wire {
    let from: Int
    let to: Int
    var encoder: MessageEncoder
    var decoder: MessageDecoder
    var frames: [[UInt8]] = []
    /// Holds the last frame, which may come to stand for more until it is read.
    var writer = FrameWriter()
    /// The sender has died: after the last frame the receiver hears of it.
    var isClosing = false

    init(
      from: Int, _ sender: Process, to: Int, _ receiver: Process, _ bounds: ClusterBounds
    ) {
      self.from = from
      self.to = to
      encoder = MessageEncoder(specs: sender.specs, payloads: sender.payloads)
      decoder = MessageDecoder(specs: receiver.specs, payloads: receiver.payloads, bounds: bounds)
    }
  }

  /// A chunk of an object: bulk data overtakes messages.
  struct Chunk {
    var object: ObjectID
    var index: UInt16
    var count: UInt16
    var size: ByteCount
    var status: ObjectStatus
    var from: NodeID
    var to: NodeID
  }

  enum Loose {
    /// A timer or a start of the machine's own world.
    case own(Message, Address)
    case chunk(Chunk)
  }

  /// Where the machines live; indices into `processes`.
  struct Homes {
    var drivers: [Int] = []
    var raylets: [Int] = []
    var schedulers: [Int] = []
    var replicas: [Int] = []
  }

  struct WorkerQueue {
    var node: Int
    var worker: WorkerID
    /// First the task that runs, then those that follow it there.
    var tasks: [TaskHandle]
  }

  var plan: SeparateTablesPlan
  let processes: [Process]
  let homes: Homes
  let map: ControlStoreMap
  let raylets: UnsafeMutablePointer<Raylet>
  let schedulers: UnsafeMutablePointer<GlobalScheduler>
  let replicas: UnsafeMutablePointer<ChainReplica>
  let drivers: UnsafeMutablePointer<Driver>
  var roots: [TaskID] = []
  var wires: [Wire] = []
  var loose: [Loose] = []
  /// Heartbeats, which go on for ever.
  var background: [(Message, Address)] = []
  var workers: [WorkerQueue] = []
  var effects = EffectBuffer<Effect>()
  /// Messages that went within the frame of the one before.
  var repeated = 0
  var random: RandomStream
  var now = Instant.zero
  /// How requests ended, by driver and number.
  var ended: [UInt64: RequestOutcome] = [:]
  var executed: [TaskID] = []
  /// Tasks that were cancelled at their workers: before their turn, or while they ran and heeded it.
  var stopped: Set<TaskID> = []
  var nodesLost: Set<Int> = []

  init(_ plan: SeparateTablesPlan, seed: UInt64) throws {
    self.plan = plan
    random = RandomStream(seed: seed, stream: 78)
    let parameters = plan.parameters
    map = ControlStoreMap(shards: parameters.gcsShards, chainLength: parameters.chainLength)
    homes = plan.homes
    let all = plan.homes.drivers + plan.homes.raylets + plan.homes.schedulers + plan.homes.replicas
    processes = (0...all.max()!).map { _ in Process() }
    let spillover = try PolicyRegistry.spillover(PolicySpec(parsing: plan.spillover))
    let placement = try PolicyRegistry.placement(PolicySpec(parsing: plan.placement))
    let dispatch = try PolicyRegistry.dispatch(PolicySpec(parsing: plan.dispatch))
    let nodes = homes.raylets.count
    raylets = .allocate(capacity: nodes)
    for i in 0..<nodes {
      let home = processes[homes.raylets[i]]
      (raylets + i).initialize(
        to: Raylet(
          node: NodeID(i),
          description: NodeDescription(resources: plan.resources, store: plan.store),
          parameters: parameters, map: map, spillover: spillover, dispatch: dispatch,
          specs: home.specs, payloads: home.payloads, seed: seed))
      for worker in 0..<plan.cpus {
        workers.append(WorkerQueue(node: i, worker: WorkerID(worker), tasks: []))
      }
    }
    schedulers = .allocate(capacity: homes.schedulers.count)
    for i in 0..<homes.schedulers.count {
      let home = processes[homes.schedulers[i]]
      (schedulers + i).initialize(
        to: GlobalScheduler(
          number: i, nodes: Array(repeating: plan.resources, count: nodes),
          parameters: parameters, map: map, placement: placement, specs: home.specs,
          payloads: home.payloads, seed: seed))
    }
    replicas = .allocate(capacity: homes.replicas.count)
    for i in 0..<homes.replicas.count {
      let home = processes[homes.replicas[i]]
      (replicas + i).initialize(
        to: ChainReplica(
          shard: UInt32(i / parameters.chainLength), position: UInt32(i % parameters.chainLength),
          map: map, specs: home.specs, payloads: home.payloads))
    }
    drivers = .allocate(capacity: homes.drivers.count)
    for i in 0..<homes.drivers.count {
      let home = processes[homes.drivers[i]]
      roots.append(.root(driver: i, seed: seed))
      let root = home.specs.insert(
        TaskSpec(
          id: roots[i], function: FunctionID(0), shape: home.specs.shape(.zero), returns: 0,
          kind: .driver))
      (drivers + i).initialize(
        to: Driver(
          address: .driver(i), node: NodeID(plan.driverNodes[i]), root: root,
          freeDelay: .milliseconds(1), specs: home.specs, payloads: home.payloads))
    }
    for i in 0..<nodes {
      raylets[i].start(at: now, into: &effects)
      perform(from: .raylet(NodeID(i)))
      endTurn(homes.raylets[i])
    }
  }

  deinit {
    raylets.deinitialize(count: homes.raylets.count).deallocate()
    schedulers.deinitialize(count: homes.schedulers.count).deallocate()
    replicas.deinitialize(count: homes.replicas.count).deallocate()
    drivers.deinitialize(count: homes.drivers.count).deallocate()
  }

  func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }

  func home(_ address: Address) -> Int {
    switch address.role {
    case .driver: homes.drivers[address.number]
    case .raylet: homes.raylets[address.number]
    case .globalScheduler: homes.schedulers[address.number]
    case .replica: homes.replicas[address.number]
    }
  }

  func wire(from: Int, to: Int) -> Wire {
    if let known = wires.first(where: { $0.from == from && $0.to == to }) { return known }
    let bounds = ClusterBounds(
      nodes: UInt32(homes.raylets.count), drivers: UInt32(homes.drivers.count),
      globalSchedulers: UInt32(homes.schedulers.count), replicas: UInt32(homes.replicas.count),
      functions: 20, workers: 1000)
    let new = Wire(from: from, processes[from], to: to, processes[to], bounds)
    wires.append(new)
    return new
  }

  // MARK: What machines order

  /// Carries out what a machine ordered; what it says to its own process waits in `local`.
  func perform(from source: Address) {
    let here = home(source)
    let process = processes[here]
    for i in 0..<effects.count {
      switch effects[i] {
      case .send(let message, let target):
        if home(target) == here {
          process.local.append(Envelope(message: message, source: source, target: target))
        } else {
          send(Envelope(message: message, source: source, target: target), from: here)
        }
      case .startTimer(let token, _):
        if Raylet.isBackground(.timerFired(token)) {
          background.append((.timerFired(token), source))
        } else {
          loose.append(.own(.timerFired(token), source))
        }
      case .execute(let task, let worker):
        executed.append(process.specs[task].id)
        let place = workers.firstIndex { $0.node == source.number && $0.worker == worker }!
        workers[place].tasks.append(task)
      case .startWorker(let worker): loose.append(.own(.workerStarted(worker), source))
      case .transfer(let transfer):
        let producer = process.specs[transfer.object.producer].id
        loose.append(
          .chunk(
            Chunk(
              object: ObjectID(producer: producer, index: transfer.object.index),
              index: transfer.index, count: transfer.count, size: transfer.objectSize,
              status: transfer.status, from: source.node, to: transfer.to)))
        if transfer.push != .single { loose.append(.own(.chunkSent(transfer.push), source)) }
      case .requestEnded(let request, let outcome):
        ended[UInt64(source.number) << 32 | UInt64(request.number)] = outcome
      case .restore(_, let slot, _): loose.append(.own(.objectRestored(slot), source))
      case .record, .drop, .spill, .resultArrived, .endActor, .inheritError: break
      case .cancel(let task, let worker, _):
        askedToStop(task, on: worker, of: source.number)
      }
    }
    effects.removeAll()
  }

  /// Writes a message as a frame. To a process that has died it is written all the same, so that
  /// what belongs to the message is let go, and then forgotten.
  func send(_ envelope: Envelope, from here: Int) {
    let there = home(envelope.target)
    let wire = wire(from: here, to: there)
    if below(8) == 0 { wire.writer.removeAll() }
    let start = wire.writer.count
    let weight = wire.writer.weight
    do {
      try wire.encoder.encode(
        envelope.message, from: envelope.source, to: envelope.target, into: &wire.writer)
    } catch {
      preconditionFailure("a message of kind \(envelope.message.kind) was refused: \(error)")
    }
    if processes[there].isDead { return }
    if wire.writer.count > start {
      wire.frames.append([UInt8](wire.writer.bytes[start...]))
    } else {
      precondition(wire.writer.weight > weight, "a message has vanished")
      repeated += 1
      wire.frames[wire.frames.count - 1].withUnsafeMutableBytes {
        $0.copyBytes(from: wire.writer.bytes[(start - $0.count)...])
      }
    }
  }
}
