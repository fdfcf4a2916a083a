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

  var memoryBytes: Int { families.memoryBytes }

  /// Spreads families that follow each other, which the map would lay side by side: whole families
  /// gain nothing by that, and collide in groups.
  private static func key(_ id: TaskID) -> UInt64 {
    ((id.high ^ (id.low >> 3)) &* 0x9E37_79B9_7F4A_7C15) & (.max >> 1)
  }

  /// The handle under an identity of this hash.
  subscript(id: TaskID) -> TaskHandle? {
    guard let family = families.pointer(Self.key(id)) else { return nil }
    let handle = family.pointee[Int(id.low & 7)]
    return handle == Self.none ? nil : TaskHandle(handle)
  }

  mutating func set(_ id: TaskID, _ handle: TaskHandle) {
    let family = families.pointer(Self.key(id), inserting: Family(repeating: Self.none))
    family.pointee[Int(id.low & 7)] = handle.index
  }

  mutating func remove(_ id: TaskID) {
    let key = Self.key(id)
    guard let family = families.pointer(key) else { return }
    family.pointee[Int(id.low & 7)] = Self.none
    for i in 0..<8 where family.pointee[i] != Self.none { return }
    families.remove(key)
  }
}
