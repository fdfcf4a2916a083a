import Primitives

/// The actors of one node and the order of their methods.
///
/// Methods of one caller run in the order of their call numbers (the stateful edges of the paper): a
/// caller's queue holds early arrivals back, and holds back everything behind a method whose inputs
/// are missing. Callers take turns in order of readiness.
struct ActorTable: ~Copyable {
  struct Actor: BitwiseCopyable {
    var creation: TaskHandle
    var worker: UInt32
    var runHead: UInt32
    var runTail: UInt32
    /// Methods under way at its worker.
    var running: UInt32
    var isAlive: Bool
    /// The constructor failed or the actor died: every method carries this error.
    var failure: ObjectStatus
    /// Its job has ended: it goes when nothing runs there any more.
    var isEnding = false
    /// Its resources are counted as held for life.
    var holdsResources = false
  }

  struct CallerQueue: BitwiseCopyable {
    var nextSequence: UInt32
    /// Waiting methods by rising call number.
    var head: UInt32
    /// The last of them, while there is one.
    var tail: UInt32
    /// Whose calls these are, and on which actor.
    var job: JobID
    var actor: TaskHandle
  }

  static let end = UInt32.max

  private var slots = WordMap<UInt32>()
  private var actors = SlotTable<Actor>()
  private var callers = WordMap<CallerQueue>()

  var count: Int { slots.count }
  var memoryBytes: Int { slots.memoryBytes + actors.memoryBytes + callers.memoryBytes }

  func find(_ creation: TaskHandle) -> UInt32? { slots[UInt64(creation.index)] }
  func pointer(_ slot: UInt32) -> UnsafeMutablePointer<Actor> { actors.pointer(slot) }

  mutating func add(_ creation: TaskHandle) -> UInt32 {
    let slot = actors.insert(
      Actor(
        creation: creation, worker: .max, runHead: Self.end, runTail: Self.end, running: 0,
        isAlive: false, failure: .value))
    slots.set(UInt64(creation.index), slot)
    return slot
  }

  /// A caller is a program, not a process: a worker that runs one program after another is a new
  /// caller each time. Identities are hashes already, so a hash of both tells the pairs apart.
  private func key(_ spec: TaskSpec) -> UInt64 {
    mix64(spec.caller &+ UInt64(spec.actor.index)) >> 1
  }

  /// A method arrived, its inputs perhaps missing: it takes its place in its caller's order.
  mutating func enqueue(
    _ slot: UInt32, _ specs: TaskSpecTable, _ tasks: borrowing SlotTable<LocalTask>
  ) {
    let task = tasks.pointer(slot)
    let spec = specs[task.pointee.handle]
    let queue = callers.pointer(
      key(spec),
      inserting: CallerQueue(
        nextSequence: 0, head: Self.end, tail: Self.end, job: spec.id.job, actor: spec.actor))
    var previous = Self.end
    var link = queue.pointee.head
    // Calls mostly arrive in order: then the place is behind the last, however many wait.
    if link != Self.end,
      specs[tasks.pointer(queue.pointee.tail).pointee.handle].sequence < spec.sequence
    {
      previous = queue.pointee.tail
      link = Self.end
    }
    while link != Self.end,
      specs[tasks.pointer(link).pointee.handle].sequence < spec.sequence
    {
      previous = link
      link = tasks.pointer(link).pointee.next
    }
    task.pointee.next = link
    if link == Self.end { queue.pointee.tail = slot }
    if previous == Self.end {
      queue.pointee.head = slot
    } else {
      tasks.pointer(previous).pointee.next = slot
    }
  }

  /// A method's inputs are there: moves every method of its caller whose turn has come to the actor's
  /// run queue.
  mutating func advance(
    _ slot: UInt32, actor: UInt32, _ specs: TaskSpecTable, _ tasks: borrowing SlotTable<LocalTask>
  ) {
    let spec = specs[tasks.pointer(slot).pointee.handle]
    guard let queue = callers.pointer(key(spec)) else { return }
    while queue.pointee.head != Self.end {
      let first = queue.pointee.head
      let task = tasks.pointer(first)
      guard task.pointee.state == .ready,
        specs[task.pointee.handle].sequence == queue.pointee.nextSequence
      else { return }
      queue.pointee.head = task.pointee.next
      queue.pointee.nextSequence += 1
      appendToRun(first, actors.pointer(actor), tasks)
    }
  }

  /// The actor died: its methods that were ready and held back by others of their callers, which will
  /// end one by one as their inputs come. Nobody keeps an order any more.
  mutating func takeHeldBack(
    _ creation: TaskHandle, _ specs: TaskSpecTable, _ tasks: borrowing SlotTable<LocalTask>
  ) -> [UInt32] {
    var held: [UInt32] = []
    for key in callers.keys(where: { $0.head != Self.end }) {
      guard let queue = callers.pointer(key),
        specs[tasks.pointer(queue.pointee.head).pointee.handle].actor == creation
      else { continue }
      var link = queue.pointee.head
      while link != Self.end {
        if tasks.pointer(link).pointee.state == .ready { held.append(link) }
        link = tasks.pointer(link).pointee.next
      }
      queue.pointee.head = Self.end
    }
    return held
  }

  // MARK: The end of jobs

  var liveSlots: [UInt32] { actors.liveSlots }

  /// Nothing of the actor is left.
  mutating func remove(_ slot: UInt32) {
    slots.remove(UInt64(actors[slot].creation.index))
    actors.remove(slot)
  }

  /// Takes out what a job's programs have called, on whatever actor: all that they wait for, and the
  /// methods in the actors' run queues that satisfy `condition`.
  mutating func removeAll(
    of job: JobID, _ tasks: borrowing SlotTable<LocalTask>, where condition: (UInt32) -> Bool
  ) {
    for key in callers.keys(where: { $0.job == job }) { callers.remove(key) }
    for actor in actors.liveSlots {
      let record = actors.pointer(actor)
      var slot = record.pointee.runHead
      record.pointee.runHead = Self.end
      record.pointee.runTail = Self.end
      while slot != Self.end {
        let next = tasks.pointer(slot).pointee.next
        if !condition(slot) { appendToRun(slot, record, tasks) }
        slot = next
      }
    }
  }

  private func appendToRun(
    _ slot: UInt32, _ actor: UnsafeMutablePointer<Actor>,
    _ tasks: borrowing SlotTable<LocalTask>
  ) {
    tasks.pointer(slot).pointee.next = Self.end
    if actor.pointee.runTail == Self.end {
      actor.pointee.runHead = slot
    } else {
      tasks.pointer(actor.pointee.runTail).pointee.next = slot
    }
    actor.pointee.runTail = slot
  }

  /// Takes out all methods that are ready and have not begun; the others end one by one as their
  /// inputs come.
  mutating func takeMethods(
    of slot: UInt32, _ specs: TaskSpecTable, _ tasks: borrowing SlotTable<LocalTask>
  ) -> [UInt32] {
    let record = actors.pointer(slot)
    var methods: [UInt32] = []
    var next = record.pointee.runHead
    while next != Self.end {
      methods.append(next)
      next = tasks.pointer(next).pointee.next
    }
    record.pointee.runHead = Self.end
    record.pointee.runTail = Self.end
    return methods + takeHeldBack(record.pointee.creation, specs, tasks)
  }

  /// The order of calls on this actor matters to nobody any more.
  mutating func removeQueues(of creation: TaskHandle) {
    for key in callers.keys(where: { $0.actor == creation }) { callers.remove(key) }
  }

  /// The next method for an actor that is alive and has fewer than `limit` under way.
  mutating func takeNext(
    _ actor: UInt32, _ tasks: borrowing SlotTable<LocalTask>, limit: Int = 1
  ) -> UInt32? {
    let record = actors.pointer(actor)
    guard record.pointee.isAlive, Int(record.pointee.running) < limit,
      record.pointee.runHead != Self.end
    else { return nil }
    let slot = record.pointee.runHead
    record.pointee.runHead = tasks.pointer(slot).pointee.next
    if record.pointee.runHead == Self.end { record.pointee.runTail = Self.end }
    return slot
  }
}
