/// The earliest of many completion times that change often.
///
/// When one flow ends, hundreds of others change their end, so a heap would spend its time on
/// moves that nobody asks about. Here a change is a store and a mark on its block of 64; a query
/// scans marked blocks once, then one minimum per block.
struct CompletionIndex: ~Copyable {
  static var blockSize: Int { 64 }

  /// Completion time per slot, in nanoseconds; infinite when the slot is free or the flow stands.
  private(set) var times: UnsafeMutablePointer<Double>
  private var minima: UnsafeMutablePointer<Double>
  private(set) var stale: UnsafeMutablePointer<Bool>
  private(set) var capacity: Int

  init(capacity: Int) {
    let blocks = (capacity + Self.blockSize - 1) / Self.blockSize
    self.capacity = blocks * Self.blockSize
    times = .allocate(capacity: self.capacity)
    minima = .allocate(capacity: blocks)
    stale = .allocate(capacity: blocks)
    times.initialize(repeating: .infinity, count: self.capacity)
    minima.initialize(repeating: .infinity, count: blocks)
    stale.initialize(repeating: false, count: blocks)
  }

  deinit {
    times.deallocate()
    minima.deallocate()
    stale.deallocate()
  }

  @inline(__always)
  mutating func set(_ slot: Int, _ time: Double) {
    times[slot] = time
    stale[slot / Self.blockSize] = true
  }

  /// The earliest time of all slots.
  mutating func earliest() -> Double {
    var least = Double.infinity
    for block in 0..<capacity / Self.blockSize {
      if stale[block] {
        minima[block] = Self.minimum(times + block * Self.blockSize)
        stale[block] = false
      }
      if minima[block] < least { least = minima[block] }
    }
    return least
  }

  /// Calls `body` with every slot whose time is at or before `limit`; `earliest` must have been
  /// asked since the last change.
  func forEach(upTo limit: Double, _ body: (Int) -> Void) {
    for block in 0..<capacity / Self.blockSize where minima[block] <= limit {
      let start = block * Self.blockSize
      for slot in start..<start + Self.blockSize where times[slot] <= limit { body(slot) }
    }
  }

  /// Makes room for `slots` slots.
  mutating func grow(to slots: Int) {
    var larger = CompletionIndex(capacity: slots)
    larger.times.update(from: times, count: capacity)
    for block in 0..<capacity / Self.blockSize { larger.stale[block] = true }
    swap(&self, &larger)
  }

  private static func minimum(_ times: UnsafeMutablePointer<Double>) -> Double {
    // Four chains, so that comparisons do not wait for each other.
    var (a, b, c, d) = (times[0], times[1], times[2], times[3])
    var slot = 4
    while slot < blockSize {
      a = times[slot] < a ? times[slot] : a
      b = times[slot + 1] < b ? times[slot + 1] : b
      c = times[slot + 2] < c ? times[slot + 2] : c
      d = times[slot + 3] < d ? times[slot + 3] : d
      slot += 4
    }
    let ab = b < a ? b : a
    let cd = d < c ? d : c
    return cd < ab ? cd : ab
  }
}
