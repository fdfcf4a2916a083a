import Primitives
import Scheduling

extension Raylet {
  // MARK: Arrival

  mutating func submitted(
    _ task: TaskHandle, _ notice: ResultNotice, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    let spec = specs[task]
    if knowsEndedJobs && endedJobs.contains(spec.id) {
      refuse(task, notice, into: &effects)
      return
    }
    if records { effects.append(.record(.submitted(task))) }
    if spec.kind == .actorMethod {
      route(task, notice, into: &effects, at: now)
      if notice == .localCopy { wantResult(of: task, into: &effects, at: now) }
      return
    }
    var missing = 0
    for i in 0..<spec.argumentCount where !store.isInMemory(specs.argument(task, i)) {
      missing += 1
    }
    let demand = specs.demand(shape: spec.shape)
    let view = LocalView(
      total: assignable, available: available, queueLength: queueLength, workers: cpuCount,
      missingInputs: missing, averageTaskSeconds: averageTaskSeconds, peers: peers)
    // Whatever the policy: what actors hold for life nobody gets by waiting.
    let isOpen = !isDraining && (!holdsForLife || demand.fits(in: view.total))
    switch isOpen ? spillover.decide(demand: demand, view: view) : .escalate {
    case .keep:
      enqueue(task, notifies: notice != .none, at: now, into: &effects)
      dispatch(at: now, into: &effects)
    case .escalate:
      if notice == .ifKept { tellForwarded(task, into: &effects) }
      escalate(task, into: &effects)
      if notice == .localCopy { wantResult(of: task, into: &effects, at: now) }
    }
  }

  /// The notice names the task before it leaves, and with it the last reference here.
  func tellForwarded(_ task: TaskHandle, into effects: inout EffectBuffer<Effect>) {
    effects.append(.send(.taskForwarded(task), to: Address(raw: specs[task].submitter)))
  }

  private mutating func wantResult(
    of task: TaskHandle, into effects: inout EffectBuffer<Effect>, at now: Instant
  ) {
    let submitter = Address(raw: specs[task].submitter)
    let result = ObjectHandle(producer: task, index: 0)
    wanted(result, .local, by: submitter, at: now, into: &effects)
  }

  mutating func escalate(_ task: TaskHandle, into effects: inout EffectBuffer<Effect>) {
    let count = UInt64(parameters.globalSchedulers)
    let scheduler = count == 1 ? 0 : Int(random.below(count))
    if records { effects.append(.record(.escalated(task))) }
    effects.append(.send(.taskEscalated(task), to: .globalScheduler(scheduler)))
  }

  /// A global scheduler, or another raylet for an actor's method, sent a task here: it stays.
  mutating func placed(
    _ task: TaskHandle, by source: Address, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    if source.role == .globalScheduler { placements[source.number] += 1 }
    if knowsEndedJobs && endedJobs.contains(specs[task].id) {
      refuse(task, .none, into: &effects)
      return
    }
    if holdsForLife && source.role == .globalScheduler
      && sendBack(task, to: source.number, into: &effects)
    {
      return
    }
    enqueue(task, notifies: false, at: now, into: &effects)
    dispatch(at: now, into: &effects)
  }

  /// Tells the task table where a task is. A reference goes with the message.
  func log(_ task: TaskHandle, at node: NodeID, into effects: inout EffectBuffer<Effect>) {
    effects.append(.send(.taskLogged(task, node), to: map.head(shard(task))))
  }

  /// Queues a task on this node: logs it in the task table and sees to its inputs.
  mutating func enqueue(
    _ task: TaskHandle, notifies: Bool, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let spec = specs[task]
    specs.retain(task)
    log(task, at: node, into: &effects)
    if records { effects.append(.record(.queued(task, node))) }
    arrivals &+= 1
    let slot = tasks.insert(
      LocalTask(
        handle: task, worker: WorkerPool.none, next: ReadyQueues.end, arrival: arrivals,
        missing: 0, shape: spec.shape, state: .waitingForInputs, inputError: .value,
        notifiesSubmitter: notifies))
    switch spec.kind {
    case .actorMethod:
      // The order of a dead actor's methods matters to nobody.
      if let actor = actors.find(spec.actor), actors.pointer(actor).pointee.failure != .actorDied {
        actors.enqueue(slot, specs, tasks)
      }
    case .task, .driver, .actorCreation: break
    }
    waitingCount += 1
    for i in 0..<spec.argumentCount {
      let argument = specs.argument(task, i)
      let held = store.find(argument)
      if records {
        let found = held.map { !store[$0].isOnDisk } ?? false
        effects.append(.record(.storeLookedUp(argument, node, found: found)))
      }
      if let held, !store[held].isOnDisk {
        inputArrived(held, for: slot)
      } else {
        tasks.pointer(slot).pointee.missing += 1
        waitFor(argument, .task(slot), at: now, into: &effects)
      }
    }
    if tasks.pointer(slot).pointee.missing == 0 { inputsReady(slot, at: now, into: &effects) }
  }

  /// Pins an input for a task, and takes over its error.
  func takeOver(_ status: ObjectStatus, for slot: UInt32) {
    if status.isError { tasks.pointer(slot).pointee.inputError = status }
  }

  mutating func inputArrived(_ held: UInt32, for slot: UInt32) {
    store.pin(held)
    takeOver(store[held].status, for: slot)
  }

  mutating func inputsReady(
    _ slot: UInt32, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let task = tasks.pointer(slot)
    waitingCount -= 1
    task.pointee.state = .ready
    if records { effects.append(.record(.inputsReady(task.pointee.handle, node))) }
    let kind = specs[task.pointee.handle].kind
    if kind == .actorMethod {
      methodReady(slot, at: now, into: &effects)
    } else if kind == .actorCreation && !creationReady(slot, at: now, into: &effects) {
      return
    } else if task.pointee.inputError.isError {
      endUnrun(slot, task.pointee.inputError, at: now, into: &effects)
    } else {
      ready.append(slot, shape: task.pointee.shape, atFront: youngestFirst, tasks)
    }
  }

  // MARK: Dispatch

  /// Starts ready tasks while resources and workers last.
  mutating func dispatch(at now: Instant, into effects: inout EffectBuffer<Effect>) {
    while ready.count > 0 && uncommitted < parameters.uncommittedLimit {
      if workers.idleCount == 0 {
        startWorkers(into: &effects)
        break
      }
      if ready.nothingFits { break }
      // A kind that is overdrawn for a while holds up only tasks that demand it.
      let available = ResourceVector(lanes: pointwiseMax(self.available.lanes, .zero))
      guard
        let slot = ready.take(
          youngest: youngestFirst, tasks, specs, available: available, gpus: gpus)
      else { break }
      let worker = workers.take().unsafelyUnwrapped
      let demand = specs.demand(shape: tasks.pointer(slot).pointee.shape)
      self.available -= demand
      if demand.gpuUnits > 0 {
        workers.pointer(worker).pointee.gpus = self.gpus.take(units: demand.gpuUnits)!
      }
      workers.pointer(worker).pointee.pipelineShape =
        pipelineDepth > 1 && isPipelined(slot) ? tasks.pointer(slot).pointee.shape : nil
      run(slot, on: worker, at: now, into: &effects)
    }
    if pipelineDepth > 1 && !pipelinesAreFull { fillPipelines(at: now, into: &effects) }
  }

  /// Sends ready tasks to workers that are busy with the same demand: the resources pass on from one
  /// to the next. A program may block on what would then wait behind it, so it neither leads nor
  /// follows.
  private mutating func fillPipelines(
    at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    // A handful at a time: looking for the least loaded worker costs as much as sending a task.
    let share = max(1, pipelineDepth / 16)
    while ready.count > 0 && uncommitted < parameters.uncommittedLimit {
      let worker = workers.leastLoaded(below: pipelineDepth) { shape in
        guard let slot = ready.first(shape: shape) else { return false }
        return isPipelined(slot)
      }
      guard let worker, let shape = workers.pointer(worker).pointee.pipelineShape else {
        pipelinesAreFull = true
        return
      }
      let limit = min(pipelineDepth, Int(workers.pointer(worker).pointee.queued) + share)
      while Int(workers.pointer(worker).pointee.queued) < limit,
        let slot = ready.first(shape: shape), isPipelined(slot)
      {
        ready.removeFirst(shape: shape, tasks, specs)
        run(slot, on: worker, at: now, into: &effects)
      }
    }
  }

  private func isPipelined(_ slot: UInt32) -> Bool {
    let handle = tasks.pointer(slot).pointee.handle
    return specs[handle].kind == .task && specs[handle].body != .program
  }

  /// Starts as many worker processes as could run ready tasks now, and one where no CPU is free, for
  /// tasks that demand none: blocked workers have given their CPUs back, or actors have taken workers
  /// out of the pool.
  private mutating func startWorkers(into effects: inout EffectBuffer<Effect>) {
    let free = max(1, Int(available.cpuUnits / ResourceVector.unitsPerOne))
    let limit = cpuCount + max(1, cpuCount) * parameters.extraWorkersPerCPU
    var needed = min(ready.count, free) - workers.starting
    // Blocked workers do not count: however deep programs nest, somebody can run the innermost.
    while needed > 0 && workers.pooled - workers.blocked < limit {
      effects.append(.startWorker(workers.add(isReady: false)))
      needed -= 1
    }
  }

  mutating func run(
    _ slot: UInt32, on worker: WorkerID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let task = tasks.pointer(slot)
    task.pointee.state = .running
    task.pointee.worker = worker.index
    if workers.append(slot, to: worker, tasks) {
      workers.pointer(worker).pointee.state = .running
      started(slot, on: worker, at: now, into: &effects)
    }
    effects.append(.execute(task.pointee.handle, on: worker))
  }

  /// It is this task's turn on its worker.
  private func started(
    _ slot: UInt32, on worker: WorkerID, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    workers.pointer(worker).pointee.startedAt = now
    guard records else { return }
    let handle = tasks.pointer(slot).pointee.handle
    effects.append(.record(.started(handle, node, worker)))
    if specs[handle].argumentCount > 0 { effects.append(.record(.argumentsRead(handle, node))) }
  }

  // MARK: Completion

  mutating func finished(
    _ task: TaskHandle, _ worker: WorkerID, _ status: ObjectStatus, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    let record = workers.pointer(worker)
    let slot = record.pointee.task
    precondition(
      slot != WorkerPool.none && tasks.pointer(slot).pointee.handle == task,
      "raylet \(node.index): worker \(worker.index) finished a task that it does not run")
    let spec = specs[task]
    averageTaskSeconds = smoothed(
      averageTaskSeconds, now.since(record.pointee.startedAt).seconds)
    // Filled again in one go when a part has drained, not one by one.
    if Int(record.pointee.queued) <= pipelineDepth - pipelineDepth / 4 { adaptPipelines() }
    if records { effects.append(.record(.finished(task, node, worker, status))) }
    let hasNext = workers.removeFirst(worker, tasks)
    if hasNext { started(record.pointee.task, on: worker, at: now, into: &effects) }
    switch spec.kind {
    case .actorMethod:
      if !hasNext { record.pointee.state = .idle }
      actors.pointer(record.pointee.actor).pointee.running -= 1
    case .task where hasNext:
      break
    case .actorCreation where !status.isError:
      // The constructor's resources stay with the actor for its life.
      workers.dedicate(worker, to: actors.find(task)!)
    case .actorCreation, .task, .driver:
      let demand = specs.demand(shape: spec.shape)
      available += demand
      if demand.gpuUnits > 0 {
        gpus.giveBack(record.pointee.gpus)
        record.pointee.gpus = .none
      }
      workers.giveBack(worker)
    }
    complete(slot, status, at: now, into: &effects)
    switch spec.kind {
    case .actorMethod: runMethods(of: record.pointee.actor, at: now, into: &effects)
    case .actorCreation:
      actorExists(task, worker, failure: status, at: now, into: &effects)
    case .task, .driver: break
    }
    dispatch(at: now, into: &effects)
  }

  /// Workers take as many further tasks as `Parameters.pipelineTime` says.
  private mutating func adaptPipelines() {
    guard parameters.pipelineTime > .zero else { return }
    pipelinesAreFull = false
    let tasks = parameters.pipelineTime.seconds / max(averageTaskSeconds, 1e-9)
    pipelineDepth = max(1, min(parameters.pipelineLimit, Int(min(tasks, 1e6))))
  }

  /// The task ends here, executed or not: its outputs are sealed, its inputs let go, the GCS told.
  mutating func complete(
    _ slot: UInt32, _ status: ObjectStatus, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    let task = tasks.pointer(slot).pointee
    if task.isAbandoned {
      discard(slot, into: &effects)
      return
    }
    let spec = specs[task.handle]
    for i in 0..<(task.missing == LocalTask.letGo ? 0 : spec.argumentCount) {
      if let held = store.find(specs.argument(task.handle, i)), store[held].pins > 0 {
        unpin(held, into: &effects)
      }
    }
    var status = status
    if !status.isError {
      for index in 0..<Int32(spec.returns)
      where specs.outputSize(ObjectHandle(producer: task.handle, index: index)) > store.capacity {
        status = .storeFull
      }
    }
    uncommitted += 1
    // Where the actor lives comes first: a node that dies between the two leaves no actor that is
    // neither alive nor dead.
    if spec.kind == .actorCreation {
      effects.append(.send(.actorCreated(task.handle, node), to: map.head(shard(task.handle))))
    }
    effects.append(
      .send(.taskCompleted(task.handle, node, status), to: map.head(shard(task.handle))))
    for index in 0..<Int32(spec.returns) {
      let output = ObjectHandle(producer: task.handle, index: index)
      let size = specs.outputSize(output)
      seal(output, size, status, isPrimary: true, at: now, into: &effects)
      objectIsLocal(output, status, at: now, into: &effects)
    }
    if task.notifiesSubmitter {
      let result = ObjectHandle(producer: task.handle, index: 0)
      effects.append(.send(.objectReady(result, status), to: Address(raw: spec.submitter)))
    }
    tasks.remove(slot)
  }

  // MARK: Workers that block

  /// A worker waits in `get`: its CPUs are free for others, its GPUs are not.
  mutating func blocked(
    _ worker: WorkerID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let slot = workers.pointer(worker).pointee.task
    let task = tasks.pointer(slot)
    task.pointee.state = .blocked
    workers.block(worker)
    available += heldCPUs(slot)
    dispatch(at: now, into: &effects)
  }

  /// It goes on: it takes its CPUs back even if that overdraws the node for a while.
  mutating func unblocked(_ worker: WorkerID) {
    let slot = workers.pointer(worker).pointee.task
    tasks.pointer(slot).pointee.state = .running
    workers.unblock(worker)
    available -= heldCPUs(slot)
  }

  private func heldCPUs(_ slot: UInt32) -> ResourceVector {
    let task = tasks.pointer(slot).pointee
    let kind = specs[task.handle].kind
    return kind == .actorMethod ? .zero : specs.demand(shape: task.shape).cpuOnly
  }
}
