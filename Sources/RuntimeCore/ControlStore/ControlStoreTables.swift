import Primitives

/// The tables of one GCS replica: tasks, objects, actors, functions, nodes, and who follows what.
struct ControlStoreTables: ~Copyable {
  enum TaskState: UInt8, BitwiseCopyable {
    case absent, queued, done
  }

  struct ObjectEntry: BitwiseCopyable {
    var size: ByteCount
    /// The first location, `.none` while there is none; further ones in a list.
    var node: NodeID
    var moreLocations: UInt32
    var subscribers: UInt32
    var status: ObjectStatus
    var isFreed: Bool
    /// Rotates over the locations that are handed out, so that pulls spread over the holders.
    var turn: UInt16
  }

  /// A task's row and that of its return value 0, which nearly every task has and most have alone:
  /// they are written and freed together, so one look-up finds both. Other objects have a record of
  /// their own, without a task.
  struct Record: BitwiseCopyable {
    var object: ObjectEntry
    var taskNode: NodeID
    /// Return values not yet freed; the task's row goes with the last.
    var returnsLeft: UInt16
    var taskState: TaskState
    var hasObject: Bool
  }

  /// Valid until the next record is added or removed.
  typealias ObjectPointer = UnsafeMutablePointer<ObjectEntry>

  struct Link: BitwiseCopyable {
    var value: UInt32
    var next: UInt32
    var isPersistent: Bool
  }

  static let end = UInt32.max

  /// By object; a task under its return value 0. A record holds a reference to its task.
  private var records = WordMap<Record>()
  let specs: TaskSpecTable
  private(set) var taskCount = 0
  private(set) var objectCount = 0
  private var actors = WordMap<ObjectEntry>()
  private var links = SlotTable<Link>()
  var functions: [FunctionID] = []
  var functionFollowers: [Address] = []
  var nodes: [NodeID] = []
  var lostNodes: [NodeID] = []
  var endedJobs = EndedJobs()
  /// At the tail: tasks to be cancelled as soon as their nodes are known, each with a reference, and
  /// whether recursively.
  var cancellations = WordMap<Bool>()
  /// A job has ended: what comes must be looked at.
  var knowsEndedJobs = false

  init(specs: TaskSpecTable) { self.specs = specs }

  var memoryBytes: Int { records.memoryBytes + actors.memoryBytes + links.memoryBytes }

  /// Brings the record of an object near.
  @inline(__always)
  func prefetch(_ object: ObjectHandle) { records.prefetch(object.key) }

  // MARK: Tasks

  private static func key(_ task: TaskHandle) -> UInt64 {
    ObjectHandle(producer: task, index: 0).key
  }

  /// The record under `key`, which belongs to `producer`; made when there is none.
  private mutating func record(
    _ key: UInt64, of producer: TaskHandle
  ) -> UnsafeMutablePointer<Record> {
    let before = records.count
    let record = records.pointer(key, inserting: Self.empty)
    if records.count > before { specs.retain(producer) }
    return record
  }

  private mutating func removeRecord(_ key: UInt64) {
    records.remove(key)
    specs.release(ObjectHandle(key: key).producer)
  }

  /// The record of a task, with the task marked as queued when it is new.
  private mutating func record(
    _ task: TaskHandle, _ node: NodeID
  ) -> UnsafeMutablePointer<Record> {
    let record = record(Self.key(task), of: task)
    if record.pointee.taskState == .absent {
      record.pointee.taskState = .queued
      record.pointee.taskNode = node
      taskCount += 1
    }
    return record
  }

  func state(of task: TaskHandle) -> TaskState {
    records.pointer(Self.key(task))?.pointee.taskState ?? .absent
  }

  mutating func logTask(_ task: TaskHandle, _ node: NodeID) {
    let record = record(task, node)
    if record.pointee.taskState == .queued { record.pointee.taskNode = node }
  }

  /// The task's record at its first completion, for its return value 0; nil for further ones.
  mutating func completeTask(
    _ task: TaskHandle, _ node: NodeID, returns: UInt16
  ) -> UnsafeMutablePointer<Record>? {
    let record = record(task, node)
    guard record.pointee.taskState != .done else { return nil }
    record.pointee.taskNode = node
    record.pointee.returnsLeft = returns
    record.pointee.taskState = .done
    if returns == 0 { removeTask(record, Self.key(task)) }
    return record
  }

  private mutating func removeTask(_ record: UnsafeMutablePointer<Record>, _ key: UInt64) {
    record.pointee.taskState = .absent
    taskCount -= 1
    if !record.pointee.hasObject { removeRecord(key) }
  }

  // MARK: Objects

  private static var absent: ObjectEntry {
    ObjectEntry(
      size: .zero, node: .none, moreLocations: end, subscribers: end, status: .value,
      isFreed: false, turn: 0)
  }

  private static var empty: Record {
    Record(object: absent, taskNode: .none, returnsLeft: 0, taskState: .absent, hasObject: false)
  }

  private func entry(_ record: UnsafeMutablePointer<Record>) -> ObjectPointer {
    withUnsafeMutablePointer(to: &record.pointee.object) { $0 }
  }

  /// The entry of `object`, made empty when there is none.
  mutating func object(_ object: ObjectHandle) -> ObjectPointer {
    self.object(in: record(object.key, of: object.producer))
  }

  @inline(__always)
  private mutating func object(in record: UnsafeMutablePointer<Record>) -> ObjectPointer {
    if !record.pointee.hasObject {
      record.pointee.hasObject = true
      objectCount += 1
    }
    return entry(record)
  }

  func existingObject(_ object: ObjectHandle) -> ObjectPointer? {
    guard let record = records.pointer(object.key), record.pointee.hasObject else { return nil }
    return entry(record)
  }

  func hasLocation(_ entry: ObjectPointer) -> Bool { entry.pointee.node != .none }
  /// Somebody holds it, or it carries an error that needs no holder.
  func exists(_ entry: ObjectPointer) -> Bool {
    entry.pointee.node != .none || entry.pointee.status.isError
  }
  func isFreed(_ entry: ObjectPointer) -> Bool { entry.pointee.isFreed }
  func hasSubscribers(_ entry: ObjectPointer) -> Bool { entry.pointee.subscribers != Self.end }
  func description(_ entry: ObjectPointer) -> (ByteCount, ObjectStatus) {
    (entry.pointee.size, entry.pointee.status)
  }

  /// Adds a location; nil when the object was freed before it existed.
  ///
  /// - Parameter record: the object's, where it has been found already.
  mutating func addLocation(
    _ object: ObjectHandle, _ node: NodeID, _ size: ByteCount, _ status: ObjectStatus,
    in record: UnsafeMutablePointer<Record>? = nil
  ) -> ObjectPointer? {
    let entry = self.object(in: record ?? self.record(object.key, of: object.producer))
    if entry.pointee.isFreed { return nil }
    entry.pointee.size = size
    entry.pointee.status = status
    if entry.pointee.node == .none {
      entry.pointee.node = node
    } else if !holds(entry, node) {
      entry.pointee.moreLocations = links.insert(
        Link(value: node.index, next: entry.pointee.moreLocations, isPersistent: true))
    }
    return entry
  }

  @inline(__always)
  private func holds(_ entry: ObjectPointer, _ node: NodeID) -> Bool {
    if entry.pointee.node == node { return true }
    var link = entry.pointee.moreLocations
    while link != Self.end {
      if links[link].value == node.index { return true }
      link = links[link].next
    }
    return false
  }

  /// Removes a location; returns the entry when there was one.
  mutating func removeLocation(_ object: ObjectHandle, _ node: NodeID) -> ObjectPointer? {
    guard let entry = existingObject(object) else { return nil }
    if entry.pointee.node == node {
      let more = entry.pointee.moreLocations
      if more == Self.end {
        entry.pointee.node = .none
      } else {
        entry.pointee.node = NodeID(Int(links[more].value))
        entry.pointee.moreLocations = links[more].next
        links.remove(more)
      }
      return entry
    }
    var previous = Self.end
    var link = entry.pointee.moreLocations
    while link != Self.end {
      if links[link].value == node.index {
        if previous == Self.end {
          entry.pointee.moreLocations = links[link].next
        } else {
          links.pointer(previous).pointee.next = links[link].next
        }
        links.remove(link)
        return entry
      }
      previous = link
      link = links[link].next
    }
    return nil
  }

  @inline(__always)
  func forEachLocation(of entry: ObjectPointer, _ body: (NodeID) -> Void) {
    if entry.pointee.node == .none { return }
    body(entry.pointee.node)
    var link = entry.pointee.moreLocations
    while link != Self.end {
      body(NodeID(Int(links[link].value)))
      link = links[link].next
    }
  }

  /// One location, another one each time.
  mutating func someLocation(_ entry: ObjectPointer) -> NodeID? {
    if entry.pointee.node == .none { return nil }
    if entry.pointee.moreLocations == Self.end { return entry.pointee.node }
    var count: UInt16 = 1
    var link = entry.pointee.moreLocations
    while link != Self.end {
      count += 1
      link = links[link].next
    }
    entry.pointee.turn = (entry.pointee.turn &+ 1) % count
    if entry.pointee.turn == 0 { return entry.pointee.node }
    link = entry.pointee.moreLocations
    for _ in 1..<entry.pointee.turn { link = links[link].next }
    return NodeID(Int(links[link].value))
  }

  // MARK: Lost nodes

  /// Tasks that `node` had and has not completed.
  func openTasks(on node: NodeID) -> [TaskHandle] {
    records.keys { $0.taskState == .queued && $0.taskNode == node }
      .map { ObjectHandle(key: $0).producer }
  }

  /// Objects with a copy on `node`.
  func objects(on node: NodeID) -> [ObjectHandle] {
    records.keys { record in
      guard record.hasObject else { return false }
      var record = record
      return withUnsafeMutablePointer(to: &record.object) { holds($0, node) }
    }.map { ObjectHandle(key: $0) }
  }

  /// There is no copy any more. An error says its own without one.
  func markLost(_ entry: ObjectPointer) {
    if !entry.pointee.status.isError { entry.pointee.status = .objectLost }
    entry.pointee.size = .zero
  }

  /// Actors that live on `node`.
  func actors(on node: NodeID) -> [TaskHandle] {
    actors.keys { $0.node == node }.map { TaskHandle(UInt32(truncatingIfNeeded: $0)) }
  }

  /// Whether the actor died with its node.
  func isDead(_ creation: TaskHandle) -> Bool {
    actors[UInt64(creation.index)]?.isFreed ?? false
  }

  func whereabouts(_ task: TaskHandle) -> Whereabouts {
    guard let record = records.pointer(Self.key(task)) else { return .unknown }
    switch record.pointee.taskState {
    case .absent: return .unknown
    case .queued: return .node(record.pointee.taskNode)
    case .done: return .ended
    }
  }

  // MARK: Ended jobs

  private func isOf(_ job: JobID, _ task: TaskHandle) -> Bool { specs[task].id.job == job }

  /// Records, by object, that belong to a job. Looks at all.
  func objects(of job: JobID) -> [ObjectHandle] {
    records.selectKeys({ isOf(job, ObjectHandle(key: $0).producer) })
      .map { ObjectHandle(key: $0) }
  }

  /// Tasks whose objects are gone, or have not been made yet.
  mutating func forgetTasks(of job: JobID) {
    for object in objects(of: job) {
      guard let record = records.pointer(object.key), record.pointee.taskState != .absent else {
        continue
      }
      removeTask(record, object.key)
    }
  }

  func actors(of job: JobID) -> [TaskHandle] {
    actors.selectKeys({ isOf(job, TaskHandle(UInt32($0))) }).map { TaskHandle(UInt32($0)) }
  }

  /// Nobody is told where it lives any more.
  mutating func forgetActor(_ creation: TaskHandle) {
    guard let entry = actors.remove(UInt64(creation.index)) else { return }
    removeLinks(entry.subscribers)
    specs.release(creation)
  }

  // MARK: Subscriptions

  mutating func subscribe(_ address: Address, to entry: ObjectPointer, persistent: Bool) {
    entry.pointee.subscribers = links.insert(
      Link(value: address.raw, next: entry.pointee.subscribers, isPersistent: persistent))
  }

  @inline(__always)
  func forEachSubscriber(
    of entry: ObjectPointer, persistentOnly: Bool, _ body: (Address) -> Void
  ) {
    var link = entry.pointee.subscribers
    while link != Self.end {
      if !persistentOnly || links[link].isPersistent { body(Address(raw: links[link].value)) }
      link = links[link].next
    }
  }

  mutating func dropOneShotSubscribers(of entry: ObjectPointer) {
    var kept = Self.end
    var link = entry.pointee.subscribers
    while link != Self.end {
      let next = links[link].next
      if links[link].isPersistent {
        links.pointer(link).pointee.next = kept
        kept = link
      } else {
        links.remove(link)
      }
      link = next
    }
    entry.pointee.subscribers = kept
  }

  // MARK: Freeing

  /// Remembers that an object that does not exist yet is not wanted any more; its entry.
  mutating func markFreed(_ object: ObjectHandle) -> ObjectPointer {
    let entry = self.object(object)
    entry.pointee.isFreed = true
    return entry
  }

  mutating func dropSubscribers(of entry: ObjectPointer) {
    removeLinks(entry.pointee.subscribers)
    entry.pointee.subscribers = Self.end
  }

  /// Drops an object's entry, and its task's with the last return value.
  mutating func forget(_ object: ObjectHandle) {
    if let record = records.pointer(object.key), record.pointee.hasObject {
      removeLinks(record.pointee.object.moreLocations)
      removeLinks(record.pointee.object.subscribers)
      record.pointee.object = Self.absent
      record.pointee.hasObject = false
      objectCount -= 1
      if record.pointee.taskState == .absent { removeRecord(object.key) }
    }
    guard object.index >= 0 else { return }
    let key = Self.key(object.producer)
    guard let task = records.pointer(key), task.pointee.taskState != .absent else { return }
    if task.pointee.returnsLeft > 1 {
      task.pointee.returnsLeft -= 1
    } else {
      removeTask(task, key)
    }
  }

  private mutating func removeLinks(_ first: UInt32) {
    var link = first
    while link != Self.end {
      let next = links[link].next
      links.remove(link)
      link = next
    }
  }

  // MARK: Actors and functions

  /// The entry of an actor, which goes by its creation's handle for life.
  private mutating func actor(_ creation: TaskHandle) -> ObjectPointer {
    let before = actors.count
    let entry = actors.pointer(UInt64(creation.index), inserting: Self.absent)
    if actors.count > before { specs.retain(creation) }
    return entry
  }

  /// Where the actor lives; when not yet known, `client` will be told.
  mutating func actorNode(_ creation: TaskHandle, orSubscribe client: Address) -> NodeID? {
    let entry = actor(creation)
    if entry.pointee.node != .none { return entry.pointee.node }
    entry.pointee.subscribers = links.insert(
      Link(value: client.raw, next: entry.pointee.subscribers, isPersistent: false))
    return nil
  }

  mutating func setActor(_ creation: TaskHandle, _ node: NodeID, notifying body: (Address) -> Void)
  {
    let entry = actor(creation)
    entry.pointee.node = node
    if node == .none { entry.pointee.isFreed = true }
    var link = entry.pointee.subscribers
    entry.pointee.subscribers = Self.end
    while link != Self.end {
      body(Address(raw: links[link].value))
      let next = links[link].next
      links.remove(link)
      link = next
    }
  }

  mutating func followFunctions(_ client: Address) { functionFollowers.append(client) }
}
