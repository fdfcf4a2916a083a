import Primitives
import RuntimeCore
import Simulation

/// A program's connection to its cluster: what `ray` is in Ray's examples.
///
/// Calls take effect at the program's own moment in virtual time (`now`), which they move on by what
/// the cluster's profile says that they cost. Use it only inside the program it was given to.
public final class Session: @unchecked Sendable {
  let runtime: ProgramRuntime
  let driver: Int

  init(runtime: ProgramRuntime, driver: Int) {
    self.runtime = runtime
    self.driver = driver
  }

  var cluster: SimulatedCluster { runtime.cluster }

  /// This program's moment in virtual time.
  public var now: Instant { cluster.now(of: driver) }

  /// The nodes of the cluster, the head included.
  public var nodeCount: Int { cluster.configuration.nodes.count }

  /// What a node has.
  public func resources(of node: NodeID) -> ResourceVector {
    cluster.configuration.nodes[Int(node.index)].description.resources
  }

  /// The lane of the custom resource `name`; nil when no node of this cluster has it.
  public func lane(of name: String) -> Int? {
    cluster.configuration.resourceNames.knownLane(of: name)
  }

  /// The lanes of the custom resources `prefix0`, `prefix1`, … of this cluster, in that order.
  public func lanes(named prefix: String) -> [Int] {
    var lanes: [Int] = []
    while let lane = cluster.configuration.resourceNames.knownLane(of: "\(prefix)\(lanes.count)") {
      lanes.append(lane)
    }
    return lanes
  }

  /// The seed of the run, for the program's own random streams.
  public var seed: UInt64 { cluster.configuration.seed }

  /// Spends `span` of this process's time on computing.
  public func compute(_ span: TimeSpan) { cluster.compute(span, at: driver) }

  /// Waits for `span` without using the processor.
  public func sleep(_ span: TimeSpan) async {
    let request = cluster.request(
      UnsafeBufferPointer(start: nil, count: 0), needed: 1, isGet: false, timeout: span, at: driver)
    _ = await runtime.wait(request, driver)
  }

  // MARK: Objects

  /// Stores a value, modelled as `size` bytes, in this node's object store.
  public func put<Value: Sendable>(_ value: Value, size: ByteCount) -> ObjectRef<Value> {
    let object = cluster.put(size, at: driver)
    runtime.setValue(value, of: object)
    return ObjectRef(handle: object)
  }

  /// The values of `refs`, in their order, when all are local.
  ///
  /// - Throws: the first error met, before the rest is ready; `RuntimeError.getTimedOut` after
  ///   `timeout` (`.zero` asks for what is ready now).
  public func get<Value>(
    _ refs: [ObjectRef<Value>], timeout: TimeSpan? = nil
  ) async throws -> [Value] {
    try await waitForAll(refs.map(\.handle), timeout)
    return refs.map { value($0) }
  }

  /// The value of `ref` when it is local.
  public func get<Value>(_ ref: ObjectRef<Value>, timeout: TimeSpan? = nil) async throws -> Value {
    try await waitForAll([ref.handle], timeout)
    return value(ref)
  }

  private func waitForAll(_ objects: [ObjectHandle], _ timeout: TimeSpan?) async throws {
    if objects.isEmpty { return }
    if objects.contains(where: runtime.isFreed) { throw RuntimeError.objectFreed }
    let request = objects.withUnsafeBufferPointer {
      cluster.request($0, needed: $0.count, isGet: true, timeout: timeout, at: driver)
    }
    switch await runtime.wait(request, driver) {
    case .satisfied: return
    case .timedOut: throw RuntimeError.getTimedOut(after: timeout ?? .zero)
    case .failed:
      for object in objects {
        if let status = cluster.status(object, at: driver), status.isError {
          throw error(status, object)
        }
      }
    }
  }

  private func error(_ status: ObjectStatus, _ object: ObjectHandle) -> RuntimeError {
    switch status {
    case .freed: .objectFreed
    case .storeFull: .objectStoreFull
    case .taskFailed, .value: .taskFailed(runtime.failure(object) ?? "an input of it failed")
    }
  }

  private func value<Value>(_ ref: ObjectRef<Value>) -> Value {
    if let value = runtime.value(ref.handle) as? Value { return value }
    // A modelled task computes nothing.
    guard let nothing = () as? Value else {
      preconditionFailure("object \(ref.handle) holds no \(Value.self)")
    }
    return nothing
  }

  /// Splits `refs` into those that are ready and the rest, both in their order, when `count` of them
  /// are ready or `timeout` has passed. An object with an error counts as ready.
  ///
  /// - Parameter fetch: with `false`, an object is ready when it exists anywhere.
  public func wait<Value>(
    _ refs: [ObjectRef<Value>], count: Int = 1, timeout: TimeSpan? = nil, fetch: Bool = true
  ) async -> (ready: [ObjectRef<Value>], rest: [ObjectRef<Value>]) {
    precondition(Set(refs).count == refs.count, "wait was given the same object twice")
    precondition(count <= refs.count, "wait for \(count) of \(refs.count) objects never ends")
    let handles = refs.map(\.handle).filter { !runtime.isFreed($0) }
    let needed = count - (refs.count - handles.count)
    if needed > 0 {
      let request = handles.withUnsafeBufferPointer {
        cluster.request(
          $0, needed: needed, isGet: false, fetch: fetch, timeout: timeout, at: driver)
      }
      _ = await runtime.wait(request, driver)
    }
    var ready: [ObjectRef<Value>] = []
    var rest: [ObjectRef<Value>] = []
    for ref in refs {
      let isReady = runtime.isFreed(ref.handle) || cluster.status(ref.handle, at: driver) != nil
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
  public func free<Value>(_ refs: [ObjectRef<Value>]) {
    // Freed once is enough: a second time the handle might already name another task.
    for ref in refs where !runtime.isFreed(ref.handle) {
      runtime.forget(ref.handle)
      cluster.free(ref.handle, at: driver)
    }
  }

  func flush() { cluster.flushFreed(at: driver) }
}
