import Primitives
import Testing

@testable import Workload

@Suite("Word count")
struct WordCountTests {
  @Test("words are runs of letters, whatever their case and what stands between them")
  func tokens() {
    let tally = WordTally(counting: "The cat, the DOG.\nThe end — l'été; x2y\u{0}")
    #expect(tally.words == ["cat", "dog", "end", "l", "t", "the", "x", "y"])
    #expect(tally.counts == [1, 1, 1, 1, 1, 3, 1, 1])
    #expect(WordTally(counting: "") == WordTally() && WordTally(counting: " ,.").total == 0)
  }

  @Test("merging the parts of any split gives the tally of the whole")
  func merging() {
    let text = GeneratedText(seed: 3, words: 300, vocabulary: 60)
    let documents = (0..<4).map { text.document($0) }
    let whole = WordTally(counting: documents.joined(separator: "\n"))
    #expect(whole.total == 1200)
    var sum = WordTally()
    for document in documents { sum = sum.merged(with: WordTally(counting: document)) }
    #expect(sum == whole)
    var back = WordTally()
    let parts = whole.partitioned(into: 7)
    #expect(parts.count == 7 && parts.allSatisfy { $0.words == $0.words.sorted() })
    for part in parts.reversed() { back = part.merged(with: back) }
    #expect(back == whole)
  }

  @Test("generated words are distinct and follow Zipf's law")
  func text() {
    let words = (0..<8000).map { String(decoding: GeneratedText.word($0), as: UTF8.self) }
    #expect(Set(words).count == words.count)
    let text = GeneratedText(seed: 1, words: 20_000, vocabulary: 100)
    let tally = WordTally(counting: text.document(0))
    func count(_ rank: Int) -> Double {
      tally.words.firstIndex(of: words[rank]).map { Double(tally.counts[$0]) } ?? 0
    }
    // 1 ÷ H(100) = 0.1928 of 20 000 for the first word, a tenth of it for the tenth: five errors.
    #expect(abs(count(0) - 3855) < 280 && abs(count(9) - 386) < 100)
    #expect(text.document(1) != text.document(0))
  }

  @Test("the counts equal a straightforward count, however the work is divided")
  func program() throws {
    for (mappers, reducers) in [(1, 1), (3, 2), (5, 4)] {
      let outcome = try run(
        WorkloadTests.program(
          WordCount.self,
          """
          {documents: 7, words-per-document: 60, vocabulary: 40, mappers: \(mappers),
           reducers: \(reducers)}
          """))
      #expect(outcome.error == nil)
      #expect(try outcome.figure("words") == 420)
      let distinct = try outcome.figure("distinct words")
      #expect(distinct > 30 && distinct <= 40)
    }
  }

  @Test("more mappers than documents and more reducers than words leave empty parts")
  func emptyParts() throws {
    let outcome = try run(
      WorkloadTests.program(
        WordCount.self,
        "{documents: 2, words-per-document: 3, vocabulary: 2, mappers: 5, reducers: 9}"))
    #expect(outcome.error == nil)
    #expect(try outcome.figure("words") == 6)
  }

  @Test("a single wrong, missing or invented word is found")
  func wrong() throws {
    let program = try WorkloadTests.program(
      WordCount.self, "{documents: 3, words-per-document: 50, vocabulary: 20}")
    let text = GeneratedText(seed: 1, words: 50, vocabulary: 20)
    let right = WordTally(
      counting: (0..<3).map { text.document($0) }.joined(separator: " "))
    try program.check([right], text)
    var one = right
    one.counts[2] += 1
    #expect(throws: ProgramError.self) { try program.check([one], text) }
    one = right
    one.words.removeLast()
    one.counts.removeLast()
    #expect(throws: ProgramError.self) { try program.check([one], text) }
    one = right
    one.words.append("zzz")
    one.counts.append(1)
    #expect(throws: ProgramError.self) { try program.check([one], text) }
    #expect(throws: ProgramError.self) { try program.check([right, right], text) }
  }

  @Test("a bad parameter names the place")
  func bad() {
    #expect(
      message { () throws(WorkloadError) in
        var reader = try PositionedValue(
          SourceNode.parse("{mappers: 4, reducers: 1001}", file: "w.yaml"), path: ""
        ).mapping()
        _ = try WordCount(&reader)
      } == "w.yaml:1:24: 'reducers' is '1001'; expected a whole number from 1 to 1000")
  }
}
