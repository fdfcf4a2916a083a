import Testing
import WireFormat

@testable import RealWorld

struct FrameAssemblerTests {
  /// Feeds `bytes` in pieces; whole frames and joined parts come out in order.
  static func cut(
    _ bytes: [UInt8], pieces: [Int], _ assembler: inout FrameAssembler
  ) -> (frames: [[UInt8]], fault: Int?) {
    var frames: [[UInt8]] = []
    var rest = bytes[...]
    var turn = 0
    while !rest.isEmpty {
      let piece = Array(rest.prefix(pieces[turn % pieces.count]))
      rest = rest.dropFirst(piece.count)
      turn += 1
      let fault = piece.withUnsafeBytes { memory -> Int? in
        var input = memory
        while true {
          switch assembler.next(&input) {
          case .frames(let bytes):
            var offset = 0
            while offset < bytes.count {
              let length = FrameHeader.length(at: bytes.baseAddress! + offset)
              frames.append(Array(bytes[offset..<offset + length]))
              offset += length
            }
          case .part(let length, let offset, let bytes):
            if offset == 0 { frames.append([]) }
            #expect(frames.last?.count == offset)
            frames[frames.count - 1] += bytes
            #expect(frames.last!.count <= length)
          case .fault(let length): return length
          case .empty: return nil
          }
        }
      }
      if let fault { return (frames, fault) }
    }
    return (frames, nil)
  }

  @Test(
    "frames of all sizes come out whole and in order, however the stream is cut",
    arguments: [[1], [3], [16], [17, 1, 40], [64, 5], [4096], [100_000], [1, 70_000]],
    [nil, 64, 1000])
  func anyCut(pieces: [Int], partsAbove: Int?) {
    let sizes = [0, 1, 2, 48, 49, 300, 983, 984, 985, 4000, 0, 0, 70_000, 17, 5000]
    let sent = sizes.enumerated().map { frame($0, body: $1) }
    var assembler = FrameAssembler(maximum: 100_000, partsAbove: partsAbove, partHead: 64)
    let (frames, fault) = Self.cut(sent.flatMap { $0 }, pieces: pieces, &assembler)
    #expect(fault == nil)
    #expect(frames == sent)
    #expect(assembler.unfinished == nil)
  }

  @Test("a bad length is a fault as soon as its four bytes are there, after the good frames")
  func faults() {
    for length in [0, 15, 100_001, Int(UInt32.max)] {
      for pieces in [1, 100] {
        var assembler = FrameAssembler(maximum: 100_000)
        let claim = (0..<4).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) }
        let (frames, fault) = Self.cut(frame(1, body: 5) + claim, pieces: [pieces], &assembler)
        #expect(frames == [frame(1, body: 5)])
        #expect(fault == length)
      }
    }
  }

  @Test("an unfinished frame says how much of it came")
  func unfinished() {
    var assembler = FrameAssembler(maximum: 100_000)
    _ = Self.cut(Array(frame(1, body: 100)[..<3]), pieces: [3], &assembler)
    #expect(assembler.unfinished?.count == 3 && assembler.unfinished?.length == nil)
    _ = Self.cut(Array(frame(1, body: 100)[3..<50]), pieces: [9], &assembler)
    #expect(assembler.unfinished?.count == 50 && assembler.unfinished?.length == 116)
  }
}
