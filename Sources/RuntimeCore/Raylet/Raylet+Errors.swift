import Primitives

/// Tasks that do not run because something that they need carries an error. Their results carry it on.
extension Raylet {
  /// A task ends without running, with the error of an input or of its actor's creation. The world
  /// hears where that came from while it is here: before the inputs are let go.
  mutating func endUnrun(
    _ slot: UInt32, _ error: ObjectStatus, at now: Instant, into effects: inout EffectBuffer<Effect>
  ) {
    let task = tasks.pointer(slot).pointee
    // What has been given up leaves no results.
    if !task.isAbandoned, let source = source(of: error, task.handle) {
      effects.append(.inheritError(task.handle, from: source))
    }
    complete(slot, error, at: now, into: &effects)
  }

  /// The first among what a task needs that is here and carries the error.
  private func source(of error: ObjectStatus, _ task: TaskHandle) -> ObjectHandle? {
    let spec = specs[task]
    if spec.kind == .actorMethod {
      let creation = ObjectHandle(producer: spec.actor, index: 0)
      if status(creation) == error { return creation }
    }
    for i in 0..<spec.argumentCount {
      let input = specs.argument(task, i)
      if status(input) == error { return input }
    }
    return nil
  }
}
