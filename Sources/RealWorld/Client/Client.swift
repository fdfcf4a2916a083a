import Glibc
import Primitives
import RuntimeCore
import WireFormat

/// Where a client's program runs: a thread, or an event loop.
protocol ClientHost: AnyObject {
  /// Runs the program's jobs.
  var executor: any TaskExecutor { get }
  func schedule(after delay: TimeSpan, _ body: @escaping () -> Void)
  /// There is news for the client (`ClientNews`). From any thread.
  func wake()
}

/// A program's connection to a cluster of the real world. Everything happens on the program's own
/// thread; `get` and `wait` suspend the program until the node has answered.
public final class Client: @unchecked Sendable {
  /// What a program may know of its cluster.
  public struct Cluster: Sendable {
    public var seed: UInt64
    public var roster: NodeRoster
    /// By node number; see `NodeRoster`.
    public var nodes: [ResourceVector] { roster.nodes }
    public var resourceNames: ResourceNames
  }

  public let cluster: Cluster
  let core: UnsafeMutablePointer<ClientCore>
  unowned let host: any ClientHost
  private var continuations: [UInt32: UnsafeContinuation<RequestOutcome, Never>] = [:]
  private var waitingForRoom: [UInt64: UnsafeContinuation<ClientCore.RoomGrant?, Never>] = [:]
  private var tickets: UInt64 = 0
  /// What keeps values in place that the program reads there, by object.
  private var loans: [UInt64: SegmentLoan] = [:]
  private let returned = ReturnedLoans()
  /// Maps what was written through the file of another process; made with the first large `put`.
  private var toucher: PageToucher?
  /// A thread of the node's own process, which shares its mapping.
  private let isThread: Bool
  private var fetches: [UInt64: [(ticket: UInt64, continuation: UnsafeContinuation<Void, Never>)]] =
    [:]
  /// Requests that ended before the program came to wait for them.
  private var ended: [UInt32: RequestOutcome] = [:]
  let news = ClientNews()

  init(
    _ core: consuming ClientCore, cluster: Cluster, isThread: Bool = false, host: any ClientHost
  ) {
    self.isThread = isThread
    self.cluster = cluster
    self.core = .allocate(capacity: 1)
    self.core.initialize(to: core)
    self.host = host
  }

  deinit {
    core.deinitialize(count: 1)
    core.deallocate()
  }

  // MARK: Calls

  public var specs: TaskSpecTable { core.pointee.specs }

  /// What tasks of this program have in common, to be completed: a model for `submit`.
  public func model(
    function: FunctionID, shape: UInt16, kind: TaskKind = .task
  ) -> TaskSpec {
    core.pointee.model(function: function, shape: shape, kind: kind)
  }

  public func nextCall(on actor: TaskHandle) -> UInt32 { core.pointee.driver.nextCall(on: actor) }

  /// Submits a task of this program that is like `model` but for what a task has for itself: its
  /// identity, `sequence` and its arguments.
  @discardableResult
  public func submit(
    like model: UnsafePointer<TaskSpec>, sequence: UInt32,
    arguments: UnsafeBufferPointer<ObjectHandle>, values: UnsafeRawBufferPointer,
    notice: ResultNotice
  ) -> TaskHandle {
    let task = core.pointee.submit(
      like: model, sequence: sequence, arguments: arguments, values: values, notice: notice)
    core.pointee.port.flushLongRuns()
    return task
  }

  /// Stores an object of `byteCount` bytes, which `write` fills: all its memory is there.
  ///
  /// - Throws: what `write` throws, and then nothing is stored; `StoreIsFull`; `StoreError` when
  ///   the memory cannot be had.
  public func put(
    byteCount: Int, _ write: (UnsafeMutableRawBufferPointer) throws -> Void
  ) async throws -> ObjectHandle {
    try await put(byteCount: byteCount) { (room: ObjectRoom) in
      try room.prepareAll()
      try write(room.memory)
    }
  }

  /// Stores an object of `byteCount` bytes, which `write` fills: its memory is made while it fills.
  ///
  /// - Throws: as the other.
  public func put(
    byteCount: Int, filling write: (ObjectRoom) throws -> Void
  ) async throws -> ObjectHandle {
    if !news.isEmpty { heedNews() }
    if lost != nil { throw StoreIsFull(asked: ByteCount(UInt64(byteCount))) }
    if byteCount >= StoredValue.segmentThreshold, let segment = core.pointee.segment {
      return try await putLarge(byteCount, segment, write)
    }
    let object = try core.pointee.put(byteCount) { try write(ObjectRoom($0)) }
    core.pointee.port.flushLongRuns()
    return object
  }

  /// Writes a value into room that the node gives.
  private func putLarge(
    _ byteCount: Int, _ segment: SharedSegment,
    _ write: (ObjectRoom) throws -> Void
  ) async throws -> ObjectHandle {
    tickets += 1
    let ticket = tickets
    core.pointee.askForRoom(byteCount, ticket: ticket)
    _ = core.pointee.port.flush()
    if lost != nil { throw StoreIsFull(asked: ByteCount(UInt64(byteCount))) }
    let grant = await withUnsafeContinuation { waitingForRoom[ticket] = $0 }
    guard let grant, grant.key != StoreFrame.denied,
      grant.offset <= segment.byteCount - byteCount
    else { throw StoreIsFull(asked: ByteCount(UInt64(byteCount))) }
    do {
      try write(
        ObjectRoom(
          UnsafeMutableRawBufferPointer(start: segment.base + grant.offset, count: byteCount),
          of: segment))
    } catch {
      core.pointee.returnRoom(grant.key)
      throw error
    }
    if !isThread { mapLater(segment, grant.offset, byteCount) }
    let object = core.pointee.putRoom(grant.key, byteCount)
    core.pointee.port.flushLongRuns()
    return object
  }

  /// Gives a task up.
  public func cancel(_ task: TaskHandle, isRecursive: Bool) {
    core.pointee.cancel(task, isRecursive: isRecursive)
    _ = core.pointee.port.flush()
  }

  /// This program was cancelled, with all that it has submitted.
  func cancelChildren() {
    core.pointee.cancelChildren()
    _ = core.pointee.port.flush()
  }

  /// What was written through the file is mapped in the background: the next object in its place is
  /// written at the speed of memory.
  private func mapLater(_ segment: SharedSegment, _ offset: Int, _ count: Int) {
    if segment.isTouched(at: offset, count: count) { return }
    if toucher == nil { toucher = PageToucher(segment) }
    toucher?.revisit(from: offset)
    toucher?.raise(to: offset + count)
  }

  /// Sends what `free` has gathered.
  public func flushFreed() { core.pointee.flushFreed() }

  /// What keeps the bytes of an object in place while somebody reads them; nil when they are to be
  /// copied.
  public func owner(_ object: ObjectHandle) -> AnyObject? { loans[object.key] }

  public func request(
    _ objects: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool = true,
    timeout: TimeSpan? = nil
  ) -> RequestID {
    let request = core.pointee.request(
      objects, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout)
    deliverEvents()
    return request
  }

  /// The program has ended: timers that are still to come mean nothing.
  var hasEnded = false
  /// Why the connection to the node ended, once it has.
  public private(set) var lost: String?

  /// The node is gone: whoever waits need not. The first reason counts.
  func disconnected(_ reason: String) {
    if lost == nil { lost = reason }
    let waiting = continuations.values
    continuations.removeAll()
    for continuation in waiting { continuation.resume(returning: .failed) }
    let fetching = fetches.values.flatMap { $0 }
    fetches.removeAll()
    for waiting in fetching { waiting.continuation.resume() }
    let wishes = waitingForRoom.values
    waitingForRoom.removeAll()
    for continuation in wishes { continuation.resume(returning: nil) }
  }

  /// Suspends the program until the request has ended; `failed` when the node is gone (`lost`), and
  /// `timedOut` when its time limit has passed, or its Swift task was cancelled.
  ///
  /// - Parameter isCancellable: without it, a cancelled Swift task waits to the end. Of a program
  ///   that is a task, what cancels that task itself (`cancel`) ends no waiting either.
  public func wait(
    _ request: RequestID, isCancellable: Bool = true
  ) async -> RequestOutcome {
    if !news.isEmpty { heedNews() }
    if lost != nil { return .failed }
    if let outcome = ended.removeValue(forKey: request.number) { return outcome }
    _ = core.pointee.port.flush()
    startTimers()
    // A socket may say only when it is written to that nobody reads there.
    if lost != nil { return .failed }
    guard isCancellable, let deadline = core.pointee.driver.deadline(of: request) else {
      return await withUnsafeContinuation { continuations[request.number] = $0 }
    }
    return await withTaskCancellationHandler {
      await withUnsafeContinuation { continuations[request.number] = $0 }
    } onCancel: {
      // Wherever this runs: the client is its own thread's.
      news.giveUp(deadline)
      host.wake()
    }
  }

  /// Whether the program waits for the request whose deadline this is.
  func isAwaited(_ request: TimerToken) -> Bool { continuations[request.subject] != nil }

  /// Brings the bytes of objects that the node keeps, before they are read. Where the connection is
  /// lost or the Swift task cancelled, some may not be there.
  public func fetch(_ objects: [ObjectHandle]) async {
    var asked: [ObjectHandle] = []
    for object in objects where lost == nil && core.pointee.fetch(object) { asked.append(object) }
    if asked.isEmpty { return }
    _ = core.pointee.port.flush()
    for object in asked where lost == nil && core.pointee.isFetching(object) {
      tickets += 1
      let ticket = tickets
      await withTaskCancellationHandler {
        await withUnsafeContinuation { fetches[object.key, default: []].append((ticket, $0)) }
      } onCancel: {
        news.giveUp(ClientNews.FetchWait(object: object.key, ticket: ticket))
        host.wake()
      }
    }
  }

  /// Somebody waits for bytes no longer; these come all the same.
  func endFetch(_ fetch: ClientNews.FetchWait) {
    guard let place = fetches[fetch.object]?.firstIndex(where: { $0.ticket == fetch.ticket })
    else { return }
    fetches[fetch.object]!.remove(at: place).continuation.resume()
  }

  public func status(_ object: ObjectHandle) -> ObjectStatus? {
    core.pointee.driver.status(object)
  }

  /// Whether this program submitted the object's task, put it or asked for it, and has not freed it.
  public func knows(_ object: ObjectHandle) -> Bool { core.pointee.driver.knows(object) }

  /// The program as a task: the producer of what it puts.
  public var root: TaskHandle { core.pointee.driver.root }

  public func free(_ object: ObjectHandle) {
    if !loans.isEmpty { loans[object.key] = nil }
    core.pointee.free(object)
  }

  /// The bytes of an object that a `get` has brought; valid until it is freed.
  public func bytes(_ object: ObjectHandle) -> UnsafeRawBufferPointer {
    core.pointee.values.pointer(object.key)?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
  }

  // MARK: Facts

  func receive(_ frames: UnsafeRawBufferPointer) throws(FrameError) {
    try core.pointee.receive(frames)
    deliverEvents()
  }

  /// The program has ended: it reads nothing in place any more, unless it kept a view.
  func returnLoans() { loans.removeAll() }

  /// Ends a turn: what was said goes out; false when some of it has to wait for room.
  func endTurn() -> Bool {
    startTimers()
    for loan in returned.take() { core.pointee.returnLoan(loan) }
    return core.pointee.port.flush()
  }

  func deliverEvents() {
    if core.pointee.lent.count > 0 {
      for i in 0..<core.pointee.lent.count {
        let object = core.pointee.lent[i]
        guard let value = core.pointee.values[object.key] else { continue }
        loans[object.key] = SegmentLoan(value.key, core.pointee.segment!, returned)
      }
      core.pointee.lent.removeAll()
    }
    if core.pointee.rooms.count > 0 {
      for i in 0..<core.pointee.rooms.count {
        let grant = core.pointee.rooms[i]
        waitingForRoom.removeValue(forKey: grant.ticket)?.resume(returning: grant)
      }
      core.pointee.rooms.removeAll()
    }
    if core.pointee.fetched.count > 0 {
      for i in 0..<core.pointee.fetched.count {
        let waiting = fetches.removeValue(forKey: core.pointee.fetched[i].key) ?? []
        for (_, continuation) in waiting { continuation.resume() }
      }
      core.pointee.fetched.removeAll()
    }
    let count = core.pointee.events.count
    if count == 0 { return }
    for i in 0..<count {
      switch core.pointee.events[i].kind {
      case .requestEnded(let request, let outcome):
        if let continuation = continuations.removeValue(forKey: request.number) {
          continuation.resume(returning: outcome)
        } else {
          ended[request.number] = outcome
        }
      }
    }
    core.pointee.events.removeAll()
  }

  private func startTimers() {
    while let timer = core.pointee.timers.popFirst() {
      host.schedule(after: timer.delay) { [self] in
        if hasEnded { return }
        core.pointee.timerFired(timer.token)
        deliverEvents()
      }
    }
  }
}

/// A client on a thread that shares the node's memory: of its own process, or of a worker process.
final class ThreadClient: Pump, ClientHost, @unchecked Sendable {
  let thread: PumpThread
  private let incoming: FrameRing
  private let outlet: any Outlet
  /// The thread is one of the node's own process, and not of a worker process.
  private let isInNode: Bool
  private let plan: NodePlan
  private let memory: SegmentAccess
  private(set) var client: Client?
  private var incarnation: UInt32
  /// Of the latest program.
  private(set) var address: Address?

  var executor: any TaskExecutor { thread }

  init(
    thread: PumpThread, incoming: FrameRing, outlet: any Outlet, plan: NodePlan,
    memory: SegmentAccess, isInNode: Bool = true, incarnation: UInt32 = 0
  ) {
    self.memory = memory
    self.isInNode = isInNode
    self.incarnation = incarnation
    self.thread = thread
    self.incoming = incoming
    self.outlet = outlet
    self.plan = plan
  }

  /// A new program runs here, with an identity of its own.
  func begin(_ root: TaskID, address: Address, worker: WorkerID) -> Client {
    incarnation &+= 1
    self.address = address
    let core = ClientCore(
      address: address, node: plan.node, worker: worker, root: root,
      incarnation: incarnation &+ UInt32(address.number) &* 0x101, parameters: plan.parameters,
      bounds: .none, segment: memory.segment, outlet: outlet, recording: plan.recording)
    let client = Client(
      core,
      cluster: Client.Cluster(
        seed: plan.seed, roster: plan.roster, resourceNames: plan.resourceNames),
      isThread: isInNode, host: self)
    self.client = client
    return client
  }

  /// The program has ended: what it said last goes out.
  func end() {
    guard let client else { return }
    client.flushFreed()
    client.returnLoans()
    while !client.endTurn() { sched_yield() }
    client.hasEnded = true
    client.core.pointee.endRecording()
    self.client = nil
  }

  func schedule(after delay: TimeSpan, _ body: @escaping () -> Void) {
    thread.schedule(after: delay, body)
  }

  func wake() { thread.parker.wake() }

  var hasWork: Bool { !incoming.isEmpty || !(client?.news.isEmpty ?? true) }

  func pump() -> Bool {
    guard let client else {
      // Meant for a program that has ended.
      RingOutlet.discardRuns(of: incoming)
      return false
    }
    var worked = false
    if !client.news.isEmpty {
      worked = true
      client.heedNews()
    }
    while let run = incoming.next() {
      worked = true
      do throws(FrameError) {
        if run.count == 32, run[4] == RingOutlet.referenceKind {
          let frame = RingOutlet.frame(of: run)
          defer { frame.deallocate() }
          try client.receive(UnsafeRawBufferPointer(frame))
        } else {
          try client.receive(run)
        }
      } catch {
        fatalError("the node of this process sent \(error)")
      }
      incoming.release()
    }
    if !client.endTurn() {
      // The node has to read before more can be said.
      sched_yield()
      worked = true
    }
    return worked
  }
}
