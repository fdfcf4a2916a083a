import Primitives

/// What a driver leaves behind when it goes, orderly or not.
///
/// A job ends with its driver, as in Ray: its actors with it, and objects share the fate of their
/// owner. The driver's node hears of it and tells the global schedulers and the GCS, which tells all
/// nodes. Each machine then throws out what belongs to the job, which every identity names, and from
/// then on refuses what still comes of it. So nothing has to be counted or awaited.
///
/// Who is not of the job and depends on it: a task keeps the inputs that it has taken over already;
/// who waits for an object gets `ownerDied`; who calls an actor, `actorDied`.
extension Raylet {
  /// The connection of a driver on this node has ended.
  mutating func driverLost(
    _ driver: Address, _ job: JobID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    for scheduler in 0..<parameters.globalSchedulers {
      effects.append(.send(.jobEnded(job), to: .globalScheduler(scheduler)))
    }
    for shard in 0..<map.shards {
      effects.append(.send(.jobEnded(job), to: map.head(shard)))
    }
    for object in dependencies.removeClient(driver) { abandonWait(for: object, into: &effects) }
    endJob(job, at: now, into: &effects)
  }

  mutating func endJob(
    _ job: JobID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    guard endedJobs.insert(job) else { return }
    knowsEndedJobs = true
    endTasks(of: job, into: &effects)
    for slot in actors.liveSlots where isOf(job, actors.pointer(slot).pointee.creation) {
      endActor(slot, at: now, into: &effects)
    }
    endMethodsAway(of: job, at: now, into: &effects)
    for key in dependencies.keys(matching: { isOf(job, ObjectHandle(key: $0).producer) }) {
      stopWaiting(for: ObjectHandle(key: key), .ownerDied, at: now, into: &effects)
    }
    for key in store.keys(matching: { isOf(job, ObjectHandle(key: $0).producer) }) {
      dropCopy(ObjectHandle(key: key), into: &effects)
    }
    // Pulls that nobody waits for any more have made way for others.
    activatePulls(at: now, into: &effects)
    pipelinesAreFull = false
    dispatch(at: now, into: &effects)
  }

  private func isOf(_ job: JobID, _ task: TaskHandle) -> Bool { specs[task].id.job == job }

  // MARK: Tasks

  /// What has not begun is taken out. What runs is asked to stop, and its results are dropped.
  private mutating func endTasks(of job: JobID, into effects: inout EffectBuffer<Effect>) {
    let doomed = tasks.liveSlots.filter { isOf(job, tasks.pointer($0).pointee.handle) }
    if doomed.isEmpty { return }
    var isDoomed = [Bool](repeating: false, count: tasks.slotCount)
    for slot in doomed { isDoomed[Int(slot)] = true }
    ready.removeAll(tasks) { isDoomed[Int($0)] }
    actors.removeAll(of: job, tasks) { isDoomed[Int($0)] }
    for slot in doomed {
      let task = tasks.pointer(slot)
      switch task.pointee.state {
      case .waitingForInputs:
        waitingCount -= 1
        discard(slot, into: &effects)
      case .ready: discard(slot, into: &effects)
      case .running, .blocked:
        task.pointee.isAbandoned = true
        effects.append(
          .cancel(
            task.pointee.handle, on: WorkerID(Int(task.pointee.worker)), isRecursive: false))
        if specs[task.pointee.handle].kind == .actorCreation,
          let actor = actors.find(task.pointee.handle)
        {
          // Its constructor counts as a method that the end of the actor waits for.
          actors.pointer(actor).pointee.running += 1
        }
      }
    }
  }

  /// Takes out a task whose results nobody will read; its outputs, if it has made any, are dropped.
  mutating func discard(_ slot: UInt32, into effects: inout EffectBuffer<Effect>) {
    let task = tasks.pointer(slot).pointee
    letGoInputs(of: slot, into: &effects)
    let spec = specs[task.handle]
    for index in 0..<Int32(spec.returns) {
      effects.append(.drop(ObjectHandle(producer: task.handle, index: index)))
    }
    if task.notifiesSubmitter { tellOwnerDied(task.handle, into: &effects) }
    tasks.remove(slot)
    specs.release(task.handle)
  }

  /// Inputs that have come are pinned for the task, for the others it waits.
  mutating func letGoInputs(of slot: UInt32, into effects: inout EffectBuffer<Effect>) {
    let task = tasks.pointer(slot).pointee
    if task.missing == LocalTask.letGo { return }
    for i in 0..<specs[task.handle].argumentCount {
      let argument = specs.argument(task.handle, i)
      if task.missing > 0, let isLast = dependencies.remove(.task(slot), from: argument) {
        if isLast { abandonWait(for: argument, into: &effects) }
      } else if let held = store.find(argument), store[held].pins > 0 {
        unpin(held, into: &effects)
      }
    }
  }

  /// Nobody here waits for the object any more.
  private mutating func abandonWait(
    for object: ObjectHandle, into effects: inout EffectBuffer<Effect>
  ) {
    pulls.finish(object)
    if store.find(object) == nil { effects.append(.drop(object)) }
    specs.release(object.producer)
  }

  /// A program of an ended job asked for what will not be.
  private func tellOwnerDied(_ task: TaskHandle, into effects: inout EffectBuffer<Effect>) {
    let result = ObjectHandle(producer: task, index: 0)
    effects.append(
      .send(.objectReady(result, .ownerDied), to: Address(raw: specs[task].submitter)))
  }

  /// A task of an ended job came: submitted by a program that runs on, or sent before that was known
  /// there. The message's reference ends here.
  mutating func refuse(
    _ task: TaskHandle, _ notice: ResultNotice, into effects: inout EffectBuffer<Effect>
  ) {
    if notice != .none { tellOwnerDied(task, into: &effects) }
    specs.release(task)
  }

  /// A program of an ended job has put an object.
  mutating func refusePut(
    _ object: ObjectHandle, by client: Address, into effects: inout EffectBuffer<Effect>
  ) {
    effects.append(.drop(object))
    effects.append(.send(.objectReady(object, .ownerDied), to: client))
  }

  // MARK: Actors

  /// The actor's job has ended: methods that have not begun end with that error. Worker and resources
  /// return when what runs there has ended.
  private mutating func endActor(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let actor = actors.pointer(slot)
    let creation = actor.pointee.creation
    actor.pointee.isEnding = true
    if actor.pointee.failure == .actorDied {
      // Dead already: it has no worker and no methods.
      actor.pointee.worker = WorkerPool.none
    } else {
      actor.pointee.failure = .actorDied
      for method in actors.takeMethods(of: slot, specs, tasks) {
        complete(method, .actorDied, at: now, into: &effects)
      }
    }
    actors.removeQueues(of: creation)
    retireIfDone(slot, at: now, into: &effects)
  }

  /// The last of the ending actor's methods has ended.
  mutating func retireIfDone(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let actor = actors.pointer(slot).pointee
    guard actor.isEnding, actor.running == 0 else { return }
    if actor.worker != WorkerPool.none {
      let worker = workers.pointer(WorkerID(Int(actor.worker)))
      if worker.pointee.actor == slot {
        giveBack(specs.demand(actor.creation), worker.pointee.gpus)
        worker.pointee.gpus = .none
        workers.returnToPool(WorkerID(Int(actor.worker)))
        effects.append(.endActor(actor.creation, on: WorkerID(Int(actor.worker))))
      }
    }
    releaseHold(of: slot)
    actors.remove(slot)
    specs.release(actor.creation)
    dispatch(at: now, into: &effects)
  }

  /// Methods that wait to hear where their actor lives, or went there.
  private mutating func endMethodsAway(
    of job: JobID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    for _ in 0..<methodsAwaitingActor.count {
      let method = methodsAwaitingActor.popFirst().unsafelyUnwrapped
      let isEnding = isOf(job, method) || isOf(job, specs[method].actor)
      if isEnding { cancelledMethods.remove(UInt64(method.index)) }
      if isOf(job, method) {
        refuse(method, .none, into: &effects)
      } else if isOf(job, specs[method].actor) {
        enqueue(method, notifies: false, at: now, into: &effects)
      } else {
        methodsAwaitingActor.append(method)
      }
    }
    for key in sentMethods.selectKeys({ isOf(job, TaskHandle(UInt32($0))) }) {
      sentMethods.remove(key)
      specs.release(TaskHandle(UInt32(key)))
    }
    for key in actorNodes.selectKeys({ isOf(job, TaskHandle(UInt32($0))) }) {
      actorNodes.remove(key)
      specs.release(TaskHandle(UInt32(key)))
    }
  }
}
