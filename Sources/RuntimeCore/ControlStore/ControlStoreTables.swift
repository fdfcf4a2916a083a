import Primitives

/// The tables of one GCS replica: tasks, objects, actors, functions, nodes, and who follows what.
struct ControlStoreTables: ~Copyable {
  enum TaskState: UInt8, BitwiseCopyable {
    case queued, done
  }

  struct TaskEntry: BitwiseCopyable {
    var node: NodeID
    /// Return values not yet freed; the entry goes with the last.
    var returnsLeft: UInt16
    var state: TaskState
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

  struct Link: BitwiseCopyable {
    var value: UInt32
    var next: UInt32
    var isPersistent: Bool
  }

  static let end = UInt32.max

  private var tasks = WordMap<TaskEntry>()
  private var objectSlots = WordMap<UInt32>()
  private var objects = SlotTable<ObjectEntry>()
  private var actors = WordMap<ObjectEntry>()
  private var links = SlotTable<Link>()
  var functions: [FunctionID] = []
  var functionFollowers: [Address] = []
  var nodes: [NodeID] = []

  var taskCount: Int { tasks.count }
  var objectCount: Int { objectSlots.count }
  var memoryBytes: Int {
    tasks.memoryBytes + objectSlots.memoryBytes + objects.memoryBytes + actors.memoryBytes
      + links.memoryBytes
  }

  // MARK: Tasks

  mutating func logTask(_ task: TaskHandle, _ node: NodeID) {
    let entry = tasks.pointer(
      UInt64(task.index), inserting: TaskEntry(node: node, returnsLeft: 0, state: .queued))
    if entry.pointee.state == .queued { entry.pointee.node = node }
  }

  /// True for the first completion.
  mutating func completeTask(_ task: TaskHandle, _ node: NodeID, returns: UInt16) -> Bool {
    let entry = tasks.pointer(
      UInt64(task.index), inserting: TaskEntry(node: node, returnsLeft: 0, state: .queued))
    guard entry.pointee.state != .done else { return false }
    entry.pointee = TaskEntry(node: node, returnsLeft: returns, state: .done)
    if returns == 0 { tasks.remove(UInt64(task.index)) }
    return true
  }

  // MARK: Objects

  private static var absent: ObjectEntry {
    ObjectEntry(
      size: .zero, node: .none, moreLocations: end, subscribers: end, status: .value,
      isFreed: false, turn: 0)
  }

  /// The entry of `object`, made empty when there is none.
  mutating func object(_ object: ObjectHandle) -> UInt32 {
    if let slot = objectSlots[object.key] { return slot }
    let slot = objects.insert(Self.absent)
    objectSlots.set(object.key, slot)
    return slot
  }

  func existingObject(_ object: ObjectHandle) -> UInt32? { objectSlots[object.key] }
  func hasLocation(_ slot: UInt32) -> Bool { objects[slot].node != .none }
  func isFreed(_ slot: UInt32) -> Bool { objects[slot].isFreed }
  func hasSubscribers(_ slot: UInt32) -> Bool { objects[slot].subscribers != Self.end }
  func description(_ slot: UInt32) -> (ByteCount, ObjectStatus) {
    (objects[slot].size, objects[slot].status)
  }

  /// Adds a location; nil when the object was freed before it existed.
  mutating func addLocation(
    _ object: ObjectHandle, _ node: NodeID, _ size: ByteCount, _ status: ObjectStatus
  ) -> UInt32? {
    let slot = self.object(object)
    let entry = objects.pointer(slot)
    if entry.pointee.isFreed { return nil }
    entry.pointee.size = size
    entry.pointee.status = status
    if entry.pointee.node == .none {
      entry.pointee.node = node
    } else if !holds(slot, node) {
      entry.pointee.moreLocations = links.insert(
        Link(value: node.index, next: entry.pointee.moreLocations, isPersistent: true))
    }
    return slot
  }

  private func holds(_ slot: UInt32, _ node: NodeID) -> Bool {
    if objects[slot].node == node { return true }
    var link = objects[slot].moreLocations
    while link != Self.end {
      if links[link].value == node.index { return true }
      link = links[link].next
    }
    return false
  }

  /// Removes a location; returns the entry when there was one.
  mutating func removeLocation(_ object: ObjectHandle, _ node: NodeID) -> UInt32? {
    guard let slot = objectSlots[object.key] else { return nil }
    let entry = objects.pointer(slot)
    if entry.pointee.node == node {
      let more = entry.pointee.moreLocations
      if more == Self.end {
        entry.pointee.node = .none
      } else {
        entry.pointee.node = NodeID(Int(links[more].value))
        entry.pointee.moreLocations = links[more].next
        links.remove(more)
      }
      return slot
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
        return slot
      }
      previous = link
      link = links[link].next
    }
    return nil
  }

  func forEachLocation(of slot: UInt32, _ body: (NodeID) -> Void) {
    let entry = objects[slot]
    if entry.node == .none { return }
    body(entry.node)
    var link = entry.moreLocations
    while link != Self.end {
      body(NodeID(Int(links[link].value)))
      link = links[link].next
    }
  }

  /// One location, another one each time.
  func someLocation(_ slot: UInt32) -> NodeID? {
    let entry = objects.pointer(slot)
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

  // MARK: Subscriptions

  mutating func subscribe(_ address: Address, to slot: UInt32, persistent: Bool) {
    let entry = objects.pointer(slot)
    entry.pointee.subscribers = links.insert(
      Link(value: address.raw, next: entry.pointee.subscribers, isPersistent: persistent))
  }

  func forEachSubscriber(of slot: UInt32, persistentOnly: Bool, _ body: (Address) -> Void) {
    var link = objects[slot].subscribers
    while link != Self.end {
      if !persistentOnly || links[link].isPersistent { body(Address(raw: links[link].value)) }
      link = links[link].next
    }
  }

  mutating func dropOneShotSubscribers(of slot: UInt32) {
    var kept = Self.end
    var link = objects[slot].subscribers
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
    objects.pointer(slot).pointee.subscribers = kept
  }

  // MARK: Freeing

  /// Remembers that an object that does not exist yet is not wanted any more; its entry.
  mutating func markFreed(_ object: ObjectHandle) -> UInt32 {
    let slot = self.object(object)
    objects.pointer(slot).pointee.isFreed = true
    return slot
  }

  mutating func dropSubscribers(of slot: UInt32) {
    removeLinks(objects[slot].subscribers)
    objects.pointer(slot).pointee.subscribers = Self.end
  }

  /// Drops an object's entry, and its task's with the last return value.
  mutating func forget(_ object: ObjectHandle) {
    if let slot = objectSlots.remove(object.key) {
      removeLinks(objects[slot].moreLocations)
      removeLinks(objects[slot].subscribers)
      objects.remove(slot)
    }
    guard object.index >= 0, let task = tasks.pointer(UInt64(object.producer.index)) else { return }
    if task.pointee.returnsLeft > 1 {
      task.pointee.returnsLeft -= 1
    } else {
      tasks.remove(UInt64(object.producer.index))
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

  /// Where the actor lives; when not yet known, `client` will be told.
  mutating func actorNode(_ creation: TaskHandle, orSubscribe client: Address) -> NodeID? {
    let entry = actors.pointer(UInt64(creation.index), inserting: Self.absent)
    if entry.pointee.node != .none { return entry.pointee.node }
    entry.pointee.subscribers = links.insert(
      Link(value: client.raw, next: entry.pointee.subscribers, isPersistent: false))
    return nil
  }

  mutating func setActor(_ creation: TaskHandle, _ node: NodeID, notifying body: (Address) -> Void) {
    let entry = actors.pointer(UInt64(creation.index), inserting: Self.absent)
    entry.pointee.node = node
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
