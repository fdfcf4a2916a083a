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
      // Of an actor whose job has ended nothing is left.
      if specs[task].kind == .actorMethod && actors.find(specs[task].actor) == nil
        && !knowsEndedJobs
      {
        return "the actor of the method is not here"
      }
      return problem(withNew: task)
    case .taskFinished(let task, let worker, _):
      guard workers.isThere(worker) else { return "there is no worker \(worker.index)" }
      let slot = workers.pointer(worker).pointee.task
      guard slot != WorkerPool.none, tasks.pointer(slot).pointee.handle == task else {
        return "worker \(worker.index) does not run that task"
      }
      return problem(withEndOf: task, on: worker)
    case .workerStarted(let worker): return problem(with: worker, in: .starting)
    case .workerBlocked(let worker): return problem(with: worker, in: .running)
    case .workerUnblocked(let worker): return problem(with: worker, in: .blocked)
    case .workerLost(let worker):
      return workers.isThere(worker) ? nil : "there is no worker \(worker.index)"
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
    case .objectsDue:
      return isDraining ? nil : "this node does not leave"
    case .timerFired(let token):
      guard token.purpose == Timer.heartbeat || token.purpose == Timer.free else {
        return "a raylet starts no timer of purpose \(token.purpose)"
      }
      return nil
    case .writesCommitted, .objectWanted, .objectPut, .objectLocated, .objectRequested,
      .objectRefused, .chunkArrived, .referencesFreed, .objectFreed, .polled, .roomRequested,
      .objectPinned, .actorLocated, .nodeLost, .nodesCounted, .nodeDraining, .objectOffered,
      .objectKept,
      .driverLost, .jobEnded,
      .cancellationRequested, .functionPublished, .locationLost,
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

  /// A recording may say of a task that runs that it is another one.
  private func problem(withEndOf task: TaskHandle, on worker: WorkerID) -> String? {
    let actor = workers.pointer(worker).pointee.actor
    switch specs[task].kind {
    case .actorMethod:
      guard actor != WorkerPool.none, actors.pointer(actor).pointee.running > 0 else {
        return "worker \(worker.index) runs no method"
      }
    case .actorCreation:
      if actors.find(task) == nil { return "worker \(worker.index) makes no actor" }
    case .task, .driver:
      if actor != WorkerPool.none { return "worker \(worker.index) has an actor" }
    }
    return nil
  }

  private func problem(with worker: WorkerID, in state: WorkerPool.State) -> String? {
    guard workers.isThere(worker), workers.pointer(worker).pointee.state == state,
      state == .starting || workers.pointer(worker).pointee.task != WorkerPool.none
    else { return "worker \(worker.index) is not \(state)" }
    return nil
  }

  // MARK: Standings

  /// How what a message is about stands here, in a few words without names and numbers: to compare
  /// what machines do in different runs.
  public func standing(of message: Message) -> String {
    switch message {
    case .taskSubmitted(let task, _), .taskPlaced(let task): return standing(ofNew: task)
    case .taskFinished(let task, _, let status):
      return "\(specs[task].kind)\(status.isError ? ", failed" : "")"
    case .objectWanted(let object, let want): return "\(want), \(standing(of: object))"
    case .objectPut(let object, _), .objectRequested(let object), .objectRefused(let object),
      .objectFreed(let object), .objectOffered(let object), .objectKept(let object, _):
      return standing(of: object)
    case .objectLocated(let object, let holder, let status, _):
      let place = holder == .none ? "nowhere" : holder == node ? "here" : "elsewhere"
      return "\(place)\(status.isError ? ", error" : ""), \(standing(of: object))"
    case .chunkArrived(let object, let index, let count, _, _):
      return "\(index + 1 == count ? "last" : "one of more"), \(standing(of: object))"
    case .actorLocated(_, let home):
      return home == .none ? "dead" : methodsAwaitingActor.isEmpty ? "nobody waits" : "awaited"
    case .timerFired(let token): return token.purpose == Timer.heartbeat ? "heartbeat" : "free"
    default: return "-"
    }
  }

  private func standing(ofNew task: TaskHandle) -> String {
    let spec = specs[task]
    guard spec.kind == .actorMethod else { return "\(spec.kind)" }
    if actors.find(spec.actor) != nil { return "actorMethod, here" }
    guard let home = actorNodes[UInt64(spec.actor.index)] else { return "actorMethod, unknown" }
    return home == .none ? "actorMethod, asked" : "actorMethod, elsewhere"
  }

  private func standing(of object: ObjectHandle) -> String {
    var words = "absent"
    if let held = store.find(object) {
      words = store[held].isOnDisk ? "on disk" : store[held].pins > 0 ? "pinned" : "in memory"
    }
    if let interest = dependencies.interest(object) {
      words += interest.pointee.isPulling ? ", pulled" : ", awaited"
    }
    return words
  }
}
