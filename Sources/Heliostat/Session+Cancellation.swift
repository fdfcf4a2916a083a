import Primitives

extension Session {
  /// Gives up the task that makes `ref`; returns at once.
  ///
  /// - A task that has not begun does not run: a `get` of its results throws
  ///   `RuntimeError.taskCancelled`, and so do those of all tasks that depend on it. That holds wherever
  ///   it waits: for its inputs, for resources, for a node that could run it, behind others on its
  ///   worker, or for its turn at its actor (calls behind it keep their order).
  /// - A task that runs is asked to stop: `TaskContext.isCancelled` becomes true and, where it is a
  ///   program, its Swift task is cancelled. If it then throws, it has been cancelled, whatever the
  ///   error. If it does not care, it runs to its end and its result is kept; its own `get` and
  ///   `wait` go on.
  /// - A task that has ended is left alone, and so is an object that was `put`.
  ///
  /// - Parameter recursive: a running program's own tasks are cancelled too, and theirs.
  public func cancel<Value>(_ ref: ObjectRef<Value>, recursive: Bool = true) {
    let object = resolve(ref)
    guard object.index >= 0, !backend.isFreed(object, ref.id) else { return }
    backend.cancel(object.producer, isRecursive: recursive)
  }

  /// The same for several tasks.
  public func cancel<Value>(_ refs: [ObjectRef<Value>], recursive: Bool = true) {
    for ref in refs { cancel(ref, recursive: recursive) }
  }
}
