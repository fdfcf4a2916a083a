extension SegmentAllocator {
  /// Blocks lie side by side up to `top`, holes never touch, and each is in its class; slow.
  public func checkInvariants() {
    var used: UInt64 = 0
    var holes = 0
    var block = lastBlock
    var end = topGranule
    var after = Self.none
    while block != Self.none {
      let record = blocks[Int(block)]
      precondition(record.size > 0 && record.offset + record.size == end, "a gap before \(end)")
      precondition(record.next == after, "block \(block) does not know its neighbour")
      if record.nextFree == Self.inUse {
        used += record.size
      } else {
        precondition(after != Self.none, "the topmost block is a hole")
        precondition(blocks[Int(after)].nextFree == Self.inUse, "two holes touch at \(end)")
        holes += 1
      }
      end = record.offset
      after = block
      block = record.previous
    }
    precondition(end == 0, "the lowest block starts at \(end)")
    precondition(used == usedGranules, "\(used) granules in use, \(usedGranules) counted")
    for place in 0..<Self.levels * Self.subclasses {
      let level = place / Self.subclasses
      let isMarked = subclassBits[level] & (1 << UInt32(place % Self.subclasses)) != 0
      precondition(isMarked == (heads[place] != Self.none), "class \(place) is marked wrongly")
      precondition(!isMarked || levelBits & (1 << UInt64(level)) != 0, "level \(level) is unmarked")
      var previous = Self.none
      var hole = heads[place]
      while hole != Self.none {
        let record = blocks[Int(hole)]
        precondition(sizeClass(record.size) == place, "a hole is in the wrong class")
        precondition(record.previousFree == previous, "the list of class \(place) is broken")
        holes -= 1
        previous = hole
        hole = record.nextFree
      }
    }
    precondition(holes == 0, "\(holes) holes are in no class")
  }
}
