import Primitives
import Testing

@testable import RuntimeCore

/// A chain of replicas and its clients, wired by hand: every pair of neighbours has a first-in
/// first-out link, and which link delivers next is drawn from a seed.
final class ChainHarness {
  static let raylets = 3
  /// The address number of the one client that follows objects for placement.
  static let scheduler = Address.globalScheduler(0)

  struct Delivery {
    var message: Message
    var from: Address
    var to: Address
  }

  /// What the harness knows of one object.
  struct Object {
    var handle: ObjectHandle
    /// The node that logs the task and completes it.
    var home: NodeID
    var isCompleted = false
    var isFreed = false
    /// Look-ups that have not reached the tail: a program does not free what it still asks for.
    var lookupsUnderWay = 0
    /// Who holds a copy, as the raylets see it.
    var holders: Set<UInt32> = []
    /// Holders as the tail has committed them.
    var committed: Set<UInt32> = []
    var isCommittedFreed = false
    /// What the scheduler has been told.
    var told: Set<UInt32> = []
    var isFollowed = false
    var isToldFreed = false
    /// Raylets that asked for one location, and those that were answered.
    var asked: Set<UInt32> = []
    var answered: Set<UInt32> = []
  }

  let length: Int
  let specs = TaskSpecTable.allocate()
  let payloads = MessagePayloads.allocate()
  let map: ControlStoreMap
  let replicas: UnsafeMutablePointer<ChainReplica>
  var effects = EffectBuffer<Effect>()
  var random: RandomStream
  /// One queue for each (from, to), in the order in which the links came into use.
  var links: [(key: UInt64, queue: [Delivery])] = []
  var objects: [UInt64: Object] = [:]
  var live: [UInt64] = []
  var created = 0
  /// Updates in the order in which the head took them in.
  var updates: [(message: Message, client: Address)] = []
  var batches: [[ObjectHandle]] = []
  var lastPropagated: [UInt32]
  var commits = 0
  var completions = 0
  var problems: [String] = []

  init(length: Int, seed: UInt64) {
    self.length = length
    map = ControlStoreMap(shards: 1, chainLength: length)
    replicas = .allocate(capacity: length)
    random = RandomStream(seed: seed, stream: UInt64(length))
    lastPropagated = Array(repeating: 0, count: length)
    for i in 0..<length {
      (replicas + i).initialize(
        to: ChainReplica(
          shard: 0, position: UInt32(i), map: map, specs: specs, payloads: payloads))
    }
  }

  deinit {
    replicas.deinitialize(count: length).deallocate()
    specs.deallocate()
    payloads.deallocate()
  }

  func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }

  // MARK: Links

  func send(_ message: Message, from: Address, to: Address) {
    let key = UInt64(from.raw) << 32 | UInt64(to.raw)
    let delivery = Delivery(message: message, from: from, to: to)
    if let place = links.firstIndex(where: { $0.key == key }) {
      links[place].queue.append(delivery)
    } else {
      links.append((key, [delivery]))
    }
  }

  /// Delivers the first message of a random link; false when all are empty.
  func deliver() -> Bool {
    let full = links.indices.filter { !links[$0].queue.isEmpty }
    if full.isEmpty { return false }
    let delivery = links[full[below(full.count)]].queue.removeFirst()
    if delivery.to.role == .replica {
      handle(delivery)
    } else {
      hear(delivery)
    }
    check()
    return true
  }

  private func handle(_ delivery: Delivery) {
    let position = delivery.to.number
    let before = replicas[length - 1].history.value
    if position == 0 {
      switch delivery.message {
      case .objectLookedUp, .updatesAcknowledged: break
      default: updates.append((delivery.message, delivery.from))
      }
    }
    if case .objectLookedUp(let object, _) = delivery.message {
      objects[object.key]!.lookupsUnderWay -= 1
    }
    if case .updatePropagated(_, let sequence) = delivery.message {
      if sequence.value != lastPropagated[position] + 1 {
        problems.append(
          "member \(position) got \(sequence.value) after \(lastPropagated[position])")
      }
      lastPropagated[position] = sequence.value
    }
    // The tail's answers follow from what it has committed by then.
    if position == length - 1 && before < UInt32(updates.count) {
      switch delivery.message {
      case .objectLookedUp, .updatesAcknowledged: break
      default: commit(updates[Int(before)].message, updates[Int(before)].client)
      }
    }
    replicas[position].receive(
      delivery.message, from: delivery.from, at: .zero, into: &effects)
    for i in 0..<effects.count {
      if case .send(let message, let target) = effects[i] {
        send(message, from: delivery.to, to: target)
        if target.role != .replica { promise(message, to: target) }
      } else {
        problems.append("a replica ordered something else than a message")
      }
    }
    effects.removeAll()
  }

  /// The model of the tail's table.
  private func commit(_ update: Message, _ client: Address) {
    switch update {
    case .taskCompleted(let task, let node, _):
      let key = ObjectHandle(producer: task, index: 0).key
      if !objects[key]!.isCommittedFreed { objects[key]!.committed.insert(node.index) }
    case .locationAdded(let object, let node, _, _):
      if !objects[object.key]!.isCommittedFreed {
        objects[object.key]!.committed.insert(node.index)
      }
    case .locationRemoved(let object, let node):
      objects[object.key]!.committed.remove(node.index)
    case .objectsFreed(let batch):
      for object in batches[Int(batch.slot)] {
        objects[object.key]!.isCommittedFreed = true
        objects[object.key]!.committed = []
      }
    default: break
    }
  }

  /// An answer leaves the tail: it must tell of committed state only.
  private func promise(_ message: Message, to client: Address) {
    if case .objectLocated(let object, let node, _, _) = message,
      !objects[object.key]!.committed.contains(node.index)
    {
      problems.append("a reader was told of node \(node.index), which is not committed")
    }
    if case .writesCommitted = message { commits += 1 }
  }

  // MARK: Clients

  private func hear(_ delivery: Delivery) {
    let client = delivery.to
    switch delivery.message {
    case .writesCommitted(let task): specs.release(task)
    case .objectLocated(let object, let node, _, _):
      if client == Self.scheduler {
        objects[object.key]!.told.insert(node.index)
      } else {
        objects[object.key]!.answered.insert(client.raw)
        pull(object, to: client)
      }
    case .locationLost(let object, let node): objects[object.key]!.told.remove(node.index)
    case .locationsListed: break
    case .objectFreed(let object):
      if client == Self.scheduler {
        objects[object.key]!.isToldFreed = true
      } else {
        objects[object.key]!.answered.insert(client.raw)
        drop(object, at: client.node.index)
      }
      // Either the notice's own reference or that of the scheduler's directory.
      specs.release(object.producer)
    default: problems.append("an unexpected \(delivery.message.kind) for \(client)")
    }
  }

  /// The copy that was asked for arrives at once.
  private func pull(_ object: ObjectHandle, to client: Address) {
    let node = client.node
    guard !objects[object.key]!.isFreed,
      objects[object.key]!.holders.insert(node.index).inserted
    else { return }
    specs.retain(object.producer)
    send(.locationAdded(object, node, .value, ByteCount(8)), from: client, to: map.head(0))
  }

  private func drop(_ object: ObjectHandle, at node: UInt32) {
    if objects[object.key]!.holders.remove(node) != nil { specs.release(object.producer) }
  }

  /// One random act of a client.
  func act() {
    let raylet = Address.raylet(NodeID(below(Self.raylets)))
    switch below(7) {
    case 0, 1:
      created += 1
      let task = specs.insert(
        TaskSpec(id: TaskID(high: 1, low: UInt64(created)), function: FunctionID(0), shape: 0))
      // The submitter's reference for the result, and the raylets' own.
      specs.retain(task)
      let object = ObjectHandle(producer: task, index: 0)
      if objects[object.key] != nil && !objects[object.key]!.isFreed {
        problems.append("handle \(task.index) was given out while its object lives")
      }
      objects[object.key] = Object(handle: object, home: raylet.node)
      live.append(object.key)
      specs.retain(task)
      send(.taskLogged(task, raylet.node), from: raylet, to: map.head(0))
    case 2:
      guard let key = live.randomElement(using: &random), !objects[key]!.isCompleted else { return }
      complete(key)
    case 3:
      guard let key = live.randomElement(using: &random) else { return }
      objects[key]!.lookupsUnderWay += 1
      objects[key]!.asked.insert(raylet.raw)
      objects[key]!.answered.remove(raylet.raw)
      send(.objectLookedUp(objects[key]!.handle, .anyLocation), from: raylet, to: map.tail(0))
    case 4:
      guard let key = live.randomElement(using: &random), !objects[key]!.isFollowed else { return }
      objects[key]!.lookupsUnderWay += 1
      objects[key]!.isFollowed = true
      specs.retain(objects[key]!.handle.producer)
      send(
        .objectLookedUp(objects[key]!.handle, .everyLocation), from: Self.scheduler, to: map.tail(0)
      )
    case 5:
      // A pulled copy is evicted; the first stays, as a primary copy does.
      guard let key = live.randomElement(using: &random), objects[key]!.holders.count > 1,
        objects[key]!.holders.contains(raylet.node.index)
      else { return }
      send(.locationRemoved(objects[key]!.handle, raylet.node), from: raylet, to: map.head(0))
      drop(objects[key]!.handle, at: raylet.node.index)
    default:
      if below(3) == 0 { free(live.filter { _ in below(4) == 0 }, by: raylet) }
    }
  }

  func complete(_ key: UInt64) {
    let (object, home) = (objects[key]!.handle, objects[key]!.home)
    objects[key]!.isCompleted = true
    completions += 1
    objects[key]!.holders.insert(home.index)
    specs.retain(object.producer)
    send(.taskCompleted(object.producer, home, .value), from: .raylet(home), to: map.head(0))
  }

  func free(_ keys: [UInt64], by raylet: Address) {
    // A task that was never completed would hold its object for ever; one under way may be freed.
    let keys = keys.filter { objects[$0]!.lookupsUnderWay == 0 && objects[$0]!.isCompleted }
    for start in stride(from: 0, to: keys.count, by: Batch.capacity) {
      var batch = Batch()
      var list: [ObjectHandle] = []
      for key in keys[start..<min(keys.count, start + Batch.capacity)] {
        objects[key]!.isFreed = true
        let object = objects[key]!.handle
        batch.append(object)
        list.append(object)
        drop(object, at: raylet.node.index)
      }
      let handle = payloads.insert(batch)
      while batches.count <= Int(handle.slot) { batches.append([]) }
      batches[Int(handle.slot)] = list
      send(.objectsFreed(handle), from: raylet, to: map.head(0))
    }
    live.removeAll { objects[$0]!.isFreed }
  }

  // MARK: Invariants

  private func underWay(_ from: Int, _ to: Int, _ isCounted: (Message) -> Bool) -> Int {
    let key =
      UInt64(Address.replica(UInt32(from)).raw) << 32 | UInt64(Address.replica(UInt32(to)).raw)
    return links.first { $0.key == key }?.queue.filter { isCounted($0.message) }.count ?? 0
  }

  private func state(_ i: Int) -> (history: UInt32, sent: Int) {
    (replicas[i].history.value, replicas[i].sentCount)
  }

  /// After every step (domain: G2, G4).
  private func check() {
    for i in 0..<length { replicas[i].checkInvariants() }
    if replicas[0].history.value != UInt32(updates.count) {
      problems.append("the head has applied \(replicas[0].history.value) of \(updates.count)")
    }
    for i in 0..<length - 1 {
      let (here, next) = (state(i), state(i + 1))
      let travelling = underWay(i, i + 1) { if case .updatePropagated = $0 { true } else { false } }
      if Int(here.history) != Int(next.history) + travelling {
        problems.append("update propagation: member \(i) \(here.history), next \(next.history)")
      }
      let acknowledged = Int(here.history) - here.sent
      if acknowledged > Int(replicas[length - 1].history.value) {
        problems.append("inprocess requests: member \(i) dropped an update the tail lacks")
      }
      if i + 1 < length - 1 && acknowledged > Int(next.history) - next.sent {
        problems.append("inprocess requests: member \(i) was acknowledged before its successor")
      }
    }
  }
}
