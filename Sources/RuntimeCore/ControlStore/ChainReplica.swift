import Primitives

/// One member of the replication chain of a GCS shard (van Renesse and Schneider, OSDI'04).
///
///     clients ──write──► head ──propagate──► … ──► tail ──answers, notifications──► clients
///                          ◄──acknowledge── … ◄──
///
/// Updates enter at the head, which numbers them; each member applies an update, keeps it in `sent`
/// until the acknowledgement comes back, and passes it on. The tail alone answers: an update is
/// committed when the tail has applied it, and reads at the tail see committed state only.
///
/// Invariants: sequence numbers have no gaps; a successor's history is a prefix of its
/// predecessor's; `history(i) = history(i+1) + sent(i)`.
///
/// Subscriptions live at the tail. A look-up reads and registers in one step, so no update falls
/// between the two. It deliberately does not yet handle a change of the chain: epochs and sequence
/// numbers are carried for that.
public struct ChainReplica: ~Copyable {
  public let shard: UInt32
  public let position: UInt32
  let map: ControlStoreMap
  let specs: TaskSpecTable
  let payloads: MessagePayloads
  var tables: ControlStoreTables
  var applied = SequenceNumber(0)
  var acknowledged = SequenceNumber(0)
  var sent = RingQueue<UpdateHandle>()

  public init(
    shard: UInt32, position: UInt32, map: ControlStoreMap, specs: TaskSpecTable,
    payloads: MessagePayloads
  ) {
    self.shard = shard
    self.position = position
    self.map = map
    self.specs = specs
    self.payloads = payloads
    tables = ControlStoreTables(specs: specs)
  }

  public var isHead: Bool { position == 0 }
  public var isTail: Bool { position + 1 == map.chainLength }
  var successor: Address { .replica(shard * map.chainLength + position + 1) }
  var predecessor: Address { .replica(shard * map.chainLength + position - 1) }

  /// Updates applied so far.
  public var history: SequenceNumber { applied }
  /// Updates passed on and not yet acknowledged.
  public var sentCount: Int { sent.count }
  public var memoryBytes: Int { tables.memoryBytes + sent.memoryBytes }
  public var taskCount: Int { tables.taskCount }
  public var objectCount: Int { tables.objectCount }

  public mutating func receive(
    _ message: Message, from source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    switch message {
    case .taskLogged, .taskCompleted, .locationAdded, .locationRemoved, .actorCreated,
      .functionRegistered, .nodeRegistered, .objectsFreed, .nodeLost, .jobEnded:
      precondition(isHead, "a write reached member \(position) of shard \(shard), not its head")
      applied.value += 1
      apply(message, client: source, into: &effects)
      if isTail {
        consume(message)
      } else {
        passOn(
          UpdateRecord(update: message, client: source, sequence: applied, epoch: map.epoch),
          into: &effects)
      }
      // The message's reference: the task's row has one of its own by now.
      if case .taskLogged(let task, _) = message { specs.release(task) }
    default: receiveOther(message, from: source, into: &effects)
    }
  }

  /// Anything but a client's write.
  @inline(never)
  private mutating func receiveOther(
    _ message: Message, from source: Address, into effects: inout EffectBuffer<Effect>
  ) {
    switch message {
    case .updatePropagated(let handle, let sequence):
      precondition(
        sequence.value == applied.value + 1,
        "shard \(shard) member \(position): update \(sequence.value) after \(applied.value)")
      applied = sequence
      let record = payloads.take(handle)
      apply(record.update, client: record.client, into: &effects)
      if isTail {
        consume(record.update)
        effects.append(.send(.updatesAcknowledged(sequence), to: predecessor))
      } else {
        passOn(record, into: &effects)
      }
    case .updatesAcknowledged(let sequence):
      while acknowledged < sequence, let handle = sent.popFirst() {
        acknowledged.value += 1
        consume(payloads.take(handle).update)
      }
      if !isHead { effects.append(.send(message, to: predecessor)) }
    case .objectLookedUp(let object, let mode):
      lookUp(object, mode, for: source, into: &effects)
    case .actorLookedUp(let creation):
      if hasEnded(creation) || tables.isDead(creation) {
        effects.append(.send(.actorLocated(creation, .none), to: source))
      } else if let node = tables.actorNode(creation, orSubscribe: source) {
        effects.append(.send(.actorLocated(creation, node), to: source))
      }
    case .cancellationRequested(let task, let isRecursive):
      cancellationRequested(task, isRecursive: isRecursive, into: &effects)
    case .functionsFollowed:
      tables.followFunctions(source)
      for i in 0..<tables.functions.count {
        effects.append(.send(.functionPublished(tables.functions[i]), to: source))
      }
    default:
      preconditionFailure("a GCS replica does not understand \(message.kind)")
    }
  }

  /// Keeps an applied update until it is acknowledged and passes a copy on.
  @inline(never)
  private mutating func passOn(
    _ record: UpdateRecord, into effects: inout EffectBuffer<Effect>
  ) {
    var copy = record
    if case .objectsFreed(let batch) = record.update {
      copy.update = .objectsFreed(payloads.insert(payloads.batch(batch).pointee))
    }
    sent.append(payloads.insert(record))
    effects.append(
      .send(.updatePropagated(payloads.insert(copy), record.sequence), to: successor))
  }

  private func consume(_ update: Message) {
    if case .objectsFreed(let batch) = update { payloads.remove(batch) }
  }

  @inline(__always)
  private mutating func apply(
    _ update: Message, client: Address, into effects: inout EffectBuffer<Effect>
  ) {
    switch update {
    case .taskLogged(let task, let node):
      if hasEnded(task) { break }
      tables.logTask(task, node)
      if tables.cancellations.count > 0 { passOnCancellation(of: task, to: node, into: &effects) }
      if !tables.lostNodes.isEmpty && tables.lostNodes.contains(node) {
        loseTask(task, client: client, into: &effects)
      }
    case .taskCompleted(let task, let node, let status):
      complete(task, node, status, client: client, into: &effects)
      // A global scheduler ended it: there is no actor.
      if node == .none && specs[task].kind == .actorCreation && !hasEnded(task) {
        loseActor(task, into: &effects)
      }
    default: applyOther(update, client: client, into: &effects)
    }
  }

  /// Updates that not every task brings.
  @inline(never)
  private mutating func applyOther(
    _ update: Message, client: Address, into effects: inout EffectBuffer<Effect>
  ) {
    switch update {
    case .locationAdded(let object, let node, let status, let size):
      if hasEnded(object.producer) {
        // The node drops its copy when it hears of the end.
      } else if object.index >= 0 && tables.existingObject(object) == nil {
        // A pulled copy of a return value that was freed and forgotten on its way: it goes.
        if isTail { Self.tellFreed(object, to: .raylet(node), specs, into: &effects) }
      } else {
        addLocation(object, node, size, status, into: &effects)
      }
    case .locationRemoved(let object, let node):
      let entry = tables.removeLocation(object, node)
      if isTail, let entry {
        tables.forEachSubscriber(of: entry, persistentOnly: true) { address in
          effects.append(.send(.locationLost(object, node), to: address))
        }
      }
      if let entry, !tables.lostNodes.isEmpty { loseIfGone(object, entry, into: &effects) }
    case .actorCreated(let creation, let node):
      if hasEnded(creation) { break }
      let answers = isTail
      tables.setActor(creation, node) { address in
        if answers { effects.append(.send(.actorLocated(creation, node), to: address)) }
      }
    case .functionRegistered(let function):
      tables.functions.append(function)
      if isTail {
        for i in 0..<tables.functionFollowers.count {
          effects.append(.send(.functionPublished(function), to: tables.functionFollowers[i]))
        }
      }
    case .nodeRegistered(let node):
      tables.nodes.append(node)
      if isTail && tables.knowsEndedJobs { tellEndedJobs(to: node, into: &effects) }
    case .objectsFreed(let handle):
      free(handle, client: client, into: &effects)
    case .nodeLost(let node):
      lose(node, client: client, into: &effects)
    case .jobEnded(let job):
      endJob(job, into: &effects)
    default:
      preconditionFailure("\(update.kind) is not an update")
    }
  }

  /// A late or repeated completion of a task that is done changes nothing.
  private mutating func complete(
    _ task: TaskHandle, _ node: NodeID, _ status: ObjectStatus, client: Address?,
    into effects: inout EffectBuffer<Effect>
  ) {
    let spec = specs[task]
    if !hasEnded(task),
      let record = tables.completeTask(task, node, returns: spec.returns)
    {
      for index in 0..<Int32(spec.returns) {
        let object = ObjectHandle(producer: task, index: index)
        let size = status.isError ? .zero : specs.outputSize(object)
        addLocation(
          object, node, size, status, in: index == 0 ? record : nil, into: &effects)
      }
    }
    if isTail, let client { effects.append(.send(.writesCommitted(task), to: client)) }
  }

  /// A node ended: its tasks end with that error, its copies are gone, its actors are dead.
  private mutating func lose(
    _ node: NodeID, client: Address, into effects: inout EffectBuffer<Effect>
  ) {
    guard !tables.lostNodes.contains(node) else { return }
    tables.lostNodes.append(node)
    for task in tables.openTasks(on: node) { loseTask(task, client: client, into: &effects) }
    for object in tables.objects(on: node) {
      guard let entry = tables.removeLocation(object, node) else { continue }
      if isTail {
        tables.forEachSubscriber(of: entry, persistentOnly: true) { address in
          effects.append(.send(.locationLost(object, node), to: address))
        }
      }
      loseIfGone(object, entry, into: &effects)
    }
    for creation in tables.actors(on: node) { loseActor(creation, into: &effects) }
  }

  /// Whoever waits for an object without a copy hears that there is none: the first one went with its
  /// node, the last one then or when a store made room.
  private mutating func loseIfGone(
    _ object: ObjectHandle, _ entry: ControlStoreTables.ObjectPointer,
    into effects: inout EffectBuffer<Effect>
  ) {
    if tables.hasLocation(entry) { return }
    tables.markLost(entry)
    tellLocation(of: object, entry, .none, into: &effects)
  }

  /// A task that its node took with it: every result carries the error.
  private mutating func loseTask(
    _ task: TaskHandle, client: Address, into effects: inout EffectBuffer<Effect>
  ) {
    complete(task, .none, .nodeDied, client: nil, into: &effects)
    if specs[task].kind == .actorCreation { loseActor(task, into: &effects) }
  }

  mutating func loseActor(
    _ creation: TaskHandle, into effects: inout EffectBuffer<Effect>
  ) {
    let answers = isTail
    tables.setActor(creation, .none) { address in
      if answers { effects.append(.send(.actorLocated(creation, .none), to: address)) }
    }
  }

  private mutating func addLocation(
    _ object: ObjectHandle, _ node: NodeID, _ size: ByteCount, _ status: ObjectStatus,
    in record: UnsafeMutablePointer<ControlStoreTables.Record>? = nil,
    into effects: inout EffectBuffer<Effect>
  ) {
    guard let entry = tables.addLocation(object, node, size, status, in: record) else {
      // Freed before it was made: the copy goes, and with it the freeing reference.
      tables.forget(object)
      if isTail {
        if node != .none { Self.tellFreed(object, to: .raylet(node), specs, into: &effects) }
        specs.release(object.producer)
      }
      return
    }
    if !tables.lostNodes.isEmpty && tables.lostNodes.contains(node) {
      // The news of the copy came later than that of the loss.
      if let entry = tables.removeLocation(object, node) {
        loseIfGone(object, entry, into: &effects)
      }
      return
    }
    tellLocation(of: object, entry, node, into: &effects)
  }

  /// Tells everyone who waits for the object where it is.
  private mutating func tellLocation(
    of object: ObjectHandle, _ entry: ControlStoreTables.ObjectPointer, _ node: NodeID,
    into effects: inout EffectBuffer<Effect>
  ) {
    guard isTail, tables.hasSubscribers(entry) else { return }
    let (size, status) = tables.description(entry)
    tables.forEachSubscriber(of: entry, persistentOnly: false) { address in
      effects.append(.send(.objectLocated(object, node, status, size), to: address))
    }
    tables.dropOneShotSubscribers(of: entry)
  }

  private mutating func lookUp(
    _ object: ObjectHandle, _ mode: LookupMode, for client: Address,
    into effects: inout EffectBuffer<Effect>
  ) {
    if hasEnded(object.producer) {
      tellOwnerDied(object, to: client, into: &effects)
      return
    }
    let entry = tables.object(object)
    if tables.isFreed(entry) {
      Self.tellFreed(object, to: client, specs, into: &effects)
      return
    }
    let (size, status) = tables.description(entry)
    switch mode {
    case .anyLocation:
      if let node = tables.someLocation(entry) {
        effects.append(.send(.objectLocated(object, node, status, size), to: client))
      } else if status.isError {
        effects.append(.send(.objectLocated(object, .none, status, size), to: client))
      } else {
        tables.subscribe(client, to: entry, persistent: false)
      }
    case .everyLocation:
      tables.subscribe(client, to: entry, persistent: true)
      tables.forEachLocation(of: entry) { node in
        effects.append(.send(.objectLocated(object, node, status, size), to: client))
      }
      effects.append(.send(.locationsListed(object), to: client))
    }
  }

  /// Drops freed objects, and with the last return value the task itself: its lineage is no longer
  /// needed. The tail, last to apply, tells who still holds a copy or listens.
  private mutating func free(
    _ handle: BatchHandle, client: Address, into effects: inout EffectBuffer<Effect>
  ) {
    let batch = payloads.batch(handle)
    // Closures that capture the whole replica would copy it for each object.
    let specs = specs
    for i in 0..<batch.pointee.count {
      let object = batch.pointee[i]
      // Freed in the order of their ends, they lie anywhere in the tables.
      if let later = batch.object(at: i &+ 4) {
        tables.prefetch(later)
        specs.prefetch(later.producer)
      }
      if dropEnded(object) { continue }
      guard let entry = tables.existingObject(object), tables.exists(entry) else {
        // Not made yet: who waits for it hears at once, the copy goes when it is made.
        let entry = tables.markFreed(object)
        if isTail {
          tables.forEachSubscriber(of: entry, persistentOnly: false) { address in
            Self.tellFreed(object, to: address, specs, into: &effects)
          }
          tables.dropSubscribers(of: entry)
        }
        continue
      }
      if isTail {
        tables.forEachLocation(of: entry) { node in
          let holder = Address.raylet(node)
          if holder != client { Self.tellFreed(object, to: holder, specs, into: &effects) }
        }
        tables.forEachSubscriber(of: entry, persistentOnly: true) { address in
          Self.tellFreed(object, to: address, specs, into: &effects)
        }
      }
      tables.forget(object)
      if isTail { specs.release(object.producer) }
    }
  }

  /// The notice to a raylet holds the object's handle valid until it arrives: the handle must not
  /// name another object by then. A global scheduler's directory has a reference of its own.
  private static func tellFreed(
    _ object: ObjectHandle, to client: Address, _ specs: TaskSpecTable,
    into effects: inout EffectBuffer<Effect>
  ) {
    if client.role == .raylet { specs.retain(object.producer) }
    effects.append(.send(.objectFreed(object), to: client))
  }

  /// Checked after every input in tests: the chain's bookkeeping agrees with itself.
  public func checkInvariants() {
    precondition(
      acknowledged.value + UInt32(sent.count) == applied.value || isTail,
      "shard \(shard) member \(position): \(applied.value) applied, "
        + "\(acknowledged.value) acknowledged, \(sent.count) under way")
    precondition(!isTail || sent.isEmpty, "the tail of shard \(shard) has a sent list")
  }
}
