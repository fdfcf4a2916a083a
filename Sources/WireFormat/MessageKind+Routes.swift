import RuntimeCore

extension MessageKind {
  /// Whether a message of this kind may arrive from another process. The others are what the world
  /// tells its own machine; `chunkArrived` too, since it follows from bytes that came
  /// (`ChunkFrame`).
  public var crossesProcesses: Bool {
    switch self {
    case .taskFinished, .workerStarted, .workerLost, .timerFired, .chunkSent, .chunkArrived,
      .roomRequested, .objectPinned, .objectUnpinned, .objectRestored, .nodesCounted, .driverLost,
      .nodeDraining, .objectsDue:
      false
    default: true
    }
  }

  /// Whether a machine of role `source` sends such messages to machines of role `target`: a machine
  /// takes what it does not understand for a fault of its own program.
  public func travels(from source: Address.Role, to target: Address.Role) -> Bool {
    switch self {
    case .taskSubmitted, .objectWanted, .objectPut, .referencesFreed, .workerBlocked,
      .workerUnblocked, .polled:
      source == .driver && target == .raylet
    case .objectReady, .pollAnswered, .taskForwarded: source == .raylet && target == .driver
    case .taskEscalated, .heartbeat: source == .raylet && target == .globalScheduler
    case .taskPlaced: (source == .globalScheduler || source == .raylet) && target == .raylet
    case .objectRequested, .objectRefused, .chunkArrived, .objectOffered, .objectKept:
      source == .raylet && target == .raylet
    case .locationAdded, .locationRemoved, .actorCreated, .nodeRegistered,
      .objectsFreed, .actorLookedUp, .functionsFollowed:
      source == .raylet && target == .replica
    case .functionRegistered: source == .driver && target == .replica
    case .objectLookedUp, .taskLogged, .taskCompleted, .nodeLost:
      (source == .raylet || source == .globalScheduler) && target == .replica
    case .actorLocated, .functionPublished:
      source == .replica && target == .raylet
    case .cancellationRequested:
      source == .driver || source == .replica
        ? target == .raylet : source == .raylet && target != .driver
    case .writesCommitted, .objectLocated, .locationLost, .locationsListed, .objectFreed:
      source == .replica && (target == .raylet || target == .globalScheduler)
    case .jobEnded:
      source == .raylet
        ? target == .replica || target == .globalScheduler
        : source == .replica && target == .raylet
    case .updatePropagated, .updatesAcknowledged: source == .replica && target == .replica
    case .timerFired: source == target
    case .taskFinished, .workerStarted, .workerLost, .chunkSent, .roomRequested, .objectPinned,
      .objectUnpinned, .objectRestored, .nodesCounted, .driverLost, .objectsDue:
      target == .raylet
    case .nodeDraining: target == .raylet || target == .globalScheduler
    }
  }

  /// Whether it is a write to the GCS, and so may pass down a chain.
  public var isUpdate: Bool {
    switch self {
    case .taskLogged, .taskCompleted, .locationAdded, .locationRemoved, .actorCreated,
      .functionRegistered, .nodeRegistered, .nodeLost, .jobEnded, .objectsFreed:
      true
    default: false
    }
  }

  /// Whether the message carries a whole specification.
  var carriesSpecification: Bool {
    switch self {
    case .taskSubmitted, .taskEscalated, .taskPlaced, .taskLogged: true
    default: false
    }
  }
}
