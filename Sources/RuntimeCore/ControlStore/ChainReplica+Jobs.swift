import Primitives

/// What the GCS knows of an ended job: its number, and nothing else. Rows go at once; writes that still
/// come change nothing, and who asks hears that the owner has gone.
extension ChainReplica {
  @inline(__always)
  mutating func hasEnded(_ task: TaskHandle) -> Bool {
    tables.knowsEndedJobs && tables.endedJobs.contains(specs[task].id)
  }

  mutating func endJob(_ job: JobID, into effects: inout EffectBuffer<Effect>) {
    guard tables.endedJobs.insert(job) else { return }
    tables.knowsEndedJobs = true
    for object in tables.objects(of: job) {
      guard let entry = tables.existingObject(object) else { continue }
      if isTail {
        tables.forEachSubscriber(of: entry, persistentOnly: false) { address in
          tellOwnerDied(object, to: address, into: &effects)
        }
        // It was freed before it was made: that reference goes with it.
        if tables.isFreed(entry) { specs.release(object.producer) }
      }
      tables.forget(object)
    }
    tables.forgetTasks(of: job)
    tables.forgetCancellations(of: job)
    for creation in tables.actors(of: job) {
      loseActor(creation, into: &effects)
      tables.forgetActor(creation)
    }
    // The nodes are known to the first shard.
    guard isTail, shard == map.systemShard else { return }
    for i in 0..<tables.nodes.count where !tables.lostNodes.contains(tables.nodes[i]) {
      effects.append(.send(.jobEnded(job), to: .raylet(tables.nodes[i])))
    }
  }

  /// A node joins: tasks of ended jobs may still be on their way to it.
  mutating func tellEndedJobs(to node: NodeID, into effects: inout EffectBuffer<Effect>) {
    for job in tables.endedJobs.all {
      effects.append(.send(.jobEnded(job), to: .raylet(node)))
    }
  }

  /// A raylet waits for the object, or a global scheduler for its places.
  func tellOwnerDied(
    _ object: ObjectHandle, to client: Address, into effects: inout EffectBuffer<Effect>
  ) {
    if client.role == .raylet {
      effects.append(.send(.objectLocated(object, .none, .ownerDied, .zero), to: client))
    } else {
      effects.append(.send(.objectFreed(object), to: client))
    }
  }

  /// Freed objects of an ended job have no rows any more, only the references of the message.
  mutating func dropEnded(_ object: ObjectHandle) -> Bool {
    guard hasEnded(object.producer) else { return false }
    if isTail { specs.release(object.producer) }
    return true
  }
}
