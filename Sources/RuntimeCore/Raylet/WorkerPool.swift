import Primitives

/// The worker processes of one node. Idle ones are taken last-in first-out: the warmest first.
///
///     starting ──► idle ──► running ⇄ blocked (in `get`; its CPUs are given back)
///                    ▲─────────┘ └──► dedicated to an actor, for good
struct WorkerPool: ~Copyable {
  enum State: UInt8, BitwiseCopyable { case starting, idle, running, blocked }

  /// Half a cache line: a cluster has a hundred thousand of them.
  struct Worker: BitwiseCopyable {
    var startedAt: Instant
    /// What it runs: a slot of the raylet's tasks, and what it will run after that, first to last.
    var task: UInt32
    var last: UInt32
    /// The actor it belongs to: a slot of the raylet's actors; `none` for a pooled worker.
    var actor: UInt32
    var gpus: GPUAssignment
    /// What it runs and will run.
    fileprivate(set) var queued: UInt16
    private var shape: UInt16
    var state: State

    /// The demand of what it runs, while further tasks of that demand may follow it.
    var pipelineShape: UInt16? {
      get { shape == Self.noShape ? nil : shape }
      set { shape = newValue ?? Self.noShape }
    }

    /// No demand has this number.
    private static let noShape = UInt16.max

    fileprivate init(_ state: State) {
      startedAt = .zero
      task = WorkerPool.none
      last = WorkerPool.none
      actor = WorkerPool.none
      gpus = .none
      queued = 0
      shape = Self.noShape
      self.state = state
    }
  }

  static let none = UInt32.max
  /// No worker has more tasks than this.
  static let longestQueue = Int(UInt16.max)

  private var workers = ChunkedTable<Worker, 6>()
  private var idle = RingQueue<UInt32>()
  /// Workers that are not dedicated to an actor, starting ones included.
  private(set) var pooled = 0
  private(set) var starting = 0
  private(set) var blocked = 0

  var idleCount: Int { idle.count }
  var memoryBytes: Int { workers.memoryBytes + idle.memoryBytes }

  func pointer(_ id: WorkerID) -> UnsafeMutablePointer<Worker> { workers.pointer(id.index) }
  func prefetch(_ id: WorkerID) { workers.prefetch(id.index) }
  /// There is or was a worker of this number.
  func has(_ id: WorkerID) -> Bool { id.index < workers.slotCount }

  /// There is a worker of this number. Slow: for replays.
  func isThere(_ id: WorkerID) -> Bool { has(id) && workers.isLive(id.index) }

  /// A new worker; with `isReady` it is idle at once (started with the node).
  mutating func add(isReady: Bool) -> WorkerID {
    let index = workers.insert(Worker(isReady ? .idle : .starting))
    pooled += 1
    if isReady { idle.append(index) } else { starting += 1 }
    return WorkerID(Int(index))
  }

  mutating func started(_ id: WorkerID) {
    starting -= 1
    workers.pointer(id.index).pointee.state = .idle
    idle.append(id.index)
  }

  mutating func take() -> WorkerID? {
    guard let index = idle.popLast() else { return nil }
    workers.pointer(index).pointee.state = .running
    return WorkerID(Int(index))
  }

  mutating func giveBack(_ id: WorkerID) {
    workers.pointer(id.index).pointee.state = .idle
    workers.pointer(id.index).pointee.pipelineShape = nil
    idle.append(id.index)
  }

  /// Adds a task behind those that the worker has; true when it is the only one.
  // Inlined: a call would get copies of both tables' heads, since the pool and the tasks lie in one
  // record.
  @inline(__always)
  func append(
    _ slot: UInt32, to id: WorkerID, _ tasks: borrowing SlotTable<LocalTask>
  ) -> Bool {
    let worker = workers.pointer(id.index)
    tasks.pointer(slot).pointee.next = Self.none
    worker.pointee.queued += 1
    if worker.pointee.task == Self.none {
      worker.pointee.task = slot
    } else {
      tasks.pointer(worker.pointee.last).pointee.next = slot
    }
    worker.pointee.last = slot
    return worker.pointee.queued == 1
  }

  /// Takes the task that the worker has finished off; false when it has no other.
  @inline(__always)
  func removeFirst(_ id: WorkerID, _ tasks: borrowing SlotTable<LocalTask>) -> Bool {
    let worker = workers.pointer(id.index)
    worker.pointee.task = tasks.pointer(worker.pointee.task).pointee.next
    worker.pointee.queued -= 1
    if worker.pointee.queued == 0 { return false }
    // It was queued a while ago, and ends soon.
    tasks.prefetch(worker.pointee.task)
    return true
  }

  /// The busy worker with the fewest tasks among those that take more of a demand for which `hasTask`
  /// holds; nil when each has `depth`. Linear in the number of workers.
  func leastLoaded(below depth: Int, where hasTask: (UInt16) -> Bool) -> WorkerID? {
    var best: UInt32?
    var fewest = UInt16(depth)
    for index in 0..<UInt32(workers.slotCount) {
      let worker = workers.pointer(index)
      guard worker.pointee.queued < fewest, let shape = worker.pointee.pipelineShape,
        hasTask(shape)
      else { continue }
      best = index
      fewest = worker.pointee.queued
    }
    return best.map { WorkerID(Int($0)) }
  }

  /// The worker now serves one actor only and leaves the pool.
  mutating func dedicate(_ id: WorkerID, to actor: UInt32) {
    let worker = workers.pointer(id.index)
    worker.pointee.actor = actor
    worker.pointee.state = .idle
    pooled -= 1
  }

  /// The worker's actor has ended: it is idle, and for everyone again.
  mutating func returnToPool(_ id: WorkerID) {
    workers.pointer(id.index).pointee.actor = Self.none
    pooled += 1
    giveBack(id)
  }

  /// The worker's process has ended.
  mutating func remove(_ id: WorkerID) {
    let worker = workers.pointer(id.index)
    switch worker.pointee.state {
    case .starting: starting -= 1
    case .blocked: blocked -= 1
    case .running: break
    case .idle:
      for _ in 0..<idle.count {
        let index = idle.popFirst().unsafelyUnwrapped
        if index != id.index { idle.append(index) }
      }
    }
    if worker.pointee.actor == Self.none { pooled -= 1 }
    worker.pointee.pipelineShape = nil
    workers.remove(id.index)
  }

  mutating func block(_ id: WorkerID) {
    workers.pointer(id.index).pointee.state = .blocked
    blocked += 1
  }

  mutating func unblock(_ id: WorkerID) {
    workers.pointer(id.index).pointee.state = .running
    blocked -= 1
  }
}

/// Which GPUs of a node somebody holds: whole ones by mask, or a fraction of a single one.
struct GPUAssignment: BitwiseCopyable, Equatable {
  var mask: UInt32
  private var share: UInt16

  init(mask: UInt32, units: Int32) {
    self.mask = mask
    share = UInt16(units)
  }

  /// Ten-thousandths of each masked GPU.
  var units: Int32 { Int32(share) }
  static var none: GPUAssignment { GPUAssignment(mask: 0, units: 0) }
}

/// The GPUs of one node as instances: each is shared by holders whose fractions sum to at most one.
struct GPUInstances: ~Copyable {
  private let free: UnsafeMutablePointer<Int32>
  private let count: Int

  static let limit = 32

  init(count: Int) {
    precondition(count <= Self.limit, "\(count) GPUs on a node; at most \(Self.limit)")
    self.count = count
    free = .allocate(capacity: Self.limit)
    free.initialize(repeating: ResourceVector.unitsPerOne, count: count)
  }

  deinit { free.deallocate() }

  /// Whole GPUs with the lowest numbers, or for a fraction the fullest GPU that still has room; nil
  /// when no such instance is free, though the sum over all might be.
  mutating func take(units: Int32) -> GPUAssignment? {
    if units == 0 { return GPUAssignment.none }
    let one = ResourceVector.unitsPerOne
    if units < one {
      var best = -1
      for i in 0..<count where free[i] >= units && (best < 0 || free[i] < free[best]) { best = i }
      if best < 0 { return nil }
      free[best] -= units
      return GPUAssignment(mask: 1 << UInt32(best), units: units)
    }
    var needed = units / one
    var mask: UInt32 = 0
    for i in 0..<count where needed > 0 && free[i] == one {
      mask |= 1 << UInt32(i)
      needed -= 1
    }
    if needed > 0 { return nil }
    for i in 0..<count where mask & (1 << UInt32(i)) != 0 { free[i] = 0 }
    return GPUAssignment(mask: mask, units: one)
  }

  func hasRoom(units: Int32) -> Bool {
    let one = ResourceVector.unitsPerOne
    if units < one { return units == 0 || (0..<count).contains { free[$0] >= units } }
    return (0..<count).count { free[$0] == one } >= Int(units / one)
  }

  mutating func giveBack(_ assignment: GPUAssignment) {
    for i in 0..<count where assignment.mask & (1 << UInt32(i)) != 0 {
      free[i] += assignment.units
      precondition(free[i] <= ResourceVector.unitsPerOne, "GPU \(i) was given back twice")
    }
  }
}
