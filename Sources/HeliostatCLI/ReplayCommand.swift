import ArgumentParser
import Experiments
import Foundation
import Primitives
import Recording
import RuntimeCore
import Scheduling

struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Feed a recording to the same machines again, and compare what they order.",
    usage: "heliostat replay <path> [<options>]",
    discussion: """
      Takes what `run --record`, `node --record` or `cluster --record` wrote. Exit codes: 0 all \
      the same, 1 a difference, 2 a file that cannot be read.
      """)

  @Argument(help: "A recording, or a folder of them.")
  var path: String

  @Option(
    help: ArgumentHelp(
      "Only this machine, such as 'raylet 1', 'driver 65536', 'scheduler 0' or 'replica 0'.",
      valueName: "machine"))
  var machine: String?

  @Option(
    help: ArgumentHelp(
      "Replay with this policy in place of the recorded one: the first difference is where they "
        + "decide otherwise.", valueName: "role=policy"))
  var policy: [String] = []

  @Flag(help: "Print the conversation instead: every input in words, and what it caused.")
  var print = false

  @Option(
    help: ArgumentHelp(
      "With --print: from this time on, counted from the earliest input, such as 250ms.",
      valueName: "time"))
  var from: String?

  @Option(help: ArgumentHelp("With --print: up to this time.", valueName: "time"))
  var to: String?

  @Flag(help: "Print JSON, one object a line.")
  var json = false

  func run() throws {
    let paths: [String]
    do {
      paths = try RecordingFolder.recordings(at: path)
    } catch {
      throw BadInput("\(error)")
    }
    if !print && (from != nil || to != nil) {
      throw BadInput("--from and --to choose what --print shows")
    }
    if print && !policy.isEmpty { throw BadInput("--print shows what was recorded: no --policy") }
    let machine = try machine.map { try Self.address($0) }
    try print ? list(paths, machine) : replay(paths, machine)
  }

  private func replay(_ paths: [String], _ machine: Address?) throws {
    var replay = Replay()
    replay.machine = machine
    for (role, text) in try RunCommand.pairs(policy, "--policy", form: "role=Policy") {
      let spec: PolicySpec
      do { spec = try PolicySpec(parsing: text) } catch { throw BadInput("--policy: \(error)") }
      switch role {
      case "spillover": replay.policies.spillover = spec
      case "placement": replay.policies.placement = spec
      case "dispatch": replay.policies.dispatch = spec
      default:
        throw BadInput("--policy \(role): there are spillover, placement and dispatch")
      }
    }
    var machines = 0
    var hasDifference = false
    for path in paths {
      let report = try reading(path) { try ReplayReport(path, replay) }
      machines += report.result.machines.count
      if json {
        for line in report.jsonLines { Swift.print(line) }
      } else if machine == nil || !report.result.machines.isEmpty {
        Swift.print(report.table.terminalText(width: Terminal.width))
      }
      if !hasDifference, !json, let text = report.differenceText { Swift.print(text) }
      if report.result.difference != nil { hasDifference = true }
    }
    if let machine, machines == 0 { try checkHas(machine, paths) }
    if hasDifference { throw ExitCode(1) }
  }

  // MARK: The conversation

  private struct Line: Encodable {
    var file: String
    var machine: String
    var number: UInt64
    var nanoseconds: UInt64
    var input: String
    var effects: [String]
  }

  private func list(_ paths: [String], _ machine: Address?) throws {
    var listing = RecordingListing()
    listing.machine = machine
    var begin = Instant.never
    for path in paths {
      let first = try reading(path) {
        try ReplayReport.withBytes(of: path) { try RecordingListing.begin($0) }
      }
      if let first { begin = min(begin, first) }
    }
    if let from { listing.from = begin + (try Self.span(from, "--from")) }
    if let to { listing.to = begin + (try Self.span(to, "--to")) }
    var isEmpty = true
    for path in paths {
      try reading(path) {
        try ReplayReport.withBytes(of: path) { bytes in
          try listing.run(bytes) { entry in
            show(entry, of: path, since: begin)
            isEmpty = false
            return true
          }
        }
      }
    }
    if isEmpty, let machine { try checkHas(machine, paths) }
  }

  /// - Throws: `BadInput` with the machines that there are, unless this is one.
  private func checkHas(_ machine: Address, _ paths: [String]) throws {
    var found: Set<Address> = []
    for path in paths {
      found.formUnion(
        try reading(path) {
          try ReplayReport.withBytes(of: path) { try RecordingListing.machines($0) }
        })
    }
    if found.contains(machine) { return }
    let names = found.sorted { $0.raw < $1.raw }.map { "\($0)" }
    let shown = names.count > 24 ? names.prefix(24) + ["and \(names.count - 24) more"] : names
    throw BadInput(
      "--machine: no recording has \(machine); "
        + (names.isEmpty ? "there are no machines" : "there are: \(shown.joined(separator: ", "))"))
  }

  private func show(_ entry: RecordingListing.Entry, of path: String, since begin: Instant) {
    let time = entry.time.since(begin)
    if json {
      Swift.print(
        ReplayReport.json(
          Line(
            file: path, machine: "\(entry.machine)", number: entry.number,
            nanoseconds: time.nanoseconds, input: entry.input, effects: entry.effects)))
      return
    }
    let moment = String(format: "%12.6f ms", Double(time.nanoseconds) / 1e6)
    Swift.print("\(moment)  \(entry.machine)  #\(entry.number)  \(entry.input)")
    for effect in entry.effects { Swift.print("                   → \(effect)") }
  }

  // MARK: Input

  private func reading<Value>(_ path: String, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let error as RecordingError {
      throw BadInput("\(path): \(error)")
    } catch let error as CocoaError {
      throw BadInput("\(path): cannot be read: \(error.localizedDescription)")
    }
  }

  private static func address(_ text: String) throws -> Address {
    let roles: [(String, Address.Role)] = [
      ("driver", .driver), ("raylet", .raylet), ("global scheduler", .globalScheduler),
      ("scheduler", .globalScheduler), ("GCS replica", .replica), ("replica", .replica),
    ]
    for (name, role) in roles where text.hasPrefix(name) {
      let digits = text.dropFirst(name.count).drop { " -:".contains($0) }
      if let number = UInt32(digits), number <= 0x1FFF_FFFF { return Address(role, number) }
    }
    throw BadInput("--machine \(text): expected a role and a number, such as 'raylet 1'")
  }

  private static func span(_ text: String, _ option: String) throws -> TimeSpan {
    for (unit, factor) in [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]
    where text.hasSuffix(unit) {
      guard let number = Double(text.dropLast(unit.count)), number >= 0, number < 1e9 else { break }
      return TimeSpan(seconds: number * factor)
    }
    throw BadInput("\(option) \(text): expected a time, such as 250ms or 1.5s")
  }
}
