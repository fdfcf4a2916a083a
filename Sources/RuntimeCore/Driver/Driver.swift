import Primitives

/// The client side of the runtime in one process: a driver program, or a worker whose task submits
/// other tasks. It turns API calls into messages to its raylet and answers into results.
///
/// A `get` or `wait` is a request: it ends when enough of its objects are ready, when one of a `get`
/// carries an error, or at its deadline. A worker that has to wait for a request tells its raylet, so
/// that others can use its CPUs.
public struct Driver: ~Copyable {
  struct Request: BitwiseCopyable {
    /// Objects still to come before the request ends.
    var remaining: UInt32
    var generation: UInt32
    var isGet: Bool
    var isActive: Bool
    var failed: Bool
  }

  /// Six bytes, so that with its key it takes sixteen: a program may have a million of them.
  struct Known: BitwiseCopyable {
    /// First of the requests that wait for the object.
    var waiting = Driver.end
    var status = ObjectStatus.value
    private var flags: UInt8 = 0

    init(wantsLocal: Bool) { self.wantsLocal = wantsLocal }

    private subscript(flag flag: UInt8) -> Bool {
      get { flags & flag != 0 }
      set { flags = newValue ? flags | flag : flags & ~flag }
    }

    var isReady: Bool {
      get { self[flag: 1] }
      set { self[flag: 1] = newValue }
    }
    /// A local copy was asked for, not just news of existence.
    var wantsLocal: Bool {
      get { self[flag: 2] }
      set { self[flag: 2] = newValue }
    }
    /// The raylet tells of its end unasked, unless it says that the task went elsewhere.
    var isPromised: Bool {
      get { self[flag: 4] }
      set { self[flag: 4] = newValue }
    }
    /// The next answer is that to a question for existence, asked before a local copy was.
    var awaitsExistence: Bool {
      get { self[flag: 8] }
      set { self[flag: 8] = newValue }
    }
  }

  struct Link: BitwiseCopyable {
    var request: UInt32
    var generation: UInt32
    var next: UInt32
    /// Existence will not do: the request waits for a local copy.
    var needsLocal: Bool
  }

  private static let end = UInt32.max
  /// The purpose of the timer that reports freed objects; other timers name a request's slot.
  private static let freeTimer = UInt32.max - 1

  public let address: Address
  public let node: NodeID
  /// The worker that this process is; `none` for a driver program.
  public let worker: WorkerID
  /// The task whose program runs here: the parent of everything it submits.
  public let root: TaskHandle
  /// The identity of the program: its root task's.
  public let rootID: TaskID
  private let freeDelay: TimeSpan
  private let specs: TaskSpecTable
  private let payloads: MessagePayloads
  private var children: UInt64 = 0
  private var puts: Int32 = 0
  private var objects = WordMap<Known>()
  private var links = SlotTable<Link>()
  private var requests = SlotTable<Request>()
  private var generations: UInt32 = 0
  private var activeRequests = 0
  /// The slot of the latest request.
  private var latestRequest: UInt32 = 0
  private var isBlocked = false
  private var freed = Batch()
  /// One timer at a time, however many batches fill up before it fires.
  private var awaitsFreeTimer = false
  private var callCounts = WordMap<UInt32>()

  public init(
    address: Address, node: NodeID, worker: WorkerID = .none, root: TaskHandle,
    incarnation: UInt32 = 0, freeDelay: TimeSpan = .zero, specs: TaskSpecTable,
    payloads: MessagePayloads
  ) {
    self.address = address
    self.node = node
    self.worker = worker
    self.root = root
    rootID = specs[root].id
    self.freeDelay = freeDelay
    self.specs = specs
    self.payloads = payloads
    // Timers of an earlier process at this address must not be taken for this one's.
    generations = incarnation &* 0x0001_0001
  }

  private var raylet: Address { .raylet(node) }

  // MARK: Calls of the program

  /// The identity of the next task that this program submits.
  public mutating func nextTaskID() -> TaskID {
    children += 1
    return rootID.child(children)
  }

  /// The number of the next call on an actor: methods of one caller run in this order.
  public mutating func nextCall(on actor: TaskHandle) -> UInt32 {
    let count = callCounts.pointer(UInt64(actor.index), inserting: 0)
    defer { count.pointee += 1 }
    return count.pointee
  }

  /// Submits an interned task. With `wanted`, its result is reported by `resultArrived` without a
  /// further request: one message less for each task.
  public mutating func submit(
    _ task: TaskHandle, wanted: Bool, into effects: inout EffectBuffer<Effect>
  ) {
    submit(task, notice: wanted ? .localCopy : .none, into: &effects)
  }

  /// Submits an interned task whose first result the raylet reports as `notice` says.
  public mutating func submit(
    _ task: TaskHandle, notice: ResultNotice, into effects: inout EffectBuffer<Effect>
  ) {
    // One reference for the raylets on its way; the caller keeps one for each return value.
    for _ in 0..<specs[task].returns { specs.retain(task) }
    // An actor goes by its creation's handle for life, even when the future of it is freed.
    if specs[task].kind == .actorCreation { specs.retain(task) }
    if notice != .none {
      var known = Known(wantsLocal: true)
      known.isPromised = notice == .ifKept
      objects.set(ObjectHandle(producer: task, index: 0).key, known)
      for index in 1..<max(1, Int32(specs[task].returns)) {
        objects.set(ObjectHandle(producer: task, index: index).key, Known(wantsLocal: false))
      }
    }
    effects.append(.send(.taskSubmitted(task, notice: notice), to: raylet))
  }

  /// Gives a task up: see `Message.cancellationRequested`.
  public func cancel(
    _ task: TaskHandle, isRecursive: Bool, into effects: inout EffectBuffer<Effect>
  ) {
    effects.append(.send(.cancellationRequested(task, isRecursive: isRecursive), to: raylet))
  }

  /// What this program has submitted, still holds and has not heard the end of: when it is cancelled,
  /// so are these.
  public var openChildren: [TaskHandle] {
    specs.tasks(of: rootID.word).filter { task in
      objects[ObjectHandle(producer: task, index: 0).key]?.isReady != true
    }
  }

  /// The object that the next `put` makes.
  public var nextPut: ObjectHandle { ObjectHandle(producer: root, index: -puts - 1) }

  /// Stores a value of `size` bytes; the new object's producer is this program.
  public mutating func put(
    _ size: ByteCount, into effects: inout EffectBuffer<Effect>
  ) -> ObjectHandle {
    puts += 1
    let object = ObjectHandle(producer: root, index: -puts)
    specs.retain(root)
    objects.set(object.key, Known(wantsLocal: true))
    effects.append(.send(.objectPut(object, size), to: raylet))
    return object
  }

  /// Registers a function, so that workers can run it.
  public func register(
    _ function: FunctionID, _ map: ControlStoreMap, into effects: inout EffectBuffer<Effect>
  ) {
    effects.append(.send(.functionRegistered(function), to: map.head(map.systemShard)))
  }

  /// Asks for objects. The request ends by `requestEnded`, now or later: when all (`get`) or `needed`
  /// of them (`wait`) are ready, when a `get` meets an error, or after `timeout`.
  public mutating func request(
    _ list: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool = true,
    timeout: TimeSpan?, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) -> RequestID {
    generations &+= 1
    let slot = requests.insert(
      Request(
        remaining: UInt32(needed), generation: generations, isGet: isGet, isActive: true,
        failed: false))
    activeRequests += 1
    latestRequest = slot
    let id = RequestID(generations)
    for object in list {
      let known = objects.pointer(object.key, inserting: Known(wantsLocal: false))
      if known.pointee.isReady && (known.pointee.wantsLocal || !fetch) {
        arrived(slot, known.pointee.status)
        continue
      }
      let isNew = known.pointee.waiting == Self.end && !known.pointee.wantsLocal
      link(slot, to: known, needsLocal: fetch)
      if fetch ? !known.pointee.wantsLocal : isNew {
        if !fetch { known.pointee.awaitsExistence = true }
        known.pointee.wantsLocal = fetch
        known.pointee.isReady = false
        effects.append(.send(.objectWanted(object, fetch ? .local : .existence), to: raylet))
      }
    }
    if isDone(slot) {
      end(slot, requests[slot].failed ? .failed : .satisfied, into: &effects)
    } else if let timeout {
      let token = TimerToken(purpose: slot, subject: generations)
      if timeout > .zero {
        effects.append(.startTimer(token, after: timeout))
      } else if list.isEmpty {
        end(slot, .timedOut, into: &effects)
      } else {
        // Ends when the raylet has answered for what it has.
        effects.append(.send(.polled(token), to: raylet))
        return id
      }
    }
    if !isBlocked && activeRequests > 0 && worker != .none {
      isBlocked = true
      effects.append(.send(.workerBlocked(worker), to: raylet))
    }
    return id
  }

  /// The deadline of a request that has not ended: as a fact (`timerFired`) it ends the request,
  /// whether that had a time limit or not. Of the latest request it is at hand; for others it is
  /// looked for.
  public mutating func deadline(of request: RequestID) -> TimerToken? {
    func has(_ slot: UInt32) -> Bool {
      requests[slot].isActive && requests[slot].generation == request.number
    }
    if latestRequest < requests.slotCount, has(latestRequest) {
      return TimerToken(purpose: latestRequest, subject: request.number)
    }
    for slot in 0..<UInt32(requests.slotCount) where has(slot) {
      return TimerToken(purpose: slot, subject: request.number)
    }
    return nil
  }

  /// Chains the request to the object, in the place of one that has ended if that is near: a
  /// program that waits again and again for the same objects needs no more links each time.
  private mutating func link(
    _ slot: UInt32, to known: UnsafeMutablePointer<Known>, needsLocal: Bool
  ) {
    let head = known.pointee.waiting
    var place = head
    // Few wait for the same object at once; where many do, an ended one further back stays for now.
    for _ in 0..<8 where place != Self.end {
      let request = requests[links[place].request]
      let next = links[place].next
      if !request.isActive || request.generation != links[place].generation {
        links[place] = Link(
          request: slot, generation: generations, next: next, needsLocal: needsLocal)
        return
      }
      place = next
    }
    known.pointee.waiting = links.insert(
      Link(request: slot, generation: generations, next: head, needsLocal: needsLocal))
  }

  /// Whether the object is known to be ready here, and with which status.
  public mutating func status(_ object: ObjectHandle) -> ObjectStatus? {
    guard let known = objects[object.key], known.isReady else { return nil }
    return known.status
  }

  /// Whether the program has a use for the object: it submitted its task, put it or asked for it, and
  /// has not freed it.
  public mutating func knows(_ object: ObjectHandle) -> Bool { objects.contains(object.key) }

  /// The program promises that neither it nor any pending task needs the object any more.
  public mutating func free(_ object: ObjectHandle, into effects: inout EffectBuffer<Effect>) {
    objects.remove(object.key)
    freed.append(object)
    if freed.isFull {
      flush(into: &effects)
    } else if !awaitsFreeTimer {
      awaitsFreeTimer = true
      effects.append(.startTimer(TimerToken(purpose: Self.freeTimer), after: freeDelay))
    }
  }

  /// Sends what `free` has gathered.
  public mutating func flush(into effects: inout EffectBuffer<Effect>) {
    if freed.count == 0 { return }
    effects.append(.send(.referencesFreed(payloads.insert(freed)), to: raylet))
    freed.removeAll()
  }

  @inline(__always)
  func prefetch(_ object: ObjectHandle) {
    objects.prefetch(object.key)
    // A program that hears of a result mostly submits the next task.
    specs.prefetchNext()
  }

  // MARK: Facts

  public mutating func receive(
    _ message: Message, from source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    switch message {
    case .objectReady(let object, let status):
      // An answer to an earlier program at this address, which ran on another node, is not for us.
      guard source == raylet else { return }
      ready(object, status, into: &effects)
    case .taskForwarded(let task):
      guard source == raylet else { return }
      forwarded(ObjectHandle(producer: task, index: 0), into: &effects)
    case .timerFired(let token), .pollAnswered(let token):
      if token.purpose == Self.freeTimer {
        awaitsFreeTimer = false
        flush(into: &effects)
        return
      }
      let slot = token.purpose
      // It may be meant for an earlier program at this address, which had more requests.
      guard slot < requests.slotCount else { return }
      let request = requests[slot]
      if request.isActive && request.generation == token.subject {
        end(slot, .timedOut, into: &effects)
        unblockIfIdle(into: &effects)
      }
    default:
      preconditionFailure("\(address) does not understand \(message.kind)")
    }
  }

  private mutating func ready(
    _ object: ObjectHandle, _ status: ObjectStatus, into effects: inout EffectBuffer<Effect>
  ) {
    // Freed meanwhile: nobody wants to know.
    guard let known = objects.pointer(object.key) else { return }
    let isNewsOnly = known.pointee.awaitsExistence && known.pointee.wantsLocal
    known.pointee.awaitsExistence = false
    if isNewsOnly {
      existenceKnown(known, status, into: &effects)
      unblockIfIdle(into: &effects)
      return
    }
    known.pointee.isReady = true
    known.pointee.status = status
    var link = known.pointee.waiting
    known.pointee.waiting = Self.end
    if link == Self.end {
      if !known.pointee.isPromised { effects.append(.resultArrived(object, status)) }
      return
    }
    while link != Self.end {
      let entry = links[link]
      links.remove(link)
      link = entry.next
      let request = requests[entry.request]
      guard request.isActive && request.generation == entry.generation else { continue }
      arrived(entry.request, status)
      if isDone(entry.request) {
        end(entry.request, requests[entry.request].failed ? .failed : .satisfied, into: &effects)
      }
    }
    unblockIfIdle(into: &effects)
  }

  /// The task ran elsewhere: who waits for its result has to ask for it.
  private mutating func forwarded(
    _ object: ObjectHandle, into effects: inout EffectBuffer<Effect>
  ) {
    guard let known = objects.pointer(object.key), known.pointee.isPromised,
      !known.pointee.isReady
    else { return }
    known.pointee.isPromised = false
    known.pointee.wantsLocal = false
    if known.pointee.waiting == Self.end { return }
    var link = known.pointee.waiting
    while link != Self.end {
      if links[link].needsLocal { known.pointee.wantsLocal = true }
      link = links[link].next
    }
    known.pointee.awaitsExistence = !known.pointee.wantsLocal
    effects.append(
      .send(.objectWanted(object, known.pointee.wantsLocal ? .local : .existence), to: raylet))
  }

  /// The object exists, but its copy is still to come: requests that do not fetch go on.
  private mutating func existenceKnown(
    _ known: UnsafeMutablePointer<Known>, _ status: ObjectStatus,
    into effects: inout EffectBuffer<Effect>
  ) {
    var link = known.pointee.waiting
    known.pointee.waiting = Self.end
    while link != Self.end {
      let entry = links[link]
      let request = requests[entry.request]
      let isLive = request.isActive && request.generation == entry.generation
      if isLive && entry.needsLocal {
        links.pointer(link).pointee.next = known.pointee.waiting
        known.pointee.waiting = link
      } else {
        links.remove(link)
        if isLive {
          arrived(entry.request, status)
          if isDone(entry.request) { end(entry.request, .satisfied, into: &effects) }
        }
      }
      link = entry.next
    }
  }

  private func arrived(_ slot: UInt32, _ status: ObjectStatus) {
    let request = requests.pointer(slot)
    if request.pointee.isGet && status.isError { request.pointee.failed = true }
    if request.pointee.remaining > 0 { request.pointee.remaining -= 1 }
  }

  /// A `get` ends at its first error: the rest need not come.
  private func isDone(_ slot: UInt32) -> Bool {
    requests[slot].remaining == 0 || requests[slot].failed
  }

  private mutating func end(
    _ slot: UInt32, _ outcome: RequestOutcome, into effects: inout EffectBuffer<Effect>
  ) {
    requests.pointer(slot).pointee.isActive = false
    activeRequests -= 1
    effects.append(.requestEnded(RequestID(requests[slot].generation), outcome))
    requests.remove(slot)
  }

  private mutating func unblockIfIdle(into effects: inout EffectBuffer<Effect>) {
    if isBlocked && activeRequests == 0 {
      isBlocked = false
      effects.append(.send(.workerUnblocked(worker), to: raylet))
    }
  }

  public var memoryBytes: Int {
    objects.memoryBytes + links.memoryBytes + requests.memoryBytes + callCounts.memoryBytes
  }

  /// How what a message is about stands here; see `Raylet.standing`.
  public func standing(of message: Message) -> String {
    let object: ObjectHandle
    switch message {
    case .objectReady(let ready, _): object = ready
    case .taskForwarded(let task): object = ObjectHandle(producer: task, index: 0)
    case .timerFired(let token): return token.purpose == Self.freeTimer ? "free" : "request"
    default: return "-"
    }
    guard let known = objects[object.key] else { return "unknown" }
    var words = known.isReady ? "ready" : known.isPromised ? "promised" : "asked"
    if known.waiting != Self.end { words += ", awaited" }
    return words
  }
}
