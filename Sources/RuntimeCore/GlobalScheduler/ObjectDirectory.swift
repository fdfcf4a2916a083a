import Primitives

/// What a global scheduler has learnt from the object table: size and holders of objects that tasks
/// named as inputs. The GCS keeps it current and says when an object is freed.
struct ObjectDirectory: ~Copyable {
  struct Entry: BitwiseCopyable {
    var size: ByteCount
    /// First of the tasks that wait for the answer about this object.
    var waiting: UInt32
    var isKnown: Bool
  }

  struct Waiting: BitwiseCopyable {
    var pending: UInt32
    var next: UInt32
  }

  static let end = UInt32.max

  private var slots = WordMap<UInt32>()
  private var entries = SlotTable<Entry>()
  private var links = SlotTable<Waiting>()
  /// Holders of each entry, a bit for each node, `words` words an entry.
  private var holders: UnsafeMutablePointer<UInt64>
  private var capacity: Int
  private(set) var words: Int

  init(nodes: Int) {
    words = max(1, (nodes + 63) / 64)
    capacity = 16
    holders = .allocate(capacity: capacity * words)
  }

  /// Makes room for nodes with numbers below `nodes`.
  mutating func grow(nodes: Int) {
    let wider = (nodes + 63) / 64
    guard wider > words else { return }
    let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity * wider)
    larger.initialize(repeating: 0, count: capacity * wider)
    for entry in 0..<entries.slotCount {
      (larger + entry * wider).update(from: holders + entry * words, count: words)
    }
    holders.deallocate()
    holders = larger
    words = wider
  }

  deinit { holders.deallocate() }

  var memoryBytes: Int {
    slots.memoryBytes + entries.memoryBytes + links.memoryBytes + capacity * words * 8
  }

  func find(_ object: ObjectHandle) -> UInt32? { slots[object.key] }
  subscript(slot: UInt32) -> Entry { entries[slot] }
  /// The known objects, by key, that satisfy `condition`.
  func keys(matching condition: (UInt64) -> Bool) -> [UInt64] { slots.selectKeys(condition) }

  mutating func add(_ object: ObjectHandle, assumedSize: ByteCount) -> UInt32 {
    let slot = entries.insert(Entry(size: assumedSize, waiting: Self.end, isKnown: false))
    slots.set(object.key, slot)
    if Int(slot) >= capacity {
      let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity * 2 * words)
      larger.moveInitialize(from: holders, count: capacity * words)
      holders.deallocate()
      holders = larger
      capacity *= 2
    }
    (holders + Int(slot) * words).initialize(repeating: 0, count: words)
    return slot
  }

  mutating func remove(_ object: ObjectHandle) {
    if let slot = slots.remove(object.key) { entries.remove(slot) }
  }

  mutating func setHolder(_ slot: UInt32, _ node: NodeID, size: ByteCount) {
    entries.pointer(slot).pointee.size = size
    let word = Int(slot) * words + Int(node.index >> 6)
    holders[word] |= 1 << UInt64(node.index & 63)
  }

  func clearHolder(_ slot: UInt32, _ node: NodeID) {
    let word = Int(slot) * words + Int(node.index >> 6)
    holders[word] &= ~(1 << UInt64(node.index & 63))
  }

  /// Takes the input's size off the remote bytes of every node that holds it.
  func subtractHeld(_ slot: UInt32, from remoteBytes: UnsafeMutablePointer<UInt64>) {
    let size = entries[slot].size.bytes
    for word in 0..<words {
      var bits = holders[Int(slot) * words + word]
      while bits != 0 {
        remoteBytes[word * 64 + bits.trailingZeroBitCount] -= size
        bits &= bits - 1
      }
    }
  }

  mutating func addWaiting(_ slot: UInt32, pending: UInt32) {
    let entry = entries.pointer(slot)
    entry.pointee.waiting = links.insert(Waiting(pending: pending, next: entry.pointee.waiting))
  }

  /// The table answered: takes out the tasks that waited for it, as a list to walk with `pop`.
  mutating func markKnown(_ slot: UInt32) -> UInt32 {
    let entry = entries.pointer(slot)
    let list = entry.pointee.waiting
    entry.pointee.isKnown = true
    entry.pointee.waiting = Self.end
    return list
  }

  mutating func pop(_ list: inout UInt32) -> UInt32? {
    if list == Self.end { return nil }
    let link = links[list]
    links.remove(list)
    list = link.next
    return link.pending
  }
}
