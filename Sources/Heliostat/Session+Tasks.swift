import Primitives
import RuntimeCore

extension Session {
  private func announced<Function>(_ function: Function, _ id: FunctionID) -> Function {
    backend.announce(id)
    return function
  }

  /// Tells the cluster of a function that was registered before the program began, where the
  /// runtime has not done so by itself (`ProgramRuntime.init`). The simulated world models the
  /// messages; in the real one processes compare their functions when they connect.
  public func announce<each Input, Output>(_ function: RemoteFunction<repeat each Input, Output>) {
    backend.announce(function.id)
  }

  // MARK: Functions, registered while the program runs

  /// See `FunctionLibrary.modelled`.
  public func modelled(_ name: String, _ options: TaskOptions = TaskOptions())
    -> RemoteFunction<Void>
  {
    let function = backend.library.modelled(name, options)
    return announced(function, function.id)
  }

  /// See `FunctionLibrary.remote`. For clusters within one process.
  public func remote<each Input: RemoteValue, Output: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> Output
  ) -> RemoteFunction<repeat each Input, Output> {
    let function = backend.library.remote(name, options, body)
    return announced(function, function.id)
  }

  /// See `FunctionLibrary.remote`. For clusters within one process.
  public func remote<each Input: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> Void
  ) -> RemoteFunction<repeat each Input, Void> {
    let function = backend.library.remote(name, options, body)
    return announced(function, function.id)
  }

  /// See `FunctionLibrary.remoteSplit`. For clusters within one process.
  public func remoteSplit<each Input: RemoteValue, Output: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> [Output]
  ) -> RemoteFunction<repeat each Input, Output> {
    let function = backend.library.remoteSplit(name, options, body)
    return announced(function, function.id)
  }

  /// See `FunctionLibrary.program`. For clusters within one process.
  public func program<each Input: RemoteValue, Output: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (Session, repeat each Input) async throws -> Output
  ) -> RemoteFunction<repeat each Input, Output> {
    let function = backend.library.program(name, options, body)
    return announced(function, function.id)
  }

  /// See `FunctionLibrary.program`. For clusters within one process.
  public func program<each Input: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (Session, repeat each Input) async throws -> Void
  ) -> RemoteFunction<repeat each Input, Void> {
    let function = backend.library.program(name, options, body)
    return announced(function, function.id)
  }

  /// See `FunctionLibrary.actorClass`. For clusters within one process.
  public func actorClass<State: Sendable, each Input: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    make: @escaping @Sendable (repeat each Input) throws -> State
  ) -> ActorClass<State, repeat each Input> {
    let type = backend.library.actorClass(name, options, make: make)
    return announced(type, type.id)
  }

  /// See `FunctionLibrary.method`. For clusters within one process.
  public func method<
    State: Sendable, each Start: RemoteValue, each Input: RemoteValue, Output: RemoteValue
  >(
    _ name: String, of type: ActorClass<State, repeat each Start>,
    _ options: TaskOptions = TaskOptions(resources: .zero),
    _ body: @escaping @Sendable (inout State, repeat each Input) throws -> Output
  ) -> ActorMethod<State, repeat each Input, Output> {
    let method = backend.library.method(name, of: type, options, body)
    return announced(method, method.id)
  }

  /// See `FunctionLibrary.method`. For clusters within one process.
  public func method<State: Sendable, each Start: RemoteValue, each Input: RemoteValue>(
    _ name: String, of type: ActorClass<State, repeat each Start>,
    _ options: TaskOptions = TaskOptions(resources: .zero),
    _ body: @escaping @Sendable (inout State, repeat each Input) throws -> Void
  ) -> ActorMethod<State, repeat each Input, Void> {
    let method = backend.library.method(name, of: type, options, body)
    return announced(method, method.id)
  }

  // MARK: Submitting

  /// Submits a call; the answer is a future of its result. Returns at once.
  @inlinable public func submit<each Input: RemoteValue, Output: Sendable>(
    _ function: RemoteFunction<repeat each Input, Output>,
    _ arguments: repeat Argument<each Input>, options: TaskOptions? = nil
  ) -> ObjectRef<Output> {
    var list = ArgumentList(isEncoding: backend.isEncoding)
    repeat collect(each arguments, &list)
    let call = TaskCall(function.id, body: function.body)
    // Where nothing is changed, the function's own options are not even copied.
    let task =
      if let options {
        backend.submit(call, options, list)
      } else {
        backend.submit(call, function.options, list)
      }
    return reference(ObjectHandle(producer: task, index: 0))
  }

  /// Submits a call with `returns` results, each an object of its own.
  @inlinable public func submit<each Input: RemoteValue, Output: Sendable>(
    _ function: RemoteFunction<repeat each Input, Output>, returns: Int,
    _ arguments: repeat Argument<each Input>, options: TaskOptions? = nil
  ) -> [ObjectRef<Output>] {
    var list = ArgumentList(isEncoding: backend.isEncoding)
    repeat collect(each arguments, &list)
    let task = backend.submit(
      TaskCall(function.id, returns: returns, body: function.body),
      options ?? function.options, list)
    return (0..<returns).map { reference(ObjectHandle(producer: task, index: Int32($0))) }
  }

  /// Submits a call that depends on further objects, any number of them, which it does not read: it
  /// starts when all are local.
  @inlinable public func submit<each Input: RemoteValue, Output: Sendable, Value>(
    _ function: RemoteFunction<repeat each Input, Output>,
    _ arguments: repeat Argument<each Input>, after objects: [ObjectRef<Value>],
    options: TaskOptions? = nil
  ) -> ObjectRef<Output> {
    var list = ArgumentList(isEncoding: backend.isEncoding)
    repeat collect(each arguments, &list)
    for object in objects { list.append(ref: resolve(object)) }
    let task = backend.submit(
      TaskCall(function.id, body: function.body), options ?? function.options, list)
    return reference(ObjectHandle(producer: task, index: 0))
  }

  /// The same with `returns` results, each an object of its own.
  @inlinable public func submit<each Input: RemoteValue, Output: Sendable, Value>(
    _ function: RemoteFunction<repeat each Input, Output>, returns: Int,
    _ arguments: repeat Argument<each Input>, after objects: [ObjectRef<Value>],
    options: TaskOptions? = nil
  ) -> [ObjectRef<Output>] {
    var list = ArgumentList(isEncoding: backend.isEncoding)
    repeat collect(each arguments, &list)
    for object in objects { list.append(ref: resolve(object)) }
    let task = backend.submit(
      TaskCall(function.id, returns: returns, body: function.body),
      options ?? function.options, list)
    return (0..<returns).map { reference(ObjectHandle(producer: task, index: Int32($0))) }
  }

  @inlinable func collect<Value: RemoteValue>(
    _ argument: Argument<Value>, _ list: inout ArgumentList
  ) {
    switch argument {
    case .value(let value): list.append(value: value)
    case .ref(let ref): list.append(ref: resolve(ref))
    }
  }

  // MARK: Actors

  /// Creates an actor: placed like a task, on a node with its resources, and started when its
  /// arguments are there. Methods may be called at once. When an argument by future carries an error,
  /// or the constructor throws, every call carries that error.
  @inlinable public func create<State, each Input: RemoteValue>(
    _ type: ActorClass<State, repeat each Input>, _ arguments: repeat Argument<each Input>,
    options: TaskOptions? = nil
  ) -> ActorRef<State> {
    var list = ArgumentList(isEncoding: backend.isEncoding)
    repeat collect(each arguments, &list)
    return ActorRef(created: create(type.id, options ?? type.options, list))
  }

  @usableFromInline func create(
    _ constructor: FunctionID, _ options: TaskOptions, _ list: borrowing ArgumentList
  ) -> ObjectRef<Void> {
    var options = options
    options.outputSize = ByteCount(8)
    let task = backend.submit(TaskCall(constructor, kind: .actorCreation), options, list)
    return reference(ObjectHandle(producer: task, index: 0))
  }

  /// Calls a method. Calls of one program on one actor run in the order of submission.
  @inlinable public func call<State, each Input: RemoteValue, Output: Sendable>(
    _ actor: ActorRef<State>, _ method: ActorMethod<State, repeat each Input, Output>,
    _ arguments: repeat Argument<each Input>, options: TaskOptions? = nil
  ) -> ObjectRef<Output> {
    var list = ArgumentList(isEncoding: backend.isEncoding)
    repeat collect(each arguments, &list)
    return call(actor, method.id, options ?? method.options, list)
  }

  /// Calls a method that depends on further objects, any number of them, which it does not read.
  @inlinable public func call<State, each Input: RemoteValue, Output: Sendable, Value>(
    _ actor: ActorRef<State>, _ method: ActorMethod<State, repeat each Input, Output>,
    _ arguments: repeat Argument<each Input>, after objects: [ObjectRef<Value>],
    options: TaskOptions? = nil
  ) -> ObjectRef<Output> {
    var list = ArgumentList(isEncoding: backend.isEncoding)
    repeat collect(each arguments, &list)
    for object in objects { list.append(ref: resolve(object)) }
    return call(actor, method.id, options ?? method.options, list)
  }

  @inlinable func call<State, Output>(
    _ actor: ActorRef<State>, _ method: FunctionID, _ options: borrowing TaskOptions,
    _ list: borrowing ArgumentList
  ) -> ObjectRef<Output> {
    let task = backend.submit(
      TaskCall(method, kind: .actorMethod, actor: resolve(actor.created).producer), options, list)
    return reference(ObjectHandle(producer: task, index: 0))
  }
}
