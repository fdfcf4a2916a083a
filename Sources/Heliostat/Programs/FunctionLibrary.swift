import Primitives
import RealWorld
import Synchronization

/// The state of one actor, shared by its methods, which run one at a time.
final class ActorState: @unchecked Sendable {
  private let memory: UnsafeMutableRawPointer
  private let stateType: Any.Type
  private let destroy: (UnsafeMutableRawPointer) -> Void

  init<State: Sendable>(_ state: State) {
    let place = UnsafeMutablePointer<State>.allocate(capacity: 1)
    place.initialize(to: state)
    memory = UnsafeMutableRawPointer(place)
    stateType = State.self
    destroy = { $0.assumingMemoryBound(to: State.self).deinitialize(count: 1) }
  }

  deinit {
    destroy(memory)
    memory.deallocate()
  }
}

/// What a function does in the simulated world, where values stay what they are.
enum SimulatedBody: Sendable {
  /// Nothing: its duration is modelled and it has no value.
  case modelled
  case function(@Sendable (inout ArgumentReader) throws -> any Sendable)
  case split(@Sendable (inout ArgumentReader) throws -> [any Sendable])
  case program(
    @Sendable (Session, inout ArgumentReader) throws -> (@Sendable () async throws -> any Sendable))
  case constructor(@Sendable (inout ArgumentReader) throws -> ActorState)
  case method(@Sendable (ActorState, inout ArgumentReader) throws -> any Sendable)
}

/// What the functions of a library do in the simulated world, by number.
private final class SimulatedBodies: Sendable {
  let all = Mutex<[SimulatedBody]>([.modelled])
}

/// The remote functions, programs and actor classes of one application, by name.
///
/// Nobody needs to keep it: what a cluster runs lives as long as the cluster. Where a cluster has several processes, each registers the same ones in the same order before it
/// connects: a function is code, and code does not travel. Within one process a program may also
/// register functions while it runs, by the methods of the same names on its session.
public final class FunctionLibrary: Sendable {
  /// What worker threads and processes run. It has all that makes the library: those that run the
  /// functions hold the table, and the functions themselves, which the table holds, do not.
  let table: FunctionTable
  private let bodies: SimulatedBodies

  public init() {
    bodies = SimulatedBodies()
    table = FunctionTable(companion: bodies)
  }

  /// The library of a table, for a program that runs.
  init(of table: FunctionTable) {
    guard let bodies = table.companion as? SimulatedBodies else {
      preconditionFailure("the table of functions was made without a library")
    }
    self.bodies = bodies
    self.table = table
  }

  /// Names by function number; 0 is the driver itself.
  public var names: [String] { table.names }

  func name(_ function: FunctionID) -> String { table.name(function) }

  func simulatedBody(_ function: FunctionID) -> SimulatedBody {
    bodies.all.withLock { $0[Int(function.index)] }
  }

  func register(
    _ name: String, _ simulated: SimulatedBody, _ real: FunctionBody
  ) -> FunctionID {
    bodies.all.withLock { bodies in
      bodies.append(simulated)
      return table.register(name, real)
    }
  }

  // MARK: Functions

  /// A function whose duration and output size are modelled and that computes no value.
  public func modelled(_ name: String, _ options: TaskOptions = TaskOptions())
    -> RemoteFunction<Void>
  {
    RemoteFunction(
      id: register(name, .modelled, .modelled), name: name, options: options, body: .modelled)
  }

  /// A function that computes its result from its arguments alone.
  public func remote<each Input: RemoteValue, Output: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> Output
  ) -> RemoteFunction<repeat each Input, Output> {
    let id = register(
      name, .function { reader in try body(repeat reader.read((each Input).self)) },
      .function { input, output in
        var reader = ArgumentReader(input)
        try output.store(try body(repeat reader.read((each Input).self)))
      })
    return RemoteFunction(id: id, name: name, options: options, body: .function)
  }

  /// A function that is run for what it does, and returns nothing.
  public func remote<each Input: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> Void
  ) -> RemoteFunction<repeat each Input, Void> {
    let id = register(
      name, .function { reader in try body(repeat reader.read((each Input).self)) },
      .function { input, output in
        var reader = ArgumentReader(input)
        try body(repeat reader.read((each Input).self))
      })
    return RemoteFunction(id: id, name: name, options: options, body: .function)
  }

  /// A function that computes several values: one object each. Its callers say how many by `returns:`;
  /// all results of a call that returns another number of them fail (`RuntimeError.taskFailed`).
  public func remoteSplit<each Input: RemoteValue, Output: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (repeat each Input) throws -> [Output]
  ) -> RemoteFunction<repeat each Input, Output> {
    let id = register(
      name, .split { reader in try body(repeat reader.read((each Input).self)) },
      .function { input, output in
        var reader = ArgumentReader(input)
        let values = try body(repeat reader.read((each Input).self))
        guard try ResultCountError.check(returned: values.count, asked: output.count) else {
          return
        }
        for (index, value) in values.enumerated() { try output.store(value, index: index) }
      })
    return RemoteFunction(id: id, name: name, options: options, body: .function)
  }

  /// A task that is itself a program: it may submit tasks and wait for them.
  public func program<each Input: RemoteValue, Output: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (Session, repeat each Input) async throws -> Output
  ) -> RemoteFunction<repeat each Input, Output> {
    let id = register(
      name,
      .program { session, reader in
        let inputs = (repeat try reader.read((each Input).self))
        return { try await body(session, repeat each inputs) }
      },
      .program { [unowned table] client, input in
        var reader = ArgumentReader(input)
        let inputs = (repeat try reader.read((each Input).self))
        let session = Session(RealBackend(client, library: FunctionLibrary(of: table)))
        return {
          let value = try await body(session, repeat each inputs)
          return { output in try output.store(value) }
        }
      })
    return RemoteFunction(id: id, name: name, options: options, body: .program)
  }

  /// A task that is itself a program and returns nothing.
  public func program<each Input: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    _ body: @escaping @Sendable (Session, repeat each Input) async throws -> Void
  ) -> RemoteFunction<repeat each Input, Void> {
    let id = register(
      name,
      .program { session, reader in
        let inputs = (repeat try reader.read((each Input).self))
        return { try await body(session, repeat each inputs) }
      },
      .program { [unowned table] client, input in
        var reader = ArgumentReader(input)
        let inputs = (repeat try reader.read((each Input).self))
        let session = Session(RealBackend(client, library: FunctionLibrary(of: table)))
        return {
          try await body(session, repeat each inputs)
          return { _ in }
        }
      })
    return RemoteFunction(id: id, name: name, options: options, body: .program)
  }

  // MARK: Actors

  /// Declares an actor class: `make`, its constructor, computes the first state from the arguments
  /// that `Session.create` was given. When it throws, there is no actor, and every call of a method
  /// carries its error.
  public func actorClass<State: Sendable, each Input: RemoteValue>(
    _ name: String, _ options: TaskOptions = TaskOptions(),
    make: @escaping @Sendable (repeat each Input) throws -> State
  ) -> ActorClass<State, repeat each Input> {
    let id = register(
      name,
      .constructor { reader in ActorState(try make(repeat reader.read((each Input).self))) },
      .constructor { input in
        var reader = ArgumentReader(input)
        return ActorState(try make(repeat reader.read((each Input).self)))
      })
    return ActorClass(id: id, name: name, options: options)
  }

  /// Declares a method: it sees and changes the actor's state. A method holds no resources of its
  /// own; the actor holds its class's for life.
  public func method<
    State: Sendable, each Start: RemoteValue, each Input: RemoteValue, Output: RemoteValue
  >(
    _ name: String, of type: ActorClass<State, repeat each Start>,
    _ options: TaskOptions = TaskOptions(resources: .zero),
    _ body: @escaping @Sendable (inout State, repeat each Input) throws -> Output
  ) -> ActorMethod<State, repeat each Input, Output> {
    let name = "\(type.name).\(name)"
    let id = register(
      name,
      .method { holder, reader in
        try holder.change(State.self) { try body(&$0, repeat reader.read((each Input).self)) }
      },
      .method { holder, input, output in
        var reader = ArgumentReader(input)
        let value = try ActorState.of(holder).change(State.self) {
          try body(&$0, repeat reader.read((each Input).self))
        }
        try output.store(value)
      })
    return ActorMethod(id: id, name: name, options: options)
  }

  /// Declares a method that returns nothing.
  public func method<State: Sendable, each Start: RemoteValue, each Input: RemoteValue>(
    _ name: String, of type: ActorClass<State, repeat each Start>,
    _ options: TaskOptions = TaskOptions(resources: .zero),
    _ body: @escaping @Sendable (inout State, repeat each Input) throws -> Void
  ) -> ActorMethod<State, repeat each Input, Void> {
    let name = "\(type.name).\(name)"
    let id = register(
      name,
      .method { holder, reader in
        try holder.change(State.self) { try body(&$0, repeat reader.read((each Input).self)) }
      },
      .method { holder, input, output in
        var reader = ArgumentReader(input)
        try ActorState.of(holder).change(State.self) {
          try body(&$0, repeat reader.read((each Input).self))
        }
      })
    return ActorMethod(id: id, name: name, options: options)
  }
}

extension ActorState {
  static func of(_ object: AnyObject) -> ActorState {
    guard let state = object as? ActorState else {
      preconditionFailure("an actor's state is a \(type(of: object))")
    }
    return state
  }

  func change<State: Sendable, Output>(
    _ type: State.Type, _ body: (inout State) throws -> Output
  ) throws -> Output {
    // The methods of an actor run one after the other.
    precondition(stateType == State.self, "the actor's state is no \(State.self)")
    return try body(&memory.assumingMemoryBound(to: State.self).pointee)
  }
}

extension CallOutput {
  /// Encodes the only value that a function returns.
  mutating func store<Value: RemoteValue>(_ value: Value) throws {
    if try ResultCountError.check(returned: 1, asked: count) { try store(value, index: 0) }
  }

  /// Encodes `value` straight into the memory of result `index`.
  mutating func store<Value: RemoteValue>(_ value: Value, index: Int) throws {
    let count = EncodedValue.byteCount(of: value)
    do {
      try store(index, byteCount: count) { (room: ObjectRoom) in
        try EncodedValue.write(value, into: room)
      }
    } catch let error where StoreIsFull.is(error) {
      throw StoreIsFull(asked: ByteCount(UInt64(count)))
    }
  }
}
