import Primitives

extension EventQueue {
  /// Puts an event that is not due for the front into its bucket.
  @inlinable @inline(__always)
  mutating func append(_ event: Event) {
    // The lowest bit is set so that a time equal to `base` counts as level 0.
    let highestBit = 63 - ((event.time ^ base) | 1).leadingZeroBitCount
    let level = EventQueueLayout.level(ofBit: highestBit)
    append(event, level: level)
  }

  @inlinable @inline(__always)
  mutating func append(_ event: Event, level: Int) {
    let shift = UInt64(truncatingIfNeeded: level &* EventQueueLayout.digitBits)
    let digit = (event.time &>> shift) & EventQueueLayout.digitMask
    let bucket = buckets + ((level &<< EventQueueLayout.digitBits) | Int(truncatingIfNeeded: digit))
    if bucket.pointee.cursor == bucket.pointee.limit {
      extend(bucket, level: level, digit: digit)
    }
    bucket.pointee.cursor.initialize(to: event)
    bucket.pointee.cursor += 1
    bucket.pointee.earliest = min(bucket.pointee.earliest, event.time)
  }

  /// Gives a bucket that is empty, or whose last chunk is full, another chunk.
  @inlinable @inline(never)
  mutating func extend(_ bucket: UnsafeMutablePointer<Bucket>, level: Int, digit: UInt64) {
    let chunk = chunks.take()
    let bit = 1 &<< digit
    if occupied[level] & bit == 0 {
      occupied[level] |= bit
      occupiedLevels |= 1 &<< UInt64(truncatingIfNeeded: level)
      bucket.pointee.head = chunk
    } else {
      // The last chunk is full, so its cursor stands at its end.
      chunks.link(bucket.pointee.cursor - EventQueueLayout.chunkCapacity, to: chunk)
    }
    bucket.pointee.cursor = chunk
    bucket.pointee.limit = chunk + EventQueueLayout.chunkCapacity
  }

  /// Empties a bucket, whose chunks now belong to the caller.
  @inlinable @inline(__always)
  mutating func detach(_ bucket: UnsafeMutablePointer<Bucket>, level: Int) -> Bucket {
    let detached = bucket.pointee
    bucket.pointee.cursor = detached.limit
    bucket.pointee.earliest = .max
    let rest = occupied[level] & (occupied[level] &- 1)
    occupied[level] = rest
    if rest == 0 { occupiedLevels &= occupiedLevels &- 1 }
    return detached
  }

  /// Makes the earliest events the front. The front is empty; some event is waiting.
  @inlinable @inline(never)
  mutating func loadFront() {
    chunks.give(frontStart)
    while true {
      let level = occupiedLevels.trailingZeroBitCount
      let digit = occupied[level].trailingZeroBitCount
      let bucket = buckets + (level << EventQueueLayout.digitBits | digit)
      if bucket.pointee.head + EventQueueLayout.chunkCapacity == bucket.pointee.limit,
        level <= EventQueueLayout.rankableLevel
          || bucket.pointee.cursor - bucket.pointee.head <= EventQueueLayout.insertionLimit
      {
        let only = detach(bucket, level: level)
        serve(only, level: level)
        return
      }
      if level == 0 {
        serveFirstChunk(of: bucket)
        return
      }
      let chain = detach(bucket, level: level)
      distribute(chain)
    }
  }

  /// Serves a bucket of one chunk: the front takes the chunk and all the bucket's times.
  @inlinable @inline(__always)
  mutating func serve(_ bucket: Bucket, level: Int) {
    frontWidth = 1 &<< UInt64(truncatingIfNeeded: level &* EventQueueLayout.digitBits)
    base = bucket.earliest & ~(frontWidth &- 1)
    frontStart = bucket.head
    head = bucket.head
    tail = bucket.cursor
    if level != 0 { sortFront(level: level) }
  }

  /// Serves the first of several chunks whose times are all equal; the others stay where they are,
  /// and events at the same time still join them, so the front takes none.
  @inlinable @inline(__always)
  mutating func serveFirstChunk(of bucket: UnsafeMutablePointer<Bucket>) {
    frontWidth = 0
    base = bucket.pointee.earliest
    frontStart = bucket.pointee.head
    head = frontStart
    tail = frontStart + EventQueueLayout.chunkCapacity
    bucket.pointee.head = chunks.next(after: frontStart)
  }

  /// Spreads a chain over the level of the highest digit in which its times differ.
  ///
  /// All lower levels are empty, because the chain was the earliest bucket. Its digits on that
  /// level need not differ from `base`: the earliest of the new buckets becomes due next, and
  /// `base` moves there before anything else is pushed.
  @inlinable @inline(never)
  mutating func distribute(_ chain: Bucket) {
    var differences: UInt64 = 0
    var chunk = chain.head
    while true {
      let isLast = chunk + EventQueueLayout.chunkCapacity == chain.limit
      let end = isLast ? chain.cursor : chunk + EventQueueLayout.chunkCapacity
      var event = chunk
      while event != end {
        differences |= event.pointee.time ^ chain.earliest
        event += 1
      }
      if isLast { break }
      chunk = chunks.next(after: chunk)
    }
    if differences == 0 {
      adoptEqualTimes(chain)
      return
    }
    let level = EventQueueLayout.level(ofBit: 63 - differences.leadingZeroBitCount)
    chunk = chain.head
    while true {
      let isLast = chunk + EventQueueLayout.chunkCapacity == chain.limit
      let end = isLast ? chain.cursor : chunk + EventQueueLayout.chunkCapacity
      var event = chunk
      while event != end {
        append(event.pointee, level: level)
        event += 1
      }
      let done = chunk
      if !isLast { chunk = chunks.next(after: chunk) }
      chunks.give(done)
      if isLast { break }
    }
  }

  /// Makes a chain of equal times the bucket of that time on level 0, as it is.
  @inlinable
  mutating func adoptEqualTimes(_ chain: Bucket) {
    let digit = chain.earliest & EventQueueLayout.digitMask
    buckets[Int(truncatingIfNeeded: digit)] = chain
    occupied[0] |= 1 &<< digit
    occupiedLevels |= 1
  }
}
