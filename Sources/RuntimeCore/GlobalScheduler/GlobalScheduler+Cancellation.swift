import Primitives

extension GlobalScheduler {
  /// A task that is still here, for want of news of its inputs or of a node that could run it, ends here:
  /// the task table hears it from this scheduler. One that has been placed is its node's.
  mutating func cancellationRequested(
    _ task: TaskHandle, by node: NodeID, into effects: inout EffectBuffer<Effect>
  ) {
    var isHere = false
    for _ in 0..<infeasible.count {
      let other = infeasible.popFirst().unsafelyUnwrapped
      if other == task { isHere = true } else { infeasible.append(other) }
    }
    if !isHere {
      for slot in pending.liveSlots where pending[slot].task == task {
        pending.pointer(slot).pointee.task = .none
        isHere = true
      }
    }
    guard isHere else { return }
    let head = map.head(map.shard(specs[task].id))
    // One reference goes with the log, the other stays until the end is committed.
    specs.retain(task)
    effects.append(.send(.taskLogged(task, node), to: head))
    effects.append(.send(.taskCompleted(task, .none, .taskCancelled), to: head))
  }
}
