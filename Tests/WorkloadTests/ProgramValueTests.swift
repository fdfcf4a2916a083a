import Heliostat
import Primitives
import Testing

@testable import Workload

@Suite("values of programs")
struct ProgramValueTests {
  private func roundTrip<Value: RemoteValue & Equatable>(_ value: Value) throws {
    let bytes = try EncodedValue.bytes(of: value)
    #expect(try EncodedValue.read(Value.self, from: bytes) == value)
    for count in 0..<bytes.count {
      #expect(throws: ValueError.self) {
        try EncodedValue.read(Value.self, from: Array(bytes[..<count]))
      }
    }
  }

  @Test("what programs send comes back as it was, and cut bytes are an error")
  func values() throws {
    try roundTrip(GeneratedText(seed: 3, words: 10, vocabulary: 20))
    try roundTrip(WordTally(counting: "one two two three"))
    try roundTrip(WordTally())
    try roundTrip(NoiseSum(seed: .max, firstPair: 4, weights: [0.5, -1], count: 7))
    try roundTrip(PerturbedScores(scores: [1, 2.5], steps: 9))
  }

  @Test("a tally with more words than counts is an error")
  func unevenTally() throws {
    var tally = WordTally(counting: "one two")
    tally.counts.removeLast()
    let bytes = try EncodedValue.bytes(of: tally)
    #expect(throws: ValueError.self) { try EncodedValue.read(WordTally.self, from: bytes) }
  }

  @Test(
    "a sized value takes the size asked for, or its own when that is larger",
    arguments: [0, 24, 32, 33, 1000, 65_536, 65_567, 65_568, 200_000])
  func sized(size: UInt64) throws {
    let value = Sized([1.5, 2.5], size: ByteCount(size))
    // Head, count and two numbers, and the count of zeros.
    let own: UInt64 = 8 + 8 + 16 + 8
    var bytes = try EncodedValue.bytes(of: value)
    #expect(bytes.count == Int(max(size, own)))
    #expect(bytes[Int(own)...].allSatisfy { $0 == 0 })
    let read = try EncodedValue.read(Sized<[Double]>.self, from: bytes)
    #expect(read.value == [1.5, 2.5])
    #expect(read.zeros == value.zeros)
    bytes.removeLast()
    #expect(throws: ValueError.self) { try EncodedValue.read(Sized<[Double]>.self, from: bytes) }
  }
}
