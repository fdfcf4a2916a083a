import Primitives

extension Raylet {
  /// Why a message of a recording cannot be meant for this machine; nil when it can. Others need not
  /// ask: what they deliver was sent by machines, or is a fact of their own world.
  public func problem(with message: Message, from source: Address) -> String? {
    switch message {
    case .taskSubmitted(let task, _): return problem(withNew: task)
    case .taskPlaced(let task):
      if source.role == .globalScheduler && source.number >= parameters.globalSchedulers {
        return "there is no \(source)"
      }
      if specs[task].kind == .actorMethod && actors.find(specs[task].actor) == nil {
        return "the actor of the method is not here"
      }
      return problem(withNew: task)
    case .taskFinished(let task, let worker, _):
      guard workers.has(worker) else { return "there is no worker \(worker.index)" }
      let slot = workers.pointer(worker).pointee.task
      guard slot != WorkerPool.none, tasks.pointer(slot).pointee.handle == task else {
        return "worker \(worker.index) does not run that task"
      }
      if specs[task].kind == .actorMethod
        && workers.pointer(worker).pointee.actor == WorkerPool.none
      {
        return "worker \(worker.index) has no actor"
      }
      return nil
    case .workerStarted(let worker): return problem(with: worker, in: .starting)
    case .workerBlocked(let worker): return problem(with: worker, in: .running)
    case .workerUnblocked(let worker): return problem(with: worker, in: .blocked)
    case .workerLost(let worker):
      return workers.has(worker) ? nil : "there is no worker \(worker.index)"
    case .chunkSent(let push):
      guard pushes.has(push), pushes.pointer(push).pointee.inFlight > 0 else {
        return "no chunk of push \(push.slot) is under way"
      }
      return nil
    case .objectRestored(let slot):
      guard store.has(slot), store[slot].isRestoring, store[slot].pins > 0 else {
        return "the object in slot \(slot) is not being restored"
      }
      return nil
    case .objectUnpinned(let object):
      guard let slot = store.find(object), store[slot].pins == 0 else { return nil }
      return "the object is not pinned"
    case .timerFired(let token):
      guard token.purpose == Timer.heartbeat || token.purpose == Timer.free else {
        return "a raylet starts no timer of purpose \(token.purpose)"
      }
      return nil
    case .writesCommitted, .objectWanted, .objectPut, .objectLocated, .objectRequested,
      .objectRefused, .chunkArrived, .referencesFreed, .objectFreed, .polled, .roomRequested,
      .objectPinned, .actorLocated, .nodeLost, .functionPublished, .locationLost,
      .locationsListed:
      return nil
    default: return "a raylet is not told \(message.kind.name)"
    }
  }

  private func problem(withNew task: TaskHandle) -> String? {
    if specs[task].isStub { return "nothing is known of the task but its name" }
    if specs[task].kind == .actorMethod && specs[task].actor == .none {
      return "the method has no actor"
    }
    return nil
  }

  private func problem(with worker: WorkerID, in state: WorkerPool.State) -> String? {
    guard workers.has(worker), workers.pointer(worker).pointee.state == state,
      state == .starting || workers.pointer(worker).pointee.task != WorkerPool.none
    else { return "worker \(worker.index) is not \(state)" }
    return nil
  }
}
