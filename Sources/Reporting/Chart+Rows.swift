import Measurement

extension Chart {
  /// A chart per group of rows (see `RowGroup`): our series, and the published ones of the same
  /// experiment and quantity. Scales follow from the values. Groups without any x or with a single
  /// point and nothing to compare it with make no chart.
  public static func charts(_ rows: [Row], published: PublishedResults = PublishedResults())
    -> [Chart]
  {
    RowGroup.groups(rows).compactMap { group in
      guard group.rows.contains(where: { !$0.x.isEmpty && $0.y != nil }) else { return nil }
      let chart = Chart(group, published)
      return chart.series.reduce(0) { $0 + $1.points.count } > 1 ? chart : nil
    }
  }

  /// The chart of one group.
  public init(_ group: RowGroup, _ published: PublishedResults) {
    let ours = group.series.map { label in
      (label, zip(group.rows, group.labels).filter { $1 == label }.map(\.0))
    }
    let theirs = Self.theirs(group, published)

    var texts = group.xs
    for point in theirs.flatMap(\.points) where !texts.contains(where: { $0.same(as: point.x) }) {
      texts.append(point.x)
    }
    let isNumeric = texts.allSatisfy { Row.number($0) != nil }
    func place(_ text: String) -> Double? {
      isNumeric
        ? Row.number(text) : texts.firstIndex { $0.same(as: text) }.map { Double($0) }
    }

    var series: [Series] = ours.enumerated().map { index, entry in
      Series(
        entry.0,
        points: entry.1.compactMap { row in
          guard let x = place(row.x), let y = row.y else { return nil }
          return Point(x: x, y: y, low: row.yLow, high: row.yHigh)
        }, style: index)
    }
    for (index, entry) in theirs.enumerated() {
      let counterpart = ours.firstIndex {
        (published.aliases[$0.1[0].series] ?? $0.1[0].series) == entry.series
      }
      let points = entry.points.compactMap { point -> Point? in
        guard let x = place(point.x), let y = point.y,
          let factor = Quantity.conversion(from: point.unit, to: group.unit)
        else { return nil }
        return Point(
          x: x, y: y * factor, low: point.yLow.map { $0 * factor },
          high: point.yHigh.map { $0 * factor })
      }
      series.append(
        Series(
          entry.series + " (published)", points: points, isPublished: true,
          style: counterpart ?? ours.count + index))
    }

    let points = series.flatMap(\.points)
    let horizontal =
      isNumeric ? Self.horizontalScale(for: points.map(\.x)) : .linear
    let origins = Set(group.rows.map(\.origin.rawValue)).sorted()
    self.init(
      title: group.title, subtitle: origins.joined(separator: " and "),
      xAxis: Axis(
        group.xName, unit: isNumeric ? Self.unit(of: texts) : "",
        scale: horizontal),
      // Along a logarithmic axis a power law is a straight line only when the other one is too.
      yAxis: Axis(
        group.yName, unit: group.unit,
        scale: Self.scale(for: points.map(\.y), beyond: horizontal == .linear ? 20 : 8)),
      series: series.filter { !$0.points.isEmpty }, categories: isNumeric ? [] : texts)
  }

  private typealias Published = (series: String, points: [PublishedPoint])

  /// The published series that belong beside a group: those that one of its rows was matched with,
  /// and the plotted or tabulated curves of its experiment for the same quantity. Single figures
  /// from a text are claims, not curves; they stand in tables and checks.
  private static func theirs(_ group: RowGroup, _ published: PublishedResults) -> [Published] {
    let matched = Set(group.rows.compactMap { published.match($0) })
    let series = Set(matched.map(\.series))
    var result: [Published] = []
    for point in published.points(experiment: group.experiment) {
      let same = point.yName.lowercased() == group.yName.lowercased()
      let isCurve = point.origin == .plot || point.origin == .table
      guard point.y != nil, !point.x.isEmpty,
        matched.contains(point) || same && (isCurve || series.contains(point.series))
      else { continue }
      if let index = result.firstIndex(where: { $0.series == point.series }) {
        result[index].points.append(point)
      } else {
        result.append((point.series, [point]))
      }
    }
    return result.filter { $0.points.count > 1 || series.contains($0.series) }
  }

  /// Sizes and times written with units keep them on the axis.
  private static func unit(of texts: [String]) -> String {
    if texts.allSatisfy({ $0.hasSuffix("B") }) { return "B" }
    if texts.allSatisfy({ $0.hasSuffix("s") }) { return "s" }
    return ""
  }
}

extension String {
  /// Equal as an x: as numbers where both are.
  fileprivate func same(as other: String) -> Bool {
    if let a = Row.number(self), let b = Row.number(other) { return a == b }
    return self == other
  }
}
