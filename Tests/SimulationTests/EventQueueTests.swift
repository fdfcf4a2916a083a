import Primitives
import Simulation
import Testing

/// A payload as large as the product's.
struct WidePayload: BitwiseCopyable {
  var words: (UInt64, UInt64, UInt64, UInt64, UInt64)
  init(_ number: UInt64) { words = (number, ~number, mix64(number), 7, number &* 3) }
  var isIntact: Bool {
    words.1 == ~words.0 && words.2 == mix64(words.0) && words.3 == 7 && words.4 == words.0 &* 3
  }
}

@Suite("Event queue")
struct EventQueueTests {
  @Test("What is upcoming is popped next but one, unless something comes before it")
  func upcoming() {
    var queue = EventQueue<UInt64>()
    #expect(queue.upcoming == nil)
    for time in UInt64(0)..<10 { queue.push(100 + time, at: Instant(nanoseconds: 6400 + time)) }
    #expect(queue.pop()?.payload == 100)
    #expect(queue.upcoming?.pointee == 102)
    queue.push(7, at: Instant(nanoseconds: 6400))
    #expect(queue.upcoming?.pointee == 101)
    #expect(queue.pop()?.payload == 7)
    #expect(queue.pop()?.payload == 101)
    #expect(queue.pop()?.payload == 102)
    while queue.count > 1 { _ = queue.pop() }
    #expect(queue.upcoming == nil)
  }

  /// Runs the queue and the oracle side by side; `growth` in a hundred steps push, the others pop.
  private func compare(
    _ pattern: IncrementPattern, seed: UInt64, start: UInt64, steps: Int, most: Int,
    growth: (Int) -> UInt64
  ) {
    var random = RandomStream(seed: seed, stream: 11)
    var queue = EventQueue<WidePayload>()
    var oracle = SortedArrayQueue()
    var now = Instant(nanoseconds: start)
    for step in 0..<steps {
      let pushes = oracle.count < most && random.below(100) < growth(step)
      if pushes || oracle.count == 0 {
        let time = now + .nanoseconds(pattern.draw(from: &random))
        queue.push(WidePayload(UInt64(step)), at: time)
        oracle.push(UInt64(step), at: time)
      } else {
        let expected = oracle.pop()
        let popped = queue.pop()
        guard let expected, let popped, popped.payload.isIntact,
          popped.time == expected.time, popped.payload.words.0 == expected.payload
        else {
          Issue.record("step \(step): expected \(expected as Any), popped \(popped as Any)")
          return
        }
        now = popped.time
      }
      guard queue.count == oracle.count, queue.nextTime == oracle.nextTime else {
        Issue.record("step \(step): \(queue.count) of \(oracle.count) pending, next differs")
        return
      }
    }
    while let expected = oracle.pop() {
      let popped = queue.pop()
      guard let popped, popped.time == expected.time, popped.payload.words.0 == expected.payload
      else {
        Issue.record("draining: expected \(expected), popped \(popped as Any)")
        return
      }
    }
    #expect(queue.count == 0)
    #expect(queue.nextTime == nil)
    #expect(queue.pop() == nil)
  }

  @Test(
    "Interleaved pushes and pops come out as from a sorted array",
    arguments: IncrementPattern.allCases)
  func interleaved(pattern: IncrementPattern) {
    for seed in 0..<24 as Range<UInt64> {
      let most = [3, 20, 60, 400][Int(seed % 4)]
      compare(pattern, seed: seed, start: 0, steps: 3_000, most: most) { _ in 55 }
    }
  }

  @Test("Growing far and draining keeps the order", arguments: IncrementPattern.allCases)
  func growingThenDraining(pattern: IncrementPattern) {
    for seed in 0..<6 as Range<UInt64> {
      compare(pattern, seed: seed, start: 1 << (7 * seed), steps: 6_000, most: 3_000) { step in
        step % 3_000 < 1_500 ? 95 : 10
      }
    }
  }

  @Test("Times up to the last representable one are ordinary", arguments: IncrementPattern.allCases)
  func hugeTimes(pattern: IncrementPattern) {
    for seed in 0..<12 as Range<UInt64> {
      // Increments saturate at `never` soon after these starts.
      let start = UInt64.max - [0, 1, 70, 5_000, 3_000_000, 1 << 42][Int(seed % 6)]
      compare(pattern, seed: seed, start: start, steps: 2_000, most: 200) { _ in 60 }
    }
  }

  @Test("Times drawn from all 64 bits come out sorted")
  func allBits() {
    for seed in 0..<20 as Range<UInt64> {
      var random = RandomStream(seed: seed, stream: 3)
      var queue = EventQueue<UInt64>(capacity: 100)
      var times: [UInt64] = []
      for number in 0..<2_000 as Range<UInt64> {
        times.append(random.next() >> random.below(64))
        queue.push(number, at: Instant(nanoseconds: times.last!))
      }
      let order = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
      for index in order {
        let popped = queue.pop()
        #expect(popped?.time.nanoseconds == times[index])
        #expect(popped?.payload == UInt64(index))
      }
      #expect(queue.count == 0)
    }
  }

  @Test("Events of one time leave in the order they came, also those pushed while it is popped")
  func fifoAmongEqualTimes() {
    for size in [1, 2, 15, 16, 17, 33, 1_000] {
      var queue = EventQueue<Int>()
      let time = Instant(nanoseconds: 123_456_789)
      // Another event just before puts the burst into a common bucket first.
      queue.push(-1, at: Instant(nanoseconds: 123_456_780))
      for number in 0..<size { queue.push(number, at: time) }
      queue.push(-2, at: Instant(nanoseconds: 123_456_790))
      #expect(queue.pop()?.payload == -1)
      for number in 0..<(3 * size) {
        let popped = queue.pop()
        #expect(popped?.time == time)
        #expect(popped?.payload == number)
        if number < 2 * size { queue.push(size + number, at: time) }
      }
      #expect(queue.pop()?.payload == -2)
      #expect(queue.pop() == nil)
    }
  }

  @Test("Looking at the next time changes nothing and allows an earlier push")
  func peekThenPushEarlier() {
    var queue = EventQueue<Int>()
    #expect(queue.nextTime == nil)
    queue.push(2, at: Instant(nanoseconds: 1_000_000))
    queue.push(3, at: .never)
    #expect(queue.nextTime == Instant(nanoseconds: 1_000_000))
    queue.push(1, at: Instant(nanoseconds: 5))
    #expect(queue.nextTime == Instant(nanoseconds: 5))
    #expect(queue.pop()?.payload == 1)
    queue.push(4, at: Instant(nanoseconds: 5))
    #expect(queue.nextTime == Instant(nanoseconds: 5))
    #expect(queue.pop()?.payload == 4)
    #expect(queue.pop()?.payload == 2)
    #expect(queue.nextTime == .never)
    #expect(queue.pop()?.payload == 3)
    #expect(queue.nextTime == nil)
  }

  @Test("Pushing before the last time popped stops the program")
  func pushIntoThePast() async {
    await #expect(processExitsWith: .failure) {
      var queue = EventQueue<Int>()
      queue.push(1, at: Instant(nanoseconds: 10))
      _ = queue.pop()
      queue.push(2, at: Instant(nanoseconds: 9))
    }
  }
}
