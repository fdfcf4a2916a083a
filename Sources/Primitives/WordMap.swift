/// A hash map from 64-bit keys to plain values: open addressing, linear probing, backward-shift
/// deletion, a stable hash. It cannot be iterated, so no order can leak into a decision.
///
/// Look-up, insertion and removal take expected constant time. Capacity doubles at 3/4 full and is
/// kept, so a map whose population is steady does not allocate.
public struct WordMap<Value: BitwiseCopyable>: ~Copyable {
  @usableFromInline var keys: UnsafeMutablePointer<UInt64>
  @usableFromInline var values: UnsafeMutablePointer<Value>
  @usableFromInline var mask: Int
  /// 64 less the binary logarithm of the size.
  @usableFromInline var shift: UInt64
  @usableFromInline var filled: Int

  /// Reserved: marks an empty place.
  @inlinable public static var emptyKey: UInt64 { .max }

  @inlinable public init(minimumCapacity: Int = 16) {
    var size = 16
    while size * 3 / 4 < minimumCapacity { size *= 2 }
    keys = .allocate(capacity: size)
    keys.initialize(repeating: Self.emptyKey, count: size)
    values = .allocate(capacity: size)
    mask = size - 1
    shift = UInt64(64 - size.trailingZeroBitCount)
    filled = 0
  }

  deinit {
    keys.deallocate()
    values.deallocate()
  }

  @inlinable public var count: Int { filled }

  /// Bytes of heap that the map holds.
  @inlinable public var memoryBytes: Int {
    (mask + 1) * (MemoryLayout<UInt64>.stride + MemoryLayout<Value>.stride)
  }

  @inlinable func home(_ key: UInt64) -> Int {
    // Fibonacci hashing takes the highest bits: keys that differ only high up still spread.
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) &>> shift)
  }

  /// The place of `key`, or of the empty slot where it would go.
  @inlinable func place(_ key: UInt64) -> Int {
    var i = home(key)
    while keys[i] != key && keys[i] != Self.emptyKey { i = (i + 1) & mask }
    return i
  }

  @inlinable public subscript(key: UInt64) -> Value? {
    let i = place(key)
    return keys[i] == key ? values[i] : nil
  }

  @inlinable public func contains(_ key: UInt64) -> Bool { keys[place(key)] == key }

  /// A pointer to the value of `key`, valid until the next insertion or removal.
  @inlinable public func pointer(_ key: UInt64) -> UnsafeMutablePointer<Value>? {
    let i = place(key)
    return keys[i] == key ? values + i : nil
  }

  /// A pointer to the value of `key`, inserting `initial` when absent; valid until the next
  /// insertion or removal.
  @inlinable public mutating func pointer(
    _ key: UInt64, inserting initial: @autoclosure () -> Value
  ) -> UnsafeMutablePointer<Value> {
    precondition(key != Self.emptyKey, "key \(key) is reserved")
    var i = place(key)
    if keys[i] == key { return values + i }
    if (filled + 1) * 4 > (mask + 1) * 3 {
      grow()
      i = place(key)
    }
    keys[i] = key
    (values + i).initialize(to: initial())
    filled += 1
    return values + i
  }

  @inlinable public mutating func set(_ key: UInt64, _ value: Value) {
    pointer(key, inserting: value).pointee = value
  }

  @inlinable @discardableResult
  public mutating func remove(_ key: UInt64) -> Value? {
    var hole = place(key)
    guard keys[hole] == key else { return nil }
    let removed = values[hole]
    var next = (hole + 1) & mask
    while keys[next] != Self.emptyKey {
      // Move an entry back only when its home does not lie after the hole.
      let distance = (next &- home(keys[next])) & mask
      if distance >= (next &- hole) & mask {
        keys[hole] = keys[next]
        values[hole] = values[next]
        hole = next
      }
      next = (next + 1) & mask
    }
    keys[hole] = Self.emptyKey
    filled -= 1
    return removed
  }

  @usableFromInline mutating func grow() {
    let oldKeys = keys
    let oldValues = values
    let oldSize = mask + 1
    let size = oldSize * 2
    keys = .allocate(capacity: size)
    keys.initialize(repeating: Self.emptyKey, count: size)
    values = .allocate(capacity: size)
    mask = size - 1
    shift = UInt64(64 - size.trailingZeroBitCount)
    for i in 0..<oldSize where oldKeys[i] != Self.emptyKey {
      let j = place(oldKeys[i])
      keys[j] = oldKeys[i]
      (values + j).initialize(to: oldValues[i])
    }
    oldKeys.deallocate()
    oldValues.deallocate()
  }
}
