import Foundation
import Primitives
import Recording
import Reporting
import RuntimeCore

/// The replay of one file, and how it is shown.
public struct ReplayReport: Sendable {
  public let path: String
  public let result: ReplayResult
  public let seconds: Double

  /// Replays a file.
  ///
  /// - Throws: `RecordingError` when it cannot be read as a recording, or an error of the file
  ///   system.
  public init(_ path: String, _ replay: Replay) throws {
    self.path = path
    let begin = DispatchTime.now().uptimeNanoseconds
    result = try Self.withBytes(of: path) { bytes throws(RecordingError) in try replay.run(bytes) }
    seconds = Double(DispatchTime.now().uptimeNanoseconds - begin) * 1e-9
  }

  /// Calls `body` with a file's bytes, which the system reads when they are looked at.
  public static func withBytes<Value>(
    of path: String, _ body: (UnsafeRawBufferPointer) throws -> Value
  ) throws -> Value {
    let data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
    return try data.withUnsafeBytes { try body($0) }
  }

  private var rate: Double { Double(result.inputs) / max(seconds, 1e-9) }

  /// Drivers come and go with each program: more than a few are one line.
  private static let shownDrivers = 4

  public var table: ResultTable {
    var rows: [[String]] = []
    var drivers = result.machines.filter { $0.machine.role == .driver }
    if drivers.count <= Self.shownDrivers { drivers = [] }
    for machine in result.machines where drivers.isEmpty || machine.machine.role != .driver {
      rows.append(
        [
          "\(machine.machine)", "\(machine.inputs)", "\(machine.effects)",
          Self.verdict(machine.difference == nil ? 0 : 1, of: 1),
        ])
    }
    if !drivers.isEmpty {
      let inputs = drivers.reduce(0) { $0 + $1.inputs }
      let effects = drivers.reduce(0) { $0 + $1.effects }
      rows.append(
        [
          "\(drivers.count) drivers", "\(inputs)", "\(effects)",
          Self.verdict(drivers.count { $0.difference != nil }, of: drivers.count),
        ])
    }
    var notes = [
      "\(result.inputs) inputs in \(Quantity.text(seconds, unit: "s")), "
        + "\(Quantity.text(rate, unit: "events/s"))"
    ]
    if !result.isComplete {
      let rest = result.cutBytes > 0 ? ", its last \(result.cutBytes) bytes are not whole" : ""
      notes.append("The recording was not finished\(rest): replayed as far as it goes.")
    }
    return ResultTable(
      title: "\(path) (\(result.origin))",
      headings: [
        .init("machine"), .init("inputs", .trailing), .init("effects", .trailing), .init("result"),
      ], rows: rows, notes: notes)
  }

  private static func verdict(_ different: Int, of count: Int) -> String {
    if different == 0 { return "same" }
    return count == 1 ? "DIFFERS" : "\(different) DIFFER"
  }

  /// The first difference, with what came before it.
  public var differenceText: String? {
    guard let difference = result.difference else { return nil }
    var lines = ["First difference of \(difference.machine) in \(path):"]
    for step in difference.before { lines.append("    \(text(step))") }
    lines.append("  > \(text(difference.step))")
    if let problem = difference.problem {
      lines.append("    cannot be: \(problem)")
      return lines.joined(separator: "\n") + "\n"
    }
    let count = max(difference.expected.count, difference.found.count)
    for index in 0..<count {
      let expected = index < difference.expected.count ? difference.expected[index] : nil
      let found = index < difference.found.count ? difference.found[index] : nil
      if index < difference.index {
        lines.append("      both:     \(expected ?? "")")
      } else if index < difference.index + 3 {
        lines.append("      recorded: \(expected ?? "nothing")")
        lines.append("      replayed: \(found ?? "nothing")")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func text(_ step: ReplayDifference.Step) -> String {
    let milliseconds = Double(step.time.since(result.begin).nanoseconds) / 1e6
    let moment = String(format: "%.6f ms", milliseconds)
    return "input \(step.number) at \(moment) (byte \(step.offset)): \(step.input)"
  }

  // MARK: As JSON

  private struct MachineLine: Encodable {
    var file: String
    var origin: String
    var machine: String
    var inputs: UInt64
    var effects: UInt64
    var same: Bool
    var complete: Bool
    var eventsPerSecond: Double
  }

  private struct DifferenceLine: Encodable {
    struct Step: Encodable {
      var number: UInt64
      var nanoseconds: UInt64
      var input: String
      var byte: Int
    }
    var file: String
    var machine: String
    var difference: Step
    var before: [Step]
    var index: Int
    var recorded: [String]
    var replayed: [String]
    var problem: String?
  }

  /// An object for each machine, and one for each difference.
  public var jsonLines: [String] {
    var lines = result.machines.map {
      Self.json(
        MachineLine(
          file: path, origin: result.origin, machine: "\($0.machine)", inputs: $0.inputs,
          effects: $0.effects, same: $0.difference == nil, complete: result.isComplete,
          eventsPerSecond: rate))
    }
    func step(_ step: ReplayDifference.Step) -> DifferenceLine.Step {
      .init(
        number: step.number, nanoseconds: step.time.nanoseconds, input: step.input,
        byte: step.offset)
    }
    for difference in result.machines.compactMap(\.difference) {
      lines.append(
        Self.json(
          DifferenceLine(
            file: path, machine: "\(difference.machine)", difference: step(difference.step),
            before: difference.before.map(step), index: difference.index,
            recorded: difference.expected, replayed: difference.found,
            problem: difference.problem)))
    }
    return lines
  }

  /// One object on one line.
  public static func json(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Numbers and texts: cannot fail.
    return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }
}
