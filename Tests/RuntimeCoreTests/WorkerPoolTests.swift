import Primitives
import Testing

@testable import RuntimeCore

@Suite("workers and GPUs of a node")
struct WorkerPoolTests {
  @Test("the worker that became idle last is taken first")
  func lastInFirstOut() {
    var pool = WorkerPool()
    let a = pool.add(isReady: true)
    let b = pool.add(isReady: true)
    #expect(pool.take() == b)
    #expect(pool.take() == a)
    #expect(pool.take() == nil)
    pool.giveBack(b)
    pool.giveBack(a)
    #expect(pool.take() == a)
    #expect(pool.idleCount == 1)
  }

  @Test("a starting worker is not idle until it is up; an actor's worker leaves the pool")
  func counts() {
    var pool = WorkerPool()
    let a = pool.add(isReady: false)
    #expect(pool.pooled == 1 && pool.starting == 1 && pool.take() == nil)
    pool.started(a)
    #expect(pool.starting == 0 && pool.take() == a)
    pool.block(a)
    #expect(pool.blocked == 1)
    pool.unblock(a)
    #expect(pool.blocked == 0)
    pool.dedicate(a, to: 3)
    #expect(pool.pooled == 0 && pool.pointer(a).pointee.actor == 3)
  }

  /// (GPUs, what is asked for in ten-thousandths, the masks that are given; nil for a refusal).
  static let requests: [(Int, [Int32], [UInt32?])] = [
    (2, [10_000, 10_000, 10_000], [0b01, 0b10, nil]),
    (2, [20_000], [0b11]),
    (2, [5_000, 20_000], [0b01, nil]),
    // Fractions fill the fullest instance that has room.
    (2, [5_000, 5_000, 10_000], [0b01, 0b01, 0b10]),
    (2, [7_500, 7_500, 5_000], [0b01, 0b10, nil]),
    (2, [7_500, 2_500, 7_500, 2_500], [0b01, 0b01, 0b10, 0b10]),
    (3, [5_000, 20_000, 5_000, 1], [0b001, 0b110, 0b001, nil]),
    (1, [3_333, 3_333, 3_333, 3_333], [1, 1, 1, nil]),
    (0, [1], [nil]),
    (4, [0, 40_000], [0, 0b1111]),
  ]

  @Test("GPUs are given as instances", arguments: requests)
  func instances(count: Int, asked: [Int32], given: [UInt32?]) {
    var gpus = GPUInstances(count: count)
    let masks = asked.map { gpus.take(units: $0)?.mask }
    #expect(masks == given)
  }

  @Test("no instance is ever given out more than once, whatever comes and goes")
  func neverAboveOne() {
    for seed in UInt64(0)..<50 {
      var random = RandomStream(seed: seed, stream: 0)
      let count = 1 + Int(random.below(8))
      var gpus = GPUInstances(count: count)
      var held: [GPUAssignment] = []
      var used = Array(repeating: Int32(0), count: count)
      func add(_ assignment: GPUAssignment, _ sign: Int32) {
        for i in 0..<count where assignment.mask & (1 << UInt32(i)) != 0 {
          used[i] += sign * assignment.units
        }
      }
      for _ in 0..<300 {
        if random.below(3) > 0 {
          let units = Int32(random.below(2) == 0 ? 1 + random.below(9_999) : 10_000)
          if let given = gpus.take(units: units) {
            held.append(given)
            add(given, 1)
          } else {
            // Refused only when it is true that no instance has room.
            #expect(used.allSatisfy { $0 + units > 10_000 }, "seed \(seed)")
          }
        } else if !held.isEmpty {
          let given = held.remove(at: Int(random.below(UInt64(held.count))))
          gpus.giveBack(given)
          add(given, -1)
        }
        #expect(used.allSatisfy { $0 >= 0 && $0 <= 10_000 }, "seed \(seed)")
      }
    }
  }
}
