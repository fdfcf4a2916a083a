import Primitives

/// Who on this node waits for which object, and how far its fetching has come.
struct DependencyManager: ~Copyable {
  enum Waiter: BitwiseCopyable, Equatable {
    /// A queued task, by its slot.
    case task(UInt32)
    case client(Address, Want)
    /// Another node that asked for a copy while the object was on disk.
    case push(NodeID)
    /// Another node that leaves, and has offered its copy.
    case keeper(NodeID)
  }

  struct Link: BitwiseCopyable {
    var waiter: Waiter
    var next: UInt32
  }

  struct Interest: BitwiseCopyable {
    var head: UInt32
    var tail: UInt32
    var isPulling: Bool
  }

  static let end = UInt32.max

  private var interests = WordMap<Interest>()
  private var links = SlotTable<Link>()

  var count: Int { interests.count }
  var memoryBytes: Int { interests.memoryBytes + links.memoryBytes }

  func interest(_ object: ObjectHandle) -> UnsafeMutablePointer<Interest>? {
    interests.count == 0 ? nil : interests.pointer(object.key)
  }

  /// Adds a waiter; true when it is the object's first, so that a look-up must start.
  mutating func add(_ waiter: Waiter, for object: ObjectHandle) -> Bool {
    let link = links.insert(Link(waiter: waiter, next: Self.end))
    let before = interests.count
    let interest = interests.pointer(
      object.key,
      inserting: Interest(head: Self.end, tail: Self.end, isPulling: false))
    if interest.pointee.head == Self.end {
      interest.pointee.head = link
    } else {
      links.pointer(interest.pointee.tail).pointee.next = link
    }
    interest.pointee.tail = link
    return interests.count > before
  }

  /// Objects that somebody waits for, by key, that satisfy `condition`.
  func keys(matching condition: (UInt64) -> Bool) -> [UInt64] {
    interests.selectKeys(condition)
  }

  /// Takes one such waiter of an object out: whether it was the last, nil when there is none.
  mutating func remove(_ waiter: Waiter, from object: ObjectHandle) -> Bool? {
    guard let interest = interest(object) else { return nil }
    var previous = Self.end
    var link = interest.pointee.head
    while link != Self.end && links[link].waiter != waiter {
      previous = link
      link = links[link].next
    }
    if link == Self.end { return nil }
    let next = links[link].next
    if previous == Self.end {
      interest.pointee.head = next
    } else {
      links.pointer(previous).pointee.next = next
    }
    if next == Self.end { interest.pointee.tail = previous }
    links.remove(link)
    guard interest.pointee.head == Self.end else { return false }
    interests.remove(object.key)
    return true
  }

  /// A client has gone: the objects that nobody waits for any more. Looks at every waiter.
  mutating func removeClient(_ client: Address) -> [ObjectHandle] {
    var left: [ObjectHandle] = []
    for key in interests.selectKeys({ _ in true }) {
      let object = ObjectHandle(key: key)
      for want in [Want.local, .existence] {
        while let isLast = remove(.client(client, want), from: object) {
          if isLast { left.append(object) }
        }
      }
    }
    return left
  }

  /// Takes all waiters of an object out, as a list to walk with `pop`.
  mutating func takeAll(_ object: ObjectHandle) -> UInt32 {
    if interests.count == 0 { return Self.end }
    return interests.remove(object.key)?.head ?? Self.end
  }

  /// The first waiter of a list that was taken out, and the rest.
  mutating func pop(_ list: inout UInt32) -> Waiter? {
    if list == Self.end { return nil }
    let link = links[list]
    links.remove(list)
    list = link.next
    return link.waiter
  }

  /// Takes out the waiters that only need to know that the object exists.
  mutating func takeExistenceWaiters(_ object: ObjectHandle) -> UInt32 {
    guard let interest = interest(object) else { return Self.end }
    var kept = Interest(
      head: Self.end, tail: Self.end, isPulling: interest.pointee.isPulling)
    var taken = Self.end
    var takenTail = Self.end
    var link = interest.pointee.head
    while link != Self.end {
      let next = links[link].next
      links.pointer(link).pointee.next = Self.end
      if case .client(_, .existence) = links[link].waiter {
        if taken == Self.end { taken = link } else { links.pointer(takenTail).pointee.next = link }
        takenTail = link
      } else {
        if kept.head == Self.end {
          kept.head = link
        } else {
          links.pointer(kept.tail).pointee.next = link
        }
        kept.tail = link
      }
      link = next
    }
    if kept.head == Self.end { interests.remove(object.key) } else { interest.pointee = kept }
    return taken
  }

  /// The pull class of an object: the most urgent of its waiters.
  mutating func urgency(_ object: ObjectHandle) -> PullManager.Urgency {
    var result = PullManager.Urgency.taskArgument
    guard let interest = interest(object) else { return result }
    var link = interest.pointee.head
    while link != Self.end {
      if case .client(_, .local) = links[link].waiter { result = .get }
      link = links[link].next
    }
    return result
  }
}
