import Primitives
import RealWorld
import Testing

/// A refusal where the test expects none.
private struct Refused: Error { let bytes: Int }

extension SegmentAllocator {
  fileprivate mutating func take(_ bytes: Int) throws -> Allocation {
    guard let allocation = allocate(bytes) else { throw Refused(bytes: bytes) }
    return allocation
  }
}

@Suite struct SegmentAllocatorTests {
  @Test("Sizes are rounded up to lines and lie side by side from the start")
  func roundsUp() throws {
    var allocator = SegmentAllocator(capacity: 1024)
    let sizes = [0, 1, 64, 65, 200]
    let offsets = try sizes.map { try allocator.take($0).offset }
    #expect(offsets == [0, 64, 128, 192, 320])
    #expect(allocator.used == 576)
    #expect(allocator.top == 576)
    allocator.checkInvariants()
  }

  @Test(
    "A request of the whole fits, one byte more does not",
    arguments: [(0, 0), (63, 0), (64, 64), (4096, 4096), (4100, 4096)])
  func whole(capacity: Int, usable: Int) {
    var allocator = SegmentAllocator(capacity: capacity)
    #expect(allocator.capacity == usable)
    let refused = allocator.allocate(usable + 1)
    #expect(refused == nil)
    let whole = allocator.allocate(usable)
    #expect((whole != nil) == (usable > 0))
    #expect(allocator.largestFree == 0)
  }

  @Test("A freed range is used again before memory that was never used")
  func prefersWarm() throws {
    var allocator = SegmentAllocator(capacity: 1 << 20)
    let first = try allocator.take(100_000)
    _ = try allocator.take(64)
    allocator.free(first.block)
    let again = try allocator.take(99_900)
    #expect(again.offset == 0)
    allocator.checkInvariants()
  }

  @Test("Freeing the topmost ranges lowers the mark below which memory is in use")
  func lowersTop() throws {
    var allocator = SegmentAllocator(capacity: 1 << 20)
    let blocks = try (0..<3).map { _ in try allocator.take(1000).block }
    allocator.free(blocks[1])
    #expect(allocator.top == 3072)
    allocator.free(blocks[2])
    #expect(allocator.top == 1024)
    allocator.free(blocks[0])
    #expect(allocator.top == 0)
    allocator.checkInvariants()
  }

  @Test("A hole larger than its class says is found rather than refused")
  func findsInOwnClass() throws {
    // 40 holes of 4096 lines in the class of 4097...4223 lines; the last one freed first.
    var allocator = SegmentAllocator(capacity: 64 * (4101 + 40 * 4097))
    let large = try allocator.take(64 * 4100)
    _ = try allocator.take(64)
    var small: [UInt32] = []
    for _ in 0..<40 {
      small.append(try allocator.take(64 * 4096).block)
      _ = try allocator.take(64)
    }
    let refused = allocator.allocate(64)
    #expect(refused == nil)
    allocator.free(large.block)
    for block in small { allocator.free(block) }
    let larger = allocator.allocate(64 * 4101)
    #expect(larger == nil)
    let exact = try allocator.take(64 * 4100)
    #expect(exact.offset == 0)
    allocator.checkInvariants()
  }

  @Test("Random requests never overlap, are refused only without a hole, and all join again")
  func fuzz() {
    for seed in 0..<6 as Range<UInt64> {
      var random = RandomStream(seed: seed, stream: 1)
      let capacity = 64 * 2048
      var allocator = SegmentAllocator(capacity: capacity)
      // The model: which line belongs to which request.
      var owner = [Int](repeating: -1, count: 2048)
      var live: [(block: UInt32, first: Int, lines: Int, id: Int)] = []
      for id in 0..<4000 {
        let isFilling = (id / 500) % 2 == 0
        if random.below(10) < (isFilling ? 7 : 3) || live.isEmpty {
          let bytes = Int(random.below(random.below(8) == 0 ? 20_000 : 600))
          let lines = max(1, (bytes + 63) / 64)
          var hole = 0
          var run = 0
          for line in owner {
            run = line < 0 ? run + 1 : 0
            hole = max(hole, run)
          }
          #expect(allocator.largestFree == hole * 64)
          let got = allocator.allocate(bytes)
          #expect((got != nil) == (lines <= hole))
          guard let got else { continue }
          let first = got.offset / 64
          #expect(owner[first..<first + lines].allSatisfy { $0 < 0 })
          for line in first..<first + lines { owner[line] = id }
          live.append((got.block, first, lines, id))
        } else {
          let gone = live.remove(at: Int(random.below(UInt64(live.count))))
          for line in gone.first..<gone.first + gone.lines {
            #expect(owner[line] == gone.id)
            owner[line] = -1
          }
          allocator.free(gone.block)
        }
        #expect(allocator.used == 64 * owner.count { $0 >= 0 })
        if id % 16 == 0 { allocator.checkInvariants() }
      }
      for left in live { allocator.free(left.block) }
      allocator.checkInvariants()
      #expect(allocator.used == 0)
      #expect(allocator.top == 0)
      #expect(allocator.largestFree == capacity)
    }
  }
}
