import Primitives
import RealWorld
import RuntimeCore

extension StoreIsFull {
  /// Whether a value was not stored for want of memory.
  static func `is`(_ error: any Error) -> Bool {
    if case .noMemory = error as? ValueError { return true }
    return error is StoreIsFull || error is StoreError
  }
}

/// A program on a cluster of the real world.
final class RealBackend: Backend, @unchecked Sendable {
  private let client: Client
  private let specs: TaskSpecTable
  /// The last call as a specification: most calls are like the one before.
  private let model: UnsafeMutablePointer<TaskSpec>
  /// The demand behind the model's shape.
  private var lastDemand = ResourceVector.zero
  /// Tasks that another program made and this one knows by their names; held as long as it runs.
  private var foreign: [TaskID: TaskHandle] = [:]
  /// Objects of those that this program has given up; the names stay theirs.
  private var freedForeign: Set<UInt64> = []

  init(_ client: Client, library: FunctionLibrary) {
    self.client = client
    specs = client.specs
    model = .allocate(capacity: 1)
    model.initialize(
      to: client.model(function: FunctionID(0), shape: specs.shape(.zero)))
    super.init(isEncoding: true, table: Backend.nextTable(), library: library)
  }

  deinit { model.deallocate() }

  override var now: Instant { MonotonicClock.now }
  override var seed: UInt64 { client.cluster.seed }
  override var nodes: [ResourceVector] { client.cluster.nodes }
  override var resourceNames: ResourceNames { client.cluster.resourceNames }

  override func compute(_ span: TimeSpan) { ModelledWork.spend(span) }

  override func submit(
    _ call: TaskCall, _ options: borrowing TaskOptions, _ arguments: borrowing ArgumentList
  ) -> TaskHandle {
    if let failure = arguments.failure { preconditionFailure("\(failure)") }
    let last = model
    if let named = options.named, call.kind != .actorMethod {
      return submitNamed(call, options, named, arguments)
    }
    let demand = call.kind == .actorMethod ? .zero : options.resources
    let isLikeLast =
      last.pointee.function == call.function && last.pointee.kind == call.kind
      && last.pointee.body == call.body && last.pointee.returns == call.returns
      && last.pointee.actor == call.actor && call.body != .modelled
      && demand == lastDemand
    if !isLikeLast { prepare(call, options, demand) }
    let sequence = call.kind == .actorMethod ? client.nextCall(on: call.actor) : 0
    return arguments.objects.withUnsafeBufferPointer { objects in
      arguments.bytes.withUnsafeBytes {
        client.submit(
          like: last, sequence: sequence, arguments: objects, values: $0,
          notice: call.returns == 0 ? .none : .ifKept)
      }
    }
  }

  @inline(never) private func prepare(
    _ call: TaskCall, _ options: borrowing TaskOptions, _ demand: ResourceVector
  ) {
    if demand != lastDemand {
      lastDemand = demand
      model.pointee.shape = specs.shape(demand)
    }
    model.pointee.function = call.function
    model.pointee.kind = call.kind
    model.pointee.body = call.body
    model.pointee.returns = call.returns
    model.pointee.actor = call.actor
    model.pointee.work = call.body == .modelled ? options.duration : .zero
    model.pointee.outputSize = call.body == .modelled ? options.outputSize : .zero
  }

  override func identity(_ task: TaskHandle) -> TaskID { specs[task].id }

  override func intern(_ id: TaskID) -> TaskHandle {
    if let known = foreign[id] { return known }
    let handle = specs.intern(id)
    foreign[id] = handle
    return handle
  }

  override func put<Value: RemoteValue>(
    _ value: Value, size: ByteCount
  ) async throws -> ObjectHandle {
    do {
      return try await client.put(byteCount: EncodedValue.byteCount(of: value)) {
        (room: ObjectRoom) in
        try EncodedValue.write(value, into: room)
      }
    } catch let error where StoreIsFull.is(error) {
      if let lost = client.lost { throw RuntimeError.disconnected(lost) }
      throw RuntimeError.objectStoreFull
    }
  }

  override func request(
    _ objects: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool,
    timeout: TimeSpan?
  ) -> RequestID {
    client.request(objects, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout)
  }

  override func wait(_ request: RequestID, isCancellable: Bool) async -> RequestOutcome {
    await client.wait(request, isCancellable: isCancellable)
  }
  override var isCancelled: Bool { Task.isCancelled && !RunningTask.isCancelled }
  override func prepare(_ objects: [ObjectHandle]) async { await client.fetch(objects) }
  override func status(_ object: ObjectHandle) -> ObjectStatus? { client.status(object) }

  override func value<Value: RemoteValue>(
    _ object: ObjectHandle, as type: Value.Type
  ) throws -> Value {
    let bytes = client.bytes(object)
    // Every value has a head: without bytes its last copy went while it was being read, or nobody
    // waited for them.
    if bytes.isEmpty {
      if let lost = client.lost { throw RuntimeError.disconnected(lost) }
      if isCancelled { throw CancellationError() }
      throw RuntimeError.objectLost
    }
    return try EncodedValue.read(type, from: bytes, owner: client.owner(object))
  }

  override var lost: String? { client.lost }

  override func failure(_ object: ObjectHandle) -> String? {
    let bytes = client.bytes(object)
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  /// Its place in the table is empty or another task's; or it is this program's own and not known any
  /// more; or it is another's and was given up here.
  override func isFreed(_ object: ObjectHandle, _ id: ObjectID) -> Bool {
    let producer = object.producer
    if specs.references(producer) == 0 || specs[producer].id != id.producer { return true }
    if client.knows(object) { return false }
    let isOwn = producer == client.root || foreign.isEmpty || foreign[id.producer] == nil
    return isOwn || freedForeign.contains(object.key)
  }

  override func free(_ object: ObjectHandle) {
    // The reference that leaves with the object is not the one that keeps its name.
    if !foreign.isEmpty && foreign[specs[object.producer].id] != nil {
      specs.retain(object.producer)
      freedForeign.insert(object.key)
    }
    client.free(object)
  }

  override func cancel(_ task: TaskHandle, isRecursive: Bool) {
    client.cancel(task, isRecursive: isRecursive)
  }

  override func flush() { client.flushFreed() }
}
