import Primitives

/// The kind of a message, without what it carries: for service times, counters and fingerprints.
@frozen
public enum MessageKind: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  case taskSubmitted, objectWanted, objectPut, referencesFreed, workerBlocked, workerUnblocked
  case taskFinished, workerStarted, objectReady, taskEscalated, taskPlaced, heartbeat
  case objectRequested, objectRefused, chunkArrived, chunkSent
  case taskLogged, taskCompleted, locationAdded, locationRemoved, actorCreated
  case functionRegistered, nodeRegistered, objectsFreed
  case objectLookedUp, actorLookedUp, functionsFollowed
  case writesCommitted, objectLocated, locationLost, locationsListed, objectFreed, actorLocated
  case functionPublished, updatePropagated, updatesAcknowledged, timerFired
  case polled, pollAnswered
  case roomRequested, objectPinned, objectUnpinned, objectRestored
  case workerLost, nodeLost, taskForwarded, nodesCounted
  case driverLost, jobEnded, cancellationRequested
  case nodeDraining, objectsDue, objectOffered, objectKept

  /// The name in profiles and listings: `task-submitted`.
  public var name: String {
    var text = ""
    for character in "\(self)" {
      if character.isUppercase { text += "-" }
      text += character.lowercased()
    }
    return text
  }
}

extension Message {
  @inlinable @inline(__always) public var kind: MessageKind {
    switch self {
    case .taskSubmitted: .taskSubmitted
    case .objectWanted: .objectWanted
    case .objectPut: .objectPut
    case .referencesFreed: .referencesFreed
    case .workerBlocked: .workerBlocked
    case .workerUnblocked: .workerUnblocked
    case .taskFinished: .taskFinished
    case .workerStarted: .workerStarted
    case .objectReady: .objectReady
    case .taskEscalated: .taskEscalated
    case .taskPlaced: .taskPlaced
    case .heartbeat: .heartbeat
    case .objectRequested: .objectRequested
    case .objectRefused: .objectRefused
    case .chunkArrived: .chunkArrived
    case .chunkSent: .chunkSent
    case .taskLogged: .taskLogged
    case .taskCompleted: .taskCompleted
    case .locationAdded: .locationAdded
    case .locationRemoved: .locationRemoved
    case .actorCreated: .actorCreated
    case .functionRegistered: .functionRegistered
    case .nodeRegistered: .nodeRegistered
    case .objectsFreed: .objectsFreed
    case .objectLookedUp: .objectLookedUp
    case .actorLookedUp: .actorLookedUp
    case .functionsFollowed: .functionsFollowed
    case .writesCommitted: .writesCommitted
    case .objectLocated: .objectLocated
    case .locationLost: .locationLost
    case .locationsListed: .locationsListed
    case .objectFreed: .objectFreed
    case .actorLocated: .actorLocated
    case .functionPublished: .functionPublished
    case .updatePropagated: .updatePropagated
    case .updatesAcknowledged: .updatesAcknowledged
    case .timerFired: .timerFired
    case .polled: .polled
    case .pollAnswered: .pollAnswered
    case .roomRequested: .roomRequested
    case .objectPinned: .objectPinned
    case .objectUnpinned: .objectUnpinned
    case .objectRestored: .objectRestored
    case .workerLost: .workerLost
    case .nodeLost: .nodeLost
    case .taskForwarded: .taskForwarded
    case .driverLost: .driverLost
    case .jobEnded: .jobEnded
    case .cancellationRequested: .cancellationRequested
    case .nodesCounted: .nodesCounted
    case .nodeDraining: .nodeDraining
    case .objectsDue: .objectsDue
    case .objectOffered: .objectOffered
    case .objectKept: .objectKept
    }
  }
}

extension Message {
  /// Bytes of the message on the wire, as `WireFormat` encodes it: a frame header of 16, then the
  /// fields. Identifiers travel whole (a task 16, an object 20), and a specification with its
  /// arguments where the message carries one. The announcement of a new demand is not counted.
  public func wireSize(_ specs: TaskSpecTable, _ payloads: MessagePayloads) -> Int {
    let header = 16
    switch self {
    case .taskSubmitted(let task, _), .taskEscalated(let task), .taskPlaced(let task):
      return header + Self.wireSize(specs[task])
    case .taskLogged(let task, _): return header + 4 + Self.wireSize(specs[task])
    case .taskCompleted(let task, _, _): return header + 23 + 8 * Int(specs[task].returns)
    case .objectReady, .objectWanted, .objectLookedUp, .taskFinished, .objectKept:
      return header + 21
    case .objectPut: return header + 28
    case .referencesFreed(let batch), .objectsFreed(let batch):
      return header + 4 + 20 * payloads.batch(batch).pointee.count
    case .heartbeat: return header + 96
    case .chunkArrived, .locationAdded, .objectLocated: return header + 33
    case .locationRemoved, .locationLost: return header + 24
    case .objectRequested, .objectRefused, .objectPinned, .objectUnpinned, .locationsListed,
      .objectFreed, .objectOffered, .actorCreated, .actorLocated:
      return header + 20
    case .actorLookedUp, .writesCommitted, .taskForwarded: return header + 16
    case .cancellationRequested: return header + 17
    case .polled, .pollAnswered, .timerFired, .roomRequested, .driverLost, .objectsDue:
      return header + 8
    case .workerBlocked, .workerUnblocked, .workerStarted, .workerLost, .objectRestored,
      .chunkSent, .functionRegistered, .functionPublished, .nodeRegistered, .nodeLost,
      .nodesCounted, .nodeDraining, .updatesAcknowledged, .jobEnded:
      return header + 4
    case .functionsFollowed: return header
    case .updatePropagated(let update, _):
      // The update's own header (kind, flags, client, sequence number, epoch) is as long as a frame's.
      return header + payloads.update(update).update.wireSize(specs, payloads)
    }
  }

  private static func wireSize(_ spec: TaskSpec) -> Int {
    68 + (spec.actor == .none ? 0 : 16) + 20 * spec.argumentCount + Int(spec.valueBytes)
  }
}
