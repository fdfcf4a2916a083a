import Primitives
import RuntimeCore
import Synchronization

/// What the spill worker has done, on its way to the node's thread.
final class DiskInbox: Sendable {
  private let outcomes = Mutex<[SpillOutcome]>([])
  private let hasAny = Atomic<Bool>(false)
  /// Wakes the node; set once, before anything comes.
  private let wake = Mutex<@Sendable () -> Void>({})

  var isEmpty: Bool { !hasAny.load(ordering: .relaxed) }

  func setWake(_ body: @escaping @Sendable () -> Void) { wake.withLock { $0 = body } }

  func add(_ outcome: SpillOutcome) {
    outcomes.withLock { $0.append(outcome) }
    hasAny.store(true, ordering: .releasing)
    wake.withLock { $0 }()
  }

  func take() -> [SpillOutcome] {
    if isEmpty { return [] }
    hasAny.store(false, ordering: .relaxed)
    return outcomes.withLock { outcomes in
      defer { outcomes = [] }
      return outcomes
    }
  }
}

/// What a node has under way between memory and disk. Nothing of it is touched by a task whose inputs
/// and results fit the memory.
struct DiskWork {
  /// An object on its way to disk.
  struct Spill {
    var object: ObjectHandle
    /// The raylet has ordered it back before it was gone: a pin keeps it.
    var isWanted = false
    var hasPin = false
  }

  /// Who waits for an object that is read back.
  enum Reader {
    case raylet(slot: UInt32)
    case client(port: UInt32, Address)
    /// The first task that its worker waits for needs it.
    case worker(WorkerID)
    /// A chunk of it is to be sent.
    case chunk(Transfer)
  }

  /// Tasks of one worker that cannot start, in their order: an input of the first is on disk.
  struct Held {
    var tasks: [TaskHandle]
    /// Inputs of the first that are not there yet.
    var missing = 0
    /// What came for it stays until it starts.
    var pins: [UInt64] = []
    /// Its worker has ended.
    var isAbandoned = false
  }

  /// Who waits for memory that others' way to disk frees.
  enum Asker {
    case client(port: UInt32, Address, ticket: UInt64)
    case worker(UInt32)
    case restore(ObjectHandle)
    case transfer(ObjectHandle)
  }

  struct Wish {
    var asker: Asker
    var count: Int
    /// Objects that once could not be spilled have been tried again for its sake.
    var hasRetried = false
  }

  let inbox = DiskInbox()
  /// Made with the first job: most nodes never need it.
  var worker: SpillWorker?
  var jobs = 0
  /// By memory key.
  var spills: [UInt64: Spill] = [:]
  /// Objects on their way back, by memory key.
  var restores: [UInt64: ObjectHandle] = [:]
  /// By object.
  var readers: [UInt64: [Reader]] = [:]
  /// The first is served first, however little a later one needs.
  var wishes: [Wish] = []
  var isGranting = false
  /// A wish was added where it could not be served.
  var isDirty = false
  /// Objects that the raylet counts as on disk and that are in memory, for want of disk or because
  /// somebody read them then: tried again when memory is short.
  var unspilled: [UInt64: ObjectHandle] = [:]
  var held: [WorkerID: Held] = [:]
  /// Set with the first job: before, nothing can be on disk.
  var isUsed = false

  /// Whether somebody waits in the name of the peer at this port.
  func names(_ port: UInt32) -> Bool {
    wishes.contains { if case .client(port, _, _) = $0.asker { true } else { false } }
      || readers.values.contains {
        $0.contains { if case .client(port, _) = $0 { true } else { false } }
      }
  }
}

extension NodeCore {
  // MARK: Orders of the raylet

  /// The raylet counts an object as on disk: so it goes there, while the node goes on. Until it has
  /// gone it can be read.
  mutating func spill(_ object: ObjectHandle) {
    guard let value = values.pointer(object.key) else { return }
    // The words of an error are not counted: nothing is won.
    if raylet.pointee.status(object)?.isError == true { return }
    switch value.pointee.form {
    case .inline, .onDisk: return
    case .heap:
      nextMemoryKey += 1
      let key = nextMemoryKey
      do throws(StoreError) { try memory.put(key, value.bytes) } catch { return }
      guard let place = place(of: key) else { return }
      let count = value.pointee.count
      value.pointee.deallocate()
      value.pointee = StoredValue(.segment, at: place, count: count, key: key)
    case .segment: break
    }
    startSpilling(object, value.pointee.key)
  }

  private mutating func place(of key: UInt64) -> UnsafeMutableRawPointer? {
    do throws(StoreError) {
      let extent = try memory.get(key)
      try memory.release(key)
      return memory.segment.base + extent.offset
    } catch {
      return nil
    }
  }

  private mutating func startSpilling(_ object: ObjectHandle, _ key: UInt64) {
    if disk.spills[key] != nil {
      // Ordered back and away again before the first order was carried out.
      disk.spills[key]?.isWanted = false
      return
    }
    do throws(StoreError) {
      run(try memory.spillJob(key), for: object)
    } catch {
      disk.unspilled[object.key] = object
    }
  }

  /// An object that is on disk for the raylet is wanted in memory.
  mutating func restore(_ object: ObjectHandle, _ slot: UInt32) {
    if !disk.unspilled.isEmpty { disk.unspilled[object.key] = nil }
    if let value = values.pointer(object.key) {
      if value.pointee.form == .onDisk {
        bringBack(object, .raylet(slot: slot))
        return
      }
      let key = value.pointee.key
      if value.pointee.form == .segment, disk.spills[key] != nil {
        disk.spills[key]?.isWanted = true
        if disk.spills[key]?.hasPin == false, (try? memory.get(key)) != nil {
          disk.spills[key]?.hasPin = true
        }
      }
    }
    queue.append(
      Envelope(message: .objectRestored(slot), source: rayletAddress, target: rayletAddress))
  }

  // MARK: Reading back

  /// Reads a value back from disk; `reader` hears when it is there, or cannot be.
  mutating func bringBack(_ object: ObjectHandle, _ reader: DiskWork.Reader) {
    specs.retain(object.producer)
    if disk.readers[object.key] != nil {
      disk.readers[object.key]?.append(reader)
      return
    }
    disk.readers[object.key] = [reader]
    startRestoring(object)
  }

  /// May be called while an order of the raylet is carried out: then nothing may be told to it.
  private mutating func startRestoring(_ object: ObjectHandle) {
    if let value = values[object.key], value.form == .onDisk,
      let job = try? memory.restoreJob(value.key)
    {
      run(job, for: object)
      return
    }
    // There has to be room first, or it has gone: at the end of the turn.
    disk.wishes.append(DiskWork.Wish(asker: .restore(object), count: 0))
    disk.isUsed = true
    disk.isDirty = true
  }

  /// Whoever waited goes on: with the bytes, or without when they could not be brought.
  private mutating func endRestoring(_ object: ObjectHandle) {
    guard let readers = disk.readers.removeValue(forKey: object.key) else { return }
    let isForRaylet = readers.contains { if case .raylet = $0 { true } else { false } }
    if !isForRaylet, values[object.key]?.form == .segment {
      // For the raylet it is still on disk.
      disk.unspilled[object.key] = object
    }
    for reader in readers {
      switch reader {
      case .worker(let worker): inputCame(object, for: worker)
      case .chunk(let transfer):
        if values[object.key]?.form == .onDisk { lose(transfer) } else { send(transfer) }
      case .raylet(let slot):
        handle(
          Envelope(message: .objectRestored(slot), source: rayletAddress, target: rayletAddress))
      case .client(let port, let target):
        if self.port(port).pointee.isOpen { answer(object, to: target, port) }
      }
      specs.release(object.producer)
    }
    drain()
  }

  // MARK: Inputs on disk

  /// Whether a task can go to its worker. When inputs are on disk, which happens when everything in
  /// memory was pinned as they came, it goes when they have been read back, and what comes for the
  /// same worker later goes after it.
  mutating func canStart(_ task: TaskHandle, on worker: WorkerID) -> Bool {
    if disk.held[worker] != nil {
      disk.held[worker]?.tasks.append(task)
      return false
    }
    return fetchInputs(of: task, for: worker)
  }

  private mutating func fetchInputs(of task: TaskHandle, for worker: WorkerID) -> Bool {
    var missing: [ObjectHandle] = []
    for i in 0..<specs[task].argumentCount {
      let input = specs.argument(task, i)
      if values[input.key]?.form == .onDisk, !missing.contains(input) { missing.append(input) }
    }
    if missing.isEmpty { return true }
    if disk.held[worker] == nil { disk.held[worker] = DiskWork.Held(tasks: [task]) }
    disk.held[worker]?.missing = missing.count
    for input in missing { bringBack(input, .worker(worker)) }
    return false
  }

  /// The worker has ended: what was held for it does not start. Its number may be another's before the
  /// last input comes.
  mutating func abandonHeld(for worker: WorkerID) {
    disk.held[worker]?.tasks = []
    disk.held[worker]?.isAbandoned = true
  }

  private mutating func inputCame(_ object: ObjectHandle, for worker: WorkerID) {
    disk.held[worker]?.missing -= 1
    if let value = values[object.key], value.form == .segment {
      if (try? memory.get(value.key)) != nil { disk.held[worker]?.pins.append(value.key) }
    }
    guard disk.held[worker]?.missing == 0, let held = disk.held[worker] else { return }
    // A disk that failed: the function finds no bytes, and says so.
    if !held.isAbandoned { start(held.tasks[0], on: worker) }
    for key in held.pins { try? memory.release(key) }
    disk.held[worker]?.pins = []
    disk.held[worker]?.isAbandoned = false
    var rest = held.isAbandoned ? held.tasks[...] : held.tasks.dropFirst()
    while let next = rest.first {
      disk.held[worker]?.tasks = Array(rest)
      if !fetchInputs(of: next, for: worker) { return }
      start(next, on: worker)
      rest = rest.dropFirst()
    }
    disk.held[worker] = nil
  }

  // MARK: Jobs

  private mutating func run(_ job: SpillJob, for object: ObjectHandle) {
    disk.jobs += 1
    disk.isUsed = true
    switch job.direction {
    case .spill: disk.spills[job.key] = DiskWork.Spill(object: object)
    case .restore: disk.restores[job.key] = object
    }
    if disk.worker == nil {
      disk.worker = try? SpillWorker()
      memory.worker = disk.worker
    }
    let inbox = disk.inbox
    if let worker = disk.worker {
      worker.submit(job) { inbox.add($0) }
    } else {
      // The system gives no more threads: the node waits for its disk itself.
      inbox.add(job.run())
    }
  }

  /// Takes over what the disk has done since; true when there was anything.
  mutating func finishDiskJobs() -> Bool {
    if disk.inbox.isEmpty { return false }
    for outcome in disk.inbox.take() {
      disk.jobs -= 1
      finish(outcome)
    }
    grantWishes()
    return true
  }

  private mutating func finish(_ outcome: SpillOutcome) {
    let key = outcome.job.key
    switch outcome.job.direction {
    case .spill:
      let spill = disk.spills.removeValue(forKey: key)
      let result = memory.finish(outcome)
      if spill?.hasPin == true { try? memory.release(key) }
      // The object may have been dropped, and its handle be another's.
      guard let spill, let value = values.pointer(spill.object.key), value.pointee.key == key,
        value.pointee.form == .segment
      else { return }
      switch result {
      case .spilled:
        value.pointee = StoredValue(.onDisk, at: nil, count: value.pointee.count, key: key)
      case .keptPinned where spill.isWanted, .failed where spill.isWanted, .deleted, .restored:
        break
      case .keptPinned where spill.hasPin: startSpilling(spill.object, key)
      case .keptPinned, .failed: disk.unspilled[spill.object.key] = spill.object
      }
    case .restore:
      let result = memory.finish(outcome)
      guard let object = disk.restores.removeValue(forKey: key) else { return }
      if result == .restored, let value = values.pointer(object.key),
        let place = place(of: key)
      {
        value.pointee = StoredValue(.segment, at: place, count: value.pointee.count, key: key)
      }
      endRestoring(object)
    }
  }

  // MARK: Waiting for memory

  /// Serves a wish when there is room, lets it wait when room may come, and denies it otherwise.
  mutating func wish(_ wish: DiskWork.Wish) {
    if disk.wishes.isEmpty, grant(wish) { return }
    wait(wish)
  }

  private mutating func wait(_ wish: DiskWork.Wish) {
    disk.wishes.append(wish)
    if disk.jobs == 0 { grantWishes() }
  }

  /// At the end of a turn.
  mutating func serveWishes() {
    disk.isDirty = false
    grantWishes()
  }

  private mutating func grantWishes() {
    // Granting one may let the raylet ask for more.
    if disk.isGranting { return }
    disk.isGranting = true
    defer { disk.isGranting = false }
    while !disk.wishes.isEmpty {
      var wish = disk.wishes.removeFirst()
      if grant(wish) { continue }
      // What is being sent is neither spilled nor freed until it has left.
      let canChange = disk.jobs > 0 || sendingPins > 0
      if !canChange && !wish.hasRetried {
        wish.hasRetried = true
        let again = disk.unspilled
        disk.unspilled = [:]
        for object in again.values {
          if let value = values[object.key], value.form == .segment {
            startSpilling(object, value.key)
          }
        }
      }
      if canChange || disk.jobs > 0 {
        disk.wishes.insert(wish, at: 0)
        return
      }
      deny(wish)
    }
  }

  /// True when the wish needs nothing more.
  private mutating func grant(_ wish: DiskWork.Wish) -> Bool {
    switch wish.asker {
    case .client(let number, let target, let ticket):
      if !port(number).pointee.isOpen { return true }
      guard let value = reserve(wish.count), let address = value.address else { return false }
      grants.set(value.key, number)
      tell(
        number, target, ticket, value.key,
        UInt64(UnsafeRawPointer(address) - UnsafeRawPointer(memory.segment.base)))
      return true
    case .worker(let index):
      guard let value = reserve(wish.count) else { return false }
      grant(value, toWorker: index)
      return true
    case .restore(let object):
      guard let value = values[object.key], value.form == .onDisk else {
        endRestoring(object)
        return true
      }
      makeRoom(value.count)
      do throws(StoreError) {
        run(try memory.restoreJob(value.key), for: object)
        return true
      } catch {
        if case .doesNotFit = error { return false }
        endRestoring(object)
        return true
      }
    case .transfer(let object):
      return receiveAgain(object, canWait: true)
    }
  }

  private mutating func deny(_ wish: DiskWork.Wish) {
    switch wish.asker {
    case .client(let number, let target, let ticket):
      if port(number).pointee.isOpen { tell(number, target, ticket, StoreFrame.denied, 0) }
    case .worker(let index): grant(nil, toWorker: index)
    case .restore(let object): endRestoring(object)
    case .transfer(let object): _ = receiveAgain(object, canWait: false)
    }
  }

  private func tell(
    _ number: UInt32, _ target: Address, _ ticket: UInt64, _ key: UInt64, _ offset: UInt64
  ) {
    // Three words: there is always room for them.
    try? StoreFrame.encode(
      StoreFrame.roomGranted, ticket, key, offset, from: rayletAddress, to: target,
      into: &port(number).pointee.writer)
  }
}
