import Primitives

extension ChainReplica {
  /// Why a message of a recording cannot be meant for this machine; nil when it can. Others need not
  /// ask: what they deliver was sent by machines.
  public func problem(with message: Message, from source: Address) -> String? {
    switch message {
    case .taskLogged, .taskCompleted, .locationAdded, .locationRemoved, .actorCreated,
      .functionRegistered, .nodeRegistered, .objectsFreed, .nodeLost:
      return isHead ? nil : "only the head of a chain takes writes"
    case .updatePropagated(_, let sequence):
      guard !isHead, sequence.value == applied.value &+ 1 else {
        return "update \(sequence.value) comes after \(applied.value)"
      }
      return nil
    case .updatesAcknowledged, .objectLookedUp, .actorLookedUp, .functionsFollowed: return nil
    default: return "a GCS replica is not told \(message.kind.name)"
    }
  }
}
