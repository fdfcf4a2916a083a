import ArgumentParser
import Experiments
import Foundation
import Reporting

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure what this machine can do.",
    discussion: """
      Medians of several runs, each with the raw limit measured in the same run: memcpy, a \
      ping-pong of two threads, an empty loop over the same queue. The simulator's rates are per \
      second of one core's processor time. All others are in wall time, because several threads \
      and processes work together: run them on a machine that does nothing else. The subjects \
      store and all need about 5 GB of memory.
      """)

  enum Subject: String, ExpressibleByArgument, CaseIterable {
    case tasks, latency, actors, workers, store, network, cluster, queue, simulator, all
  }

  @Argument(help: "What to measure: \(Subject.allCases.map(\.rawValue).joined(separator: ", ")).")
  var subject: Subject = .simulator

  @Option(parsing: .unconditional, help: "Runs of each benchmark; the median counts.")
  var runs = 5

  @Option(parsing: .unconditional, help: "Make each run this much longer, or shorter below 1.")
  var scale = 1.0

  @Flag(help: "Print one JSON object a line.")
  var json = false

  func run() throws {
    guard runs > 0 else { throw BadInput("--runs must be positive") }
    guard scale > 0 && scale <= 1000 else {
      throw BadInput("--scale must be positive, and at most 1000")
    }
    #if DEBUG
      log.warning("a debug build is many times slower; use swift run -c release")
    #endif
    if let real = RealBench.Subject(rawValue: subject.rawValue) {
      try measure([real])
    } else if subject == .all {
      try measure(RealBench.Subject.allCases)
    }
    if subject == .simulator || subject == .all {
      SimulatorBench(runs: runs, scale: scale).run { Self.show($0, json: json) }
    }
  }

  private func measure(_ subjects: [RealBench.Subject]) throws {
    guard let program = Bundle.main.executablePath else {
      throw BadInput("this program does not know where it lies, and so cannot start nodes")
    }
    let bench = RealBench(
      runs: runs, scale: scale,
      nodeCommand: [program, BenchNodeCommand.configuration.commandName ?? "bench-node"])
    let json = json
    try Blocking.run {
      for subject in subjects { try await bench.run(subject) { Self.show($0, json: json) } }
    }
  }

  private static func show(_ result: BenchmarkResult, json: Bool) {
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      // A benchmark that measured nothing has no number, which JSON cannot say otherwise.
      encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      guard let line = try? encoder.encode(result) else { return }
      print(String(decoding: line, as: UTF8.self))
    } else {
      let value = Quantity.text(result.value, unit: result.unit)
      let limit = result.limit.map { "   limit \(Quantity.text($0, unit: result.unit))" } ?? ""
      let meaning = result.limitMeaning.map { "   (\($0))" } ?? ""
      let name = result.name + String(repeating: " ", count: max(1, 30 - result.name.count))
      print("\(name) \(value)\(limit)\(meaning)")
    }
    // Each as it comes, also through a pipe.
    fflush(nil)
  }
}
