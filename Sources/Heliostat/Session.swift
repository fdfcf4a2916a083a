import Primitives
import RealWorld
import RuntimeCore

/// A program's connection to its cluster: what `ray` is in Ray's examples. The same for a simulated
/// cluster, one in this process and one over the network.
///
/// In the simulated world calls take effect at the program's own moment in virtual time (`now`), which
/// they move on by what the cluster's profile says that they cost. Use a session only inside the
/// program that it was given to.
public final class Session: @unchecked Sendable {
  @usableFromInline let backend: Backend

  init(_ backend: Backend) { self.backend = backend }

  /// This program's moment: virtual time, or in the real world the machine's monotonic clock.
  public var now: Instant { backend.now }

  /// The numbers that the cluster's nodes have had, the head included. In the real world, for a program
  /// connected over the network: until it connected.
  public var nodeCount: Int { backend.nodes.count }

  /// What a node has; nothing (`ResourceVector.zero`) when it is lost or has left: its number stays its
  /// own, and others do not shift.
  public func resources(of node: NodeID) -> ResourceVector { backend.nodes[Int(node.index)] }

  /// The lane of the custom resource `name`; nil when no node of this cluster has it.
  public func lane(of name: String) -> Int? { backend.resourceNames.knownLane(of: name) }

  /// The lanes of the custom resources `prefix0`, `prefix1`, … of this cluster, in that order.
  public func lanes(named prefix: String) -> [Int] {
    var lanes: [Int] = []
    while let lane = backend.resourceNames.knownLane(of: "\(prefix)\(lanes.count)") {
      lanes.append(lane)
    }
    return lanes
  }

  /// The seed of the run, for the program's own random streams.
  public var seed: UInt64 { backend.seed }

  /// Spends `span` of this process's time: modelled in the simulated world; in the real one the
  /// thread sleeps and, near the end, spins.
  public func compute(_ span: TimeSpan) { backend.compute(span) }

  /// Waits for `span` without using the processor, also in a Swift task that is cancelled; less
  /// only when the cluster goes.
  public func sleep(_ span: TimeSpan) async {
    let request = backend.request(
      UnsafeBufferPointer(start: nil, count: 0), needed: 1, isGet: false, fetch: true,
      timeout: span)
    _ = await backend.wait(request, isCancellable: false)
  }

  // MARK: References

  /// The handle of a reference in this session's table.
  @inlinable func resolve<Value>(_ ref: ObjectRef<Value>) -> ObjectHandle {
    if ref.table == backend.table { return ref.local }
    return ObjectHandle(producer: backend.intern(ref.id.producer), index: ref.id.index)
  }

  @inlinable func reference<Value>(
    _ object: ObjectHandle, _ type: Value.Type = Value.self
  ) -> ObjectRef<Value> {
    ObjectRef(
      id: ObjectID(producer: backend.identity(object.producer), index: object.index),
      local: object, table: backend.table)
  }

  // MARK: Objects

  /// Stores a value in this node's object store, and returns when it has room there.
  ///
  /// - Parameter size: what the simulated world takes its size for; the real one knows better. By
  ///   default the size of its encoding.
  /// - Throws: `RuntimeError.objectStoreFull`, `ValueError` for a value that cannot be encoded, and
  ///   `RuntimeError.disconnected` when the cluster goes or is stopped.
  public func put<Value: RemoteValue>(
    _ value: Value, size: ByteCount? = nil
  ) async throws -> ObjectRef<Value> {
    let size = size ?? ByteCount(UInt64(EncodedValue.byteCount(of: value)))
    return reference(try await backend.put(value, size: size))
  }

  /// The values of `refs`, in their order, when all are local.
  ///
  /// Cancelling the Swift task that waits here ends the waiting and nothing else: the tasks behind
  /// `refs` go on (`cancel` gives them up), and a later `get` has their values. A program that is
  /// itself a task and was given up by `cancel` is only asked to stop: its `get` and `wait` go on.
  ///
  /// - Throws: the first error met, before the rest is ready; `RuntimeError.getTimedOut` after
  ///   `timeout` (`.zero` asks for what is ready now); `CancellationError` in a Swift task that is
  ///   cancelled, unless the last value was there first; `RuntimeError.disconnected` when the
  ///   cluster goes or is stopped.
  @inlinable public func get<Value: RemoteValue>(
    _ refs: [ObjectRef<Value>], timeout: TimeSpan? = nil
  ) async throws -> [Value] {
    let objects = refs.map(resolve)
    try await waitForAll(refs, objects, timeout)
    return try objects.map { try backend.value($0, as: Value.self) }
  }

  /// The value of `ref` when it is local. Cancellation and errors are those of `get` for several.
  @inlinable public func get<Value: RemoteValue>(
    _ ref: ObjectRef<Value>, timeout: TimeSpan? = nil
  ) async throws -> Value {
    let object = resolve(ref)
    try await waitForAll([ref], [object], timeout)
    return try backend.value(object, as: Value.self)
  }

  /// Waits until the tasks behind `refs` have ended well: there is no value to read.
  @inlinable public func get(_ refs: [ObjectRef<Void>], timeout: TimeSpan? = nil) async throws {
    try await waitForAll(refs, refs.map(resolve), timeout)
  }

  /// Waits until the task behind `ref` has ended well.
  @inlinable public func get(_ ref: ObjectRef<Void>, timeout: TimeSpan? = nil) async throws {
    try await waitForAll([ref], [resolve(ref)], timeout)
  }

  @inlinable func isFreed<Value>(_ ref: ObjectRef<Value>, _ object: ObjectHandle) -> Bool {
    backend.isFreed(object, ref.id)
  }

  @inlinable func waitForAll<Value>(
    _ refs: [ObjectRef<Value>], _ objects: [ObjectHandle], _ timeout: TimeSpan?
  ) async throws {
    for i in objects.indices where isFreed(refs[i], objects[i]) { throw RuntimeError.objectFreed }
    try await waitForAll(objects, timeout)
  }

  @usableFromInline func waitForAll(
    _ objects: [ObjectHandle], _ timeout: TimeSpan?
  ) async throws {
    if objects.isEmpty { return }
    if backend.isCancelled { throw CancellationError() }
    let request = objects.withUnsafeBufferPointer {
      backend.request($0, needed: $0.count, isGet: true, fetch: true, timeout: timeout)
    }
    switch await backend.wait(request, isCancellable: true) {
    case .satisfied: await backend.prepare(objects)
    case .timedOut:
      guard let timeout, !backend.isCancelled else { throw CancellationError() }
      throw RuntimeError.getTimedOut(after: timeout)
    case .failed:
      for object in objects {
        guard let status = backend.status(object), status.isError else { continue }
        // Long words have stayed on the node.
        await backend.prepare([object])
        throw error(status, object)
      }
      throw RuntimeError.disconnected(backend.lost ?? "the request failed")
    }
  }

  private func error(_ status: ObjectStatus, _ object: ObjectHandle) -> RuntimeError {
    switch status {
    case .freed: .objectFreed
    case .storeFull: .objectStoreFull
    case .workerCrashed: .workerCrashed(backend.failure(object) ?? "it is not known how")
    case .nodeDied: .nodeDied
    case .actorDied: .actorDied
    case .objectLost: .objectLost
    case .ownerDied: .ownerDied
    case .taskCancelled: refusal(object) ?? .taskCancelled
    case .taskFailed, .value: .taskFailed(backend.failure(object) ?? "an input of it failed")
    }
  }

  private func refusal(_ object: ObjectHandle) -> RuntimeError? {
    backend.refusals.isEmpty ? nil : backend.refusals[backend.identity(object.producer)]
  }

  /// Splits `refs` into those that are ready and the rest, both in their order, when `count` of them
  /// are ready or `timeout` has passed. An object with an error counts as ready. Of no objects none is
  /// waited for, whatever `count` says, so that a loop over what is left may end with it.
  ///
  /// Cancelling the Swift task that waits here ends the waiting and nothing else, as with `get`.
  ///
  /// - Parameter fetch: with `false`, an object is ready when it exists anywhere.
  /// - Throws: `RuntimeError.invalidArgument` for an object that is there twice, and a `count` below
  ///   zero or above the number of `refs`; `CancellationError` in a Swift task that is cancelled;
  ///   `RuntimeError.disconnected` when the cluster goes or is stopped.
  public func wait<Value>(
    _ refs: [ObjectRef<Value>], count: Int = 1, timeout: TimeSpan? = nil, fetch: Bool = true
  ) async throws -> (ready: [ObjectRef<Value>], rest: [ObjectRef<Value>]) {
    if refs.isEmpty { return ([], []) }
    if count < 0 || count > refs.count {
      throw RuntimeError.invalidArgument(
        "wait was told to wait for \(count) of \(refs.count) objects; "
          + "a count is 0 to the number of objects")
    }
    if refs.count > 1 && Set(refs).count < refs.count {
      throw RuntimeError.invalidArgument(
        "wait was given the same object twice; every one counts once, so name each once")
    }
    let objects = refs.map(resolve)
    let pending = zip(refs, objects).filter { !isFreed($0, $1) }.map(\.1)
    let needed = count - (refs.count - pending.count)
    if backend.isCancelled { throw CancellationError() }
    if needed > 0 {
      let request = pending.withUnsafeBufferPointer {
        backend.request($0, needed: needed, isGet: false, fetch: fetch, timeout: timeout)
      }
      switch await backend.wait(request, isCancellable: true) {
      case .satisfied: break
      case .timedOut: if timeout == nil || backend.isCancelled { throw CancellationError() }
      case .failed: throw RuntimeError.disconnected(backend.lost ?? "the request failed")
      }
    }
    var ready: [ObjectRef<Value>] = []
    var rest: [ObjectRef<Value>] = []
    for (ref, object) in zip(refs, objects) {
      let isReady = isFreed(ref, object) || backend.status(object) != nil
      if ready.count < count && isReady {
        ready.append(ref)
      } else {
        rest.append(ref)
      }
    }
    return (ready, rest)
  }

  /// Gives objects up: the program promises that neither it nor a pending task needs them. Copies
  /// and lineage go; a later `get` throws `RuntimeError.objectFreed`.
  @inlinable public func free<Value>(_ refs: [ObjectRef<Value>]) {
    for ref in refs {
      let object = resolve(ref)
      // Freed once is enough: a second time the handle might already name another task.
      if !isFreed(ref, object) { backend.free(object) }
    }
  }

  func flush() { backend.flush() }
}
