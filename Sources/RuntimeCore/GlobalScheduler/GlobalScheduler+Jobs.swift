import Primitives

extension GlobalScheduler {
  /// A job's driver has gone: its tasks are not placed any more, its objects are nowhere.
  mutating func endJob(
    _ job: JobID, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    guard endedJobs.insert(job) else { return }
    knowsEndedJobs = true
    func isOfJob(_ task: TaskHandle) -> Bool { specs[task].id.job == job }
    for slot in pending.liveSlots {
      let task = pending[slot].task
      guard task != .none, isOfJob(task) else { continue }
      // Answers about its inputs are still to come: the entry goes with the last.
      pending.pointer(slot).pointee.task = .none
      specs.release(task)
    }
    for _ in 0..<infeasible.count {
      let task = infeasible.popFirst().unsafelyUnwrapped
      if isOfJob(task) { specs.release(task) } else { infeasible.append(task) }
    }
    for key in directory.keys(matching: { isOfJob(ObjectHandle(key: $0).producer) }) {
      let object = ObjectHandle(key: key)
      guard let slot = directory.find(object) else { continue }
      answered(slot, at: now, into: &effects)
      directory.remove(object)
      specs.release(object.producer)
    }
  }
}
