/// From the identities of tasks to their handles: a map of families of eight. Siblings with
/// successive numbers share a row, so a program's tasks in a row cost one cache miss for eight, and
/// a row leaves the table only with its last task.
///
/// Identities are compared by a hash of 64 bits: the caller compares what it finds with the whole.
struct SiblingIndex: ~Copyable {
  private typealias Family = InlineArray<8, UInt32>

  private static var none: UInt32 { .max }

  /// Half full at most: as many look-ups are in vain as not.
  private var families = WordMap<Family>(isSparse: true)

  /// The family that was found last, and the identities that it is of: what comes next is most often
  /// about another of these.
  private var recent: UnsafeMutablePointer<Family>?
  private var recentHigh: UInt64 = 0
  private var recentLow: UInt64 = 0

  var memoryBytes: Int { families.memoryBytes }

  /// Spreads families that follow each other, which the map would lay side by side: whole families
  /// gain nothing by that, and collide in groups.
  private static func key(_ id: TaskID) -> UInt64 {
    ((id.high ^ (id.low >> 3)) &* 0x9E37_79B9_7F4A_7C15) & (.max >> 1)
  }

  /// The family of an identity; nil when there is none.
  @inline(__always)
  private mutating func family(_ id: TaskID) -> UnsafeMutablePointer<Family>? {
    if let recent, recentLow == id.low >> 3, recentHigh == id.high { return recent }
    guard let found = families.pointer(Self.key(id)) else { return nil }
    remember(found, of: id)
    return found
  }

  private mutating func remember(_ family: UnsafeMutablePointer<Family>, of id: TaskID) {
    recent = family
    recentHigh = id.high
    recentLow = id.low >> 3
    // Programs' tasks come in rows: the following family is the next to be asked for.
    families.prefetch(Self.key(TaskID(high: id.high, low: id.low &+ 8)))
  }

  /// The handle under an identity of this hash.
  mutating func find(_ id: TaskID) -> TaskHandle? {
    guard let family = family(id) else { return nil }
    let handle = family.pointee[Int(id.low & 7)]
    return handle == Self.none ? nil : TaskHandle(handle)
  }

  mutating func set(_ id: TaskID, _ handle: TaskHandle) {
    if let family = family(id) {
      family.pointee[Int(id.low & 7)] = handle.index
      return
    }
    let family = families.pointer(Self.key(id), inserting: Family(repeating: Self.none))
    family.pointee[Int(id.low & 7)] = handle.index
    remember(family, of: id)
  }

  mutating func remove(_ id: TaskID) {
    guard let family = family(id) else { return }
    family.pointee[Int(id.low & 7)] = Self.none
    for i in 0..<8 where family.pointee[i] != Self.none { return }
    families.remove(Self.key(id))
    // Others may have moved into the gap.
    recent = nil
  }
}
