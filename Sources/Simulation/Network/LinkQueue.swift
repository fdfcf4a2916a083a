/// Links by the level at which they would saturate, earliest first.
///
/// Keys are lower bounds: while flows freeze, a link's level only rises, so it is looked at again
/// when its turn comes instead of at every change. And the least key only rises, so far keys wait
/// unordered in buckets (by the leading bits of the key, that is, evenly by its logarithm) and only
/// the nearest bucket is a heap. The order of equal keys is fixed by the order of the calls.
struct LinkQueue: ~Copyable {
  struct Entry: BitwiseCopyable {
    var key: Double
    var link: Int32
    /// The entry behind this one in its bucket, or −1.
    fileprivate var next: Int32 = -1

    init(key: Double, link: Int32) {
      self.key = key
      self.link = link
    }
  }

  private static var bucketCount: Int { 256 }

  private var heap = GrowableBuffer<Entry>(capacity: 64)
  private var waiting = GrowableBuffer<Entry>(capacity: 256)
  private let heads: UnsafeMutablePointer<Int32>
  /// One bit per bucket that is not empty.
  private let occupied: UnsafeMutablePointer<UInt64>
  /// The bucket that is in the heap.
  private var opened = -1
  /// The bits of the key with which bucket 0 ends or begins, and how many bits a bucket spans.
  private var origin: Int64 = 0
  private var shift: Int64 = 0
  private var (least, greatest) = (Double.infinity, 0.0)

  init() {
    heads = .allocate(capacity: Self.bucketCount)
    heads.initialize(repeating: -1, count: Self.bucketCount)
    occupied = .allocate(capacity: Self.bucketCount / 64)
    occupied.initialize(repeating: 0, count: Self.bucketCount / 64)
  }

  deinit {
    heads.deallocate()
    occupied.deallocate()
  }

  /// Forgets everything; `gather` may follow.
  mutating func reset() {
    for word in 0..<Self.bucketCount / 64 {
      while occupied[word] != 0 {
        heads[word * 64 + occupied[word].trailingZeroBitCount] = -1
        occupied[word] &= occupied[word] &- 1
      }
    }
    heap.removeAll()
    waiting.removeAll()
    opened = -1
    (least, greatest) = (.infinity, 0)
  }

  /// Takes an entry before the queue is used; `distribute` ends this.
  @inline(__always)
  mutating func gather(_ entry: Entry) {
    waiting.append(entry)
    least = entry.key < least ? entry.key : least
    greatest = entry.key > greatest ? entry.key : greatest
  }

  mutating func distribute() {
    // Keys more than twelve octaves below the greatest share bucket 0.
    let top = Int64(bitPattern: greatest.bitPattern)
    origin = max(least > 0 ? Int64(bitPattern: least.bitPattern) : 0, top - 12 << 52, 0)
    let span = UInt64(max(top - origin, 0))
    shift = Int64(max(0, 64 - span.leadingZeroBitCount - Self.bucketCount.trailingZeroBitCount))
    for index in 0..<waiting.count { chain(index, into: bucket(of: waiting[index].key)) }
  }

  mutating func push(_ entry: Entry) {
    let bucket = bucket(of: entry.key)
    if bucket > opened {
      waiting.append(entry)
      chain(waiting.count - 1, into: bucket)
      return
    }
    heap.append(entry)
    var hole = heap.count - 1
    while hole > 0 {
      let parent = (hole - 1) / 2
      if entry.key >= heap[parent].key { break }
      heap[hole] = heap[parent]
      hole = parent
    }
    heap[hole] = entry
  }

  /// The entry with the least key; call `fill` first.
  @inline(__always) var top: Entry { heap[0] }

  /// Makes `top` valid; false when nothing is left. On the way `refresh` gives each link's present
  /// key, or `nil` to drop it.
  @inline(__always)
  mutating func fill(_ refresh: (Entry) -> Double?) -> Bool {
    while heap.count == 0 {
      guard let bucket = nearestBucket() else { return false }
      opened = bucket
      var index = heads[bucket]
      heads[bucket] = -1
      occupied[bucket >> 6] &= ~(1 << UInt64(bucket & 63))
      while index >= 0 {
        var entry = waiting[Int(index)]
        let next = entry.next
        if let key = refresh(entry) {
          entry.key = key
          let target = self.bucket(of: key)
          if target > bucket {
            waiting[Int(index)] = entry
            chain(Int(index), into: target)
          } else {
            heap.append(entry)
          }
        }
        index = next
      }
      var place = heap.count / 2
      while place > 0 {
        place -= 1
        sink(heap[place], from: place)
      }
    }
    return true
  }

  /// Gives the top entry a greater key.
  @inline(__always)
  mutating func raiseTop(to key: Double) {
    var entry = heap[0]
    entry.key = key
    if bucket(of: key) > opened {
      removeTop()
      push(entry)
    } else {
      sink(entry, from: 0)
    }
  }

  @inline(__always)
  mutating func removeTop() {
    let last = heap.removeLast()
    if heap.count > 0 { sink(last, from: 0) }
  }

  /// Never decreasing in the key.
  @inline(__always)
  private func bucket(of key: Double) -> Int {
    // The bits of positive numbers are ordered as the numbers; all others are below.
    let distance = Int64(bitPattern: key.bitPattern) &- origin
    if key <= 0 || distance <= 0 { return 0 }
    return min(Int(distance &>> shift), Self.bucketCount - 1)
  }

  @inline(__always)
  private func chain(_ index: Int, into bucket: Int) {
    waiting.base[index].next = heads[bucket]
    heads[bucket] = Int32(truncatingIfNeeded: index)
    occupied[bucket >> 6] |= 1 << UInt64(bucket & 63)
  }

  @inline(__always)
  private func nearestBucket() -> Int? {
    for word in 0..<Self.bucketCount / 64 where occupied[word] != 0 {
      return word * 64 + occupied[word].trailingZeroBitCount
    }
    return nil
  }

  @inline(__always)
  private mutating func sink(_ entry: Entry, from place: Int) {
    let (entries, count) = (heap.base, heap.count)
    var hole = place
    var child = 2 &* hole &+ 1
    while child &+ 1 < count {
      // Arithmetic, not a branch: which child is less cannot be predicted.
      child &+= entries[child &+ 1].key < entries[child].key ? 1 : 0
      if entries[child].key >= entry.key { break }
      entries[hole] = entries[child]
      hole = child
      child = 2 &* hole &+ 1
    }
    if child &+ 1 == count, entries[child].key < entry.key {
      entries[hole] = entries[child]
      hole = child
    }
    entries[hole] = entry
  }
}
