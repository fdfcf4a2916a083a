import Primitives

extension Raylet {
  /// Sends a method to its actor's node: here, known, or still to be asked of the GCS.
  mutating func route(
    _ task: TaskHandle, into effects: inout EffectBuffer<Effect>, at now: Instant
  ) {
    let creation = specs[task].actor
    if actors.find(creation) != nil {
      enqueue(task, notifies: false, at: now, into: &effects)
      return
    }
    let key = UInt64(creation.index)
    if let home = actorNodes[key] {
      if home == .none {
        methodsAwaitingActor.append(task)
      } else {
        effects.append(.send(.taskPlaced(task), to: .raylet(home)))
      }
      return
    }
    // The actor goes by its creation's handle for life.
    specs.retain(creation)
    actorNodes.set(key, .none)
    methodsAwaitingActor.append(task)
    effects.append(.send(.actorLookedUp(creation), to: map.tail(shard(creation))))
  }

  mutating func actorLocated(
    _ creation: TaskHandle, _ home: NodeID, into effects: inout EffectBuffer<Effect>
  ) {
    actorNodes.set(UInt64(creation.index), home)
    for _ in 0..<methodsAwaitingActor.count {
      let task = methodsAwaitingActor.popFirst().unsafelyUnwrapped
      if specs[task].actor == creation {
        effects.append(.send(.taskPlaced(task), to: .raylet(home)))
      } else {
        methodsAwaitingActor.append(task)
      }
    }
  }

  /// The constructor has run or failed: methods may come, and those that wait here go on.
  mutating func actorExists(
    _ creation: TaskHandle, _ worker: WorkerID, isFailed: Bool, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    let slot = actors.find(creation)!
    let actor = actors.pointer(slot)
    actor.pointee.worker = worker.index
    actor.pointee.isAlive = true
    actor.pointee.isFailed = isFailed
    effects.append(.send(.actorCreated(creation, node), to: map.head(shard(creation))))
    runMethods(of: slot, at: now, into: &effects)
  }

  mutating func methodReady(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let actor = actors.find(specs[tasks.pointer(slot).pointee.handle].actor)!
    actors.advance(slot, actor: actor, specs, tasks)
    runMethods(of: actor, at: now, into: &effects)
  }

  /// Starts the actor's next method; methods with a failed input, and all methods of an actor whose
  /// constructor failed, end at once with that error and do not run.
  mutating func runMethods(
    of actor: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    while let slot = actors.takeNext(actor, tasks, limit: parameters.actorPipelineLimit) {
      let record = actors.pointer(actor)
      let error = record.pointee.isFailed ? .taskFailed : tasks.pointer(slot).pointee.inputError
      if error.isError {
        complete(slot, error, at: now, into: &effects)
        continue
      }
      record.pointee.running += 1
      run(slot, on: WorkerID(Int(record.pointee.worker)), at: now, into: &effects)
    }
  }
}
