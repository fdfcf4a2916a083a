import Primitives

extension Raylet {
  // MARK: Wanting

  /// A driver or worker on this node wants an object.
  mutating func wanted(
    _ object: ObjectHandle, _ want: Want, by client: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    let held = store.find(object)
    if records {
      effects.append(.record(.storeLookedUp(object, node, found: held != nil)))
    }
    if let held, want == .existence || !store[held].isOnDisk {
      effects.append(.send(.objectReady(object, store[held].status), to: client))
    } else {
      waitFor(object, .client(client, want), at: now, into: &effects)
    }
  }

  /// Adds a waiter, and for the first one starts to fetch: from this node's disk, or by asking the
  /// object table, which answers now or when the object appears.
  mutating func waitFor(
    _ object: ObjectHandle, _ waiter: DependencyManager.Waiter, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    let isFirst = dependencies.add(waiter, for: object)
    // The wait holds the object's handle valid, and with it the copy that will come.
    if isFirst { specs.retain(object.producer) }
    if let held = store.find(object) {
      startRestoring(held, into: &effects)
    } else if isFirst {
      lookUp(object, into: &effects)
    } else if case .client(_, .local) = waiter {
      pulls.raise(object)
    }
  }

  private func lookUp(_ object: ObjectHandle, into effects: inout EffectBuffer<Effect>) {
    effects.append(
      .send(.objectLookedUp(object, .anyLocation), to: map.tail(shard(object.producer))))
  }

  /// The object table named a holder.
  mutating func located(
    _ object: ObjectHandle, _ holder: NodeID, _ size: ByteCount, _ status: ObjectStatus,
    at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    settle(object.producer)
    let isAwaited = dependencies.interest(object) != nil
    var existence = dependencies.takeExistenceWaiters(object)
    if isAwaited && dependencies.interest(object) == nil { specs.release(object.producer) }
    while let waiter = dependencies.pop(&existence) {
      guard case .client(let client, _) = waiter else { continue }
      effects.append(.send(.objectReady(object, status), to: client))
    }
    guard let interest = dependencies.interest(object), !interest.pointee.isPulling,
      store.find(object) == nil
    else { return }
    if knowsEndedJobs && endedJobs.contains(specs[object.producer].id) {
      // Whoever names a holder has not heard yet.
      objectIsLocal(object, .ownerDied, at: now, into: &effects)
      dispatch(at: now, into: &effects)
      return
    }
    if holder == .none {
      objectIsLocal(object, status, at: now, into: &effects)
      dispatch(at: now, into: &effects)
      return
    }
    if holder == node {
      if isBeingFreed(object) {
        objectIsLocal(object, .freed, at: now, into: &effects)
        dispatch(at: now, into: &effects)
      } else {
        // Evicted here in the meantime: the table will say so; ask again.
        lookUp(object, into: &effects)
      }
      return
    }
    if lostNodes.contains(holder) {
      // The table has not heard yet that the node ended: it does before it is asked again.
      effects.append(.send(.nodeLost(holder), to: map.head(shard(object.producer))))
      lookUp(object, into: &effects)
      return
    }
    if size > store.capacity {
      objectIsLocal(object, .storeFull, at: now, into: &effects)
      dispatch(at: now, into: &effects)
      return
    }
    interest.pointee.isPulling = true
    pulls.add(object, size: size, from: holder, dependencies.urgency(object))
    activatePulls(at: now, into: &effects)
  }

  mutating func activatePulls(
    at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    while let (object, holder) = pulls.activateNext(at: now) {
      if records { effects.append(.record(.transferStarted(object, to: node))) }
      effects.append(.send(.objectRequested(object), to: .raylet(holder)))
    }
  }

  /// The holder no longer has it: ask the object table again.
  mutating func refused(
    _ object: ObjectHandle, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    pulls.finish(object)
    if let interest = dependencies.interest(object) {
      interest.pointee.isPulling = false
      lookUp(object, into: &effects)
    }
    activatePulls(at: now, into: &effects)
  }

  // MARK: Receiving

  mutating func chunkArrived(
    _ object: ObjectHandle, _ count: UInt16, _ size: ByteCount, _ status: ObjectStatus,
    from holder: NodeID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    guard let pull = pulls.pull(object) else { return }
    pull.pointee.received += 1
    guard pull.pointee.received == count else { return }
    if size.bytes > 0 {
      let seconds = now.since(pull.pointee.requestedAt).seconds
      if seconds > 0 {
        averageBandwidth = smoothed(averageBandwidth, Double(size.bytes) / seconds)
      }
    }
    pulls.finish(object)
    if records { effects.append(.record(.transferFinished(object, from: holder, to: node, size))) }
    if dependencies.interest(object) != nil {
      seal(object, size, status, isPrimary: false, at: now, into: &effects)
      effects.append(
        .send(.locationAdded(object, node, status, size), to: map.head(shard(object.producer))))
      objectIsLocal(object, status, at: now, into: &effects)
    }
    activatePulls(at: now, into: &effects)
    dispatch(at: now, into: &effects)
  }

  // MARK: Sending

  /// Another node asks for a copy.
  mutating func requested(
    _ object: ObjectHandle, by other: NodeID, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    guard let held = store.find(object), !store[held].isFreed else {
      // Who is refused asks the table again, which must not send it back here for ever.
      if isBeingFreed(object) { flushFreed(shard(object.producer), into: &effects) }
      effects.append(.send(.objectRefused(object), to: .raylet(other)))
      return
    }
    if store[held].isOnDisk {
      waitFor(object, .push(other), at: now, into: &effects)
    } else {
      push(held, to: other, into: &effects)
    }
  }

  private mutating func push(
    _ held: UInt32, to other: NodeID, into effects: inout EffectBuffer<Effect>
  ) {
    let entry = store[held]
    // At most 65 535 chunks: for a larger object they grow.
    let chunk = max(parameters.chunkSize.bytes, entry.size.bytes / 65_535 + 1)
    let count = max(1, (entry.size.bytes + chunk - 1) / chunk)
    var push = PushManager.Push(
      object: entry.object, to: other, size: entry.size, chunk: UInt32(chunk),
      count: UInt16(count), next: 0, inFlight: 0, status: entry.status, storeSlot: held)
    if count == 1 {
      sendChunk(&push, .single, into: &effects)
      return
    }
    store.pin(held)
    let id = pushes.add(push)
    let pointer = pushes.pointer(id)
    while Int(pointer.pointee.inFlight) < parameters.chunksInFlight
      && pointer.pointee.next < pointer.pointee.count
    {
      sendChunk(&pointer.pointee, id, into: &effects)
    }
  }

  private func sendChunk(
    _ push: inout PushManager.Push, _ id: PushID, into effects: inout EffectBuffer<Effect>
  ) {
    let start = UInt64(push.next) * UInt64(push.chunk)
    let bytes = min(UInt64(push.chunk), push.size.bytes - start)
    effects.append(
      .transfer(
        Transfer(
          object: push.object, to: push.to, bytes: UInt32(bytes), index: push.next,
          count: push.count, objectSize: push.size, status: push.status, push: id)))
    push.next += 1
    push.inFlight += 1
  }

  mutating func chunkSent(_ id: PushID, into effects: inout EffectBuffer<Effect>) {
    let push = pushes.pointer(id)
    push.pointee.inFlight -= 1
    if push.pointee.next < push.pointee.count {
      sendChunk(&push.pointee, id, into: &effects)
    } else if push.pointee.inFlight == 0 {
      unpin(push.pointee.storeSlot, into: &effects)
      pushes.remove(id)
    }
  }

  // MARK: Storing

  mutating func put(
    _ object: ObjectHandle, _ size: ByteCount, by client: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    if knowsEndedJobs && endedJobs.contains(specs[object.producer].id) {
      refusePut(object, by: client, into: &effects)
      return
    }
    let status: ObjectStatus = size > store.capacity ? .storeFull : .value
    let held = status == .value ? size : .zero
    seal(object, held, status, isPrimary: true, at: now, into: &effects)
    effects.append(
      .send(.locationAdded(object, node, status, held), to: map.head(shard(object.producer))))
    effects.append(.send(.objectReady(object, status), to: client))
    objectIsLocal(object, status, at: now, into: &effects)
    dispatch(at: now, into: &effects)
  }

  /// Makes room and stores a sealed object.
  mutating func seal(
    _ object: ObjectHandle, _ size: ByteCount, _ status: ObjectStatus, isPrimary: Bool,
    at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    guard store.find(object) == nil else { return }
    // An error takes no room, however large the value would have been.
    let kept = status.isError ? .zero : size
    makeRoom(for: kept, into: &effects)
    let held = store.seal(object, kept, status, isPrimary: isPrimary)
    specs.retain(object.producer)
    if store[held].isOnDisk { effects.append(.spill(object)) }
    if records { effects.append(.record(.sealed(object, node, kept))) }
  }

  @inline(__always)
  mutating func makeRoom(
    for size: ByteCount, into effects: inout EffectBuffer<Effect>
  ) {
    if store.victim(toFit: size) != nil { evict(toFit: size, into: &effects) }
  }

  @inline(never)
  private mutating func evict(
    toFit size: ByteCount, into effects: inout EffectBuffer<Effect>
  ) {
    while let victim = store.victim(toFit: size) {
      let entry = store[victim]
      if records {
        effects.append(.record(.evicted(entry.object, node, toDisk: entry.isPrimary)))
      }
      if entry.isPrimary {
        store.moveToDisk(victim)
        effects.append(.spill(entry.object))
      } else {
        effects.append(
          .send(
            .locationRemoved(entry.object, node), to: map.head(shard(entry.object.producer))))
        remove(victim, into: &effects)
      }
    }
  }

  private mutating func startRestoring(
    _ held: UInt32, into effects: inout EffectBuffer<Effect>
  ) {
    guard store[held].isOnDisk, store.startRestoring(held) else { return }
    store.pin(held)
    effects.append(.restore(store[held].object, slot: held, store[held].size))
  }

  mutating func restored(
    _ held: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    makeRoom(for: store[held].size, into: &effects)
    store.restored(held)
    objectIsLocal(store[held].object, store[held].status, at: now, into: &effects)
    unpin(held, into: &effects)
    dispatch(at: now, into: &effects)
  }

  /// The object is in the local store, or never will be and `status` says why: everyone who waited
  /// goes on.
  mutating func objectIsLocal(
    _ object: ObjectHandle, _ status: ObjectStatus, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    if dependencies.interest(object) == nil { return }
    var waiters = dependencies.takeAll(object)
    defer { specs.release(object.producer) }
    while let waiter = dependencies.pop(&waiters) {
      switch waiter {
      case .client(let client, _):
        effects.append(.send(.objectReady(object, status), to: client))
      case .push(let other):
        if let held = store.find(object), !store[held].isFreed {
          push(held, to: other, into: &effects)
        } else {
          effects.append(.send(.objectRefused(object), to: .raylet(other)))
        }
      case .keeper(let other): answerOffer(of: object, by: other, status, into: &effects)
      case .task(let slot):
        if let held = store.find(object) {
          inputArrived(held, for: slot)
        } else {
          takeOver(status, for: slot)
        }
        tasks.pointer(slot).pointee.missing -= 1
        if tasks.pointer(slot).pointee.missing == 0 {
          inputsReady(slot, at: now, into: &effects)
        }
      }
    }
  }

  mutating func unpin(_ held: UInt32, into effects: inout EffectBuffer<Effect>) {
    if store.unpin(held) { remove(held, into: &effects) }
  }

  /// The order to drop the bytes names the object after its last reference here may have gone: the
  /// world carries effects out before anything else happens.
  private mutating func remove(_ held: UInt32, into effects: inout EffectBuffer<Effect>) {
    let object = store[held].object
    store.remove(held)
    effects.append(.drop(object))
    specs.release(object.producer)
  }

  // MARK: Freeing

  /// The program dropped these objects: local copies go, the GCS hears of it in batches by shard.
  mutating func free(
    _ handle: BatchHandle, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    // Read in place: a batch is half a kilobyte.
    let batch = payloads.batch(handle)
    if !isReportingFreed && batch.pointee.count > 0 {
      isReportingFreed = true
      effects.append(.startTimer(TimerToken(purpose: Timer.free), after: parameters.freeDelay))
    }
    for i in 0..<batch.pointee.count {
      let object = batch.pointee[i]
      if let later = batch.object(at: i &+ 6) {
        store.prefetch(later)
        specs.prefetch(later.producer)
      }
      if let soon = batch.object(at: i &+ 3) { store.prefetchEntry(soon) }
      let shard = shard(object.producer)
      settle(object.producer)
      dropCopy(object, into: &effects)
      // A copy that is still on its way would arrive after everyone else has forgotten the object.
      stopWaiting(for: object, .freed, at: now, into: &effects)
      freed[Int(shard)].append(object)
      if freed[Int(shard)].isFull { flushFreed(shard, into: &effects) }
    }
    payloads.remove(handle)
  }

  private mutating func flushFreed(_ shard: UInt32, into effects: inout EffectBuffer<Effect>) {
    // What was made or pulled here since: the table takes this node's own copies for gone.
    for i in 0..<freed[Int(shard)].count { dropCopy(freed[Int(shard)][i], into: &effects) }
    let batch = payloads.insert(freed[Int(shard)])
    freed[Int(shard)].removeAll()
    effects.append(.send(.objectsFreed(batch), to: map.head(shard)))
  }

  mutating func flushFreed(into effects: inout EffectBuffer<Effect>) {
    isReportingFreed = false
    for shard in 0..<map.shards where freed[Int(shard)].count > 0 {
      flushFreed(shard, into: &effects)
    }
  }

  mutating func dropCopy(
    _ object: ObjectHandle, into effects: inout EffectBuffer<Effect>
  ) {
    guard let held = store.find(object) else { return }
    if store[held].pins > 0 { store.markFreed(held) } else { remove(held, into: &effects) }
  }

  /// The GCS says that an object was freed: a copy here goes; whoever still waits gets the error.
  mutating func dropFreed(
    _ object: ObjectHandle, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    dropCopy(object, into: &effects)
    stopWaiting(for: object, .freed, at: now, into: &effects)
    specs.release(object.producer)
  }

  /// Whoever waits here for an object that will not come gets the error; a pull of it makes way for
  /// others, and what has come of it goes.
  mutating func stopWaiting(
    for object: ObjectHandle, _ status: ObjectStatus, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    guard dependencies.interest(object) != nil else { return }
    pulls.finish(object)
    if store.find(object) == nil { effects.append(.drop(object)) }
    objectIsLocal(object, status, at: now, into: &effects)
    activatePulls(at: now, into: &effects)
    dispatch(at: now, into: &effects)
  }

  /// The program gave the object up; the table will hear of it with the next batch.
  func isBeingFreed(_ object: ObjectHandle) -> Bool {
    let batch = freed + Int(shard(object.producer))
    return (0..<batch.pointee.count).contains { batch.pointee[$0] == object }
  }
}
