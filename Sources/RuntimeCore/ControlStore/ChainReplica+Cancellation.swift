import Primitives

/// A cancellation that looks for its task: the tail knows the task's node, or will when it is logged.
extension ChainReplica {
  mutating func cancellationRequested(
    _ task: TaskHandle, isRecursive: Bool, into effects: inout EffectBuffer<Effect>
  ) {
    if hasEnded(task) { return }
    switch tables.whereabouts(task) {
    case .ended: break
    case .unknown: tables.awaitTask(task, isRecursive: isRecursive)
    case .node(let node):
      let request = Message.cancellationRequested(task, isRecursive: isRecursive)
      effects.append(.send(request, to: .raylet(node)))
    }
  }

  /// The task has been logged.
  mutating func passOnCancellation(
    of task: TaskHandle, to node: NodeID, into effects: inout EffectBuffer<Effect>
  ) {
    guard let isRecursive = tables.takeCancellation(of: task) else { return }
    let request = Message.cancellationRequested(task, isRecursive: isRecursive)
    effects.append(.send(request, to: .raylet(node)))
  }
}

extension ControlStoreTables {
  enum Whereabouts {
    case unknown
    case node(NodeID)
    case ended
  }

  mutating func awaitTask(_ task: TaskHandle, isRecursive: Bool) {
    let key = UInt64(task.index)
    if !cancellations.contains(key) { specs.retain(task) }
    cancellations.set(key, isRecursive)
  }

  /// Whether that of the task was recursive; nil when there is none.
  mutating func takeCancellation(of task: TaskHandle) -> Bool? {
    guard let isRecursive = cancellations.remove(UInt64(task.index)) else { return nil }
    specs.release(task)
    return isRecursive
  }

  mutating func forgetCancellations(of job: JobID) {
    for key in cancellations.selectKeys({ specs[TaskHandle(UInt32($0))].id.job == job }) {
      _ = takeCancellation(of: TaskHandle(UInt32(key)))
    }
  }
}
