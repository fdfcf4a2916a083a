import Primitives

/// What a world may ask about a worker before it believes what comes from there.
extension Raylet {
  /// Whether the worker runs a task, and is not blocked in it.
  public func isRunning(_ worker: WorkerID) -> Bool {
    let record = workers.pointer(worker).pointee
    return record.state == .running && record.task != WorkerPool.none
  }

  /// Whether the worker's task waits in `get` or `wait`.
  public func isBlocked(_ worker: WorkerID) -> Bool {
    workers.pointer(worker).pointee.state == .blocked
  }
}
