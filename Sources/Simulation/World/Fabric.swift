import Primitives
import Recording
import RuntimeCore
import Scheduling

/// One pending fact of the simulated world.
struct Event: BitwiseCopyable {
  var message: Message
  var target: Address
  var source: Address

  /// The world itself as a target: network wake-ups and transfers that begin later.
  static let world = Address(raw: .max)
}

/// What the application is to be told after a step.
enum Notification: BitwiseCopyable {
  case resultArrived(ObjectHandle, ObjectStatus, driver: UInt32)
  case requestEnded(RequestID, RequestOutcome, driver: UInt32)
  case computing(TaskHandle, WorkerID, NodeID, endsAt: Instant)
  case programStarted(TaskHandle, WorkerID, NodeID, driver: UInt32)
  case actorEnded(TaskHandle)
  case cancellationRequested(TaskHandle, isRecursive: Bool)
  case recorded(Transition, at: Instant)
}

/// The machines of a simulated cluster, the queue of facts between them, and the network.
///
/// One event is one message. A machine serves its messages in order of arrival, each for its service
/// time; because order of service is order of arrival, a message is handled when it arrives, with the
/// moment its service ends as the machine's `now`. That halves the events and changes nothing that
/// the machines can see.
struct Fabric: ~Copyable {
  enum WorldTimer {
    static let network: UInt32 = 0
    static let beginTransfer: UInt32 = 1
  }

  struct PendingTransfer: BitwiseCopyable {
    var transfer: Transfer
    var from: NodeID
  }

  struct EndedTransfer: BitwiseCopyable {
    var slot: UInt32
    var arrival: Instant
  }

  /// What the world knows of a machine, in one place: each message reads it at both its ends.
  struct Machine: BitwiseCopyable {
    /// When it has served all its messages so far, and when the last one that it sent has left.
    var busyUntil: UInt64 = 0
    var lastSent: UInt64 = 0
    /// Machines of the same host reach each other without the network.
    var host: Int
  }

  let configuration: ClusterConfiguration
  let specs: TaskSpecTable
  let payloads: MessagePayloads
  let map: ControlStoreMap
  let nodeCount: Int
  let replicaCount: Int

  var queue = EventQueue<Event>()
  var effects = EffectBuffer<Effect>()
  var notifications = EffectBuffer<Notification>()
  var network: BulkNetwork
  var transfers = SlotTable<PendingTransfer>()
  /// Transfers that ended in the present step of the network; kept, so that a step allocates nothing.
  private let ended: UnsafeMutablePointer<EffectBuffer<EndedTransfer>>
  var armedFor = Instant.never
  /// When each worker has done all that it was sent, by node and number; kept where a raylet may send
  /// a worker several tasks at once.
  private var workerBusyUntil = WordMap<UInt64>()
  private let hasPipelines: Bool

  let raylets: UnsafeMutablePointer<Raylet>
  let schedulers: UnsafeMutablePointer<GlobalScheduler>
  let replicas: UnsafeMutablePointer<ChainReplica>
  var drivers: UnsafeMutablePointer<UnsafeMutablePointer<Driver>?>
  var driverCount = 0
  var driverCapacity = 16
  var driverIncarnations: UInt32 = 0
  var freeDrivers = RingQueue<UInt32>()

  /// By role and number.
  private let machines: UnsafeMutablePointer<UnsafeMutablePointer<Machine>>
  private let serviceTimes: UnsafeMutablePointer<UInt64>
  private let speeds: UnsafeMutablePointer<Double>
  private let nanosecondsPerByte: Double
  private let latency: UInt64
  private let localLatency: UInt64
  private let hasUniformLatency: Bool

  var clock = Instant.zero
  var eventCount: UInt64 = 0
  /// Pending events besides heartbeats: at zero nothing more will happen by itself.
  var foreground = 0
  var fingerprint: UInt64 = 0x6865_6C69_6F73_7461
  /// Called with every message before it is handled: for golden tests and traces.
  var observer: ((Instant, Address, Address, Message) -> Void)?
  let isChecked: Bool
  /// Hears each input and its effects; nil when nothing is recorded.
  var recorder: UnsafeMutablePointer<StreamRecorder>?

  init(_ configuration: ClusterConfiguration, isChecked: Bool) {
    self.configuration = configuration
    self.isChecked = isChecked
    // Identities come from the seed, so runs under two seeds are different runs.
    fingerprint ^= mix64(configuration.seed)
    let parameters = configuration.parameters
    hasPipelines = parameters.pipelineTime > .zero || parameters.actorPipelineLimit > 1
    specs = .allocate()
    payloads = .allocate()
    map = ControlStoreMap(shards: parameters.gcsShards, chainLength: parameters.chainLength)
    nodeCount = configuration.nodes.count
    network = BulkNetwork(model: configuration.network, topology: configuration.topology)
    ended = .allocate(capacity: 1)
    ended.initialize(to: EffectBuffer())

    raylets = .allocate(capacity: nodeCount)
    for (i, node) in configuration.nodes.enumerated() {
      (raylets + i).initialize(
        to: Raylet(
          node: NodeID(i), description: node.description, parameters: parameters, map: map,
          spillover: configuration.spillover, dispatch: configuration.dispatch, specs: specs,
          payloads: payloads, seed: configuration.seed))
    }
    schedulers = .allocate(capacity: parameters.globalSchedulers)
    for i in 0..<parameters.globalSchedulers {
      (schedulers + i).initialize(
        to: GlobalScheduler(
          number: i, nodes: configuration.nodes.map(\.description.resources),
          parameters: parameters, map: map, placement: configuration.placement, specs: specs,
          payloads: payloads, seed: configuration.seed))
    }
    replicaCount = parameters.gcsShards * parameters.chainLength
    replicas = .allocate(capacity: replicaCount)
    for i in 0..<replicaCount {
      (replicas + i).initialize(
        to: ChainReplica(
          shard: UInt32(i / parameters.chainLength), position: UInt32(i % parameters.chainLength),
          map: map, specs: specs, payloads: payloads))
    }
    drivers = .allocate(capacity: driverCapacity)
    drivers.initialize(repeating: nil, count: driverCapacity)

    let head = Int(configuration.head.index)
    let counts = [driverCapacity, nodeCount, parameters.globalSchedulers, replicaCount]
    machines = .allocate(capacity: counts.count)
    for (role, count) in counts.enumerated() {
      (machines + role).initialize(to: .allocate(capacity: count))
      machines[role].initialize(repeating: Machine(host: head), count: count)
    }
    for node in 0..<nodeCount { machines[Int(Address.Role.raylet.rawValue)][node].host = node }
    if parameters.chainLength > 1 {
      let role = Int(Address.Role.replica.rawValue)
      for i in 0..<replicaCount { machines[role][i].host = nodeCount + i }
    }
    serviceTimes = .allocate(capacity: configuration.service.count)
    configuration.service.copy(to: serviceTimes)
    speeds = .allocate(capacity: nodeCount)
    for (i, node) in configuration.nodes.enumerated() { speeds[i] = node.speed }

    let topology = configuration.topology
    let nic = topology.nics.map(\.up.bytesPerSecond).min() ?? .infinity
    nanosecondsPerByte = nic == .infinity ? 0 : 1e9 / nic
    latency = topology.latencyAcrossRacks.nanoseconds
    hasUniformLatency = topology.latencyWithinRack == topology.latencyAcrossRacks
    localLatency = configuration.localLatency.nanoseconds
  }

  deinit {
    recorder?.deinitialize(count: 1).deallocate()
    raylets.deinitialize(count: nodeCount).deallocate()
    schedulers.deinitialize(count: configuration.parameters.globalSchedulers).deallocate()
    replicas.deinitialize(count: replicaCount).deallocate()
    for i in 0..<driverCount {
      if let driver = drivers[i] {
        driver.deinitialize(count: 1)
        driver.deallocate()
      }
    }
    drivers.deallocate()
    for role in Address.Role.allCases { machines[Int(role.rawValue)].deallocate() }
    machines.deallocate()
    ended.deinitialize(count: 1).deallocate()
    serviceTimes.deallocate()
    speeds.deallocate()
    specs.deallocate()
    payloads.deallocate()
  }

  // MARK: Time

  private func machine(_ address: Address) -> UnsafeMutablePointer<Machine> {
    machines[Int(address.raw >> 29)] + address.number
  }

  func busyUntil(_ address: Address) -> Instant {
    Instant(nanoseconds: machine(address).pointee.busyUntil)
  }

  /// Occupies a machine for `span` from now on; returns when it is done.
  func occupy(_ address: Address, for span: TimeSpan) -> Instant {
    let machine = machine(address)
    let end = max(machine.pointee.busyUntil, clock.nanoseconds) + span.nanoseconds
    machine.pointee.busyUntil = end
    return Instant(nanoseconds: end)
  }

  // MARK: Steps

  /// Handles events until the application has something to hear, the queue holds nothing but
  /// heartbeats, or a limit is reached. Returns false at the limit.
  mutating func run(until limit: Instant, maximumEvents: UInt64) -> Bool {
    while notifications.isEmpty && foreground > 0 {
      guard eventCount < maximumEvents else { return false }
      // Looked at, not taken and put back: that would change the order of equal times.
      if limit != .never, let time = queue.nextTime, time > limit { return false }
      guard let next = queue.pop() else { return false }
      clock = next.time
      eventCount += 1
      handle(next.payload)
    }
    return true
  }

  @inline(__always)
  private mutating func handle(_ event: Event) {
    if let soon = queue.upcoming { prefetch(soon) }
    let message = event.message
    let target = event.target
    if !Raylet.isBackground(message) { foreground -= 1 }
    let kind = message.kind
    var hash = fingerprint ^ clock.nanoseconds
    hash = hash &* 0x9E37_79B9_7F4A_7C15
    hash ^= UInt64(event.source.raw) << 32 | UInt64(target.raw)
    hash = (hash ^ hash >> 32) &+ UInt64(kind.rawValue)
    fingerprint = hash &* 0xD6E8_FEB8_6659_FD93
    if target == Event.world {
      handleOwn(message)
      return
    }
    let role = Int(target.raw >> 29)
    let number = target.number
    let machine = machines[role] + number
    let now =
      max(machine.pointee.busyUntil, clock.nanoseconds)
      + serviceTimes[role * ServiceTimes.kinds + Int(kind.rawValue)]
    machine.pointee.busyUntil = now
    let moment = Instant(nanoseconds: now)
    if let observer { observer(clock, event.source, target, message) }
    if recorder != nil { record(message, from: event.source, to: target, at: moment) }
    switch target.role {
    case .raylet:
      raylets[number].receive(message, from: event.source, at: moment, into: &effects)
    case .replica:
      replicas[number].receive(message, from: event.source, at: moment, into: &effects)
    case .driver:
      guard let driver = drivers[number] else { break }
      driver.pointee.receive(message, from: event.source, at: moment, into: &effects)
    case .globalScheduler:
      schedulers[number].receive(message, from: event.source, at: moment, into: &effects)
    }
    perform(from: target, at: moment)
    if isChecked { check(target) }
  }

  /// What an event needs comes from memory while the two before it are handled: a run touches the
  /// records of all machines in turn, and waits for them longer than it computes.
  @inline(__always)
  private func prefetch(_ event: UnsafePointer<Event>) {
    let target = event.pointee.target
    if target == Event.world { return }
    let number = target.number
    switch target.role {
    case .raylet: raylets[number].prefetch(for: event.pointee.message)
    case .replica: replicas[number].prefetch(for: event.pointee.message)
    case .driver: drivers[number]?.pointee.prefetch(for: event.pointee.message)
    case .globalScheduler: break
    }
  }

  private func check(_ address: Address) {
    switch address.role {
    case .raylet: raylets[address.number].checkInvariants()
    case .replica: replicas[address.number].checkInvariants()
    case .driver, .globalScheduler: break
    }
  }

  private mutating func handleOwn(_ message: Message) {
    guard case .timerFired(let token) = message else { return }
    switch token.purpose {
    case WorldTimer.network:
      if armedFor <= clock { armedFor = .never }
      advanceNetwork()
    default:
      let pending = transfers[token.subject]
      transfers.remove(token.subject)
      begin(pending.transfer, from: pending.from)
    }
  }

  // MARK: Effects

  mutating func push(_ message: Message, to target: Address, from source: Address, at time: Instant)
  {
    if !Raylet.isBackground(message) { foreground += 1 }
    queue.push(Event(message: message, target: target, source: source), at: time)
  }

  /// A raylet hears how many nodes the cluster has.
  mutating func count(nodes: Int, at node: NodeID) {
    let message = Message.nodesCounted(UInt32(nodes))
    let raylet = Address.raylet(node)
    if recorder != nil { record(message, from: raylet, to: raylet, at: .zero) }
    raylets[Int(node.index)].receive(message, from: raylet, at: .zero, into: &effects)
    perform(from: raylet, at: .zero)
  }

  /// Turns what a machine ordered into future events.
  mutating func perform(from source: Address, at now: Instant) {
    if let recorder { recorder.pointee.caused(effects) }
    for i in 0..<effects.count {
      switch effects[i] {
      case .send(let message, let target):
        send(message, to: target, from: source, at: now)
      case .execute(let task, let worker):
        execute(task, worker, source.node, at: now)
      case .startTimer(let token, let delay):
        push(.timerFired(token), to: source, from: source, at: now + delay)
      case .startWorker(let worker):
        push(
          .workerStarted(worker), to: source, from: source, at: now + configuration.worker.start)
      case .drop, .spill:
        // Bytes are only counted here, and the raylet does that.
        break
      case .inheritError:
        // A simulated program follows the inputs itself: it has the words of all failures in one place.
        break
      case .cancel(let task, _, let isRecursive):
        notifications.append(.cancellationRequested(task, isRecursive: isRecursive))
      case .endActor(let creation, _):
        notifications.append(.actorEnded(creation))
      case .restore(_, let slot, let size):
        let delay = configuration.parameters.diskBandwidth.time(for: size)
        push(.objectRestored(slot), to: source, from: source, at: now + delay)
      case .transfer(let transfer):
        start(transfer, from: source.node, at: now)
      case .resultArrived(let object, let status):
        notifications.append(
          .resultArrived(object, status, driver: UInt32(source.number)))
      case .requestEnded(let request, let outcome):
        notifications.append(.requestEnded(request, outcome, driver: UInt32(source.number)))
      case .record(let transition):
        notifications.append(.recorded(transition, at: now))
      }
    }
    effects.removeAll()
  }

  /// A control message: latency, and serialisation at the sender, which also keeps what one machine
  /// sends in order.
  @inline(__always)
  private mutating func send(
    _ message: Message, to target: Address, from source: Address, at now: Instant
  ) {
    let here = machine(source).pointee.host
    let there = machine(target).pointee.host
    let arrival: UInt64
    if here == there {
      arrival = now.nanoseconds + localLatency
    } else {
      arrival =
        leave(source, bytes: message.wireSize(specs, payloads), at: now)
        + latencyBetween(here, there)
    }
    push(message, to: target, from: source, at: Instant(nanoseconds: arrival))
  }

  /// When the last byte has left the sender.
  private func leave(_ source: Address, bytes: Int, at now: Instant) -> UInt64 {
    let machine = machine(source)
    let left =
      max(machine.pointee.lastSent, now.nanoseconds)
      + UInt64(bitPattern: Int64(Double(bytes) * nanosecondsPerByte))
    machine.pointee.lastSent = left
    return left
  }

  private func latencyBetween(_ here: Int, _ there: Int) -> UInt64 {
    if hasUniformLatency || here >= nodeCount || there >= nodeCount { return latency }
    return configuration.topology.latency(from: NodeID(here), to: NodeID(there)).nanoseconds
  }

  // MARK: Workers

  private mutating func execute(
    _ task: TaskHandle, _ worker: WorkerID, _ node: NodeID, at now: Instant
  ) {
    let body = specs[task].body
    let begin = now + configuration.worker.dispatch
    if body == .program {
      let driver = addDriver(node: node, worker: worker, root: task)
      _ = occupyAt(.driver(driver), begin)
      notifications.append(.programStarted(task, worker, node, driver: UInt32(driver)))
      return
    }
    let work = specs[task].work
    let speed = speeds[Int(node.index)]
    let duration =
      speed == 1 ? work : TimeSpan(nanoseconds: UInt64(Double(work.nanoseconds) / speed))
    var end = begin + duration + configuration.worker.finish
    if hasPipelines {
      let busy = workerBusyUntil.pointer(
        UInt64(node.index) << 32 | UInt64(worker.index), inserting: 0)
      if busy.pointee > begin.nanoseconds {
        end = Instant(nanoseconds: busy.pointee) + duration + configuration.worker.finish
      }
      busy.pointee = end.nanoseconds
    }
    if body == .function {
      notifications.append(.computing(task, worker, node, endsAt: end))
      foreground += 1
    } else {
      let raylet = Address.raylet(node)
      push(.taskFinished(task, worker, .value), to: raylet, from: raylet, at: end)
    }
  }

  /// The application has computed a task's values.
  mutating func computed(
    _ task: TaskHandle, _ worker: WorkerID, _ node: NodeID, _ status: ObjectStatus, at end: Instant
  ) {
    foreground -= 1
    let raylet = Address.raylet(node)
    push(.taskFinished(task, worker, status), to: raylet, from: raylet, at: end)
  }

  private func occupyAt(_ address: Address, _ moment: Instant) -> Instant {
    let machine = machine(address)
    machine.pointee.busyUntil = max(machine.pointee.busyUntil, moment.nanoseconds)
    return Instant(nanoseconds: machine.pointee.busyUntil)
  }

  // MARK: Drivers

  mutating func addDriver(node: NodeID, worker: WorkerID, root: TaskHandle) -> Int {
    let number: Int
    if let free = freeDrivers.popFirst() {
      number = Int(free)
    } else {
      if driverCount == driverCapacity { growDrivers() }
      number = driverCount
      driverCount += 1
    }
    let driver = UnsafeMutablePointer<Driver>.allocate(capacity: 1)
    driver.initialize(
      to: Driver(
        address: .driver(number), node: node, worker: worker, root: root,
        incarnation: driverIncarnations, freeDelay: configuration.parameters.freeDelay,
        specs: specs, payloads: payloads))
    recorder?.pointee.addDriver(
      .driver(number), node: node, worker: worker, root: root, incarnation: driverIncarnations,
      freeDelay: configuration.parameters.freeDelay)
    driverIncarnations &+= 1
    drivers[number] = driver
    // The last process at this number may have ended ahead of the clock: this one is another.
    machine(.driver(number)).initialize(to: Machine(host: Int(node.index)))
    return number
  }

  /// - Parameter isReused: another process may have the number at once.
  mutating func removeDriver(_ number: Int, isReused: Bool = true) {
    guard let driver = drivers[number] else { return }
    recorder?.pointee.removeMachine(.driver(number))
    driver.deinitialize(count: 1)
    driver.deallocate()
    drivers[number] = nil
    if isReused { freeDrivers.append(UInt32(number)) }
  }

  private mutating func growDrivers() {
    let larger = UnsafeMutablePointer<UnsafeMutablePointer<Driver>?>.allocate(
      capacity: driverCapacity * 2)
    larger.initialize(repeating: nil, count: driverCapacity * 2)
    larger.update(from: drivers, count: driverCount)
    drivers.deallocate()
    drivers = larger
    let role = Int(Address.Role.driver.rawValue)
    let known = UnsafeMutablePointer<Machine>.allocate(capacity: driverCapacity * 2)
    known.moveInitialize(from: machines[role], count: driverCount)
    machines[role].deallocate()
    machines[role] = known
    driverCapacity *= 2
  }

  // MARK: Bulk transfers

  private mutating func start(_ transfer: Transfer, from: NodeID, at now: Instant) {
    if UInt64(transfer.bytes) <= configuration.smallTransfer.bytes {
      let bytes = Int(transfer.bytes) + 52
      let left = leave(.raylet(from), bytes: bytes, at: now)
      let arrival = left + latencyBetween(Int(from.index), Int(transfer.to.index))
      deliver(transfer, from: from, left: left, arrival: arrival)
    } else if now > clock {
      // The machine is ahead of the queue: the network sees the flow when its time has come.
      let slot = transfers.insert(PendingTransfer(transfer: transfer, from: from))
      let token = TimerToken(purpose: WorldTimer.beginTransfer, subject: slot)
      push(.timerFired(token), to: Event.world, from: .raylet(from), at: now)
    } else {
      begin(transfer, from: from)
    }
  }

  private mutating func begin(_ transfer: Transfer, from: NodeID) {
    let slot = transfers.insert(PendingTransfer(transfer: transfer, from: from))
    let arrival = network.start(
      from: from, to: transfer.to, size: ByteCount(UInt64(transfer.bytes)), token: UInt64(slot),
      at: clock)
    if let arrival { arrived(slot, at: arrival) }
    armNetwork()
  }

  private mutating func advanceNetwork() {
    // Arrivals are gathered first: handling one may start the next.
    let ended = ended
    network.advance(to: clock) { token, arrival in
      ended.pointee.append(EndedTransfer(slot: UInt32(token), arrival: arrival))
    }
    for i in 0..<ended.pointee.count {
      let transfer = ended.pointee[i]
      arrived(transfer.slot, at: transfer.arrival)
    }
    ended.pointee.removeAll()
    armNetwork()
  }

  private mutating func armNetwork() {
    guard let next = network.nextCompletion, next < armedFor else { return }
    armedFor = next
    let token = TimerToken(purpose: WorldTimer.network)
    push(.timerFired(token), to: Event.world, from: Event.world, at: max(next, clock))
  }

  private mutating func arrived(_ slot: UInt32, at arrival: Instant) {
    let pending = transfers[slot]
    transfers.remove(slot)
    let hop = latencyBetween(Int(pending.from.index), Int(pending.transfer.to.index))
    // The sender may go on when the last byte has left: a latency before it arrives.
    let left = max(clock.nanoseconds, arrival.nanoseconds - min(arrival.nanoseconds, hop))
    deliver(pending.transfer, from: pending.from, left: left, arrival: arrival.nanoseconds)
  }

  private mutating func deliver(
    _ transfer: Transfer, from: NodeID, left: UInt64, arrival: UInt64
  ) {
    push(
      .chunkArrived(
        transfer.object, index: transfer.index, count: transfer.count, transfer.status,
        transfer.objectSize),
      to: .raylet(transfer.to), from: .raylet(from), at: Instant(nanoseconds: arrival))
    if transfer.push != .single {
      push(
        .chunkSent(transfer.push), to: .raylet(from), from: .raylet(from),
        at: Instant(nanoseconds: left))
    }
  }
}
