import Primitives
import RuntimeCore
import Scheduling

/// Policies that a replay uses in place of the recorded ones.
public struct ReplayPolicies: Sendable {
  public var spillover: PolicySpec?
  public var placement: PolicySpec?
  public var dispatch: PolicySpec?
  public init() {}
}

/// A machine made again, and how far it agrees with what was recorded.
final class ReplayedMachine {
  enum Machine {
    case raylet(UnsafeMutablePointer<Raylet>)
    case globalScheduler(UnsafeMutablePointer<GlobalScheduler>)
    case replica(UnsafeMutablePointer<ChainReplica>)
    case driver(UnsafeMutablePointer<Driver>)
  }

  let address: Address
  let machine: Machine
  var inputs: UInt64 = 0
  var effects: UInt64 = 0
  /// Nothing after the first difference is compared: from there on, the two are different machines.
  var hasDiffered = false
  /// Its latest inputs, the oldest first, with the words for those whose body is gone.
  var recent: [(number: UInt64, input: RecordedInput, body: String?)] = []

  init(
    _ description: MachineDescription, _ stream: RecordedStream, _ policies: ReplayPolicies,
    takesSteps: Bool, at offset: Int
  ) throws(RecordingError) {
    address = description.address
    do throws(PolicyError) {
      machine = try Self.make(description, stream, policies, takesSteps)
    } catch {
      throw RecordingError(at: offset, "\(error)")
    }
  }

  private static func make(
    _ description: MachineDescription, _ stream: RecordedStream, _ policies: ReplayPolicies,
    _ takesSteps: Bool
  ) throws(PolicyError) -> Machine {
    var parameters = stream.parameters
    if takesSteps { parameters.recordsTransitions = true }
    let map = ControlStoreMap(shards: parameters.gcsShards, chainLength: parameters.chainLength)
    switch description {
    case .raylet(let node, let description, let spillover, let dispatch, let seed):
      let spillover = try PolicyRegistry.spillover(policies.spillover ?? spillover)
      let dispatch = try PolicyRegistry.dispatch(policies.dispatch ?? dispatch)
      let raylet = UnsafeMutablePointer<Raylet>.allocate(capacity: 1)
      raylet.initialize(
        to: Raylet(
          node: node, description: description, parameters: parameters, map: map,
          spillover: spillover, dispatch: dispatch, specs: stream.specs,
          payloads: stream.payloads, seed: seed))
      return .raylet(raylet)
    case .globalScheduler(let number, let nodes, let placement, let seed):
      let placement = try PolicyRegistry.placement(policies.placement ?? placement)
      let scheduler = UnsafeMutablePointer<GlobalScheduler>.allocate(capacity: 1)
      scheduler.initialize(
        to: GlobalScheduler(
          number: number, nodes: nodes, parameters: parameters, map: map, placement: placement,
          specs: stream.specs, payloads: stream.payloads, seed: seed))
      return .globalScheduler(scheduler)
    case .replica(_, let shard, let position):
      let replica = UnsafeMutablePointer<ChainReplica>.allocate(capacity: 1)
      replica.initialize(
        to: ChainReplica(
          shard: shard, position: position, map: map, specs: stream.specs,
          payloads: stream.payloads))
      return .replica(replica)
    case .driver(let address, let node, let worker, let root, let incarnation, let freeDelay):
      let driver = UnsafeMutablePointer<Driver>.allocate(capacity: 1)
      driver.initialize(
        to: Driver(
          address: address, node: node, worker: worker, root: root, incarnation: incarnation,
          freeDelay: freeDelay, specs: stream.specs, payloads: stream.payloads))
      return .driver(driver)
    }
  }

  deinit {
    switch machine {
    case .raylet(let raylet): raylet.deinitialize(count: 1).deallocate()
    case .globalScheduler(let scheduler): scheduler.deinitialize(count: 1).deallocate()
    case .replica(let replica): replica.deinitialize(count: 1).deallocate()
    case .driver(let driver): driver.deinitialize(count: 1).deallocate()
    }
  }

  /// Lets the machine hear an input again.
  ///
  /// - Returns: why it cannot be this machine's input; nil when it was heard.
  func hear(
    _ input: RecordedInput, _ stream: RecordedStream, into effects: inout EffectBuffer<Effect>
  ) -> String? {
    switch (machine, input.content) {
    case (.raylet(let raylet), .message(let message, let source)):
      if let problem = raylet.pointee.problem(with: message, from: source) { return problem }
      raylet.pointee.receive(message, from: source, at: input.time, into: &effects)
    case (.raylet(let raylet), .started): raylet.pointee.start(at: input.time, into: &effects)
    case (.globalScheduler(let scheduler), .message(let message, let source)):
      if let problem = scheduler.pointee.problem(with: message, from: source) { return problem }
      scheduler.pointee.receive(message, from: source, at: input.time, into: &effects)
    case (.replica(let replica), .message(let message, let source)):
      if let problem = replica.pointee.problem(with: message, from: source) { return problem }
      replica.pointee.receive(message, from: source, at: input.time, into: &effects)
    case (.driver(let driver), .message(let message, let source)):
      if let problem = driver.pointee.problem(with: message) { return problem }
      driver.pointee.receive(message, from: source, at: input.time, into: &effects)
    case (.driver(let driver), _): return call(driver, input, stream, into: &effects)
    default: return "a \(address.role) is not told that"
    }
    return nil
  }

  private func call(
    _ driver: UnsafeMutablePointer<Driver>, _ input: RecordedInput, _ stream: RecordedStream,
    into effects: inout EffectBuffer<Effect>
  ) -> String? {
    switch input.content {
    case .submit(let task, let notice):
      let spec = stream.specs[task]
      // The identity and the call number are the driver's doing.
      let id = driver.pointee.nextTaskID()
      if id != spec.id { return "the driver names its next task \(id), not \(spec.id)" }
      if spec.kind == .actorMethod {
        let call = driver.pointee.nextCall(on: spec.actor)
        if call != spec.sequence {
          return "the driver's next call on that actor is number \(call), not \(spec.sequence)"
        }
      }
      driver.pointee.submit(task, notice: notice, into: &effects)
    case .put(let size): _ = driver.pointee.put(size, into: &effects)
    case .request(let objects, let needed, let isGet, let fetch, let timeout):
      _ = objects.withUnsafeBufferPointer {
        driver.pointee.request(
          $0, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout, at: input.time,
          into: &effects)
      }
    case .free(let object): driver.pointee.free(object, into: &effects)
    case .flush: driver.pointee.flush(into: &effects)
    case .cancel(let task, let isRecursive):
      driver.pointee.cancel(task, isRecursive: isRecursive, into: &effects)
    case .register(let function):
      let parameters = stream.parameters
      let map = ControlStoreMap(shards: parameters.gcsShards, chainLength: parameters.chainLength)
      driver.pointee.register(function, map, into: &effects)
    default: return "a driver is not told that"
    }
    return nil
  }
}
