import Primitives

/// What a machine orders the world to do.
@frozen
public enum Effect: Sendable, BitwiseCopyable {
  case send(Message, to: Address)
  /// Send a chunk of an object over the bulk network: the receiver gets `chunkArrived` and, unless
  /// the push is `.single`, the sender gets `chunkSent` when the chunk has left.
  case transfer(Transfer)
  /// Deliver `timerFired(token)` to this machine after `delay`.
  case startTimer(TimerToken, after: TimeSpan)
  case execute(TaskHandle, on: WorkerID)
  case startWorker(WorkerID)
  /// Ask a task that the worker has been sent to stop. If it has not begun, it is not to: it ends with
  /// `taskCancelled`.
  case cancel(TaskHandle, on: WorkerID, isRecursive: Bool)
  /// The actor that this creation made has ended: its state goes. The worker may be sent other tasks.
  case endActor(TaskHandle, on: WorkerID)
  /// The task ends without running, with the error of this object, which is in the local store: what is
  /// known of that error beside its status is from now on that of the task's results too.
  case inheritError(TaskHandle, from: ObjectHandle)
  /// The local copy's bytes are not needed any more.
  case drop(ObjectHandle)
  /// Move the local copy's bytes to disk.
  case spill(ObjectHandle)
  /// Read an object's bytes back from disk; `objectRestored` with this slot when they are there.
  case restore(ObjectHandle, slot: UInt32, ByteCount)
  /// Tell the application: an object it wanted without a request is there.
  case resultArrived(ObjectHandle, ObjectStatus)
  /// Tell the application: a `get` or `wait` ended.
  case requestEnded(RequestID, RequestOutcome)
  /// For traces, measures and checkers; emitted only where the configuration asks for it.
  case record(Transition)
}

/// One chunk on its way.
@frozen
public struct Transfer: Sendable, BitwiseCopyable {
  public var object: ObjectHandle
  public var to: NodeID
  /// Bytes of this chunk.
  public var bytes: UInt32
  public var index: UInt16
  public var count: UInt16
  /// Size of the whole object.
  public var objectSize: ByteCount
  public var status: ObjectStatus
  public var push: PushID

  public init(
    object: ObjectHandle, to: NodeID, bytes: UInt32, index: UInt16, count: UInt16,
    objectSize: ByteCount, status: ObjectStatus, push: PushID
  ) {
    self.object = object
    self.to = to
    self.bytes = bytes
    self.index = index
    self.count = count
    self.objectSize = objectSize
    self.status = status
    self.push = push
  }
}

/// A `get` or `wait` of one driver, by its number: never the same twice while its end can be heard.
@frozen
public struct RequestID: Hashable, Sendable, BitwiseCopyable {
  public var number: UInt32
  @inlinable public init(_ number: UInt32) { self.number = number }
}

@frozen
public enum RequestOutcome: UInt8, Sendable, BitwiseCopyable {
  /// Everything that was asked for is there.
  case satisfied
  /// An object of a `get` carries an error.
  case failed
  case timedOut
}

/// A step in the life of a task or an object.
@frozen
public enum Transition: Sendable, BitwiseCopyable {
  case submitted(TaskHandle)
  case escalated(TaskHandle)
  case placed(TaskHandle, NodeID)
  case queued(TaskHandle, NodeID)
  case inputsReady(TaskHandle, NodeID)
  case started(TaskHandle, NodeID, WorkerID)
  case finished(TaskHandle, NodeID, WorkerID, ObjectStatus)
  /// No node of the cluster could ever run it: it stays pending.
  case infeasible(TaskHandle)
  case storeLookedUp(ObjectHandle, NodeID, found: Bool)
  case argumentsRead(TaskHandle, NodeID)
  case sealed(ObjectHandle, NodeID, ByteCount)
  case transferStarted(ObjectHandle, to: NodeID)
  case transferFinished(ObjectHandle, from: NodeID, to: NodeID, ByteCount)
  case evicted(ObjectHandle, NodeID, toDisk: Bool)
}
