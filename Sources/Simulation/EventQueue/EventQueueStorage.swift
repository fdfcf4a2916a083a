/// The constants of the queue's shape.
@usableFromInline
enum EventQueueLayout {
  /// Bits of time per level. Of 4, 5 and 6, measured with 16 and 48 bytes an event, 6 is never much
  /// the worst and by far the best at a million events; with more, a level outgrows one word.
  @inlinable @inline(__always) static var digitBits: Int { 6 }
  @inlinable @inline(__always) static var digitMask: UInt64 { 63 }
  /// Levels that together hold the 64 bits of a time.
  @inlinable @inline(__always) static var levels: Int { 11 }
  @inlinable @inline(__always) static var bucketCount: Int { levels << digitBits }

  /// Events per chunk, and the most that are sorted at once.
  @inlinable @inline(__always) static var chunkCapacity: Int { 64 }
  /// Bits for the position of an event in a chunk.
  @inlinable @inline(__always) static var positionBits: Int { 6 }
  /// The highest level whose buckets, 17 ms wide, leave 31-bit keys room for the position.
  @inlinable @inline(__always) static var rankableLevel: Int { 4 }
  /// The most events worth sorting by insertion.
  @inlinable @inline(__always) static var insertionLimit: Int { 12 }

  /// The level to which this bit of a time belongs.
  @inlinable @inline(__always) static func level(ofBit bit: Int) -> Int {
    // Division by 6 of a number below 64.
    (bit &* 43) &>> 8
  }
}

/// An event with its time, as it lies in a chunk.
@frozen @usableFromInline
struct ScheduledEvent<Payload: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline var time: UInt64
  @usableFromInline var payload: Payload

  @inlinable init(time: UInt64, payload: Payload) {
    self.time = time
    self.payload = payload
  }
}

/// A chain of chunks, all full but the last. An empty bucket has its cursor at its limit.
@frozen @usableFromInline
struct EventBucket<Payload: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline var head: UnsafeMutablePointer<ScheduledEvent<Payload>>
  /// Where the next event goes in the last chunk.
  @usableFromInline var cursor: UnsafeMutablePointer<ScheduledEvent<Payload>>
  /// The end of the last chunk.
  @usableFromInline var limit: UnsafeMutablePointer<ScheduledEvent<Payload>>
  /// The earliest of its times; the largest number when it is empty.
  @usableFromInline var earliest: UInt64

  @inlinable init(
    head: UnsafeMutablePointer<ScheduledEvent<Payload>>,
    cursor: UnsafeMutablePointer<ScheduledEvent<Payload>>,
    limit: UnsafeMutablePointer<ScheduledEvent<Payload>>,
    earliest: UInt64
  ) {
    self.head = head
    self.cursor = cursor
    self.limit = limit
    self.earliest = earliest
  }
}

/// Chunks of `EventQueueLayout.chunkCapacity` elements, each preceded by a link to another chunk.
///
/// They come from blocks, each half as large as all before, that live until `deallocate`. A freed
/// chunk is the first to be used again, while it is still in the cache. Plain words rather than a
/// type with a `deinit`: Swift 6.3 crashes on one inside a frozen generic.
@frozen @usableFromInline
struct ChunkPool<Element: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline var free: UnsafeMutableRawPointer?
  /// The unused rest of the newest block.
  @usableFromInline var fresh: UnsafeMutableRawPointer
  @usableFromInline var freshCount: Int
  /// The newest block; each begins with a link to the one before.
  @usableFromInline var newestBlock: UnsafeMutableRawPointer?
  @usableFromInline var reservedChunks: Int

  /// Room for the link, and as much as keeps elements aligned.
  @inlinable @inline(__always) static var header: Int {
    max(MemoryLayout<UnsafeMutableRawPointer>.stride, MemoryLayout<Element>.alignment)
  }
  @inlinable @inline(__always) static var chunkBytes: Int {
    header + EventQueueLayout.chunkCapacity * MemoryLayout<Element>.stride
  }

  @inlinable var usedBytes: Int { (reservedChunks - freshCount) * Self.chunkBytes }

  @inlinable init(reserving count: Int) {
    free = nil
    fresh = UnsafeMutableRawPointer(bitPattern: 16)!
    freshCount = 0
    newestBlock = nil
    reservedChunks = 0
    reserve(count)
  }

  @inlinable func deallocate() {
    var block = newestBlock
    while let current = block {
      block = current.load(as: UnsafeMutableRawPointer?.self)
      current.deallocate()
    }
  }

  @inlinable @inline(__always)
  mutating func take() -> UnsafeMutablePointer<Element> {
    if let chunk = free {
      free = chunk.load(as: UnsafeMutableRawPointer?.self)
      return (chunk + Self.header).assumingMemoryBound(to: Element.self)
    }
    if freshCount == 0 { reserve(max(16, reservedChunks / 2)) }
    let chunk = fresh
    fresh += Self.chunkBytes
    freshCount -= 1
    return (chunk + Self.header).assumingMemoryBound(to: Element.self)
  }

  @inlinable @inline(__always)
  mutating func give(_ chunk: UnsafeMutablePointer<Element>) {
    let raw = UnsafeMutableRawPointer(chunk) - Self.header
    raw.storeBytes(of: free, as: UnsafeMutableRawPointer?.self)
    free = raw
  }

  @inlinable @inline(__always)
  func link(_ chunk: UnsafeMutablePointer<Element>, to next: UnsafeMutablePointer<Element>) {
    (UnsafeMutableRawPointer(chunk) - Self.header).storeBytes(
      of: next, as: UnsafeMutablePointer<Element>.self)
  }

  @inlinable @inline(__always)
  func next(after chunk: UnsafeMutablePointer<Element>) -> UnsafeMutablePointer<Element> {
    (UnsafeMutableRawPointer(chunk) - Self.header).load(as: UnsafeMutablePointer<Element>.self)
  }

  @inlinable @inline(never)
  mutating func reserve(_ count: Int) {
    let bytes = Self.header + count * Self.chunkBytes
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: bytes, alignment: max(16, MemoryLayout<Element>.alignment))
    block.storeBytes(of: newestBlock, as: UnsafeMutableRawPointer?.self)
    newestBlock = block
    fresh = block + Self.header
    freshCount = count
    reservedChunks += count
  }
}
