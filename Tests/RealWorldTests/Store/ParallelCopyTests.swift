import Primitives
import RealWorld
import Testing

@Suite struct ParallelCopyTests {
  @Test("All bytes arrive, and none beyond, whatever the size, chunk and number of threads")
  func copies() {
    for threads in [1, 2, 5] {
      for chunk in [1, 4096, 300_000] {
        let copier = ParallelCopy(threads: threads, threshold: 100, chunk: max(chunk, 100))
        for count in [0, 1, 99, 100, 4095, 4097, 131_072, 500_001] {
          let source = pattern(UInt64(count), count)
          var target = [UInt8](repeating: 0xAA, count: count + 1)
          source.withUnsafeBytes { from in
            target.withUnsafeMutableBytes { to in
              guard let base = from.baseAddress else { return }
              copier.copy(base, to: to.baseAddress!, count: count)
            }
          }
          #expect(target.dropLast().elementsEqual(source))
          #expect(target.last == 0xAA)
        }
      }
    }
  }

  @Test("Copies past the caches are whole wherever source and target begin")
  func streaming() {
    let copier = ParallelCopy(threads: 2, threshold: 1, streamingThreshold: 1, chunk: 20_000)
    let source = pattern(1, 70_000)
    for (from, to, count) in [
      (0, 0, 65_536), (1, 0, 60_001), (0, 1, 60_001), (3, 15, 50_000), (7, 16, 127), (5, 9, 129),
      (0, 31, 5), (2, 1, 15), (0, 0, 128), (8, 8, 16),
    ] {
      var target = [UInt8](repeating: 0xAA, count: 70_000)
      source.withUnsafeBytes { source in
        target.withUnsafeMutableBytes {
          copier.copy(source.baseAddress! + from, to: $0.baseAddress! + to, count: count)
        }
      }
      #expect(target[to..<(to + count)].elementsEqual(source[from..<(from + count)]))
      #expect(target[..<to].allSatisfy { $0 == 0xAA })
      #expect(target[(to + count)...].allSatisfy { $0 == 0xAA })
    }
  }

  @Test("Writing to a segment makes the pages that it needs, at odd places too")
  func writes() throws {
    let copier = ParallelCopy(threads: 2, threshold: 1 << 20, chunk: 1_500_000)
    let source = pattern(3, 5 << 20)
    for offset in [0, 64, 1 << 20, 3_000_000] {
      let segment = try SharedSegment.create(byteCount: 16 << 20)
      for count in [5 << 20, 100, 4_000_001] {
        try source.withUnsafeBytes {
          try copier.write($0.baseAddress!, count: count, at: offset, of: segment)
        }
        #expect(segment.bytes(at: offset, count: count).elementsEqual(source.prefix(count)))
      }
    }
  }

  @Test("Copies of several threads at once do not disturb each other")
  func concurrentCallers() async {
    let copier = ParallelCopy(threads: 3, threshold: 1, chunk: 1000)
    await withTaskGroup(of: Bool.self) { group in
      for caller in 0..<4 as Range<UInt64> {
        group.addTask {
          let source = pattern(caller, 100_000)
          var target = [UInt8](repeating: 0, count: source.count)
          for _ in 0..<50 {
            target.withUnsafeMutableBytes { to in
              source.withUnsafeBytes {
                copier.copy($0.baseAddress!, to: to.baseAddress!, count: $0.count)
              }
            }
            if target != source { return false }
            target.withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: 0) }
          }
          return true
        }
      }
      for await isEqual in group { #expect(isEqual) }
    }
  }
}
