import Primitives

// A world that serves many machines with one thread finds each machine's records cold. What a message
// will need is known from the message: a world that knows the next one already says so here, and the
// memory comes while the present one is served. Nothing depends on it.
//
// `mutating`, like other small steps that happen for each task: a method that only reads a machine gets a
// copy of all of it where it is not inlined.

extension Raylet {
  /// Brings near what handling `message` begins with, after `ahead` others of its kind.
  public mutating func prefetch(for message: Message, ahead: Int = 0) {
    switch message {
    case .taskFinished(let task, let worker, _):
      workers.prefetch(worker)
      specs.prefetch(task)
      store.prefetchSealing(ObjectHandle(producer: task, index: 0), ahead: ahead)
    case .taskSubmitted(let task, _), .taskPlaced(let task):
      specs.prefetch(task)
      tasks.prefetchNext(ahead)
    case .writesCommitted(let task): specs.prefetch(task)
    default: break
    }
  }
}

extension ChainReplica {
  /// Brings near what handling `message` begins with.
  public mutating func prefetch(for message: Message) {
    switch message {
    case .taskLogged(let task, _), .taskCompleted(let task, _, _):
      prefetchRecord(of: task)
      specs.prefetch(task)
    default: break
    }
  }

  /// Brings near where the record of a task is or will be.
  public mutating func prefetchRecord(of task: TaskHandle) {
    tables.prefetch(ObjectHandle(producer: task, index: 0))
  }
}

extension Driver {
  /// Brings near what handling `message` begins with.
  public mutating func prefetch(for message: Message) {
    guard case .objectReady(let object, _) = message else { return }
    prefetch(object)
  }
}
