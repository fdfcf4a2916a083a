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

  struct Known: BitwiseCopyable {
    /// First of the requests that wait for the object.
    var waiting: UInt32
    var status: ObjectStatus
    var isReady: Bool
    /// A local copy was asked for, not just news of existence.
    var wantsLocal: Bool
  }

  struct Link: BitwiseCopyable {
    var request: UInt32
    var generation: UInt32
    var next: UInt32
  }

  private static let end = UInt32.max
  private static let timerDeadline: UInt32 = 0

  public let address: Address
  public let node: NodeID
  /// The worker that this process is; `none` for a driver program.
  public let worker: WorkerID
  /// The task whose program runs here: the parent of everything it submits.
  public let root: TaskHandle
  private let rootID: TaskID
  private let specs: TaskSpecTable
  private let payloads: MessagePayloads
  private var children: UInt64 = 0
  private var puts: Int32 = 0
  private var objects = WordMap<Known>()
  private var links = SlotTable<Link>()
  private var requests = SlotTable<Request>()
  private var generations: UInt32 = 0
  private var activeRequests = 0
  private var isBlocked = false
  private var freed = Batch()
  private var callCounts = WordMap<UInt32>()

  public init(
    address: Address, node: NodeID, worker: WorkerID = .none, root: TaskHandle,
    incarnation: UInt32 = 0, specs: TaskSpecTable, payloads: MessagePayloads
  ) {
    self.address = address
    self.node = node
    self.worker = worker
    self.root = root
    rootID = specs[root].id
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
    // One reference for the raylets on its way; the caller keeps one for each return value.
    specs.retain(task)
    for _ in 1..<max(1, specs[task].returns) { specs.retain(task) }
    if wanted {
      objects.set(
        ObjectHandle(producer: task, index: 0).key,
        Known(waiting: Self.end, status: .value, isReady: false, wantsLocal: true))
    }
    effects.append(.send(.taskSubmitted(task, wanted: wanted), to: raylet))
  }

  /// Stores a value of `size` bytes; the new object's producer is this program.
  public mutating func put(
    _ size: ByteCount, into effects: inout EffectBuffer<Effect>
  ) -> ObjectHandle {
    puts += 1
    let object = ObjectHandle(producer: root, index: -puts)
    specs.retain(root)
    objects.set(
      object.key, Known(waiting: Self.end, status: .value, isReady: false, wantsLocal: true))
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
    let id = RequestID(slot)
    for object in list {
      let known = objects.pointer(
        object.key,
        inserting: Known(waiting: Self.end, status: .value, isReady: false, wantsLocal: false))
      if known.pointee.isReady && (known.pointee.wantsLocal || !fetch) {
        arrived(slot, known.pointee.status)
        continue
      }
      let isNew = known.pointee.waiting == Self.end && !known.pointee.wantsLocal
      known.pointee.waiting = links.insert(
        Link(request: slot, generation: generations, next: known.pointee.waiting))
      if fetch ? !known.pointee.wantsLocal : isNew {
        known.pointee.wantsLocal = fetch
        known.pointee.isReady = false
        effects.append(.send(.objectWanted(object, fetch ? .local : .existence), to: raylet))
      }
    }
    if isDone(slot) {
      end(slot, requests[slot].failed ? .failed : .satisfied, into: &effects)
    } else if let timeout {
      if timeout == .zero {
        end(slot, .timedOut, into: &effects)
      } else {
        let token = TimerToken(purpose: slot, subject: generations)
        effects.append(.startTimer(token, after: timeout))
      }
    }
    if !isBlocked && activeRequests > 0 && worker != .none {
      isBlocked = true
      effects.append(.send(.workerBlocked(worker), to: raylet))
    }
    return id
  }

  /// Whether the object is known to be ready here, and with which status.
  public func status(_ object: ObjectHandle) -> ObjectStatus? {
    guard let known = objects[object.key], known.isReady else { return nil }
    return known.status
  }

  /// The program promises that neither it nor any pending task needs the object any more.
  public mutating func free(_ object: ObjectHandle, into effects: inout EffectBuffer<Effect>) {
    objects.remove(object.key)
    freed.append(object)
    if freed.isFull { flush(into: &effects) }
  }

  /// Sends what `free` has gathered.
  public mutating func flush(into effects: inout EffectBuffer<Effect>) {
    if freed.count == 0 { return }
    effects.append(.send(.referencesFreed(payloads.insert(freed)), to: raylet))
    freed = Batch()
  }

  // MARK: Facts

  public mutating func receive(
    _ message: Message, from source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    switch message {
    case .objectReady(let object, let status):
      ready(object, status, into: &effects)
    case .timerFired(let token):
      let slot = token.purpose
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
    known.pointee.isReady = true
    known.pointee.status = status
    var link = known.pointee.waiting
    known.pointee.waiting = Self.end
    if link == Self.end {
      effects.append(.resultArrived(object, status))
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
    effects.append(.requestEnded(RequestID(slot), outcome))
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
}
