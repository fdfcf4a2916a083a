import Primitives
import RuntimeCore
import Simulation

/// A program on a simulated cluster.
final class SimulatedBackend: Backend, @unchecked Sendable {
  private let runtime: ProgramRuntime
  private let driver: Int

  init(_ runtime: ProgramRuntime, driver: Int) {
    self.runtime = runtime
    self.driver = driver
    super.init(isEncoding: false, table: runtime.table, library: runtime.library)
  }

  private var cluster: SimulatedCluster { runtime.cluster }

  override var now: Instant { cluster.now(of: driver) }
  override var seed: UInt64 { cluster.configuration.seed }
  override var nodes: [ResourceVector] {
    cluster.configuration.nodes.map(\.description.resources)
  }
  override var resourceNames: ResourceNames { cluster.configuration.resourceNames }
  override func compute(_ span: TimeSpan) { cluster.compute(span, at: driver) }
  override func announce(_ function: FunctionID) { cluster.register(function, at: driver) }

  override func submit(
    _ call: TaskCall, _ options: borrowing TaskOptions, _ arguments: borrowing ArgumentList
  ) -> TaskHandle {
    if let named = options.named, call.kind != .actorMethod {
      return submitNamed(call, options, named, arguments)
    }
    let demand = call.kind == .actorMethod ? .zero : options.resources
    var spec = cluster.newTask(
      of: driver, function: call.function, shape: cluster.specs.shape(demand), kind: call.kind)
    spec.work = options.duration
    spec.outputSize = options.outputSize
    spec.returns = call.returns
    let isBare = call.kind == .actorCreation && arguments.stored.isEmpty
    spec.valueBytes = UInt32(isBare ? 0 : options.valueBytes)
    spec.body = call.body
    if call.kind == .actorMethod {
      spec.actor = call.actor
      spec.sequence = cluster.nextCall(on: call.actor, of: driver)
    }
    let task = arguments.objects.withUnsafeBufferPointer {
      cluster.submit(spec, arguments: $0, at: driver)
    }
    runtime.submitted(task, returns: Int(call.returns))
    if call.body != .modelled && !arguments.stored.isEmpty {
      runtime.setArguments(arguments.stored, of: task)
    }
    return task
  }

  override func identity(_ task: TaskHandle) -> TaskID { cluster.specs[task].id }

  override func intern(_ id: TaskID) -> TaskHandle {
    preconditionFailure("a reference came from another cluster")
  }

  override func put<Value: RemoteValue>(
    _ value: Value, size: ByteCount
  ) async throws -> ObjectHandle {
    let object = cluster.put(size, at: driver)
    runtime.setValue(value, of: object)
    return object
  }

  override func request(
    _ objects: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool,
    timeout: TimeSpan?
  ) -> RequestID {
    cluster.request(
      objects, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout, at: driver)
  }

  override func wait(_ request: RequestID, isCancellable: Bool) async -> RequestOutcome {
    await runtime.wait(request, driver, isCancellable: isCancellable)
  }
  override var isCancelled: Bool { Task.isCancelled && !runtime.wasGivenUp(driver) }

  override func status(_ object: ObjectHandle) -> ObjectStatus? {
    cluster.status(object, at: driver)
  }

  override func value<Value: RemoteValue>(
    _ object: ObjectHandle, as type: Value.Type
  ) throws -> Value {
    guard let value = runtime.value(object) as? Value else {
      preconditionFailure("object \(object) holds no \(Value.self)")
    }
    return value
  }

  override func failure(_ object: ObjectHandle) -> String? { runtime.failure(object) }
  override func isFreed(_ object: ObjectHandle, _ id: ObjectID) -> Bool {
    runtime.isFreed(object)
  }

  override func free(_ object: ObjectHandle) {
    runtime.forget(object)
    cluster.free(object, at: driver)
  }

  override func cancel(_ task: TaskHandle, isRecursive: Bool) {
    cluster.cancel(task, isRecursive: isRecursive, at: driver)
  }

  override func flush() { cluster.flushFreed(at: driver) }
}
