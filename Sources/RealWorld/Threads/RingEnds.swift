import Synchronization

/// The two ends of a ring between two threads. What they share, and what is each one's own, lies on
/// cache lines of its own (two lines apart, because processors fetch pairs).
struct RingEnds: ~Copyable {
  let head = Atomic<Int>(0)
  private var gap0: InlineArray<15, UInt64> = .init(repeating: 0)
  let tail = Atomic<Int>(0)
  private var gap1: InlineArray<15, UInt64> = .init(repeating: 0)
  // The producer's own: how far it has written, and the head as it last saw it.
  var written = 0
  var knownHead = 0
  private var gap2: InlineArray<14, UInt64> = .init(repeating: 0)
  // The consumer's own: how far it has read, and the tail as it last saw it.
  var read = 0
  var knownTail = 0
  private var gap3: InlineArray<14, UInt64> = .init(repeating: 0)
}
