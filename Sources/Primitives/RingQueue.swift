/// A first-in first-out queue of plain values in a growing ring.
public struct RingQueue<Element: BitwiseCopyable>: ~Copyable {
  @usableFromInline var storage: UnsafeMutablePointer<Element>
  @usableFromInline var mask: Int
  @usableFromInline var head: Int
  @usableFromInline var filled: Int

  @inlinable public init(capacity: Int = 8) {
    var size = 8
    while size < capacity { size *= 2 }
    storage = .allocate(capacity: size)
    mask = size - 1
    head = 0
    filled = 0
  }

  deinit { storage.deallocate() }

  @inlinable public var count: Int { filled }
  @inlinable public var isEmpty: Bool { filled == 0 }
  @inlinable public var memoryBytes: Int { (mask + 1) * MemoryLayout<Element>.stride }

  /// The element `offset` places behind the front.
  @inlinable public subscript(offset: Int) -> Element {
    precondition(offset < filled, "element \(offset) of \(filled)")
    return storage[(head + offset) & mask]
  }

  @inlinable public var first: Element? { filled == 0 ? nil : storage[head] }

  @inlinable public mutating func append(_ element: Element) {
    if filled == mask + 1 { grow() }
    (storage + ((head + filled) & mask)).initialize(to: element)
    filled += 1
  }

  @inlinable public mutating func popFirst() -> Element? {
    if filled == 0 { return nil }
    let element = storage[head]
    head = (head + 1) & mask
    filled -= 1
    return element
  }

  @inlinable public mutating func popLast() -> Element? {
    if filled == 0 { return nil }
    filled -= 1
    return storage[(head + filled) & mask]
  }

  @inlinable @inline(never) mutating func grow() {
    let size = mask + 1
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: size * 2)
    for i in 0..<filled { (larger + i).initialize(to: storage[(head + i) & mask]) }
    storage.deallocate()
    storage = larger
    mask = size * 2 - 1
    head = 0
  }
}
