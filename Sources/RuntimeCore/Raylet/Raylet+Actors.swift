import Primitives

extension Raylet {
  /// Sends a method to its actor's node: here, known, or still to be asked of the GCS.
  mutating func route(
    _ task: TaskHandle, _ notice: ResultNotice, into effects: inout EffectBuffer<Effect>,
    at now: Instant
  ) {
    let creation = specs[task].actor
    if actors.find(creation) != nil
      || knowsEndedJobs && endedJobs.contains(specs[creation].id)
    {
      enqueue(task, notifies: notice == .ifKept, at: now, into: &effects)
      return
    }
    if notice == .ifKept { tellForwarded(task, into: &effects) }
    let key = UInt64(creation.index)
    if let home = actorNodes[key] {
      if home == .none {
        methodsAwaitingActor.append(task)
      } else {
        place(task, at: home, into: &effects)
      }
      return
    }
    // The actor goes by its creation's handle for life.
    specs.retain(creation)
    actorNodes.set(key, .none)
    methodsAwaitingActor.append(task)
    effects.append(.send(.actorLookedUp(creation), to: map.tail(shard(creation))))
  }

  /// A method goes to another node. Remembered until it has ended or nobody wants its result: it may be
  /// lost with that node before the task table knows of it.
  private mutating func place(
    _ task: TaskHandle, at home: NodeID, into effects: inout EffectBuffer<Effect>
  ) {
    specs.retain(task)
    sentMethods.set(UInt64(task.index), home)
    effects.append(.send(.taskPlaced(task), to: .raylet(home)))
  }

  mutating func actorLocated(
    _ creation: TaskHandle, _ place: NodeID, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    // The end of its job has settled what waited for it.
    if knowsEndedJobs && endedJobs.contains(specs[creation].id) { return }
    // The table may not have heard yet that the node ended.
    let home = lostNodes.contains(place) ? .none : place
    if home == .none { bury(creation) }
    actorNodes.set(UInt64(creation.index), home)
    for _ in 0..<methodsAwaitingActor.count {
      let task = methodsAwaitingActor.popFirst().unsafelyUnwrapped
      if specs[task].actor == creation && home == .none {
        cancelledMethods.remove(UInt64(task.index))
        enqueue(task, notifies: false, at: now, into: &effects)
      } else if specs[task].actor == creation {
        self.place(task, at: home, into: &effects)
        if cancelledMethods.count > 0 { passOnCancellation(of: task, to: home, into: &effects) }
      } else {
        methodsAwaitingActor.append(task)
      }
    }
  }

  /// The constructor has run or failed: methods may come, and those that wait here go on.
  mutating func actorExists(
    _ creation: TaskHandle, _ worker: WorkerID, failure: ObjectStatus, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    let slot = actors.find(creation)!
    let actor = actors.pointer(slot)
    actor.pointee.worker = worker.index
    actor.pointee.isAlive = true
    if actor.pointee.isEnding {
      actor.pointee.running -= 1
      retireIfDone(slot, at: now, into: &effects)
      return
    }
    actor.pointee.failure = failure
    if failure.isError { releaseHold(of: slot) }
    let held = failure == .actorDied ? actors.takeHeldBack(creation, specs, tasks) : []
    runMethods(of: slot, at: now, into: &effects)
    for method in held { complete(method, .actorDied, at: now, into: &effects) }
    if !failure.isError { handOverStranded(at: now, into: &effects) }
  }

  mutating func methodReady(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    guard let actor = actors.find(specs[tasks.pointer(slot).pointee.handle].actor),
      actors.pointer(actor).pointee.failure != .actorDied
    else {
      // Of an actor whose job has ended nothing is left.
      complete(slot, .actorDied, at: now, into: &effects)
      return
    }
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
      let failure = record.pointee.failure
      let error = failure.isError ? failure : tasks.pointer(slot).pointee.inputError
      if error.isError {
        endUnrun(slot, error, at: now, into: &effects)
        continue
      }
      record.pointee.running += 1
      run(slot, on: WorkerID(Int(record.pointee.worker)), at: now, into: &effects)
    }
    if actors.pointer(actor).pointee.isEnding { retireIfDone(actor, at: now, into: &effects) }
  }

  /// What became of a method that went to another node is known, or does not matter any more.
  @inline(__always) mutating func settle(_ task: TaskHandle) {
    if sentMethods.count > 0 && sentMethods.remove(UInt64(task.index)) != nil {
      specs.release(task)
    }
  }

  // MARK: Death

  /// Remembers an actor that died elsewhere: its methods end here, with that error.
  private mutating func bury(_ creation: TaskHandle) {
    guard actors.find(creation) == nil else { return }
    specs.retain(creation)
    let grave = actors.pointer(actors.add(creation))
    grave.pointee.isAlive = true
    grave.pointee.failure = .actorDied
  }

  /// A worker process ended: what it ran ends with an error, what was to follow there has not begun and
  /// goes back to the front of the queue. An actor dies with its worker, and all its methods. Another
  /// worker takes its place.
  mutating func workerLost(
    _ worker: WorkerID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let record = workers.pointer(worker).pointee
    let isActor = record.actor != WorkerPool.none
    var held: [UInt32] = []
    if isActor {
      let actor = actors.pointer(record.actor)
      actor.pointee.failure = .actorDied
      actor.pointee.running = 0
      actor.pointee.worker = WorkerPool.none
      releaseHold(of: record.actor)
      held = actors.takeHeldBack(actor.pointee.creation, specs, tasks)
      giveBack(specs.demand(actor.pointee.creation), record.gpus)
    } else if record.task != WorkerPool.none {
      let demand = specs.demand(shape: tasks.pointer(record.task).pointee.shape)
      let isBlocked = tasks.pointer(record.task).pointee.state == .blocked
      giveBack(isBlocked ? demand - demand.cpuOnly : demand, record.gpus)
    }
    workers.remove(worker)
    var followers: [UInt32] = []
    var slot = record.task
    while slot != WorkerPool.none {
      let (handle, next) = (tasks.pointer(slot).pointee.handle, tasks.pointer(slot).pointee.next)
      if !isActor && slot != record.task {
        followers.append(slot)
      } else {
        complete(slot, isActor ? .actorDied : .workerCrashed, at: now, into: &effects)
        if specs[handle].kind == .actorCreation {
          actorExists(handle, .none, failure: .actorDied, at: now, into: &effects)
        }
      }
      slot = next
    }
    for slot in followers.reversed() {
      let task = tasks.pointer(slot)
      task.pointee.state = .ready
      ready.append(slot, shape: task.pointee.shape, atFront: true, tasks)
    }
    if isActor { runMethods(of: record.actor, at: now, into: &effects) }
    for method in held { complete(method, .actorDied, at: now, into: &effects) }
    pipelinesAreFull = false
    if workers.pooled < cpuCount { effects.append(.startWorker(workers.add(isReady: false))) }
    dispatch(at: now, into: &effects)
  }

  mutating func giveBack(_ demand: ResourceVector, _ gpus: GPUAssignment) {
    available += demand
    if gpus != .none { self.gpus.giveBack(gpus) }
  }

  /// A node ended: what was to come from it is looked for elsewhere, its actors are dead.
  mutating func nodeLost(
    _ lost: NodeID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    lostNodes.append(lost)
    withdrawOffers(to: lost)
    for key in actorNodes.keys(where: { $0 == lost }) {
      let creation = TaskHandle(UInt32(truncatingIfNeeded: key))
      actorNodes.set(key, .none)
      bury(creation)
    }
    for key in sentMethods.keys(where: { $0 == lost }) {
      sentMethods.remove(key)
      log(TaskHandle(UInt32(truncatingIfNeeded: key)), at: lost, into: &effects)
    }
    for key in pulls.keys(from: lost) {
      refused(ObjectHandle(key: key), at: now, into: &effects)
    }
  }
}
