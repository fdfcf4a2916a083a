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
  var writer = FrameWriter(capacity: 256)
  var random: RandomStream
  var now = Instant.zero
  /// How requests ended, by driver and number.
  var ended: [UInt64: RequestOutcome] = [:]
  var executed: [TaskID] = []
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

  private func wire(from: Int, to: Int) -> Wire {
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
      case .record, .drop, .spill, .resultArrived: break
      }
    }
    effects.removeAll()
  }

  /// Writes a message as a frame. To a process that has died it is written all the same, so that
  /// what belongs to the message is let go, and then forgotten.
  private func send(_ envelope: Envelope, from here: Int) {
    let there = home(envelope.target)
    let wire = wire(from: here, to: there)
    writer.removeAll()
    do {
      try wire.encoder.encode(
        envelope.message, from: envelope.source, to: envelope.target, into: &writer)
    } catch {
      preconditionFailure("a message of kind \(envelope.message.kind) was refused: \(error)")
    }
    if !processes[there].isDead { wire.frames.append([UInt8](writer.bytes)) }
  }

  // MARK: Turns

  /// Lets a machine hear a fact, and the machines of its process all that follows there.
  func deliver(_ message: Message, from source: Address, to target: Address) {
    let process = processes[home(target)]
    process.local.append(Envelope(message: message, source: source, target: target))
    while !process.local.isEmpty {
      let next = process.local.removeFirst()
      hear(next)
      perform(from: next.target)
    }
  }

  private func hear(_ envelope: Envelope) {
    let (message, source) = (envelope.message, envelope.source)
    let number = envelope.target.number
    switch envelope.target.role {
    case .raylet:
      raylets[number].receive(message, from: source, at: now, into: &effects)
      raylets[number].checkInvariants()
    case .globalScheduler:
      schedulers[number].receive(message, from: source, at: now, into: &effects)
    case .replica:
      replicas[number].receive(message, from: source, at: now, into: &effects)
      replicas[number].checkInvariants()
    case .driver: drivers[number].receive(message, from: source, at: now, into: &effects)
    }
  }

  /// The process has nothing more to do in this turn: names that came in frames need not be held.
  func endTurn(_ number: Int) {
    let process = processes[number]
    while !process.local.isEmpty {
      let next = process.local.removeFirst()
      hear(next)
      perform(from: next.target)
    }
    releaseBorrowed(&process.borrowed, in: process.specs)
  }

  /// One random turn; false when only heartbeats are left.
  func step() -> Bool { step(finishing: true) }

  /// One random turn in which no worker ends its task; false when there is none.
  func stepWithoutFinishing() -> Bool { step(finishing: false) }

  private func step(finishing: Bool) -> Bool {
    let full = wires.indices.filter { !wires[$0].frames.isEmpty || wires[$0].isClosing }
    let busy = finishing ? workers.indices.filter { !workers[$0].tasks.isEmpty } : []
    if full.isEmpty && loose.isEmpty && busy.isEmpty { return false }
    now += .microseconds(1)
    if below(50) == 0 && !background.isEmpty {
      let (message, address) = background.remove(at: below(background.count))
      deliver(message, from: address, to: address)
      endTurn(home(address))
    }
    var choice = below(
      full.count + (loose.isEmpty ? 0 : 1 + full.count / 2) + (busy.isEmpty ? 0 : 1))
    if choice < full.count {
      read(wires[full[choice]])
      return true
    }
    choice -= full.count
    if !busy.isEmpty && (choice == 0 || loose.isEmpty) {
      finishTask(busy[below(busy.count)])
    } else {
      carryOut(loose.remove(at: below(loose.count)))
    }
    return true
  }

  /// A turn of a process in which it reads some frames of one or two peers.
  private func read(_ wire: Wire) {
    readFrames(wire)
    let others = wires.filter { $0.to == wire.to && !$0.frames.isEmpty }
    if !others.isEmpty && below(3) == 0 { readFrames(others[below(others.count)]) }
    endTurn(wire.to)
  }

  private func readFrames(_ wire: Wire) {
    let process = processes[wire.to]
    for _ in 0...below(4) {
      if wire.frames.isEmpty {
        if wire.isClosing { closed(wire) }
        return
      }
      let frame = wire.frames.removeFirst()
      do {
        let received = try frame.withUnsafeBytes {
          try wire.decoder.decode($0, borrowing: &process.borrowed)
        }
        deliver(received.message, from: received.source, to: received.target)
      } catch {
        preconditionFailure("a frame was refused: \(error)")
      }
    }
  }

  func finishTask(_ place: Int) {
    let queue = workers[place]
    let task = workers[place].tasks.removeFirst()
    let specs = processes[homes.raylets[queue.node]].specs
    let fails = specs[task].function.index == 13
    if !fails && plan.sizesVary {
      for index in 0..<Int32(specs[task].returns) {
        specs.setOutputSize(
          ByteCount(UInt64(below(50))), of: ObjectHandle(producer: task, index: index))
      }
    }
    let raylet = Address.raylet(NodeID(queue.node))
    deliver(
      .taskFinished(task, queue.worker, fails ? .taskFailed : .value), from: raylet, to: raylet)
    endTurn(homes.raylets[queue.node])
  }

  private func carryOut(_ step: Loose) {
    switch step {
    case .own(let message, let address):
      if case .workerStarted(let worker) = message {
        workers.append(WorkerQueue(node: address.number, worker: worker, tasks: []))
      }
      deliver(message, from: address, to: address)
      endTurn(home(address))
    case .chunk(let chunk):
      let there = homes.raylets[Int(chunk.to.index)]
      let process = processes[there]
      // A node takes no chunks that it does not wait for.
      guard !process.isDead, let producer = process.specs.find(chunk.object.producer) else { return }
      let object = ObjectHandle(producer: producer, index: chunk.object.index)
      guard raylets[Int(chunk.to.index)].isPulling(object) else { return }
      process.specs.retain(producer)
      process.borrowed.append(producer)
      deliver(
        .chunkArrived(object, index: chunk.index, count: chunk.count, chunk.size, chunk.status),
        from: .raylet(chunk.from), to: .raylet(chunk.to))
      endTurn(there)
    }
  }

  /// Every node sends a heartbeat to every scheduler, and all that follows happens.
  func beat() {
    let due = background
    background = []
    for (message, address) in due {
      deliver(message, from: address, to: address)
      endTurn(home(address))
    }
    run()
  }

  func run() { while step() {} }

  /// Runs until no look-up is on its way.
  func runUntilLookedUp() {
    let kind = MessageKind.objectLookedUp.rawValue
    while wires.contains(where: { $0.frames.contains { $0[4] == kind } }) && step() {}
  }

  // MARK: Loss

  /// A process that holds one node and nothing of the head dies. What it said last may not have left.
  func kill(node: Int) {
    precondition(homes.raylets.count { $0 == homes.raylets[node] } == 1, "nodes share a process")
    let dead = homes.raylets[node]
    processes[dead].isDead = true
    nodesLost.insert(node)
    // From everyone that the node may have talked with, whoever spoke first.
    for other in processes.indices where other != dead && !processes[other].isDead {
      let wire = wire(from: dead, to: other)
      wire.frames.removeLast(below(wire.frames.count + 1))
      wire.isClosing = true
    }
    for wire in wires where wire.to == dead { wire.frames.removeAll() }
    loose.removeAll { step in
      switch step {
      case .own(_, let address): home(address) == dead
      case .chunk(let chunk): Int(chunk.from.index) == node || Int(chunk.to.index) == node
      }
    }
    background.removeAll { home($0.1) == dead }
    workers.removeAll { $0.node == node }
  }

  /// The receiver of a wire hears that its sender's node is gone.
  private func closed(_ wire: Wire) {
    wire.isClosing = false
    for node in homes.raylets.indices where homes.raylets[node] == wire.from {
      let lost = NodeID(node)
      for i in homes.raylets.indices where homes.raylets[i] == wire.to {
        deliver(.nodeLost(lost), from: .raylet(NodeID(i)), to: .raylet(NodeID(i)))
      }
      for i in homes.schedulers.indices where homes.schedulers[i] == wire.to {
        deliver(.nodeLost(lost), from: .raylet(lost), to: .globalScheduler(i))
      }
    }
  }

  /// A worker of a node dies with what it runs and was to run.
  func kill(worker place: Int) {
    let lost = workers.remove(at: place)
    let raylet = Address.raylet(NodeID(lost.node))
    deliver(.workerLost(lost.worker), from: raylet, to: raylet)
    endTurn(homes.raylets[lost.node])
  }
}
