import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

/// Two processes with tables of their own, and one direction of the link between them.
struct Link: ~Copyable {
  let near = TaskSpecTable.allocate(interning: true)
  let far = TaskSpecTable.allocate(interning: true)
  let nearPayloads = MessagePayloads.allocate()
  let farPayloads = MessagePayloads.allocate()
  var encoder: MessageEncoder
  var decoder: MessageDecoder
  var writer = FrameWriter(capacity: 64)
  var borrowed = EffectBuffer<TaskHandle>()

  init(
    bounds: ClusterBounds = .none, accepting: MessageDecoder.Acceptance = .everything,
    fills: Bool = true
  ) {
    // Different numbers for the same demands on both sides.
    _ = far.shape(ResourceVector(cpus: 7, gpus: 7))
    encoder = MessageEncoder(specs: near, payloads: nearPayloads, fillsModelledBytes: fills)
    decoder = MessageDecoder(
      specs: far, payloads: farPayloads, bounds: bounds, accepting: accepting)
  }

  deinit {
    near.deallocate()
    far.deallocate()
    nearPayloads.deallocate()
    farPayloads.deallocate()
  }

  /// The bytes of one message.
  mutating func encode(
    _ message: Message, from source: Address = .raylet(NodeID(1)),
    to target: Address = .raylet(NodeID(2))
  ) throws -> [UInt8] {
    writer.removeAll()
    try encoder.encode(message, from: source, to: target, into: &writer)
    return [UInt8](writer.bytes)
  }

  mutating func decode(_ bytes: [UInt8]) throws(FrameError) -> ReceivedMessage {
    // Copied to memory of its own exact size, so that reading past the end would be seen by tools.
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    return try decoder.decode(UnsafeRawBufferPointer(copy), borrowing: &borrowed)
  }

  /// All messages of a frame that may stand for several; ended by an error.
  mutating func decodeAll(_ bytes: [UInt8]) throws(FrameError) -> [ReceivedMessage] {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    let frame = UnsafeRawBufferPointer(copy)
    let header = try FrameHeader(reading: frame)
    var message = try decoder.message(header, frame, borrowing: &borrowed)
    var all = [ReceivedMessage(message, from: header.source, to: header.target)]
    do throws(FrameError) {
      for _ in 0..<header.repeats {
        message = try decoder.successor(of: message, borrowing: &borrowed)
        all.append(ReceivedMessage(message, from: header.source, to: header.target))
      }
    } catch {
      // What came before has been handed to a machine by then.
      for received in all { release(received.message, received.target.role, far, farPayloads) }
      throw error
    }
    return all
  }

  /// What a machine would do with what a message brings, and the end of the turn.
  mutating func consume(_ received: ReceivedMessage) {
    release(received.message, received.target.role, far, farPayloads)
    endTurn()
  }

  mutating func endTurn() { releaseBorrowed(&borrowed, in: far) }
}

/// Releases what belongs to a message, and its body.
func release(
  _ message: Message, _ target: Address.Role, _ specs: TaskSpecTable, _ payloads: MessagePayloads
) {
  switch message {
  case .taskSubmitted(let task, _), .taskEscalated(let task), .taskPlaced(let task),
    .taskLogged(let task, _):
    specs.release(task)
  case .objectFreed(let object) where target == .raylet: specs.release(object.producer)
  case .referencesFreed(let batch), .objectsFreed(let batch):
    let body = payloads.batch(batch).pointee
    for i in 0..<body.count { specs.release(body[i].producer) }
    payloads.remove(batch)
  case .heartbeat(let handle): _ = payloads.take(handle)
  case .updatePropagated(let handle, _):
    let update = payloads.take(handle).update
    // Along a chain a logged task is the tables' own.
    if update.kind != .taskLogged { release(update, .replica, specs, payloads) }
  default: break
  }
}

/// Everything that a message says, by identities instead of handles.
func describe(
  _ message: Message, _ specs: TaskSpecTable, _ payloads: MessagePayloads
) -> String {
  func task(_ handle: TaskHandle) -> String {
    "\(specs[handle].id.high):\(specs[handle].id.low)"
  }
  func object(_ handle: ObjectHandle) -> String { "\(task(handle.producer))/\(handle.index)" }
  func specification(_ handle: TaskHandle) -> String {
    let spec = specs[handle]
    let arguments = (0..<spec.argumentCount).map { object(specs.argument(handle, $0)) }
    let actor = spec.actor == .none ? "no actor" : task(spec.actor)
    return """
      \(task(handle)) \(spec.isStub) \(spec.work) \(spec.outputSize) \(spec.returns) \(spec.kind) \
      \(spec.body) \(spec.attempt) \(spec.submitter) \(spec.function) \(spec.sequence) \
      \(spec.caller) \(spec.valueBytes) \(specs.demand(handle).lanes) \(actor) \(arguments) \
      \([UInt8](specs.valueArguments(handle)))
      """
  }
  switch message {
  case .taskSubmitted(let handle, let wanted):
    return "\(message.kind) \(wanted) " + specification(handle)
  case .taskEscalated(let handle), .taskPlaced(let handle):
    return "\(message.kind) " + specification(handle)
  case .taskLogged(let handle, let node): return "logged \(node) " + specification(handle)
  case .taskCompleted(let handle, let node, let status):
    return "completed \(task(handle)) \(node) \(status)"
  case .writesCommitted(let handle), .actorLookedUp(let handle), .taskForwarded(let handle):
    return "\(message.kind) \(task(handle))"
  case .cancellationRequested(let handle, let isRecursive):
    return "\(message.kind) \(task(handle)) \(isRecursive)"
  case .taskFinished(let handle, let worker, let status):
    return "finished \(task(handle)) \(worker) \(status)"
  case .actorCreated(let handle, let node), .actorLocated(let handle, let node):
    return "\(message.kind) \(task(handle)) \(node)"
  case .objectWanted(let o, let want): return "wanted \(object(o)) \(want)"
  case .objectPut(let o, let size): return "put \(object(o)) \(size.bytes)"
  case .objectKept(let o, let status): return "kept \(object(o)) \(status)"
  case .objectReady(let o, let status): return "ready \(object(o)) \(status)"
  case .objectLookedUp(let o, let mode): return "looked up \(object(o)) \(mode)"
  case .objectRequested(let o), .objectRefused(let o), .objectPinned(let o),
    .objectUnpinned(let o), .locationsListed(let o), .objectFreed(let o), .objectOffered(let o):
    return "\(message.kind) \(object(o))"
  case .chunkArrived(let o, let index, let count, let status, let size):
    return "chunk \(object(o)) \(index) \(count) \(size.bytes) \(status)"
  case .locationAdded(let o, let node, let status, let size),
    .objectLocated(let o, let node, let status, let size):
    return "\(message.kind) \(object(o)) \(node) \(size.bytes) \(status)"
  case .locationRemoved(let o, let node), .locationLost(let o, let node):
    return "\(message.kind) \(object(o)) \(node)"
  case .referencesFreed(let batch), .objectsFreed(let batch):
    let body = payloads.batch(batch).pointee
    return "\(message.kind) \((0..<body.count).map { object(body[$0]) })"
  case .heartbeat(let handle):
    let heartbeat = payloads.take(handle)
    defer { precondition(payloads.insert(heartbeat).slot == handle.slot) }
    return "\(heartbeat)"
  case .updatePropagated(let handle, let sequence):
    let record = payloads.update(handle)
    return "\(sequence) \(record.client) \(record.sequence) \(record.epoch) "
      + describe(record.update, specs, payloads)
  case .workerBlocked, .workerUnblocked, .workerStarted, .polled, .pollAnswered, .timerFired,
    .roomRequested, .objectRestored, .chunkSent, .functionRegistered, .functionPublished,
    .nodeRegistered, .nodeLost, .nodesCounted, .nodeDraining, .objectsDue, .workerLost,
    .functionsFollowed,
    .updatesAcknowledged,
    .driverLost, .jobEnded:
    return "\(message)"
  }
}
