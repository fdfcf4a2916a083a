import Primitives
import Testing

/// The obvious event queue: an array kept sorted by time, then by the order of insertion.
struct SortedArrayQueue {
  private var events: [(time: UInt64, sequence: Int, payload: UInt64)] = []
  private var pushes = 0

  var count: Int { events.count }
  var nextTime: Instant? { events.last.map { Instant(nanoseconds: $0.time) } }

  mutating func push(_ payload: UInt64, at time: Instant) {
    let event = (time: time.nanoseconds, sequence: pushes, payload: payload)
    pushes += 1
    // The latest first, so that the earliest can be removed from the end.
    let place = events.firstIndex {
      ($0.time, $0.sequence) < (event.time, event.sequence)
    }
    events.insert(event, at: place ?? events.count)
  }

  mutating func pop() -> (time: Instant, payload: UInt64)? {
    events.popLast().map { (Instant(nanoseconds: $0.time), $0.payload) }
  }
}

/// How far in the future the next event is pushed.
enum IncrementPattern: String, CaseIterable, CustomTestStringConvertible {
  case zero, constant, uniform, narrow, exponential, bimodal, bursts, powersOfTwo, mixed

  var testDescription: String { rawValue }

  func draw(from random: inout RandomStream) -> UInt64 {
    switch self {
    case .zero: return 0
    case .constant: return 1_000
    case .uniform: return random.below(2_000_000)
    case .narrow: return random.below(40)
    case .exponential:
      // A geometric number of halvings of a uniform draw: heavy near zero, with a long tail.
      return random.below(1 << 40) >> random.below(40)
    case .bimodal: return random.below(10) < 9 ? 1 : 100_000_000
    case .bursts: return (1 + random.below(3)) * 1_000_000
    case .powersOfTwo: return 1 << random.below(44)
    case .mixed:
      let kind = random.below(100)
      if kind < 20 { return 0 }
      if kind < 50 { return 50_000 }
      if kind < 70 { return 50_000 + random.below(2_000) }
      if kind < 95 { return 1_000_000 + random.below(9_000_000) }
      return 100_000_000
    }
  }
}
