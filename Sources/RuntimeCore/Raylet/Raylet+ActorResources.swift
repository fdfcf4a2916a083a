import Primitives

/// What actors hold for life does not come free by waiting, so nobody may count on it: neither a spillover
/// policy, which sees the rest as the node's total, nor a global scheduler, which is told that of it.
///
/// A creation holds its share from the moment that it is queued here and its inputs are there. So it is
/// queued only where it is sure to start. One that waits for inputs holds nothing: the tasks that make
/// these may need what it would hold.
extension Raylet {
  mutating func hold(for slot: UInt32) {
    let actor = actors.pointer(slot)
    actor.pointee.holdsResources = true
    heldForLife += specs.demand(actor.pointee.creation)
  }

  /// The actor will not be, or is no more.
  mutating func releaseHold(of slot: UInt32) {
    let actor = actors.pointer(slot)
    guard actor.pointee.holdsResources else { return }
    actor.pointee.holdsResources = false
    heldForLife -= specs.demand(actor.pointee.creation)
  }

  /// The actor goes by its creation's handle for life, even when the future of it is freed.
  @discardableResult mutating func addActor(_ creation: TaskHandle) -> UInt32 {
    specs.retain(creation)
    return actors.add(creation)
  }

  /// The inputs of a creation are there: it takes its share, unless others took it while the inputs
  /// were missing. Then it leaves for another node, and where an input carries an error, it ends. False
  /// when it is not here any more.
  mutating func creationReady(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) -> Bool {
    let (handle, error) = (
      tasks.pointer(slot).pointee.handle, tasks.pointer(slot).pointee.inputError
    )
    if error.isError {
      addActor(handle)
      endUnrun(slot, error, at: now, into: &effects)
      actorExists(handle, .none, failure: error, at: now, into: &effects)
      return false
    }
    if holdsForLife && !specs.demand(handle).fits(in: assignable) {
      handOver(slot, into: &effects)
      return false
    }
    hold(for: addActor(handle))
    return true
  }

  /// A global scheduler placed a task here when actors had taken what it needs: it goes back, behind
  /// the news of that. False when it can stay.
  mutating func sendBack(
    _ task: TaskHandle, to scheduler: Int, into effects: inout EffectBuffer<Effect>
  ) -> Bool {
    let spec = specs[task]
    guard spec.kind != .actorMethod, !specs.demand(shape: spec.shape).fits(in: assignable) else {
      return false
    }
    sendHeartbeat(to: scheduler, into: &effects)
    if records { effects.append(.record(.escalated(task))) }
    effects.append(.send(.taskEscalated(task), to: .globalScheduler(scheduler)))
    return true
  }

  /// An actor lives from now on: tasks that were queued for what it holds would wait as long.
  mutating func handOverStranded(
    at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    if queueLength == 0 { return }
    let stranded = tasks.liveSlots.filter { slot in
      let task = tasks.pointer(slot).pointee
      guard task.state == .ready || task.state == .waitingForInputs else { return false }
      return specs[task.handle].kind == .task
        && !specs.demand(shape: task.shape).fits(in: assignable)
    }
    if stranded.isEmpty { return }
    var leaves = [Bool](repeating: false, count: tasks.slotCount)
    for slot in stranded { leaves[Int(slot)] = true }
    ready.removeAll(tasks) { leaves[Int($0)] }
    for slot in stranded {
      if tasks.pointer(slot).pointee.state == .waitingForInputs { waitingCount -= 1 }
      handOver(slot, into: &effects)
    }
    activatePulls(at: now, into: &effects)
  }

  /// A task that has not begun goes to a global scheduler.
  private mutating func handOver(_ slot: UInt32, into effects: inout EffectBuffer<Effect>) {
    let task = tasks.pointer(slot).pointee
    letGoInputs(of: slot, into: &effects)
    if task.notifiesSubmitter { tellForwarded(task.handle, into: &effects) }
    tasks.remove(slot)
    // The reference that was this node's goes with the message.
    escalate(task.handle, into: &effects)
  }
}
