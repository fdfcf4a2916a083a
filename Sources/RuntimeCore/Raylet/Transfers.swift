import Primitives

/// Which objects this node fetches, within a quota of its store: `get`s before task arguments, first
/// come first served within a class, and always at least one, so that a full store cannot block.
struct PullManager: ~Copyable {
  enum Urgency: UInt8, BitwiseCopyable { case get, taskArgument }

  struct Pull: BitwiseCopyable {
    var size: ByteCount
    var from: NodeID
    var requestedAt: Instant
    var received: UInt16
    var isActive: Bool
  }

  private var pulls = WordMap<Pull>()
  private var waitingGets = RingQueue<UInt64>()
  private var waitingArguments = RingQueue<UInt64>()
  private(set) var activeBytes = ByteCount.zero
  private(set) var activeCount = 0
  let quota: ByteCount

  init(quota: ByteCount) { self.quota = quota }

  var memoryBytes: Int {
    pulls.memoryBytes + waitingGets.memoryBytes + waitingArguments.memoryBytes
  }

  func pull(_ object: ObjectHandle) -> UnsafeMutablePointer<Pull>? { pulls.pointer(object.key) }

  mutating func add(_ object: ObjectHandle, size: ByteCount, from node: NodeID, _ urgency: Urgency)
  {
    pulls.set(
      object.key,
      Pull(size: size, from: node, requestedAt: .zero, received: 0, isActive: false))
    switch urgency {
    case .get: waitingGets.append(object.key)
    case .taskArgument: waitingArguments.append(object.key)
    }
  }

  /// A `get` now waits for an object that was to be pulled as an argument. The older place in the
  /// queue is passed over when its turn comes.
  mutating func raise(_ object: ObjectHandle) {
    if let pull = pulls.pointer(object.key), !pull.pointee.isActive {
      waitingGets.append(object.key)
    }
  }

  /// The next pull to start, with its source; nil when the quota is used up or nothing waits.
  mutating func activateNext(at now: Instant) -> (ObjectHandle, NodeID)? {
    while true {
      guard let key = waitingGets.first ?? waitingArguments.first else { return nil }
      let object = ObjectHandle(key: key)
      guard let pull = pulls.pointer(key), !pull.pointee.isActive else {
        dropFirst()
        continue
      }
      if activeCount > 0 && activeBytes + pull.pointee.size > quota { return nil }
      dropFirst()
      activeCount += 1
      activeBytes += pull.pointee.size
      pull.pointee.isActive = true
      pull.pointee.requestedAt = now
      return (object, pull.pointee.from)
    }
  }

  private mutating func dropFirst() {
    if waitingGets.popFirst() == nil { _ = waitingArguments.popFirst() }
  }

  /// What is being fetched from `node`, or waits to be.
  func keys(from node: NodeID) -> [UInt64] { pulls.keys { $0.from == node } }

  /// The pull ended, with or without the object.
  mutating func finish(_ object: ObjectHandle) {
    guard let pull = pulls.remove(object.key), pull.isActive else { return }
    activeCount -= 1
    activeBytes -= pull.size
  }
}

/// Objects that this node sends, chunk by chunk, a window of chunks at a time.
struct PushManager: ~Copyable {
  struct Push: BitwiseCopyable {
    var object: ObjectHandle
    var to: NodeID
    var size: ByteCount
    var chunk: UInt32
    var count: UInt16
    var next: UInt16
    var inFlight: UInt16
    var status: ObjectStatus
    var storeSlot: UInt32
  }

  private var pushes = SlotTable<Push>()
  var count: Int { pushes.count }
  var memoryBytes: Int { pushes.memoryBytes }

  func pointer(_ id: PushID) -> UnsafeMutablePointer<Push> { pushes.pointer(id.slot) }
  /// There is or was a push of this number.
  func has(_ id: PushID) -> Bool { id.slot < pushes.slotCount }
  mutating func add(_ push: Push) -> PushID { PushID(pushes.insert(push)) }
  mutating func remove(_ id: PushID) { pushes.remove(id.slot) }
}
