import Heliostat
import Primitives

/// Word count as a MapReduce (J. Dean and S. Ghemawat, "MapReduce: simplified data processing on
/// large clusters", 2004, §2.1) over text that is generated from the seed.
///
/// Each of `mappers` reads a share of the documents, counts their words and returns one object per
/// partition; the parts of a partition are merged by tasks, two at a time, in a binary tree. The
/// driver then counts the documents again, one by one and in a straightforward way, and the run
/// fails when a single word differs.
struct WordCount: WorkloadProgram {
  static let name = "word-count"
  static let summary = "MapReduce over generated text: split, map, partition, merge, checked"
  static let measures = [
    Measure("makespan", "s"), Measure("words", "count"), Measure("distinct words", "count"),
    Measure("words per second", "1/s"),
  ]

  let documents: Int
  let words: Int
  let vocabulary: Int
  let mappers: Int
  let reducers: Int
  let readTime: Distribution
  let mapTime: Distribution
  let mergeTime: Distribution

  init(_ with: inout MappingReader) throws(WorkloadError) {
    documents = try with.int("documents", default: 64, in: 1...10_000_000)
    words = try with.int("words-per-document", default: 1000, in: 1...10_000_000)
    vocabulary = try with.int("vocabulary", default: 5000, in: 1...1_000_000)
    mappers = try with.int("mappers", default: 16, in: 1...100_000)
    reducers = try with.int("reducers", default: 4, in: 1...1000)
    readTime = try with.distribution("read-time", of: .duration, default: .constant(0.05))
    mapTime = try with.distribution(
      "map-time", of: .duration, default: .uniform(low: 0.1, high: 0.3))
    mergeTime = try with.distribution("merge-time", of: .duration, default: .constant(0.02))
  }

  /// A generated word is about five letters long, and a separator follows.
  private var splitSize: ByteCount {
    ByteCount(UInt64(6 * words * ((documents + mappers - 1) / mappers)))
  }
  /// A word and its count.
  private var partSize: ByteCount { ByteCount(UInt64(16 * (vocabulary / reducers + 1))) }
  var largestObject: ByteCount { max(splitSize, partSize) }

  struct Functions: Sendable {
    let read: RemoteFunction<GeneratedText, Int, Int, String>
    let map: RemoteFunction<String, Int, WordTally>
    let merge: RemoteFunction<WordTally, WordTally, WordTally>
  }

  func register(_ library: FunctionLibrary) -> Functions {
    Functions(
      read: library.remote("read", TaskOptions(outputSize: splitSize, valueBytes: 40)) {
        (text: GeneratedText, first: Int, end: Int) in
        (first..<end).map { text.document($0) }.joined(separator: "\n")
      },
      map: library.remoteSplit("map", TaskOptions(outputSize: partSize)) {
        (text: String, partitions: Int) in WordTally(counting: text).partitioned(into: partitions)
      },
      merge: library.remote("merge", TaskOptions(outputSize: partSize)) {
        (a: WordTally, b: WordTally) in a.merged(with: b)
      })
  }

  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws {
    var (read, map, merge) = (functions.read, functions.map, functions.merge)
    var random = RandomStream(seed: ray.seed, stream: 0x5743 << 32)
    let text = GeneratedText(seed: ray.seed, words: words, vocabulary: vocabulary)
    let begin = ray.now
    var splits: [ObjectRef<String>] = []
    var parts = [[ObjectRef<WordTally>]](repeating: [], count: reducers)
    for mapper in 0..<mappers {
      read.options.duration = TimeSpan(seconds: readTime.draw(&random))
      map.options.duration = TimeSpan(seconds: mapTime.draw(&random))
      let split = ray.submit(
        read, .value(text), .value(mapper * documents / mappers),
        .value((mapper + 1) * documents / mappers))
      splits.append(split)
      let results = ray.submit(map, returns: reducers, .ref(split), .value(reducers))
      for (partition, part) in results.enumerated() { parts[partition].append(part) }
    }
    var all = parts.flatMap { $0 }
    let totals = parts.map { parts in
      var level = parts
      while level.count > 1 {
        var next: [ObjectRef<WordTally>] = []
        for i in stride(from: 0, to: level.count - 1, by: 2) {
          merge.options.duration = TimeSpan(seconds: mergeTime.draw(&random))
          next.append(ray.submit(merge, .ref(level[i]), .ref(level[i + 1])))
        }
        all += next
        if level.count % 2 == 1 { next.append(level[level.count - 1]) }
        level = next
      }
      return level[0]
    }
    let tallies = try await ray.get(totals)
    let total = ray.now.since(begin).seconds
    ray.free(splits)
    ray.free(all)
    try check(tallies, text)
    sink.report("makespan", total, unit: "s")
    sink.report("words", Double(tallies.reduce(0) { $0 + $1.total }), unit: "count")
    sink.report(
      "distinct words", Double(tallies.reduce(0) { $0 + $1.words.count }), unit: "count")
    sink.report("words per second", Double(documents * words) / total, unit: "1/s")
  }

  /// Counts again, without tasks, partitions or the tokeniser, and compares word by word.
  func check(_ tallies: [WordTally], _ text: GeneratedText) throws {
    var expected: [String: Int] = [:]
    for number in 0..<documents {
      let words = text.document(number).lowercased().split { !$0.isLetter }
      for word in words { expected[String(word), default: 0] += 1 }
    }
    for (partition, tally) in tallies.enumerated() {
      for (word, count) in zip(tally.words, tally.counts) {
        guard let known = expected.removeValue(forKey: word), known == count else {
          throw ProgramError(
            "partition \(partition) has '\(word)' \(count) times, which the text has not")
        }
      }
    }
    if let missing = expected.keys.min() {
      throw ProgramError(
        "\(expected.count) words of the text are in no partition, '\(missing)' among them")
    }
  }
}
