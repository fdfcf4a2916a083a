import Foundation
import Measurement

/// A number that somebody published, with where it stands.
public struct PublishedPoint: Sendable, Hashable {
  public var experiment: String
  public var series: String
  public var xName: String
  public var x: String
  public var yName: String
  public var y: Double?
  public var yLow: Double?
  public var yHigh: Double?
  public var unit: String
  public var origin: Origin
  public var source: String

  public init(
    experiment: String, series: String, xName: String = "", x: String = "", yName: String,
    y: Double?, yLow: Double? = nil, yHigh: Double? = nil, unit: String, origin: Origin,
    source: String
  ) {
    self.experiment = experiment
    self.series = series
    self.xName = xName
    self.x = x
    self.yName = yName
    self.y = y
    self.yLow = yLow
    self.yHigh = yHigh
    self.unit = unit
    self.origin = origin
    self.source = source
  }
}

/// Published numbers, to hold ours against.
public struct PublishedResults: Sendable {
  public let points: [PublishedPoint]
  /// Our names for published series: ours → theirs.
  public var aliases: [String: String] = [:]

  private struct Key: Hashable {
    var experiment: String
    var series: String
    var x: String
  }
  private let index: [Key: [Int]]

  public init(_ points: [PublishedPoint] = []) {
    self.points = points
    var index: [Key: [Int]] = [:]
    for (number, point) in points.enumerated() {
      index[Self.key(point.experiment, point.series, point.x), default: []].append(number)
    }
    self.index = index
  }

  /// From a table with the columns `figure, series, x_name, x, y_name, y, y_lo, y_hi, unit,
  /// origin, source`.
  /// - Parameter path: what errors call the file.
  public init(csv text: String, path: String) throws {
    let names = ["experiment"] + Row.columnNames[1..<10]
    let table = try Table(text, path: path, required: names)
    self.init(
      try table.records.indices.map { index in
        PublishedPoint(
          experiment: table.text(index, "experiment"), series: table.text(index, "series"),
          xName: table.text(index, "x_name"), x: table.text(index, "x"),
          yName: table.text(index, "y_name"), y: try table.number(index, "y"),
          yLow: try table.number(index, "y_lo"), yHigh: try table.number(index, "y_hi"),
          unit: table.text(index, "unit"), origin: try table.origin(index),
          source: table.text(index, "source"))
      })
  }

  /// Reads the file at `path`.
  public init(contentsOf path: String) throws {
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw TableError(path: path, record: 0, message: "cannot be read as UTF-8 text: \(error)")
    }
    try self.init(csv: text, path: path)
  }

  /// The published number for the same experiment, series and x; of several, the one with the same
  /// quantity, else the only one whose unit is comparable; nil when none or none clearly.
  /// Experiments match whatever their case, and x as a number where it is one.
  public func match(_ row: Row) -> PublishedPoint? {
    let series = aliases[row.series] ?? row.series
    let candidates = (index[Self.key(row.experiment, series, row.x)] ?? []).map { points[$0] }
      .filter { Quantity.conversion(from: row.unit, to: $0.unit) != nil }
    let named = candidates.filter { $0.yName.lowercased() == row.yName.lowercased() }
    if let best = named.min(by: { $0.origin.preference < $1.origin.preference }) { return best }
    return candidates.count == 1 ? candidates[0] : nil
  }

  /// Ours over theirs, in the same unit; nil where either has no value or theirs is zero.
  public func ratio(_ row: Row, to point: PublishedPoint) -> Double? {
    guard let ours = row.y, let theirs = point.y, theirs != 0,
      let factor = Quantity.conversion(from: row.unit, to: point.unit)
    else { return nil }
    return ours * factor / theirs
  }

  /// All points of an experiment, in the order of the table.
  public func points(experiment: String) -> [PublishedPoint] {
    let name = experiment.lowercased()
    return points.filter { $0.experiment.lowercased() == name }
  }

  private static func key(_ experiment: String, _ series: String, _ x: String) -> Key {
    let value = x.trimmingCharacters(in: .whitespaces)
    return Key(
      experiment: experiment.lowercased(), series: series,
      x: Row.number(value).map { "\($0)" } ?? value.lowercased())
  }
}
