import Primitives

/// How an object stands: a value, or the typed error that every `get` of it raises.
@frozen
public enum ObjectStatus: UInt8, Sendable, BitwiseCopyable {
  case value
  /// The producing task threw; dependents are not executed and carry the same error.
  case taskFailed
  /// Freed by the program while somebody still wanted it.
  case freed
  /// Larger than the store of the node that should hold it.
  case storeFull
  /// The worker that ran the task ended before the task did.
  case workerCrashed
  /// The node that had the task ended before the task did.
  case nodeDied
  /// The actor's worker or node ended: all its later methods carry this.
  case actorDied
  /// Every copy was on nodes that ended.
  case objectLost
  /// The driver of the object's job has gone, and with it all that the job made.
  case ownerDied
  /// The program gave the task up before it began, or the task heeded that while it ran.
  case taskCancelled

  @inlinable public var isError: Bool { self != .value }
}

/// What a client wants of an object.
@frozen
public enum Want: UInt8, Sendable, BitwiseCopyable {
  /// A copy in the local store.
  case local
  /// To know that it exists somewhere (`wait` with fetch off).
  case existence
}

/// What a submitter wants to hear of a task's first return value without asking for it.
@frozen
public enum ResultNotice: UInt8, Sendable, BitwiseCopyable {
  case none
  /// A local copy, wherever the task runs.
  case localCopy
  /// Its end, if the task stays on the submitter's node; else that it went elsewhere
  /// (`taskForwarded`). Costs the node a message less than a question for each result.
  case ifKept
}

/// Which locations a reader of the object table asks for.
@frozen
public enum LookupMode: UInt8, Sendable, BitwiseCopyable {
  /// One location, now or when the first appears: to pull a copy.
  case anyLocation
  /// All locations, now and as they change, until the object is freed: to place tasks near it.
  /// `locationsListed` ends the list of those known now, even when there are none.
  case everyLocation
}

/// What one machine tells another, or the world tells a machine: facts, in the past tense.
///
/// Plain words and handles only, so that an event costs no allocation and no reference count.
///
/// What a message carries takes 24 bytes at most, and no bits of that serve to tell the cases apart: the
/// byte after it does. A status at the end of three words costs a shift and a mask wherever a message
/// is made or looked at.
@frozen
public enum Message: Sendable, BitwiseCopyable {
  // MARK: Driver or worker to its raylet
  case taskSubmitted(TaskHandle, notice: ResultNotice)
  case objectWanted(ObjectHandle, Want)
  case objectPut(ObjectHandle, ByteCount)
  case referencesFreed(BatchHandle)
  case workerBlocked(WorkerID)
  case workerUnblocked(WorkerID)
  /// A program gives a task up, and with `isRecursive` what that has submitted. Its raylet passes on
  /// what has left: to the global schedulers and to the tail of the task table, which knows the task's
  /// node or will; to the actor's node for a method.
  case cancellationRequested(TaskHandle, isRecursive: Bool)
  /// Whoever asks for what is ready at once (timeout zero) needs an answer even when nothing is.
  case polled(TimerToken)
  /// The world to a raylet: a worker ended its task.
  case taskFinished(TaskHandle, WorkerID, ObjectStatus)
  /// The world to a raylet: a worker process is up.
  case workerStarted(WorkerID)
  /// The world to a raylet: a worker process ended, whatever it was doing.
  case workerLost(WorkerID)
  /// The world to raylets and global schedulers, and these to the GCS: a node ended. A write there.
  case nodeLost(NodeID)
  /// The world to a raylet: the connection of a driver on this node has ended, and so its job.
  case driverLost(Address, JobID)
  /// A job's driver has gone: nobody wants any more what the job has under way or has made. A raylet
  /// to global schedulers and to every shard of the GCS (a write there), which tells all raylets.
  case jobEnded(JobID)
  /// The world to a raylet: so many nodes take part from now on, this one included.
  case nodesCounted(UInt32)
  /// The world to raylets and global schedulers: a node will leave. Nothing new is placed there, and its
  /// own raylet keeps nothing new.
  case nodeDraining(NodeID)
  /// The world to a raylet that drains: at most so many of its primary copies are for that node.
  case objectsDue(NodeID, UInt32)
  /// The world to a raylet: so many bytes are about to be written into the store.
  case roomRequested(ByteCount)
  /// The world to a raylet: a client reads the object in place, and has done so.
  case objectPinned(ObjectHandle)
  case objectUnpinned(ObjectHandle)
  /// The world to a raylet: an object is back from disk, by its slot in the store.
  case objectRestored(UInt32)

  // MARK: Raylet to driver or worker
  case objectReady(ObjectHandle, ObjectStatus)
  /// The task left its submitter's node: its end will not be told unasked.
  case taskForwarded(TaskHandle)
  /// Everything asked for before the poll that is ready has been reported.
  case pollAnswered(TimerToken)

  // MARK: Scheduling
  case taskEscalated(TaskHandle)
  case taskPlaced(TaskHandle)
  case heartbeat(HeartbeatHandle)

  // MARK: Object managers among themselves
  case objectRequested(ObjectHandle)
  case objectRefused(ObjectHandle)
  /// Chunk `index` of `count` arrived; `bytes` is the whole object's size.
  case chunkArrived(ObjectHandle, index: UInt16, count: UInt16, ObjectStatus, ByteCount)
  /// A raylet that drains asks another one to have the primary copy from now on.
  case objectOffered(ObjectHandle)
  /// `value`: there is a copy here that stays, of an error too. Else why there is none.
  case objectKept(ObjectHandle, ObjectStatus)
  /// The world to the sender: a chunk of this push has left, another may follow.
  case chunkSent(PushID)

  // MARK: Writes to the GCS (to the head of the key's chain; all but `objectsFreed` idempotent)
  case taskLogged(TaskHandle, NodeID)
  /// The task is done: its entry and the locations of its return values, all in the same shard.
  case taskCompleted(TaskHandle, NodeID, ObjectStatus)
  case locationAdded(ObjectHandle, NodeID, ObjectStatus, ByteCount)
  case locationRemoved(ObjectHandle, NodeID)
  case actorCreated(TaskHandle, NodeID)
  case functionRegistered(FunctionID)
  case nodeRegistered(NodeID)
  case objectsFreed(BatchHandle)

  // MARK: Reads of the GCS (at the tail), which also subscribe
  case objectLookedUp(ObjectHandle, LookupMode)
  case actorLookedUp(TaskHandle)
  case functionsFollowed

  // MARK: Answers and notifications of the GCS
  /// The client's writes on this task, up to its completion, are on every member of the chain.
  case writesCommitted(TaskHandle)
  /// No node: there is no copy to be had, and the status says why.
  case objectLocated(ObjectHandle, NodeID, ObjectStatus, ByteCount)
  case locationLost(ObjectHandle, NodeID)
  /// Every location known at the look-up, perhaps none, has been told.
  case locationsListed(ObjectHandle)
  case objectFreed(ObjectHandle)
  /// No node: the actor died with the one that it was on.
  case actorLocated(TaskHandle, NodeID)
  case functionPublished(FunctionID)

  // MARK: Along a chain
  case updatePropagated(UpdateHandle, SequenceNumber)
  case updatesAcknowledged(SequenceNumber)

  // MARK: The machine to its later self
  case timerFired(TimerToken)
}

/// The number of an update in its chain: from 1, without gaps.
@frozen
public struct SequenceNumber: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var value: UInt32
  @inlinable public init(_ value: UInt32) { self.value = value }
  @inlinable public static func < (a: SequenceNumber, b: SequenceNumber) -> Bool {
    a.value < b.value
  }
}

/// A transfer in progress at its sender.
@frozen
public struct PushID: Hashable, Sendable, BitwiseCopyable {
  public var slot: UInt32
  @inlinable public init(_ slot: UInt32) { self.slot = slot }
  /// A transfer of one chunk: nothing follows it.
  @inlinable public static var single: PushID { PushID(.max) }
}

/// What a machine asked to be reminded of. A timer is never cancelled: a machine ignores those
/// whose purpose has passed.
@frozen
public struct TimerToken: Hashable, Sendable, BitwiseCopyable {
  public var purpose: UInt32
  public var subject: UInt32
  @inlinable public init(purpose: UInt32, subject: UInt32 = 0) {
    self.purpose = purpose
    self.subject = subject
  }
}
