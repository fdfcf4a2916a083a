import Foundation
import Measurement
import Primitives
import Reporting
import Workload

/// A finished experiment in the forms that people read: rows, checks, and the files of its folder.
public struct ExperimentReport {
  public let result: ExperimentResult
  public let rows: [Row]
  public let checks: [Check]
  public let published: PublishedResults
  public let manifest: Manifest
  /// Runs that did not end well, with the reason.
  public let failures: [String]

  /// The checks that a workload file can ask for: what each tests, and its parameters.
  public static var checkKinds: [(name: String, summary: String, parameters: String)] {
    ShapeChecks.kinds
  }

  public var passed: Bool { failures.isEmpty && !checks.contains(where: \.failed) }

  /// - Throws: `WorkloadError` for a check or measure of the file that does not exist, `TableError` for
  ///   published data that cannot be read.
  public init(
    _ result: ExperimentResult, seeds: [UInt64], command: [String], startedAt: String,
    published: PublishedResults
  ) throws {
    self.result = result
    let file = result.file
    var rows: [Row] = []
    var failures: [String] = []
    for (prepared, runs) in zip(result.cells, result.runs) {
      for (seed, run) in zip(seeds, runs) {
        guard let failure = run.failure else { continue }
        let x = prepared.cell.x.map { " \($0.name)=\($0.text)" } ?? ""
        failures.append("\(prepared.cell.series)\(x) seed \(seed): \(failure)")
      }
      let good = zip(seeds, runs).filter { $1.failure == nil }
      rows += try Self.rows(file, prepared, result.world, good.map(\.1), good.map(\.0))
    }
    self.rows = rows
    self.failures = failures
    var published = published
    for compared in file.compare where compared.label != compared.series.value {
      published.aliases[compared.label] = compared.series.value
    }
    self.published = published
    let measure = file.measures.first?.yName ?? rows.first?.yName ?? ""
    checks = try ShapeChecks(
      rows: rows, published: published, processors: result.world.processors,
      world: result.world.name
    )
    .evaluate(file.checks, measure: measure)
    manifest = Self.manifest(result, seeds, command, startedAt)
  }

  private static func rows(
    _ file: WorkloadFile, _ prepared: PreparedCell, _ world: World, _ runs: [RunResult],
    _ seeds: [UInt64]
  ) throws -> [Row] {
    guard !runs.isEmpty else { return [] }
    var measures: [(name: String, yName: String, unit: String, factor: Double)] = []
    if file.measures.isEmpty {
      measures = prepared.measures.map { ($0.name, $0.name, $0.unit, 1) }
    } else {
      for choice in file.measures {
        let (measure, factor) = try prepared.measure(choice)
        measures.append(
          (measure.name, choice.yName, choice.unit?.value ?? measure.unit, factor))
      }
    }
    var origin = Origin.simulated
    var network = prepared.configuration.network.rawValue
    if case .real(let options) = world { (origin, network) = (.real, options.network) }
    return measures.compactMap { measure in
      let values = runs.compactMap { $0.figure(measure.name).map { $0 * measure.factor } }
      guard let samples = Summary(values) else { return nil }
      return Row(
        experiment: file.figure?.value ?? file.experiment, series: prepared.cell.series,
        xName: prepared.cell.x?.name ?? "", x: prepared.cell.x?.text ?? "", yName: measure.yName,
        samples: samples, unit: measure.unit, origin: origin, world: world.name,
        architecture: file.architecture.value, policies: prepared.policies(of: runs),
        network: network,
        seeds: seedText(seeds))
    }
  }

  /// `1-5 9`: seeds that follow each other as a range.
  static func seedText(_ seeds: [UInt64]) -> String {
    var ranges: [ClosedRange<UInt64>] = []
    for seed in seeds {
      if let last = ranges.last, last.upperBound < .max, last.upperBound + 1 == seed {
        ranges[ranges.count - 1] = last.lowerBound...seed
      } else {
        ranges.append(seed...seed)
      }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      .joined(separator: " ")
  }

  private static func manifest(
    _ result: ExperimentResult, _ seeds: [UInt64], _ command: [String], _ startedAt: String
  ) -> Manifest {
    var fingerprints: [String] = []
    var cells: [ConfigurationValue] = []
    for (prepared, runs) in zip(result.cells, result.runs) {
      let x = prepared.cell.x.map { " \($0.name)=\($0.text)" } ?? ""
      for (seed, run) in zip(seeds, runs) {
        // Of the events of a run, which only the simulated world can have the same twice.
        guard case .simulated = result.world else { continue }
        fingerprints.append("\(prepared.cell.series)\(x) seed \(seed): \(hex(run.fingerprint))")
      }
      var entry = prepared.effective(
        in: result.world, connected: runs.lazy.compactMap(\.connectedSettings).first)
      entry["series"] = .text(prepared.cell.series)
      entry["labels"] = .map(
        Dictionary(
          prepared.cell.labels.map { ($0.path, ConfigurationValue.text($0.text)) },
          uniquingKeysWith: { a, _ in a }))
      cells.append(.map(entry))
    }
    let path = result.file.path
    let content = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return Manifest(
      experiment: result.file.experiment,
      world: result.world.text(result.cells, runs: result.runs.flatMap { $0 }),
      workload: .init(path: path, content: content),
      command: command, seeds: seeds, configuration: .map(["cells": .list(cells)]),
      versions: ["heliostat": Version.text, "swift": Version.swift], fingerprints: fingerprints,
      cores: ProcessInfo.processInfo.activeProcessorCount, wallSeconds: result.wallSeconds,
      startedAt: startedAt)
  }

  static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  // MARK: Latencies

  /// One recorder for each latency of each cell, all its seeds merged.
  public var latencies: [(name: String, recorder: LatencyRecorder)] {
    var merged: [(name: String, recorder: LatencyRecorder)] = []
    for (prepared, runs) in zip(result.cells, result.runs) {
      guard let first = runs.first else { continue }
      for (index, latency) in first.latencies.enumerated() {
        var recorder = LatencyRecorder()
        for run in runs where index < run.latencies.count {
          recorder.merge(run.latencies[index].recorder)
        }
        guard !recorder.isEmpty else { continue }
        let x = prepared.cell.x.map { " \($0.name)=\($0.text)" } ?? ""
        let cell = result.cells.count > 1 ? "\(prepared.cell.series)\(x): " : ""
        merged.append((cell + latency.name, recorder))
      }
    }
    return merged
  }

  // MARK: Files

  /// Everything for the result's folder; nothing is written yet.
  public func directory(_ path: String) throws -> ResultDirectory {
    var directory = ResultDirectory(path: path)
    try directory.add(ResultDirectory.rowsName, text: RowsCSV.text(rows))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try directory.add(ResultDirectory.checksName, bytes: Array(try encoder.encode(checks)))
    let notes = self.notes
    let title = result.file.title
    try directory.add(
      "summary.md",
      text: SummaryDocument(
        title: title, notes: notes, checks: checks, rows: rows, published: published,
        details: details, manifest: manifest
      ).markdown)
    for (index, chart) in Chart.charts(rows, published: published).enumerated() {
      try directory.add(index == 0 ? "chart.svg" : "chart-\(index + 1).svg", text: chart.svg)
    }
    let latencies = latencies
    for latency in latencies {
      try directory.add(Self.fileName(latency.name), text: latency.recorder.hgrm)
    }
    try directory.add(
      "report.html",
      text: HTMLReport(
        title: title, notes: notes, checks: checks, rows: rows, published: published,
        details: details, latencies: latencies, manifest: manifest
      ).html)
    for traced in traced {
      try directory.add(traced.name, bytes: ChromeTrace.bytes(traced.trace.timeline))
    }
    return directory
  }

  private static func fileName(_ name: String) -> String {
    let safe = name.lowercased().map { $0.isLetter || $0.isNumber || $0 == "." ? $0 : "-" }
    var text = String(safe)
    while text.contains("--") { text = text.replacingOccurrences(of: "--", with: "-") }
    return "latency-\(text).hgrm"
  }

  /// Whose policies ran, on a cluster that ran already.
  public var connectedNotes: [String] {
    var notes: [String] = []
    for (prepared, runs) in zip(result.cells, result.runs) {
      for settings in runs.compactMap(\.connectedSettings) {
        for note in prepared.notes(on: settings) where !notes.contains(note) { notes.append(note) }
      }
    }
    return notes
  }

  /// What a reader must know about the numbers.
  public var notes: [String] {
    var notes: [String] = []
    if !result.file.description.isEmpty { notes.append(result.file.description) }
    if result.lostCluster {
      notes.append("The cluster was gone: the runs after that are left out.")
    } else if !result.isComplete {
      notes.append("Interrupted: only the runs that had finished are shown.")
    }
    notes += connectedNotes
    for failure in failures.prefix(10) { notes.append("Failed: \(failure)") }
    for missing in result.runs.joined().compactMap(\.missingTrace) {
      notes.append("No trace: \(missing)")
    }
    return notes
  }
}

/// What made a result.
public enum Version {
  public static let text = "0.1.0"
  public static var swift: String {
    #if swift(>=6.3)
      "6.3"
    #elseif swift(>=6.2)
      "6.2"
    #else
      "6.1"
    #endif
  }
}
