import Heliostat
import Primitives

/// Text made of invented words with Zipf's frequencies: the k-th most common one is drawn with a
/// probability proportional to 1 ÷ k (G. Zipf, "Human behavior and the principle of least effort",
/// 1949). A document is a function of the seed and its number.
struct GeneratedText: Codable, RemoteValue, Equatable {
  var seed: UInt64
  /// In each document.
  var words: Int
  /// Distinct words that there are.
  var vocabulary: Int

  /// The word of that rank, from 0: syllables of two letters, the rank's digits to base 80. So no
  /// two ranks share a word.
  static func word(_ rank: Int) -> [UInt8] {
    let consonants = Array("bcdfghjklmnprstv".utf8)
    let vowels = Array("aeiou".utf8)
    var syllables: [UInt8] = []
    var rest = rank
    repeat {
      let digit = rest % 80
      syllables.append(vowels[digit % 5])
      syllables.append(consonants[digit / 5])
      rest /= 80
    } while rest > 0
    return syllables.reversed()
  }

  /// Sentences of 4 to 15 words with capitals, commas and line ends.
  func document(_ number: Int) -> String {
    var random = RandomStream(seed: seed, stream: 0x5743 << 32 | UInt64(number + 1))
    var cumulative: [Double] = []
    cumulative.reserveCapacity(vocabulary)
    var sum = 0.0
    for rank in 1...vocabulary {
      sum += 1 / Double(rank)
      cumulative.append(sum)
    }
    var text: [UInt8] = []
    text.reserveCapacity(6 * words)
    var left = 0
    for index in 0..<words {
      let starts = left == 0
      if starts { left = 4 + Int(random.below(12)) }
      var word = Self.word(Self.firstIndex(in: cumulative, above: random.unit() * sum))
      if starts { word[0] -= 32 }
      text += word
      left -= 1
      if left == 0 || index == words - 1 {
        text += random.below(4) == 0 ? [46, 10] : [46, 32]
      } else {
        text += random.below(10) == 0 ? [44, 32] : [32]
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func firstIndex(in cumulative: [Double], above value: Double) -> Int {
    var low = 0
    var high = cumulative.count - 1
    while low < high {
      let middle = (low + high) / 2
      if cumulative[middle] > value { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

/// How often each word occurs, in the order of words.
struct WordTally: Sendable, Equatable {
  var words: [String] = []
  var counts: [Int] = []

  var total: Int { counts.reduce(0, +) }

  init() {}

  /// Counts the words of a text: runs of the letters a–z, small or capital, made small.
  init(counting text: String) {
    var tally: [String: Int] = [:]
    var word: [UInt8] = []
    func close() {
      if word.isEmpty { return }
      tally[String(decoding: word, as: UTF8.self), default: 0] += 1
      word.removeAll(keepingCapacity: true)
    }
    for byte in text.utf8 {
      let small = byte | 0x20
      if (97...122).contains(small) { word.append(small) } else { close() }
    }
    close()
    // In the order of words, so that a result never depends on the hash seed of its process.
    words = tally.keys.sorted()
    counts = words.map { tally[$0]! }
  }

  /// The partition of a word, by its FNV-1a hash: the same in every process.
  static func partition(of word: String, among partitions: Int) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in word.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return Int(mix64(hash) % UInt64(partitions))
  }

  /// One tally per partition, empty ones included.
  func partitioned(into partitions: Int) -> [WordTally] {
    var parts = [WordTally](repeating: WordTally(), count: partitions)
    for (word, count) in zip(words, counts) {
      let partition = Self.partition(of: word, among: partitions)
      parts[partition].words.append(word)
      parts[partition].counts.append(count)
    }
    return parts
  }

  /// The sum of two tallies.
  func merged(with other: WordTally) -> WordTally {
    var result = WordTally()
    var i = 0
    var j = 0
    while i < words.count || j < other.words.count {
      let takesOther = i == words.count || j < other.words.count && other.words[j] <= words[i]
      let takesOwn = !takesOther || i < words.count && other.words[j] == words[i]
      result.words.append(takesOther ? other.words[j] : words[i])
      result.counts.append((takesOwn ? counts[i] : 0) + (takesOther ? other.counts[j] : 0))
      if takesOwn { i += 1 }
      if takesOther { j += 1 }
    }
    return result
  }
}

extension WordTally: RemoteValue {
  static var fingerprint: UInt32 { Fingerprint.of(name: "WordTally") }
  var encodedByteCount: Int { words.encodedByteCount + counts.encodedByteCount }

  func encode(into writer: inout ValueWriter) {
    words.encode(into: &writer)
    counts.encode(into: &writer)
  }

  static func decode(from reader: inout ValueReader) throws -> WordTally {
    var tally = WordTally()
    tally.words = try [String].decode(from: &reader)
    tally.counts = try [Int].decode(from: &reader)
    guard tally.words.count == tally.counts.count else {
      throw ValueError.malformed(
        type: "WordTally", reason: "\(tally.words.count) words have \(tally.counts.count) counts")
    }
    return tally
  }
}
