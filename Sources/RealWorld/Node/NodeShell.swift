import Glibc
import Logging
import Primitives
import RuntimeCore
import Scheduling
import Synchronization
import WireFormat

/// A node of the real world on one thread: pumps what its clients and workers send through the
/// machines, and carries out their orders.
final class NodeShell: Pump, @unchecked Sendable {
  let core: UnsafeMutablePointer<NodeCore>
  let functions: FunctionTable
  let host: any ShellHost
  private var workers: [Worker] = []
  private var rings: [(ring: FrameRing, port: UInt32)] = []
  private struct NewClients: Sendable {
    var waiting: [NewClient] = []
    var leaving: [Address] = []
    var asking: [@Sendable (NodeStatus) -> Void] = []
  }

  /// Rings and ports of programs on threads of this process, by address.
  private var drivers: [UInt32: (FrameRing, UInt32)] = [:]
  private let newClients = Mutex(NewClients())
  let programs: Mutex<ProgramNumbers>
  private let hasNewClients = Atomic<Bool>(false)
  let spin: TimeSpan
  private let memory: SegmentAccess
  private let spillPath: String
  private let logger: Logger
  private let diskInbox: DiskInbox
  let plan: NodePlan
  /// Where the workers are processes.
  private let processes: ProcessWorkers?
  /// What goes to the programs of those, by port.
  private var processRings: [UInt32: FrameRing] = [:]

  private struct NewClient: Sendable {
    var address: Address
    var root: TaskID
    var fromClient: FrameRing
    var toClient: RingOutlet
  }

  /// - Parameters:
  ///   - sharesMemory: other processes read and write large objects in place.
  ///   - host: the thread or event loop that everything here happens on.
  ///   - makeProcesses: makes what starts the workers when these are processes.
  init(
    _ plan: NodePlan, functions: FunctionTable, spin: TimeSpan, sharesMemory: Bool = true,
    host: any ShellHost,
    processes makeProcesses: ((SharedSegment) throws -> ProcessWorkers)? = nil, logger: Logger
  ) throws {
    self.plan = plan
    self.logger = logger
    programs = Mutex(ProgramNumbers(plan.node))
    self.functions = functions
    self.spin = spin
    self.host = host
    _ = SharedSegment.removeAbandoned()
    _ = SpillDirectory.removeAbandoned(in: plan.spillDirectory)
    let segment = try SharedSegment.create(
      byteCount: NodeCore.segmentBytes(plan),
      in: sharesMemory ? SharedSegment.sharedPlaces : [.privateMemory])
    memory = SegmentAccess(segment)
    processes = try makeProcesses?(segment)
    core = .allocate(capacity: 1)
    let spills = try SpillDirectory(in: plan.spillDirectory)
    spillPath = spills.path
    core.initialize(
      to: NodeCore(plan, ObjectMemory(segment: segment, spillDirectory: consume spills)))
    diskInbox = core.pointee.disk.inbox
    diskInbox.setWake { host.wake() }
  }

  deinit {
    core.deinitialize(count: 1)
    core.deallocate()
  }

  /// Starts workers and machines; on the host, or before it runs.
  func start() throws {
    let count = Int(plan.description.resources.cpuUnits / ResourceVector.unitsPerOne)
    for i in 0..<count { try addWorker(WorkerID(i), isInitial: true) }
    core.pointee.start()
    carryOutOrders()
  }

  var segmentPath: String { memory.segment.path }

  /// Removes what would outlive this process: its end runs no `deinit`. Nothing is stored after it.
  func removeNames() {
    memory.segment.removeName()
    SpillDirectory.removeContents(of: spillPath)
  }

  /// Ends the workers; their present tasks run to their end.
  func stopWorkers() {
    for worker in workers { (worker as? ThreadWorker)?.thread.stop() }
    processes?.stopAndWait()
    removeNames()
  }

  private func addWorker(_ number: WorkerID, isInitial: Bool = false) throws(ThreadError) {
    let capacity = max(
      1024, plan.parameters.pipelineLimit * 2, plan.parameters.actorPipelineLimit * 2)
    var size = 1024
    while size < capacity { size *= 2 }
    if let processes { return addProcess(number, size, processes, announces: !isInitial) }
    let workerThread = PumpThread(name: "worker \(number.index)", spin: spin)
    let pair = RingPair()
    let toNode = pair.toNode
    let (client, toClient) = makeClient(on: workerThread, pair)
    let address = Address.driver(
      Int(plan.node.index) << 16 | 0x8000 | Int(number.index))
    let port = core.pointee.addPort(makePort(toClient))
    core.pointee.connect(address, to: port)
    core.pointee.port(port).pointee.isThread = true
    core.pointee.port(port).pointee.sharesMemory = true
    rings.append((toNode, port))
    let host = self.host
    let worker = ThreadWorker(
      number: number, functions: functions, capacity: size, wakeNode: { host.wake() },
      thread: workerThread, client: client, clientRing: toNode, address: address,
      port: port, memory: memory)
    workers.append(worker)
    core.pointee.setWorker(worker)
    try workerThread.start(worker)
  }

  /// - Parameter announces: the raylet waits to hear that the worker has started.
  private func addProcess(
    _ number: WorkerID, _ capacity: Int, _ processes: ProcessWorkers, announces: Bool
  ) {
    let toNode = FrameRing.allocate(capacity: RingOutlet.capacity)
    let toClient = FrameRing.allocate(capacity: RingOutlet.capacity)
    let address = Address.driver(Int(plan.node.index) << 16 | 0x8000 | Int(number.index))
    let outlet = RingOutlet(toClient, wake: { processes.wake() })
    let port = core.pointee.addPort(makePort(outlet, bounds: peerBounds))
    core.pointee.connect(address, to: port)
    core.pointee.port(port).pointee.client = address
    core.pointee.port(port).pointee.worker = number
    core.pointee.port(port).pointee.sharesMemory = true
    rings.append((toNode, port))
    processRings[port] = toClient
    let worker = Worker(
      number: number, capacity: capacity, clientRing: toNode, port: port, isProcess: true,
      wake: { processes.wake() })
    workers.append(worker)
    core.pointee.setWorker(worker)
    processes.add(worker, address: address, toClient: toClient, announces: announces)
  }

  /// Sees to workers that have ended, ends those that must, and says what cannot run.
  private func heedNews() {
    let news = core.pointee.news
    core.pointee.news.removeAll()
    for item in news {
      switch item {
      case .lost(let port):
        // The worker's last report has been read: nobody else knows the rings.
        workers.removeAll { $0.port == port }
        rings.first { $0.port == port }?.ring.deallocate()
        rings.removeAll { $0.port == port }
        processRings.removeValue(forKey: port)?.deallocate()
      case .faulty(let port, let reason): processes?.condemn(port, reason)
      case .infeasible(let function, let demand):
        logger.warning(
          """
          '\(functions.name(function))' needs \(plan.resourceNames.describe(demand)), and no node \
          has so much: its tasks wait for a node that has
          """)
      }
    }
  }

  /// A client on a thread of this process, and the node's way to it.
  private func makeClient(
    on clientThread: PumpThread, _ pair: RingPair
  ) -> (ThreadClient, RingOutlet) {
    let host = self.host
    let clientParker = clientThread.parker
    let client = ThreadClient(
      thread: clientThread, incoming: pair.toClient,
      outlet: RingOutlet(pair.toNode, of: pair, wake: { host.wake() }), plan: plan,
      memory: memory)
    return (client, RingOutlet(pair.toClient, of: pair, wake: { clientParker.wake() }))
  }

  /// - Parameter bounds: numbers that a peer of another process may use.
  func makePort(_ outlet: any Outlet, bounds: ClusterBounds = .none) -> Port {
    Port(
      MessageEncoder(specs: core.pointee.specs, payloads: core.pointee.payloads),
      MessageDecoder(
        specs: core.pointee.specs, payloads: core.pointee.payloads, bounds: bounds), outlet)
  }

  /// What frames from other processes may name.
  var peerBounds: ClusterBounds {
    ClusterBounds(
      nodes: 8192, globalSchedulers: UInt32(plan.parameters.globalSchedulers),
      replicas: UInt32(plan.replicaHomes.count), functions: UInt32(functions.count))
  }

  // MARK: Clients

  /// Connects a program on a thread of its own, which must not run yet.
  func connect(thread clientThread: PumpThread) throws(ProgramLimit) -> ThreadClient {
    let (address, job) = try takeProgram()
    let pair = RingPair()
    let (client, toClient) = makeClient(on: clientThread, pair)
    let root = TaskID.root(driver: job, seed: plan.seed)
    let new = NewClient(
      address: address, root: root, fromClient: pair.toNode, toClient: toClient)
    newClients.withLock { $0.waiting.append(new) }
    hasNewClients.store(true, ordering: .releasing)
    host.wake()
    _ = client.begin(root, address: address, worker: .none)
    return client
  }

  /// The names of one more program; its address is given back when it has gone.
  func takeProgram() throws(ProgramLimit) -> (address: Address, job: Int) {
    let result = programs.withLock { programs -> Result<(Address, Int), ProgramLimit> in
      do throws(ProgramLimit) {
        return .success(try programs.take())
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func admitClients() {
    hasNewClients.store(false, ordering: .relaxed)
    let (new, leaving, asking) = newClients.withLock { clients in
      defer {
        clients.waiting.removeAll()
        clients.leaving.removeAll()
        clients.asking.removeAll()
      }
      return (clients.waiting, clients.leaving, clients.asking)
    }
    defer { for answer in asking { answer(core.pointee.status) } }
    for client in new {
      let port = core.pointee.addPort(makePort(client.toClient))
      core.pointee.port(port).pointee.isThread = true
      core.pointee.port(port).pointee.sharesMemory = true
      core.pointee.beginDriver(client.address, client.root, at: port)
      rings.append((client.fromClient, port))
      drivers[client.address.raw] = (client.fromClient, port)
    }
    for address in leaving {
      guard let (ring, port) = drivers.removeValue(forKey: address.raw) else { continue }
      core.pointee.now = MonotonicClock.now
      // What it said last was sent before it said that it goes.
      _ = read(ring, port, runs: .max)
      core.pointee.endDriver(address, at: port)
      rings.removeAll { $0.port == port }
      programs.withLock { $0.giveBack(address) }
    }
  }

  /// Calls `answer` on the node's thread, with what the node has when it next looks for clients.
  func askStatus(_ answer: @escaping @Sendable (NodeStatus) -> Void) {
    newClients.withLock { $0.asking.append(answer) }
    hasNewClients.store(true, ordering: .releasing)
    host.wake()
  }

  /// The program of this client has ended and its thread has stopped.
  func disconnect(_ client: ThreadClient) {
    guard let address = client.address else { return }
    newClients.withLock { $0.leaving.append(address) }
    hasNewClients.store(true, ordering: .releasing)
    host.wake()
  }

  // MARK: Turns

  var hasWork: Bool {
    hasNewClients.load(ordering: .relaxed) || !diskInbox.isEmpty
      || rings.contains { !$0.ring.isEmpty }
      || workers.contains { !$0.reports.isEmpty }
  }

  func pump() -> Bool {
    if hasNewClients.load(ordering: .acquiring) { admitClients() }
    var worked = false
    core.pointee.now = MonotonicClock.now
    for worker in workers where core.pointee.readReports(of: worker) { worked = true }
    if !diskInbox.isEmpty, core.pointee.finishDiskJobs() { worked = true }
    // A share for each peer, so that none waits for another's backlog.
    for (ring, port) in rings where read(ring, port, runs: 4) { worked = true }
    if !core.pointee.news.isEmpty { heedNews() }
    if !endTurn() {
      sched_yield()
      worked = true
    }
    return worked
  }

  /// Handles up to `runs` runs of frames from one ring; true when there was any.
  private func read(_ ring: FrameRing, _ port: UInt32, runs: Int) -> Bool {
    var count = 0
    while count < runs, let run = ring.next() {
      count += 1
      do throws(FrameError) {
        try core.pointee.receive(ringRun: run, from: port)
      } catch {
        core.pointee.faulted(port, error)
      }
      ring.release()
    }
    return count > 0
  }

  /// Carries out what the machines ordered and sends what they said; false when a peer's way is full.
  @discardableResult
  func endTurn() -> Bool {
    carryOutOrders()
    return core.pointee.flush()
  }

  private func carryOutOrders() {
    let count = core.pointee.orders.count
    if count == 0 { return }
    for i in 0..<count {
      let order = core.pointee.orders[i]
      switch order.effect {
      case .startTimer(let token, let delay):
        host.schedule(after: delay) { [unowned self] in
          core.pointee.now = MonotonicClock.now
          core.pointee.handle(
            Envelope(
              message: .timerFired(token), source: order.source, target: order.source))
        }
      case .startWorker(let worker):
        try? addWorker(worker)
        // A process says itself when it has.
        if processes != nil { break }
        core.pointee.queue.append(
          Envelope(
            message: .workerStarted(worker), source: order.source, target: order.source))
      default: break
      }
    }
    core.pointee.orders.removeAll()
  }
}
