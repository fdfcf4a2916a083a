import Primitives

/// A task at its raylet, from arrival to completion.
struct LocalTask: BitwiseCopyable {
  enum State: UInt8, BitwiseCopyable {
    case waitingForInputs, ready, running, blocked
  }

  var handle: TaskHandle
  var worker: UInt32
  /// The next task in whichever queue this one is.
  var next: UInt32
  /// Position in the order of arrival: decides between shapes.
  var arrival: UInt32
  /// Inputs still to come; `letGo` when the task has let go of all.
  var missing: UInt32
  var shape: UInt16
  var state: State
  /// An input carried this error: the task will not run, its outputs carry the same.
  var inputError: ObjectStatus
  /// The submitter waits for return value 0 and gets told directly.
  var notifiesSubmitter: Bool
  /// Its job has ended while it ran: what it makes is dropped. Or a cancelled method, which keeps its
  /// turn only.
  var isAbandoned = false
  /// A power of two in bytes is found faster, and lies in one cache line.
  private let unused: UInt32 = 0

  static let letGo = UInt32.max
}

/// Ready tasks in one queue for each resource shape: choosing the next costs the number of shapes,
/// not the number of tasks, and a task that does not fit holds up only its own shape.
struct ReadyQueues: ~Copyable {
  struct Queue: BitwiseCopyable {
    var head = ReadyQueues.end
    var tail = ReadyQueues.end
  }

  static let end = UInt32.max

  private var queues: UnsafeMutablePointer<Queue>
  private var capacity: Int
  /// Shapes that ever had a task here.
  private var shapes = 0
  private(set) var count = 0
  /// No demand of a task here fits.
  private(set) var nothingFits = false
  /// Of the first 64 demands, those that are known not to fit: one that asks for what is gone need not be
  /// looked at again before something has been given back.
  private var misfits: UInt64 = 0

  init() {
    capacity = 8
    queues = .allocate(capacity: capacity)
    queues.initialize(repeating: Queue(), count: capacity)
  }

  deinit { queues.deallocate() }

  mutating func append(
    _ slot: UInt32, shape: UInt16, atFront: Bool, _ tasks: borrowing SlotTable<LocalTask>
  ) {
    let index = Int(shape)
    if index >= capacity { grow(to: index + 1) }
    if index >= shapes { shapes = index + 1 }
    let task = tasks.pointer(slot)
    task.pointee.next = Self.end
    if queues[index].head == Self.end {
      queues[index] = Queue(head: slot, tail: slot)
      if index >= 64 || misfits >> UInt64(index) & 1 == 0 { nothingFits = false }
    } else if atFront {
      task.pointee.next = queues[index].head
      queues[index].head = slot
    } else {
      tasks.pointer(queues[index].tail).pointee.next = slot
      queues[index].tail = slot
    }
    count += 1
  }

  /// More is available than before: `take` looks again.
  mutating func resourcesChanged() {
    nothingFits = false
    misfits = 0
  }

  /// Removes and returns the task that leaves next and whose demand is available: within a shape by
  /// readiness, among the shapes' first ones by arrival (latest first with `youngest`). GPUs are tried
  /// as instances: the sum may fit while no single one has the fraction.
  mutating func take(
    youngest: Bool, _ tasks: borrowing SlotTable<LocalTask>, _ specs: TaskSpecTable,
    available: ResourceVector, gpus: borrowing GPUInstances
  ) -> UInt32? {
    if count == 0 || nothingFits { return nil }
    guard
      let shape = next(
        youngest: youngest, tasks, specs, available: available, gpus: gpus)
    else {
      nothingFits = true
      for shape in 0..<min(shapes, 64) where queues[shape].head != Self.end {
        misfits |= 1 << UInt64(shape)
      }
      return nil
    }
    let slot = queues[shape].head
    queues[shape].head = tasks.pointer(slot).pointee.next
    count -= 1
    return slot
  }

  /// The shape whose first task leaves next; nil when none fits.
  @inline(__always)
  private func next(
    youngest: Bool, _ tasks: borrowing SlotTable<LocalTask>, _ specs: TaskSpecTable,
    available: ResourceVector, gpus: borrowing GPUInstances
  ) -> Int? {
    var chosen = -1
    var arrival: UInt32 = 0
    for shape in 0..<shapes where queues[shape].head != Self.end {
      let candidate = tasks.pointer(queues[shape].head).pointee.arrival
      // Arrival numbers wrap; the difference does not, with fewer than 2³¹ tasks queued.
      let isBetter =
        chosen < 0 || (Int32(bitPattern: candidate &- arrival) < 0) != youngest
      if isBetter && Self.fits(specs.demand(shape: UInt16(shape)), available, gpus) {
        chosen = shape
        arrival = candidate
      }
    }
    return chosen < 0 ? nil : chosen
  }

  /// Slow, for tests: a task that fits is not passed over.
  func checkInvariants(
    _ tasks: borrowing SlotTable<LocalTask>, _ specs: TaskSpecTable, available: ResourceVector,
    gpus: borrowing GPUInstances
  ) {
    let shape = next(youngest: false, tasks, specs, available: available, gpus: gpus)
    precondition(!nothingFits || shape == nil, "a ready task would fit, and nobody looks")
  }

  /// The task that leaves next among those of one demand, whatever is available; nil without any.
  func first(shape: UInt16) -> UInt32? {
    guard Int(shape) < shapes, queues[Int(shape)].head != Self.end else { return nil }
    return queues[Int(shape)].head
  }

  mutating func removeFirst(
    shape: UInt16, _ tasks: borrowing SlotTable<LocalTask>, _ specs: TaskSpecTable
  ) {
    let next = tasks.pointer(queues[Int(shape)].head).pointee.next
    queues[Int(shape)].head = next
    count -= 1
    if next == Self.end { return }
    // They were queued a while ago.
    let task = tasks.pointer(next)
    specs.prefetch(task.pointee.handle)
    if task.pointee.next != Self.end { tasks.prefetch(task.pointee.next) }
  }

  /// Takes out every task whose slot satisfies `condition`. Looks at all of them.
  mutating func removeAll(
    _ tasks: borrowing SlotTable<LocalTask>, where condition: (UInt32) -> Bool
  ) {
    for shape in 0..<shapes {
      var slot = queues[shape].head
      queues[shape] = Queue()
      while slot != Self.end {
        let next = tasks.pointer(slot).pointee.next
        if condition(slot) {
          count -= 1
        } else {
          tasks.pointer(slot).pointee.next = Self.end
          if queues[shape].head == Self.end {
            queues[shape].head = slot
          } else {
            tasks.pointer(queues[shape].tail).pointee.next = slot
          }
          queues[shape].tail = slot
        }
        slot = next
      }
    }
  }

  private static func fits(
    _ demand: ResourceVector, _ available: ResourceVector, _ gpus: borrowing GPUInstances
  ) -> Bool {
    demand.fits(in: available) && (demand.gpuUnits == 0 || gpus.hasRoom(units: demand.gpuUnits))
  }

  private mutating func grow(to needed: Int) {
    let larger = UnsafeMutablePointer<Queue>.allocate(capacity: max(needed, capacity * 2))
    larger.initialize(repeating: Queue(), count: max(needed, capacity * 2))
    larger.update(from: queues, count: capacity)
    queues.deallocate()
    queues = larger
    capacity = max(needed, capacity * 2)
  }
}
