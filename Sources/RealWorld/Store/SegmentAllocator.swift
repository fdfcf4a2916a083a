import Primitives

/// Hands out ranges of a segment; all bookkeeping lies outside of it, so that a client cannot break
/// it and idle memory stays untouched.
///
/// Two-level segregated fit: M. Masmano, I. Ripoll, A. Crespo, J. Real, "TLSF: a New Dynamic Memory
/// Allocator for Real-Time Systems" (ECRTS 2004). Free neighbours are joined at once. What lies
/// above `top` was never needed and is not in the lists: holes below it, which are warm, are used
/// first, and freeing the topmost block lowers it again. Constant time, except just before giving up.
public struct SegmentAllocator: ~Copyable {
  /// All ranges start and end at multiples of this: a cache line.
  public static let alignment = 64
  static let granuleShift = 6
  /// Subclasses per power of two: a hole is at most 1/32 larger than the next class.
  static let subclassShift = 5
  static let subclasses = 1 << subclassShift
  static let levels = 36
  static let none = UInt32.max
  /// In `nextFree` of a block in use.
  static let inUse = UInt32.max - 1
  /// In `nextFree` of a record that describes no block.
  static let noBlock = UInt32.max - 2
  /// Blocks looked at in the class of the size asked, where most but not all are large enough.
  static let peek = 4

  /// A range in use.
  public struct Allocation: Equatable, Sendable, BitwiseCopyable {
    /// From the start of the segment.
    public let offset: Int
    /// What `free` takes.
    public let block: UInt32
  }

  /// In granules of 64 bytes.
  struct Block: BitwiseCopyable {
    var offset: UInt64
    var size: UInt64
    var previous: UInt32
    var next: UInt32
    var previousFree: UInt32
    var nextFree: UInt32
  }

  var blocks: UnsafeMutablePointer<Block>
  var blockCapacity = 1024
  var blockCount: UInt32 = 0
  var spareRecord = SegmentAllocator.none
  let heads: UnsafeMutablePointer<UInt32>
  let subclassBits: UnsafeMutablePointer<UInt32>
  var levelBits: UInt64 = 0
  var lastBlock = SegmentAllocator.none
  var topGranule: UInt64 = 0
  var usedGranules: UInt64 = 0
  let granules: UInt64

  /// - Parameter capacity: bytes; a rest of less than 64 is not used.
  public init(capacity: Int) {
    precondition(capacity >= 0 && capacity <= 1 << 46, "a capacity of \(capacity) bytes")
    granules = UInt64(capacity) >> UInt64(Self.granuleShift)
    blocks = .allocate(capacity: blockCapacity)
    heads = .allocate(capacity: Self.levels * Self.subclasses)
    heads.initialize(repeating: Self.none, count: Self.levels * Self.subclasses)
    subclassBits = .allocate(capacity: Self.levels)
    subclassBits.initialize(repeating: 0, count: Self.levels)
  }

  deinit {
    blocks.deallocate()
    heads.deallocate()
    subclassBits.deallocate()
  }

  public var capacity: Int { Int(granules) << Self.granuleShift }
  /// Bytes in ranges handed out, rounded up to lines.
  public var used: Int { Int(usedGranules) << Self.granuleShift }
  /// Nothing at or above this offset is in use.
  public var top: Int { Int(topGranule) << Self.granuleShift }

  /// The largest range that can be had now. Looks at a whole class: for messages and tests.
  public var largestFree: Int {
    var largest = granules - topGranule
    if levelBits != 0 {
      let level = 63 - levelBits.leadingZeroBitCount
      let subclass = 31 - subclassBits[level].leadingZeroBitCount
      var block = heads[level * Self.subclasses + subclass]
      while block != Self.none {
        largest = max(largest, blocks[Int(block)].size)
        block = blocks[Int(block)].nextFree
      }
    }
    return Int(largest) << Self.granuleShift
  }

  /// A range of at least `bytes` bytes, and one line at least; nil when no hole is as large.
  public mutating func allocate(_ bytes: Int) -> Allocation? {
    precondition(bytes >= 0, "\(bytes) bytes were asked for")
    if bytes > capacity { return nil }
    let size = max(1, (UInt64(bytes) + 63) >> UInt64(Self.granuleShift))
    let block = find(size)
    if block == Self.none {
      guard size <= granules - topGranule else { return scan(size).map { use($0, size) } }
      return bump(size)
    }
    return use(block, size)
  }

  /// Gives a range back.
  public mutating func free(_ block: UInt32) {
    precondition(
      block < blockCount && blocks[Int(block)].nextFree == Self.inUse,
      "block \(block) is not in use")
    var block = block
    var record = blocks[Int(block)]
    usedGranules &-= record.size
    if record.previous != Self.none && blocks[Int(record.previous)].nextFree != Self.inUse {
      // The block before grows over this one.
      let before = record.previous
      removeFromClass(before)
      blocks[Int(before)].size &+= record.size
      blocks[Int(before)].next = record.next
      dropRecord(block)
      block = before
      record = blocks[Int(before)]
      if record.next != Self.none { blocks[Int(record.next)].previous = before }
    }
    if record.next == Self.none {
      topGranule = record.offset
      lastBlock = record.previous
      if lastBlock != Self.none { blocks[Int(lastBlock)].next = Self.none }
      dropRecord(block)
      return
    }
    let after = record.next
    if blocks[Int(after)].nextFree != Self.inUse {
      removeFromClass(after)
      let beyond = blocks[Int(after)].next
      blocks[Int(block)].size &+= blocks[Int(after)].size
      blocks[Int(block)].next = beyond
      // A hole is never the topmost block, so something lies beyond.
      blocks[Int(beyond)].previous = block
      dropRecord(after)
    }
    addToClass(block)
  }

  /// The size of a range in use, in bytes.
  public func byteCount(of block: UInt32) -> Int {
    Int(blocks[Int(block)].size) << Self.granuleShift
  }

  // MARK: Classes of free blocks

  /// Small sizes have a class each; above, 32 classes per power of two.
  func sizeClass(_ size: UInt64) -> Int {
    if size < UInt64(Self.subclasses) { return Int(size) }
    let exponent = 63 - size.leadingZeroBitCount
    let mantissa = Int(size >> UInt64(exponent - Self.subclassShift)) - Self.subclasses
    return (exponent - Self.subclassShift + 1) * Self.subclasses + mantissa
  }

  /// A hole of at least `size`; `none` may be wrong for the holes of the very class of `size`.
  private func find(_ size: UInt64) -> UInt32 {
    if levelBits == 0 { return Self.none }
    let own = sizeClass(size)
    var block = heads[own]
    var looked = 0
    while block != Self.none && looked < Self.peek {
      if blocks[Int(block)].size >= size { return block }
      block = blocks[Int(block)].nextFree
      looked += 1
    }
    // Every hole of the classes after is large enough.
    let level = (own + 1) / Self.subclasses
    let bits = subclassBits[level] & (UInt32.max << UInt32((own + 1) % Self.subclasses))
    if bits != 0 { return heads[level * Self.subclasses + bits.trailingZeroBitCount] }
    let higher = levelBits & (UInt64.max << UInt64(level + 1))
    if higher == 0 { return Self.none }
    let found = higher.trailingZeroBitCount
    return heads[found * Self.subclasses + subclassBits[found].trailingZeroBitCount]
  }

  /// The last hope: all holes of the class of `size`.
  private func scan(_ size: UInt64) -> UInt32? {
    var block = heads[sizeClass(size)]
    while block != Self.none {
      if blocks[Int(block)].size >= size { return block }
      block = blocks[Int(block)].nextFree
    }
    return nil
  }

  private mutating func addToClass(_ block: UInt32) {
    let place = sizeClass(blocks[Int(block)].size)
    let head = heads[place]
    blocks[Int(block)].previousFree = Self.none
    blocks[Int(block)].nextFree = head
    if head != Self.none { blocks[Int(head)].previousFree = block }
    heads[place] = block
    subclassBits[place / Self.subclasses] |= 1 << UInt32(place % Self.subclasses)
    levelBits |= 1 << UInt64(place / Self.subclasses)
  }

  private mutating func removeFromClass(_ block: UInt32) {
    let record = blocks[Int(block)]
    if record.nextFree != Self.none {
      blocks[Int(record.nextFree)].previousFree = record.previousFree
    }
    if record.previousFree != Self.none {
      blocks[Int(record.previousFree)].nextFree = record.nextFree
      return
    }
    let place = sizeClass(record.size)
    heads[place] = record.nextFree
    if record.nextFree == Self.none {
      let level = place / Self.subclasses
      subclassBits[level] &= ~(1 << UInt32(place % Self.subclasses))
      if subclassBits[level] == 0 { levelBits &= ~(1 << UInt64(level)) }
    }
  }

  // MARK: Blocks

  /// Takes a hole, and leaves what is too much as a hole.
  private mutating func use(_ block: UInt32, _ size: UInt64) -> Allocation {
    removeFromClass(block)
    let record = blocks[Int(block)]
    if record.size > size {
      let rest = newRecord(
        Block(
          offset: record.offset &+ size, size: record.size &- size, previous: block,
          next: record.next, previousFree: Self.none, nextFree: Self.none))
      blocks[Int(record.next)].previous = rest
      blocks[Int(block)].next = rest
      blocks[Int(block)].size = size
      addToClass(rest)
    }
    blocks[Int(block)].nextFree = Self.inUse
    usedGranules &+= size
    return Allocation(offset: Int(record.offset) << Self.granuleShift, block: block)
  }

  private mutating func bump(_ size: UInt64) -> Allocation {
    let offset = topGranule
    let block = newRecord(
      Block(
        offset: offset, size: size, previous: lastBlock, next: Self.none,
        previousFree: Self.none, nextFree: Self.inUse))
    if lastBlock != Self.none { blocks[Int(lastBlock)].next = block }
    lastBlock = block
    topGranule = offset &+ size
    usedGranules &+= size
    return Allocation(offset: Int(offset) << Self.granuleShift, block: block)
  }

  private mutating func newRecord(_ record: Block) -> UInt32 {
    let block: UInt32
    if spareRecord != Self.none {
      block = spareRecord
      spareRecord = blocks[Int(block)].next
    } else {
      if Int(blockCount) == blockCapacity { growRecords() }
      block = blockCount
      blockCount += 1
    }
    (blocks + Int(block)).initialize(to: record)
    return block
  }

  private mutating func dropRecord(_ block: UInt32) {
    blocks[Int(block)].nextFree = Self.noBlock
    blocks[Int(block)].next = spareRecord
    spareRecord = block
  }

  @inline(never) private mutating func growRecords() {
    let larger = UnsafeMutablePointer<Block>.allocate(capacity: blockCapacity * 2)
    larger.moveInitialize(from: blocks, count: blockCapacity)
    blocks.deallocate()
    blocks = larger
    blockCapacity *= 2
  }
}
