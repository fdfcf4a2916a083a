/// Where a machine writes its orders: reusable raw storage, so that in steady state nothing is
/// allocated per event. The world drains it after each input (ARCHITECTURE.md, "The seam").
public struct EffectBuffer<Effect: BitwiseCopyable>: ~Copyable {
  @usableFromInline var storage: UnsafeMutablePointer<Effect>
  @usableFromInline var capacity: Int
  @usableFromInline var filled: Int

  @inlinable public init(capacity: Int = 64) {
    storage = .allocate(capacity: capacity)
    self.capacity = capacity
    filled = 0
  }

  deinit { storage.deallocate() }

  @inlinable public var count: Int { filled }
  @inlinable public var isEmpty: Bool { filled == 0 }

  @inlinable public subscript(index: Int) -> Effect {
    precondition(index < filled, "effect \(index) of \(filled)")
    return storage[index]
  }

  @inlinable public mutating func append(_ effect: Effect) {
    if filled == capacity { grow() }
    (storage + filled).initialize(to: effect)
    filled += 1
  }

  @inlinable @inline(never) mutating func grow() {
    let larger = UnsafeMutablePointer<Effect>.allocate(capacity: capacity * 2)
    larger.moveInitialize(from: storage, count: filled)
    storage.deallocate()
    storage = larger
    capacity *= 2
  }

  @inlinable public mutating func removeAll() { filled = 0 }
}
