import Primitives

extension EventQueue {
  /// Puts an event among the sorted ones being served, after those of the same time.
  @inlinable @inline(never)
  mutating func insertIntoFront(_ event: Event) {
    if head == tail {
      head = frontStart + 1
      tail = head
    } else if event.time < head.pointee.time && head != frontStart {
      // The commonest case: something happens now, or before anything else does.
      head -= 1
      head.initialize(to: event)
      return
    }
    if tail == frontStart + EventQueueLayout.chunkCapacity {
      // Moving a quarter of a chunk makes room for three more. A front fuller than that would cost
      // more moves per insertion than the way through the buckets.
      let waiting = tail - head
      if waiting > EventQueueLayout.chunkCapacity / 4 {
        overflowFront(with: event)
        return
      }
      frontStart.update(from: head, count: waiting)
      head = frontStart
      tail = head + waiting
    }
    var place = tail
    while place != head && event.time < (place - 1).pointee.time {
      place.initialize(to: (place - 1).pointee)
      place -= 1
    }
    place.initialize(to: event)
    tail += 1
  }

  /// Hands a full front and one event more to the levels below its own, which are empty.
  @inlinable @inline(never)
  mutating func overflowFront(with event: Event) {
    // A front of one single time keeps its events: the new one is the last of them, and waits in
    // the bucket of that time. Otherwise the range narrows to what is at the present moment.
    if frontWidth != 1 {
      base = lastTime
      var waiting = head
      while waiting != tail {
        append(waiting.pointee)
        waiting += 1
      }
      head = frontStart
      tail = frontStart
    }
    frontWidth = 0
    append(event)
  }

  /// Sorts the front by time; equal times keep their order.
  @inlinable @inline(__always)
  mutating func sortFront(level: Int) {
    let events = tail - head
    if events == 1 { return }
    if events < 4 || level > EventQueueLayout.rankableLevel {
      sortFrontByInsertion()
    } else {
      sortFrontByRank(events)
    }
  }

  /// Each event's place is the number of keys below its own. The key is the time within the front,
  /// then the position, so no two are equal. Quadratic, but without a branch to mispredict, and the
  /// comparisons are made eight at a time.
  @inlinable @inline(__always)
  mutating func sortFrontByRank(_ events: Int) {
    let shift = UInt64(truncatingIfNeeded: EventQueueLayout.positionBits)
    for position in 0..<events {
      let offset = head[position].time &- base
      keys[position] =
        Int32(truncatingIfNeeded: offset &<< shift) | Int32(truncatingIfNeeded: position)
    }
    let sorted = chunks.take()
    var first = 0
    while first < events {
      let block = UnsafeRawPointer(keys + first).loadUnaligned(as: SIMD8<Int32>.self)
      var ranks = SIMD8<Int32>(repeating: 0)
      for position in 0..<events {
        // Minus one in the lanes above this key, by the sign of the difference.
        ranks &-= (SIMD8(repeating: keys[position]) &- block) &>> 31
      }
      let last = min(events, first + 8)
      for position in first..<last {
        sorted[Int(truncatingIfNeeded: ranks[position &- first])] = head[position]
      }
      first += 8
    }
    chunks.give(frontStart)
    frontStart = sorted
    head = sorted
    tail = sorted + events
  }

  @inlinable @inline(__always)
  mutating func sortFrontByInsertion() {
    var next = head + 1
    while next < tail {
      let event = next.pointee
      if event.time < (next - 1).pointee.time {
        var place = next
        repeat {
          place.initialize(to: (place - 1).pointee)
          place -= 1
        } while place != head && event.time < (place - 1).pointee.time
        place.initialize(to: event)
      }
      next += 1
    }
  }
}
