/// A table of records that may come to be many.
public typealias SlotTable<Record: BitwiseCopyable> = ChunkedTable<Record, 8>

/// Plain records behind dense 32-bit slots. Records never move, because storage grows by chunks of 2 to
/// the `chunkShift`, at least 64.
///
/// Slots are given out in ascending order, 64 at a time, from those that were all free most recently. So
/// records that are made in a burst lie side by side however the last burst's were freed: what is kept by
/// slot elsewhere (`WordMap`) shares cache lines with its neighbours in time.
public struct ChunkedTable<Record: BitwiseCopyable, let chunkShift: Int>: ~Copyable {
  @inlinable static var chunkSize: Int { 1 << chunkShift }

  @usableFromInline var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Record>>
  /// A bit for each slot, set when it is free; a word stands for 64 slots.
  @usableFromInline var free: UnsafeMutablePointer<UInt64>
  /// The word whose slots are being given out.
  @usableFromInline var current = 0
  @usableFromInline var used: UInt32 = 0
  @usableFromInline var live: UInt32 = 0
  /// Words whose slots are all free, and words with free slots; see `list`.
  @usableFromInline var whole: WordStack
  @usableFromInline var partial: WordStack
  /// Words that slots have been given out of.
  @usableFromInline var wordCount: UInt32 = 0
  @usableFromInline var chunkCount: UInt32 = 0
  @usableFromInline var chunkCapacity: UInt32 = 4

  @inlinable public init() {
    let words = 4 * Self.chunkSize / 64
    chunks = .allocate(capacity: 4)
    free = Self.bookkeeping(words)
    whole = WordStack(at: free + words)
    partial = WordStack(at: free + words + words / 2)
  }

  /// No slot is free; behind the bits of `words` words is room for both stacks of them.
  @inlinable static func bookkeeping(_ words: Int) -> UnsafeMutablePointer<UInt64> {
    let block = UnsafeMutablePointer<UInt64>.allocate(capacity: words * 2)
    block.initialize(repeating: 0, count: words * 2)
    return block
  }

  deinit {
    for i in 0..<Int(chunkCount) { chunks[i].deallocate() }
    chunks.deallocate()
    free.deallocate()
  }

  /// Live records.
  @inlinable public var count: Int { Int(live) }

  /// Slots from 0 up to here have held a record; the others hold nothing.
  @inlinable public var slotCount: Int { Int(used) }

  /// Bytes of heap that the table holds.
  @inlinable public var memoryBytes: Int {
    Int(chunkCount) * Self.chunkSize * MemoryLayout<Record>.stride
      + Int(chunkCapacity) * (8 + Self.chunkSize / 64 * 16)
  }

  @inlinable public func pointer(_ slot: UInt32) -> UnsafeMutablePointer<Record> {
    chunks[Int(slot) >> chunkShift] + (Int(slot) & (Self.chunkSize - 1))
  }

  @inlinable public subscript(slot: UInt32) -> Record {
    get { pointer(slot).pointee }
    nonmutating set { pointer(slot).pointee = newValue }
  }

  @inlinable public mutating func insert(_ record: Record) -> UInt32 {
    let slot = take()
    pointer(slot).initialize(to: record)
    return slot
  }

  /// A slot whose record the caller writes.
  @inlinable mutating func take() -> UInt32 {
    if free[current] == 0 { advance() }
    let bits = free[current]
    free[current] = bits & (bits &- 1)
    let slot = UInt32(truncatingIfNeeded: current &<< 6 | bits.trailingZeroBitCount)
    if slot >= used { used = slot &+ 1 }
    live &+= 1
    return slot
  }

  @inlinable public mutating func remove(_ slot: UInt32) {
    let word = Int(slot) &>> 6
    let bit: UInt64 = 1 &<< UInt64(slot & 63)
    let before = free[word]
    assert(before & bit == 0, "slot \(slot) is free already")
    free[word] = before | bit
    live &-= 1
    if (before == 0 || before | bit == .max) && word != current { list(word) }
  }

  /// Notes a word other than the current one that can be given out again. A word stays on a list when it
  /// is taken by way of the other, and counts only if what the list says is still so.
  @usableFromInline @inline(never) mutating func list(_ word: Int) {
    if free[word] == .max { whole.push(word) } else { partial.push(word) }
  }

  /// Goes on to another word: one that is all free, one with free slots, or a new one.
  @usableFromInline @inline(never) mutating func advance() {
    while let word = whole.pop() {
      if free[word] == .max {
        current = word
        return
      }
    }
    while let word = partial.pop() {
      if free[word] != 0 {
        current = word
        return
      }
    }
    if Int(wordCount) << 6 == Int(chunkCount) << chunkShift { addChunk() }
    current = Int(wordCount)
    wordCount += 1
    free[current] = .max
  }

  /// Whether a slot below `slotCount` holds a live record.
  public func isLive(_ slot: UInt32) -> Bool { free[Int(slot) >> 6] >> UInt64(slot & 63) & 1 == 0 }

  /// The slots of the live records, in ascending order. Looks at every slot: for rare events.
  public var liveSlots: [UInt32] {
    var slots: [UInt32] = []
    for slot in 0..<used where isLive(slot) { slots.append(slot) }
    return slots
  }

  @inlinable mutating func addChunk() {
    if chunkCount == chunkCapacity { growChunks() }
    (chunks + Int(chunkCount)).initialize(to: .allocate(capacity: Self.chunkSize))
    chunkCount += 1
  }

  @inlinable @inline(never) mutating func growChunks() {
    let count = Int(chunkCount)
    let words = count * Self.chunkSize / 64
    let largerChunks = UnsafeMutablePointer<UnsafeMutablePointer<Record>>.allocate(
      capacity: count * 2)
    largerChunks.moveInitialize(from: chunks, count: count)
    chunks.deallocate()
    chunks = largerChunks
    let larger = Self.bookkeeping(words * 2)
    larger.update(from: free, count: words)
    whole.move(to: larger + words * 2, capacity: words)
    partial.move(to: larger + words * 3, capacity: words)
    free.deallocate()
    free = larger
    chunkCapacity *= 2
  }
}

/// Words of a table of slots, each at most once, in memory of the table's.
@usableFromInline struct WordStack {
  /// In the lower bits the words on the stack, from the bottom; the highest bit of the place that has a
  /// word's number says whether that word is on it.
  @usableFromInline var places: UnsafeMutablePointer<UInt32>
  @usableFromInline var count = 0

  @usableFromInline static var listed: UInt32 { 1 << 31 }

  /// - Parameter memory: half as many words of it as the table has, all zero.
  @usableFromInline init(at memory: UnsafeMutablePointer<UInt64>) {
    places = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt32.self)
  }

  @usableFromInline mutating func push(_ word: Int) {
    if places[word] & Self.listed != 0 { return }
    places[word] |= Self.listed
    places[count] = places[count] & Self.listed | UInt32(truncatingIfNeeded: word)
    count += 1
  }

  @usableFromInline mutating func pop() -> Int? {
    if count == 0 { return nil }
    count -= 1
    let word = Int(places[count] & ~Self.listed)
    places[word] &= ~Self.listed
    return word
  }

  @usableFromInline mutating func move(to memory: UnsafeMutablePointer<UInt64>, capacity: Int) {
    let old = places
    places = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt32.self)
    places.update(from: old, count: capacity)
  }
}
