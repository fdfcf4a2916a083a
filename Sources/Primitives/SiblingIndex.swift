/// From the identities of tasks to their handles: a hash table of families of eight. Siblings with
/// successive numbers share a row, so a program's tasks in a row cost one cache miss for eight, and
/// a row leaves the table only with its last task.
///
/// Identities are compared by a hash of 64 bits: the caller compares what it finds with the whole.
struct SiblingIndex: ~Copyable {
  struct Row: BitwiseCopyable {
    var key: UInt64
    var handles: InlineArray<8, UInt32>

    init(_ key: UInt64) {
      self.key = key
      handles = .init(repeating: SiblingIndex.none)
    }

    /// No task of the row is left.
    var isEmpty: Bool {
      for i in 0..<8 where handles[i] != SiblingIndex.none { return false }
      return true
    }
  }

  /// Marks an empty row: no key has its highest bit set.
  private static var emptyKey: UInt64 { .max }
  static var none: UInt32 { .max }

  private var rows: UnsafeMutablePointer<Row>
  private var mask: Int
  private var shift: UInt64
  private var filled = 0

  init() {
    rows = Self.emptyRows(16)
    mask = 15
    shift = 60
  }

  deinit { rows.deallocate() }

  private static func emptyRows(_ count: Int) -> UnsafeMutablePointer<Row> {
    let rows = UnsafeMutablePointer<Row>.allocate(capacity: count)
    for i in 0..<count { rows[i].key = emptyKey }
    return rows
  }

  var memoryBytes: Int { (mask + 1) * MemoryLayout<Row>.stride }

  private static func key(_ id: TaskID) -> UInt64 {
    let hash = (id.high ^ (id.low >> 3)) &* 0x9E37_79B9_7F4A_7C15
    return (hash ^ (hash >> 32)) & (.max >> 1)
  }

  private func home(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) &>> shift)
  }

  /// The row of `key`, or the empty one where it would go.
  private func row(_ key: UInt64) -> Int {
    var i = home(key)
    while rows[i].key != key && rows[i].key != Self.emptyKey { i = (i + 1) & mask }
    return i
  }

  /// The handle under an identity of this hash.
  subscript(id: TaskID) -> TaskHandle? {
    let key = Self.key(id)
    let i = row(key)
    guard rows[i].key == key else { return nil }
    let handle = rows[i].handles[Int(id.low & 7)]
    return handle == Self.none ? nil : TaskHandle(handle)
  }

  mutating func set(_ id: TaskID, _ handle: TaskHandle) {
    let key = Self.key(id)
    var i = row(key)
    if rows[i].key != key {
      // Half full at most: as many look-ups are in vain as not.
      if (filled + 1) * 2 > mask + 1 {
        grow()
        i = row(key)
      }
      (rows + i).initialize(to: Row(key))
      filled += 1
    }
    rows[i].handles[Int(id.low & 7)] = handle.index
  }

  mutating func remove(_ id: TaskID) {
    let key = Self.key(id)
    let i = row(key)
    guard rows[i].key == key else { return }
    rows[i].handles[Int(id.low & 7)] = Self.none
    if rows[i].isEmpty { removeRow(i) }
  }

  private mutating func removeRow(_ row: Int) {
    var hole = row
    var next = (hole + 1) & mask
    while rows[next].key != Self.emptyKey {
      // Move a row back only when its home does not lie after the hole.
      let distance = (next &- home(rows[next].key)) & mask
      if distance >= (next &- hole) & mask {
        rows[hole] = rows[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    rows[hole].key = Self.emptyKey
    filled -= 1
  }

  private mutating func grow() {
    let old = rows
    let oldCount = mask + 1
    rows = Self.emptyRows(oldCount * 2)
    mask = oldCount * 2 - 1
    shift -= 1
    for i in 0..<oldCount where old[i].key != Self.emptyKey {
      (rows + row(old[i].key)).initialize(to: old[i])
    }
    old.deallocate()
  }
}
