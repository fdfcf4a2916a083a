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
  public var kind: MessageKind {
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
    }
  }
}

extension Message {
  /// Bytes on the wire: a frame header of 16, then the encoded fields. Identifiers travel whole
  /// (a task 16, an object 20), and a specification with its arguments where the message carries one.
  public func wireSize(_ specs: TaskSpecTable, _ payloads: MessagePayloads) -> Int {
    let header = 16
    switch self {
    case .taskSubmitted(let task, _), .taskEscalated(let task), .taskPlaced(let task),
      .taskLogged(let task, _):
      let spec = specs[task]
      return header + 64 + 20 * spec.argumentCount + Int(spec.valueBytes)
    case .heartbeat: return header + 64
    case .referencesFreed(let batch), .objectsFreed(let batch):
      return header + 20 * payloads.batch(batch).pointee.count
    case .updatePropagated(let update, _):
      return header + payloads.update(update).update.wireSize(specs, payloads)
    case .chunkArrived: return header + 36
    case .timerFired, .functionsFollowed, .workerBlocked, .workerUnblocked, .workerStarted:
      return header + 8
    default: return header + 40
    }
  }
}
