import Primitives

/// Tasks that their submitter gives up. One that has not begun ends with `taskCancelled`, as do all that
/// depend on it. One that runs is asked to stop; unless it heeds that, it goes on to its end, and its
/// result is kept. One that has ended is left alone.
extension Raylet {
  mutating func cancellationRequested(
    _ task: TaskHandle, isRecursive: Bool, by source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    if let slot = localSlot(of: task) {
      cancel(slot, isRecursive: isRecursive, at: now, into: &effects)
      return
    }
    // It has ended, or has left this node. Who passed the request on need not hear of it again.
    guard source.role == .driver, store.find(ObjectHandle(producer: task, index: 0)) == nil else {
      return
    }
    let request = Message.cancellationRequested(task, isRecursive: isRecursive)
    if let home = sentMethods[UInt64(task.index)] {
      effects.append(.send(request, to: .raylet(home)))
    } else if (0..<methodsAwaitingActor.count).contains(where: { methodsAwaitingActor[$0] == task })
    {
      // Its caller's later methods wait for its turn at the actor: it has to go there.
      cancelledMethods.set(UInt64(task.index), isRecursive)
    } else {
      for scheduler in 0..<parameters.globalSchedulers {
        effects.append(.send(request, to: .globalScheduler(scheduler)))
      }
      effects.append(.send(request, to: map.tail(shard(task))))
    }
  }

  /// A cancelled method that had to wait for its actor's place has gone there.
  mutating func passOnCancellation(
    of method: TaskHandle, to home: NodeID, into effects: inout EffectBuffer<Effect>
  ) {
    guard let isRecursive = cancelledMethods.remove(UInt64(method.index)) else { return }
    let request = Message.cancellationRequested(method, isRecursive: isRecursive)
    effects.append(.send(request, to: .raylet(home)))
  }

  /// Looks at every task here: a request is rare, and an index would cost every task.
  private func localSlot(of task: TaskHandle) -> UInt32? {
    for slot in 0..<UInt32(tasks.slotCount) {
      let local = tasks.pointer(slot)
      if local.pointee.handle == task && !local.pointee.isAbandoned && tasks.isLive(slot) {
        return slot
      }
    }
    return nil
  }

  private mutating func cancel(
    _ slot: UInt32, isRecursive: Bool, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let task = tasks.pointer(slot)
    let handle = task.pointee.handle
    let kind = specs[handle].kind
    switch task.pointee.state {
    case .running, .blocked:
      let worker = WorkerID(Int(task.pointee.worker))
      effects.append(.cancel(handle, on: worker, isRecursive: isRecursive))
      return
    case .waitingForInputs:
      waitingCount -= 1
      letGoInputs(of: slot, into: &effects)
      task.pointee.missing = LocalTask.letGo
      activatePulls(at: now, into: &effects)
      if kind == .actorCreation { addActor(handle) }
    case .ready:
      if kind != .actorMethod { ready.removeAll(tasks) { $0 == slot } }
    }
    if kind == .actorMethod {
      cancelMethod(slot, at: now, into: &effects)
    } else {
      complete(slot, .taskCancelled, at: now, into: &effects)
      if kind == .actorCreation {
        actorExists(handle, .none, failure: .taskCancelled, at: now, into: &effects)
      }
    }
    dispatch(at: now, into: &effects)
  }

  /// Its results carry the error at once. Its turn among the calls of its caller stays, or those behind
  /// it would wait for ever: when that comes, nothing happens.
  private mutating func cancelMethod(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let task = tasks.pointer(slot)
    guard let actor = actors.find(specs[task.pointee.handle].actor),
      actors.pointer(actor).pointee.failure != .actorDied
    else {
      complete(slot, .taskCancelled, at: now, into: &effects)
      return
    }
    let ending = tasks.insert(task.pointee)
    specs.retain(task.pointee.handle)
    task.pointee.missing = LocalTask.letGo
    task.pointee.state = .ready
    task.pointee.inputError = .taskCancelled
    task.pointee.isAbandoned = true
    task.pointee.notifiesSubmitter = false
    complete(ending, .taskCancelled, at: now, into: &effects)
    actors.advance(slot, actor: actor, specs, tasks)
    runMethods(of: actor, at: now, into: &effects)
  }
}
