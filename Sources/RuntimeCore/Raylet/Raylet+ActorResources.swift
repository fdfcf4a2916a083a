import Primitives

/// What actors hold for life does not come free by waiting, so nobody may count on it: neither a spillover
/// policy, which sees the rest as the node's total, nor a global scheduler, which is told that of it.
///
/// A creation holds its share from the moment that it is queued here. So it is queued only where it is
/// sure to start.
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
      let task = tasks.pointer(slot).pointee
      if task.state == .waitingForInputs { waitingCount -= 1 }
      letGoInputs(of: slot, into: &effects)
      if task.notifiesSubmitter { tellForwarded(task.handle, into: &effects) }
      tasks.remove(slot)
      // The reference that was this node's goes with the message.
      escalate(task.handle, into: &effects)
    }
    activatePulls(at: now, into: &effects)
  }
}
