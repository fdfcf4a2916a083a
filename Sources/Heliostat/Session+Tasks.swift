import Primitives
import RuntimeCore
import Simulation

extension Session {
  private func register(_ name: String, _ body: FunctionBody) -> FunctionID {
    let id = runtime.register(name, body)
    cluster.register(id, at: driver)
    return id
  }

  // MARK: Functions

  /// A function whose duration and output size are modelled and that computes no value.
  public func modelled(_ name: String, _ options: TaskOptions = TaskOptions())
    -> RemoteFunction<Void>
  {
    RemoteFunction(id: register(name, .modelled), name: name, options: options, body: .modelled)
  }

  /// A function that computes its result from its arguments alone.
  public func remote<each Input: Sendable, Output: Sendable>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> Output
  ) -> RemoteFunction<repeat each Input, Output> {
    let erased = FunctionBody.function { reader in
      try body(repeat reader.read((each Input).self))
    }
    return RemoteFunction(
      id: register(name, erased), name: name, options: options, body: .function)
  }

  /// A function that computes several values: one object each.
  public func remoteSplit<each Input: Sendable, Output: Sendable>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> [Output]
  ) -> RemoteFunction<repeat each Input, Output> {
    let erased = FunctionBody.split { reader in
      try body(repeat reader.read((each Input).self))
    }
    return RemoteFunction(
      id: register(name, erased), name: name, options: options, body: .function)
  }

  /// A task that is itself a program: it may submit tasks and wait for them.
  public func program<each Input: Sendable, Output: Sendable>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (Session, repeat each Input) async throws -> Output
  ) -> RemoteFunction<repeat each Input, Output> {
    let erased = FunctionBody.program { session, reader in
      let inputs = (repeat reader.read((each Input).self))
      return { try await body(session, repeat each inputs) }
    }
    return RemoteFunction(id: register(name, erased), name: name, options: options, body: .program)
  }

  // MARK: Submitting

  /// Submits a call; the answer is a future of its result. Returns at once.
  public func submit<each Input: Sendable, Output: Sendable>(
    _ function: RemoteFunction<repeat each Input, Output>,
    _ arguments: repeat Argument<each Input>, options: TaskOptions? = nil
  ) -> ObjectRef<Output> {
    ObjectRef(
      handle: ObjectHandle(
        producer: submitTask(
          function.id, function.body, options ?? function.options, returns: 1,
          repeat each arguments),
        index: 0))
  }

  /// Submits a call with `returns` results, each an object of its own.
  public func submit<each Input: Sendable, Output: Sendable>(
    _ function: RemoteFunction<repeat each Input, Output>, returns: Int,
    _ arguments: repeat Argument<each Input>, options: TaskOptions? = nil
  ) -> [ObjectRef<Output>] {
    let task = submitTask(
      function.id, function.body, options ?? function.options, returns: returns,
      repeat each arguments)
    return (0..<returns).map { ObjectRef(handle: ObjectHandle(producer: task, index: Int32($0))) }
  }

  /// Submits a modelled call that depends on any number of objects: it starts when all are local.
  public func submit(
    _ function: RemoteFunction<Void>, after objects: [ObjectHandle], options: TaskOptions? = nil
  ) -> ObjectRef<Void> {
    let task = objects.withUnsafeBufferPointer {
      submitTask(function.id, function.body, options ?? function.options, returns: 1, $0)
    }
    return ObjectRef(handle: ObjectHandle(producer: task, index: 0))
  }

  private func submitTask<each Input: Sendable>(
    _ id: FunctionID, _ body: TaskBody, _ options: TaskOptions, returns: Int,
    _ arguments: repeat Argument<each Input>
  ) -> TaskHandle {
    var stored: [StoredArgument] = []
    var objects: [ObjectHandle] = []
    repeat collect(each arguments, &stored, &objects)
    let task = objects.withUnsafeBufferPointer {
      submitTask(id, body, options, returns: returns, $0)
    }
    if body != .modelled && !stored.isEmpty { runtime.setArguments(stored, of: task) }
    return task
  }

  func collect<Value>(
    _ argument: Argument<Value>, _ stored: inout [StoredArgument], _ objects: inout [ObjectHandle]
  ) {
    switch argument {
    case .value(let value): stored.append(.value(value))
    case .ref(let ref):
      stored.append(.ref(ref.handle))
      objects.append(ref.handle)
    }
  }

  private func submitTask(
    _ id: FunctionID, _ body: TaskBody, _ options: TaskOptions, returns: Int,
    _ objects: UnsafeBufferPointer<ObjectHandle>
  ) -> TaskHandle {
    var spec = cluster.newTask(
      of: driver, function: id, shape: cluster.specs.shape(options.resources))
    spec.work = options.duration
    spec.outputSize = options.outputSize
    spec.returns = UInt16(returns)
    spec.valueBytes = UInt32(options.valueBytes)
    spec.body = body
    let task = cluster.submit(spec, arguments: objects, at: driver)
    runtime.submitted(task, returns: returns)
    return task
  }

  // MARK: Actors

  /// Declares an actor class: `make` computes the first state from the constructor's arguments.
  public func actorClass<State: Sendable>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    make: @escaping @Sendable () throws -> State
  ) -> ActorClass<State> {
    let erased = FunctionBody.constructor { _ in ActorState(try make()) }
    return ActorClass(id: register(name, erased), name: name, options: options)
  }

  /// Declares a method: it sees and changes the actor's state. A method holds no resources of its
  /// own; the actor holds its class's for life.
  public func method<State: Sendable, each Input: Sendable, Output: Sendable>(
    _ name: String, of type: ActorClass<State>,
    _ options: TaskOptions = TaskOptions(resources: .zero),
    _ body: @escaping @Sendable (inout State, repeat each Input) throws -> Output
  ) -> ActorMethod<State, repeat each Input, Output> {
    let erased = FunctionBody.method { holder, reader in
      guard var state = holder.value as? State else {
        preconditionFailure("the actor's state is no \(State.self)")
      }
      defer { holder.value = state }
      return try body(&state, repeat reader.read((each Input).self))
    }
    return ActorMethod(id: register("\(type.name).\(name)", erased), name: name, options: options)
  }

  /// Creates an actor: placed like a task, on a node with its resources.
  public func create<State>(_ type: ActorClass<State>) -> ActorRef<State> {
    var spec = cluster.newTask(
      of: driver, function: type.id, shape: cluster.specs.shape(type.options.resources),
      kind: .actorCreation)
    spec.work = type.options.duration
    spec.outputSize = ByteCount(8)
    spec.body = .function
    let task = cluster.submit(spec, at: driver)
    runtime.submitted(task, returns: 1)
    return ActorRef(
      creation: task, created: ObjectRef(handle: ObjectHandle(producer: task, index: 0)))
  }

  /// Calls a method. Calls of one program on one actor run in the order of submission.
  public func call<State, each Input: Sendable, Output: Sendable>(
    _ actor: ActorRef<State>, _ method: ActorMethod<State, repeat each Input, Output>,
    _ arguments: repeat Argument<each Input>, options: TaskOptions? = nil
  ) -> ObjectRef<Output> {
    var stored: [StoredArgument] = []
    var objects: [ObjectHandle] = []
    repeat collect(each arguments, &stored, &objects)
    return call(actor, method.id, objects, stored, options ?? method.options)
  }

  /// Calls a method that takes no values but depends on any number of objects.
  public func call<State, Output>(
    _ actor: ActorRef<State>, _ method: ActorMethod<State, Output>, after objects: [ObjectHandle],
    options: TaskOptions? = nil
  ) -> ObjectRef<Output> {
    call(actor, method.id, objects, [], options ?? method.options)
  }

  private func call<State, Output>(
    _ actor: ActorRef<State>, _ method: FunctionID, _ objects: [ObjectHandle],
    _ stored: [StoredArgument], _ options: TaskOptions
  ) -> ObjectRef<Output> {
    var spec = cluster.newTask(
      of: driver, function: method, shape: cluster.specs.shape(.zero), kind: .actorMethod)
    spec.work = options.duration
    spec.outputSize = options.outputSize
    spec.valueBytes = UInt32(options.valueBytes)
    spec.body = .function
    spec.actor = actor.creation
    spec.sequence = cluster.nextCall(on: actor.creation, of: driver)
    let task = objects.withUnsafeBufferPointer { cluster.submit(spec, arguments: $0, at: driver) }
    runtime.submitted(task, returns: 1)
    if !stored.isEmpty { runtime.setArguments(stored, of: task) }
    return ObjectRef(handle: ObjectHandle(producer: task, index: 0))
  }
}
