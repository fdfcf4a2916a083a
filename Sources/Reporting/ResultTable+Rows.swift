import Foundation
import Measurement

extension ResultTable {
  /// For the terminal: per group of rows a table of x by series, each series followed by the
  /// published value and the ratio ours ÷ published where there is one. Where that grows wider than
  /// seven columns, a line per series and x instead.
  public static func tables(_ rows: [Row], published: PublishedResults = PublishedResults())
    -> [ResultTable]
  {
    var tables = RowGroup.groups(rows).map { group in
      let matched = group.series.filter { series in
        zip(group.rows, group.labels).contains { $1 == series && published.match($0) != nil }
      }
      // Without x there is one number for each series: they read best below each other.
      let hasX = group.xs.contains { !$0.isEmpty }
      return !hasX || 1 + group.series.count + 2 * matched.count > 7
        ? listing(group, published, origins: false)
        : pivot(group, published, matched: Set(matched))
    }
    // Tables of the same origin that follow each other say so once, below the last.
    for index in tables.indices.dropLast() where tables[index].notes == tables[index + 1].notes {
      tables[index].notes = []
    }
    return tables
  }

  /// For documents: per group of rows a line per series and x that says for each number where it
  /// comes from.
  public static func listings(_ rows: [Row], published: PublishedResults = PublishedResults())
    -> [ResultTable]
  {
    RowGroup.groups(rows).map { listing($0, published, origins: true) }
  }

  private static func pivot(
    _ group: RowGroup, _ published: PublishedResults, matched: Set<String>
  ) -> ResultTable {
    var headings = [heading(group)]
    for series in group.series {
      headings.append(Heading(series, .trailing))
      if matched.contains(series) {
        headings += [Heading("published", .trailing), Heading("ours ÷ published", .trailing)]
      }
    }
    let rows = group.xs.map { x in
      [x.isEmpty ? "—" : x]
        + group.series.flatMap { series -> [String] in
          let here = group.rows(series: series, x: x)
          let ours = here.map { Quantity.text($0.y, low: $0.yLow, high: $0.yHigh, unit: $0.unit) }
          let cell = ours.isEmpty ? "" : ours.joined(separator: "; ")
          guard matched.contains(series) else { return [cell] }
          let (theirs, ratio) = here.last.map { comparison($0, published) } ?? ("", "")
          return [cell, theirs, ratio]
        }
    }
    return ResultTable(
      title: group.title, headings: headings, rows: rows,
      notes: provenance(group.rows, published))
  }

  private static func listing(
    _ group: RowGroup, _ published: PublishedResults, origins: Bool
  ) -> ResultTable {
    let anyPublished = group.rows.contains { published.match($0) != nil }
    let anyX = group.rows.contains { !$0.x.isEmpty }
    var headings = [Heading("series")]
    if anyX { headings.append(heading(group)) }
    headings.append(Heading("measured", .trailing))
    if origins { headings.append(Heading("origin")) }
    if anyPublished {
      headings.append(Heading("published", .trailing))
      if origins { headings.append(Heading("read from")) }
      headings.append(Heading("ours ÷ published", .trailing))
    }

    var rows: [[String]] = []
    for series in group.series {
      for x in group.xs {
        for row in group.rows(series: series, x: x) {
          var cells = [series]
          if anyX { cells.append(x.isEmpty ? "—" : x) }
          cells.append(Quantity.text(row.y, low: row.yLow, high: row.yHigh, unit: row.unit))
          if origins { cells.append(row.origin.rawValue) }
          if anyPublished {
            let (theirs, ratio) = comparison(row, published)
            cells.append(theirs)
            if origins { cells.append(published.match(row)?.origin.rawValue ?? "") }
            cells.append(ratio)
          }
          rows.append(cells)
        }
      }
    }
    return ResultTable(
      title: group.title, headings: headings, rows: rows,
      notes: provenance(group.rows, published))
  }

  private static func comparison(_ row: Row, _ published: PublishedResults) -> (String, String) {
    guard let point = published.match(row) else { return ("", "") }
    let theirs = Quantity.text(point.y, low: point.yLow, high: point.yHigh, unit: point.unit)
    return (theirs, published.ratio(row, to: point).map(ratio) ?? "—")
  }

  /// Two decimals, so that ratios about 1 line up; three digits far from it.
  private static func ratio(_ value: Double) -> String {
    let near = value >= 0.1 && value < 100
    return near ? String(format: "%.2f×", value) : Quantity.text(value, unit: "x")
  }

  /// Of the column of x: numbers stand at the right, words at the left.
  private static func heading(_ group: RowGroup) -> Heading {
    let isNumeric = group.rows.allSatisfy { $0.numericX != nil }
    return Heading(group.xName.isEmpty ? "x" : group.xName, isNumeric ? .trailing : .leading)
  }

  /// Where the numbers come from: a line per distinct set-up of ours, a line per published source.
  static func provenance(_ rows: [Row], _ published: PublishedResults) -> [String] {
    var lines: [String] = []
    func add(_ line: String) { if !lines.contains(line) { lines.append(line) } }
    for row in rows {
      let parts = [
        ("world", row.world == row.origin.rawValue ? "" : row.world),
        ("architecture", row.architecture), ("network", row.network), ("seeds", row.seeds),
        ("policies", row.policies),
      ].filter { !$0.1.isEmpty }.map { "\($0.0) \($0.1)" }
      add(([row.origin.rawValue] + parts).joined(separator: "; "))
    }
    for row in rows {
      if let point = published.match(row) {
        add("published (\(point.origin.rawValue)): \(point.source)")
      }
    }
    return lines
  }
}
