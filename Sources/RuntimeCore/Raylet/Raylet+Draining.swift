import Primitives

/// A node leaves: it keeps nothing new, runs what it has, and hands its primary copies to others.
///
///     primary ──offered──► another node pulls a copy, or has one ──kept──► that one is the primary copy
///                              └── it ends before ──► primary, to be offered again
///
/// The world says when (`nodeDraining`) and to whom (`objectsDue`), and asks when all is done.
struct Handover: ~Copyable {
  /// Where the search for the next object goes on.
  var next: UInt32 = 0
  /// To whom an object was offered, by object; each with a reference until the answer comes.
  var offers = WordMap<NodeID>()
  var failed = 0
}

extension Raylet {
  /// Nothing is queued or runs here, and the GCS knows of all that did.
  public var hasNoTasks: Bool { tasks.count == 0 && uncommitted == 0 }
  /// Offered to other nodes that have not answered yet.
  public var offeredObjects: Int { handover.offers.count }
  /// Whether there is a primary copy that no other node has been asked to take. Slow.
  public var hasObjectsToOffer: Bool { store.firstPrimary(from: 0) != nil }
  /// Offers that nobody could take, such as objects larger than the other store.
  public var objectsNotTaken: Int { handover.failed }

  mutating func offerObjects(
    to keeper: NodeID, atMost count: UInt32, into effects: inout EffectBuffer<Effect>
  ) {
    guard isDraining, keeper != node, !lostNodes.contains(keeper) else { return }
    for _ in 0..<count {
      guard
        let slot = store.firstPrimary(from: handover.next)
          ?? (handover.next > 0 ? store.firstPrimary(from: 0) : nil)
      else { return }
      handover.next = slot + 1
      store.setOffered(slot, true)
      let object = store[slot].object
      specs.retain(object.producer)
      handover.offers.set(object.key, keeper)
      effects.append(.send(.objectOffered(object), to: .raylet(keeper)))
    }
  }

  mutating func offered(
    _ object: ObjectHandle, by other: NodeID, at now: Instant,
    into effects: inout EffectBuffer<Effect>
  ) {
    if store.find(object) != nil || isBeingFreed(object) {
      answerOffer(of: object, by: other, .freed, into: &effects)
    } else {
      waitFor(object, .keeper(other), at: now, into: &effects)
    }
  }

  /// - Parameter status: why there is no copy here, if there is none.
  mutating func answerOffer(
    of object: ObjectHandle, by other: NodeID, _ status: ObjectStatus,
    into effects: inout EffectBuffer<Effect>
  ) {
    var answer = status.isError ? status : .freed
    if let held = store.find(object), !store[held].isFreed {
      store.setPrimary(held, true)
      answer = .value
    }
    effects.append(.send(.objectKept(object, answer), to: .raylet(other)))
  }

  mutating func kept(_ object: ObjectHandle, _ status: ObjectStatus, by other: NodeID) {
    guard handover.offers[object.key] == other else { return }
    handover.offers.remove(object.key)
    if status == .value {
      if let held = store.find(object) { store.setPrimary(held, false) }
    } else if status != .freed {
      handover.failed += 1
    }
    specs.release(object.producer)
  }

  /// The node that was to take these has ended itself.
  mutating func withdrawOffers(to lost: NodeID) {
    for key in handover.offers.keys(where: { $0 == lost }) {
      handover.offers.remove(key)
      let object = ObjectHandle(key: key)
      if let held = store.find(object) { store.setOffered(held, false) }
      specs.release(object.producer)
    }
  }
}
