import ArgumentParser
import Experiments
import Foundation
import Reporting

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure what this machine can do.",
    discussion: "Rates are per second of one core's processor time, medians of several runs.")

  enum Subject: String, ExpressibleByArgument, CaseIterable { case simulator }

  @Argument(help: "What to measure: simulator.")
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
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var failure: (any Error)?
    SimulatorBench(runs: runs, scale: scale).run { result in
      do {
        if json {
          print(String(decoding: try encoder.encode(result), as: UTF8.self))
        } else {
          let value = Quantity.text(result.value, unit: result.unit)
          let limit = result.limit.map {
            "   limit \(Quantity.text($0, unit: result.unit))"
              + (result.limitMeaning.map { " (\($0))" } ?? "")
          }
          let name = result.name + String(repeating: " ", count: max(1, 30 - result.name.count))
          print("\(name) \(value)\(limit ?? "")")
        }
      } catch let error {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}
