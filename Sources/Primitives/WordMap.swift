/// A hash map from 64-bit keys to plain values: open addressing, linear probing, backward-shift
/// deletion, a stable hash. Eight keys that follow each other lie side by side, so that a burst of
/// tasks, whose handles do, costs a cache miss for several and not for each. It cannot be iterated,
/// so no order can leak into a decision; `keys(where:)` sorts what it finds.
///
/// Look-up, insertion and removal take expected constant time. Capacity doubles at 3/4 full and is
/// kept, so a map whose population is steady does not allocate.
public struct WordMap<Value: BitwiseCopyable>: ~Copyable {
  /// Key and value side by side: a look-up that succeeds costs one cache miss, not two.
  @usableFromInline struct Place: BitwiseCopyable {
    @usableFromInline var key: UInt64
    @usableFromInline var value: Value

    @inlinable init(key: UInt64, value: Value) {
      self.key = key
      self.value = value
    }
  }

  @usableFromInline var places: UnsafeMutablePointer<Place>
  @usableFromInline var mask: Int
  /// 64 less the binary logarithm of the size.
  @usableFromInline var shift: UInt64
  @usableFromInline var filled: Int
  /// With so many keys the map is full, and grows before it takes another.
  @usableFromInline var limit: Int

  /// Reserved: marks an empty place.
  @inlinable public static var emptyKey: UInt64 { .max }

  /// - Parameter isSparse: grow at half full already: for maps that are asked in vain as often as not.
  @inlinable public init(minimumCapacity: Int = 16, isSparse: Bool = false) {
    let quarters = isSparse ? 2 : 3
    var size = 16
    while size / 4 * quarters < minimumCapacity { size *= 2 }
    limit = size / 4 * quarters
    places = Self.emptyPlaces(size)
    mask = size - 1
    shift = UInt64(64 - size.trailingZeroBitCount)
    filled = 0
  }

  deinit { places.deallocate() }

  /// Only the keys are initialised: a value is written before it is read.
  @inlinable static func emptyPlaces(_ size: Int) -> UnsafeMutablePointer<Place> {
    let places = UnsafeMutablePointer<Place>.allocate(capacity: size)
    for i in 0..<size { places[i].key = emptyKey }
    return places
  }

  @inlinable public var count: Int { filled }

  /// Bytes of heap that the map holds.
  @inlinable public var memoryBytes: Int {
    (mask + 1) * MemoryLayout<Place>.stride
  }

  @inlinable func home(_ key: UInt64) -> Int {
    // Fibonacci hashing takes the highest bits: keys that differ only high up still spread. Within eight
    // they lie backwards: what came first mostly goes first, and then the place behind a hole is empty.
    let spread = Int(truncatingIfNeeded: ((key >> 3) &* 0x9E37_79B9_7F4A_7C15) &>> shift)
    return spread & ~7 | ~Int(truncatingIfNeeded: key) & 7
  }

  /// The place of `key`, or of the empty slot where it would go.
  @inlinable func place(_ key: UInt64) -> Int {
    var i = home(key)
    while places[i].key != key && places[i].key != Self.emptyKey { i = (i &+ 1) & mask }
    return i
  }

  @inlinable func value(at i: Int) -> UnsafeMutablePointer<Value> {
    withUnsafeMutablePointer(to: &places[i].value) { $0 }
  }

  @inlinable public subscript(key: UInt64) -> Value? {
    let i = place(key)
    return places[i].key == key ? places[i].value : nil
  }

  @inlinable public func contains(_ key: UInt64) -> Bool { places[place(key)].key == key }

  /// A pointer to the value of `key`, valid until the next insertion or removal.
  @inlinable public func pointer(_ key: UInt64) -> UnsafeMutablePointer<Value>? {
    let i = place(key)
    return places[i].key == key ? value(at: i) : nil
  }

  /// A pointer to the value of `key`, inserting `initial` when absent; valid until the next
  /// insertion or removal.
  @inlinable public mutating func pointer(
    _ key: UInt64, inserting initial: @autoclosure () -> Value
  ) -> UnsafeMutablePointer<Value> {
    precondition(key != Self.emptyKey, "key \(key) is reserved")
    var i = place(key)
    if places[i].key == key { return value(at: i) }
    if filled >= limit {
      grow()
      i = place(key)
    }
    (places + i).initialize(to: Place(key: key, value: initial()))
    filled &+= 1
    return value(at: i)
  }

  @inlinable public mutating func set(_ key: UInt64, _ value: Value) {
    precondition(key != Self.emptyKey, "key \(key) is reserved")
    var i = place(key)
    if places[i].key != key {
      if filled >= limit {
        grow()
        i = place(key)
      }
      filled &+= 1
    }
    (places + i).initialize(to: Place(key: key, value: value))
  }

  @inlinable @discardableResult
  public mutating func remove(_ key: UInt64) -> Value? {
    var hole = place(key)
    guard places[hole].key == key else { return nil }
    let removed = places[hole].value
    var next = (hole &+ 1) & mask
    while places[next].key != Self.emptyKey {
      // Move an entry back only when its home does not lie after the hole.
      let distance = (next &- home(places[next].key)) & mask
      if distance >= (next &- hole) & mask {
        places[hole] = places[next]
        hole = next
      }
      next = (next &+ 1) & mask
    }
    places[hole].key = Self.emptyKey
    filled &-= 1
    return removed
  }

  /// The keys whose values satisfy `condition`, in ascending order, whatever the order in memory.
  /// Looks at every place: for rare events.
  @inlinable public func keys(where condition: (Value) -> Bool) -> [UInt64] {
    var found: [UInt64] = []
    for i in 0...mask where places[i].key != Self.emptyKey && condition(places[i].value) {
      found.append(places[i].key)
    }
    return found.sorted()
  }

  /// The keys that satisfy `condition`, in the same way.
  @inlinable public func selectKeys(_ condition: (UInt64) -> Bool) -> [UInt64] {
    var found: [UInt64] = []
    for i in 0...mask where places[i].key != Self.emptyKey && condition(places[i].key) {
      found.append(places[i].key)
    }
    return found.sorted()
  }

  @inlinable @inline(never) mutating func grow() {
    let old = places
    let oldSize = mask + 1
    let size = oldSize * 2
    places = Self.emptyPlaces(size)
    mask = size - 1
    limit *= 2
    shift = UInt64(64 - size.trailingZeroBitCount)
    for i in 0..<oldSize where old[i].key != Self.emptyKey {
      (places + place(old[i].key)).initialize(to: old[i])
    }
    old.deallocate()
  }
}
