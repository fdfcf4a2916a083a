import Foundation
import Measurement
import SwiftCSV

/// What is wrong with a table file, and where.
public struct TableError: Error, CustomStringConvertible, LocalizedError, Equatable {
  public var path: String
  /// Counted from 1, the header included; 0 when it concerns the whole file. A record with line
  /// breaks inside quotes counts once.
  public var record: Int
  public var message: String

  public var description: String {
    record == 0 ? "\(path): \(message)" : "\(path), record \(record): \(message)"
  }
  public var errorDescription: String? { description }
}

/// `rows.csv`: rows as comma-separated values (RFC 4180, UTF-8, lines end in a line feed).
public enum RowsCSV {
  /// The whole file. Numbers are written so that reading gives the same bits; those that are not
  /// finite are left empty, like absent ones.
  public static func text(_ rows: [Row]) -> String {
    var text = ""
    append(Row.columnNames, to: &text)
    for row in rows {
      append(
        [
          row.experiment, row.series, row.xName, row.x, row.yName, number(row.y),
          number(row.yLow), number(row.yHigh), row.unit, row.origin.rawValue, row.world,
          row.architecture, row.policies, row.network, row.seeds,
        ], to: &text)
    }
    return text
  }

  /// The rows of a file made by `text`. Columns may come in any order; `figure` stands for
  /// `experiment`; columns after `origin` may be absent.
  /// - Parameter path: what errors call the file.
  public static func rows(_ text: String, path: String) throws -> [Row] {
    let table = try Table(text, path: path, required: Array(Row.columnNames[0..<10]))
    return try table.records.indices.map { index in
      Row(
        experiment: table.text(index, "experiment"), series: table.text(index, "series"),
        xName: table.text(index, "x_name"), x: table.text(index, "x"),
        yName: table.text(index, "y_name"), y: try table.number(index, "y"),
        yLow: try table.number(index, "y_lo"), yHigh: try table.number(index, "y_hi"),
        unit: table.text(index, "unit"), origin: try table.origin(index),
        world: table.text(index, "world"), architecture: table.text(index, "architecture"),
        policies: table.text(index, "policies"), network: table.text(index, "network"),
        seeds: table.text(index, "seeds"))
    }
  }

  /// One record: fields are quoted where a comma, a quote, a line break or outer blanks ask for it.
  static func append(_ fields: [String], to text: inout String) {
    for (index, field) in fields.enumerated() {
      if index > 0 { text += "," }
      let special = field.contains { $0 == "," || $0 == "\"" || $0.isNewline }
      let blank = field.first?.isWhitespace == true || field.last?.isWhitespace == true
      text += special || blank ? "\"" + field.replacing("\"", with: "\"\"") + "\"" : field
    }
    text += "\n"
  }

  private static func number(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "" }
    let text = "\(value)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}

/// A parsed file with named columns.
struct Table {
  let path: String
  let records: [[String]]
  private let columns: [String: Int]

  init(_ text: String, path: String, required: [String]) throws {
    self.path = path
    // The parser takes an open quote to the end of the file for one field.
    if text.utf8.count(where: { $0 == UInt8(ascii: "\"") }) % 2 != 0 {
      throw TableError(path: path, record: 0, message: "a quoted field is not closed")
    }
    let parsed: EnumeratedCSV
    do {
      parsed = try EnumeratedCSV(string: text, delimiter: .comma, loadColumns: false)
    } catch {
      throw TableError(path: path, record: 0, message: "\(error)")
    }
    var columns: [String: Int] = [:]
    for (index, name) in parsed.header.enumerated() {
      columns[name == "figure" ? "experiment" : name] = index
    }
    for name in required where columns[name] == nil {
      throw TableError(
        path: path, record: 1,
        message: "there is no column \(name); found \(parsed.header.joined(separator: ", "))")
    }
    self.columns = columns
    records = parsed.rows.filter { $0.contains { !$0.isEmpty } }
  }

  func text(_ record: Int, _ column: String) -> String {
    guard let index = columns[column], index < records[record].count else { return "" }
    return records[record][index]
  }

  func number(_ record: Int, _ column: String) throws -> Double? {
    let text = text(record, column)
    if text.isEmpty { return nil }
    guard let value = Double(text), value.isFinite else {
      throw TableError(
        path: path, record: record + 2,
        message: "column \(column): expected a number, got “\(text)”")
    }
    return value
  }

  func origin(_ record: Int) throws -> Origin {
    let text = text(record, "origin")
    guard let origin = Origin(rawValue: text) else {
      let known = Origin.allCases.map(\.rawValue).joined(separator: ", ")
      throw TableError(
        path: path, record: record + 2,
        message: "column origin: expected one of \(known), got “\(text)”")
    }
    return origin
  }
}
