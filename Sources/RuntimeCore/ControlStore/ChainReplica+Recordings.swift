import Primitives

extension ChainReplica {
  /// Why a message of a recording cannot be meant for this machine; nil when it can. Others need not
  /// ask: what they deliver was sent by machines.
  public func problem(with message: Message, from source: Address) -> String? {
    switch message {
    case .taskLogged, .taskCompleted, .locationAdded, .locationRemoved, .actorCreated,
      .functionRegistered, .nodeRegistered, .objectsFreed, .nodeLost, .jobEnded:
      return isHead ? nil : "only the head of a chain takes writes"
    case .updatePropagated(_, let sequence):
      guard !isHead, sequence.value == applied.value &+ 1 else {
        return "update \(sequence.value) comes after \(applied.value)"
      }
      return nil
    case .updatesAcknowledged, .objectLookedUp, .actorLookedUp, .functionsFollowed,
      .cancellationRequested:
      return nil
    default: return "a GCS replica is not told \(message.kind.name)"
    }
  }

  /// How what a message is about stands here; see `Raylet.standing`.
  public func standing(of message: Message) -> String {
    switch message {
    case .taskLogged(let task, _), .taskCompleted(let task, _, _): return standing(of: task)
    case .locationAdded(let object, _, _, _), .locationRemoved(let object, _),
      .objectLookedUp(let object, _):
      return standing(of: object)
    case .updatePropagated(let handle, _):
      let update = payloads.update(handle).update
      return "\(update.kind.name), \(isTail ? "tail" : "middle"), \(standing(of: update))"
    default: return "-"
    }
  }

  private func standing(of task: TaskHandle) -> String {
    "\(specs[task].kind), \(tables.state(of: task))"
  }

  private func standing(of object: ObjectHandle) -> String {
    guard let entry = tables.existingObject(object) else { return "absent" }
    var words = tables.isFreed(entry) ? "freed" : tables.exists(entry) ? "there" : "expected"
    if tables.hasSubscribers(entry) { words += ", followed" }
    return words
  }
}
