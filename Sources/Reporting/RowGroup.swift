import Measurement

/// Rows that belong in one table or chart: of one experiment, quantity, unit and varied parameter.
public struct RowGroup: Sendable {
  public let experiment: String
  public let yName: String
  public let unit: String
  public let xName: String
  public let rows: [Row]
  /// Per row, its series with whatever else tells rows of that series apart (world, policies, …).
  public let labels: [String]

  /// The groups of `rows`, in order of first appearance.
  public static func groups(_ rows: [Row]) -> [RowGroup] {
    var order: [[String]] = []
    var members: [[String]: [Row]] = [:]
    for row in rows {
      let key = [row.experiment, row.yName, row.unit, row.xName]
      if members[key] == nil { order.append(key) }
      members[key, default: []].append(row)
    }
    return order.map { RowGroup(members[$0] ?? []) }
  }

  private init(_ rows: [Row]) {
    self.rows = rows
    experiment = rows[0].experiment
    yName = rows[0].yName
    unit = rows[0].unit
    xName = rows[0].xName

    let traits: [@Sendable (Row) -> String] = [
      { $0.world }, { $0.architecture }, { $0.policies }, { $0.network }, { $0.origin.rawValue },
    ]
    var varying: [String: [Int]] = [:]
    for series in Set(rows.map(\.series)) {
      let same = rows.filter { $0.series == series }
      // The origin follows from the world; it only tells rows apart where the world does not.
      let kinds = traits.indices.filter { Set(same.map(traits[$0])).count > 1 }
      varying[series] = kinds.contains(0) ? kinds.filter { $0 != 4 } : kinds
    }
    labels = rows.map { row in
      ([row.series] + (varying[row.series] ?? []).map { traits[$0](row) }.filter { !$0.isEmpty })
        .joined(separator: " · ")
    }
  }

  /// The distinct labels, in order of first appearance.
  public var series: [String] {
    var seen = Set<String>()
    return labels.filter { seen.insert($0).inserted }
  }

  /// The distinct x: in order of size where all are numbers, else of first appearance.
  public var xs: [String] {
    var seen = Set<String>()
    let distinct = rows.map(\.x).filter { seen.insert($0).inserted }
    let numbers = distinct.compactMap(Row.number)
    if numbers.count < distinct.count { return distinct }
    return zip(distinct, numbers).enumerated()
      .sorted { ($0.element.1, $0.offset) < ($1.element.1, $1.offset) }.map(\.element.0)
  }

  /// The rows of a series at an x.
  public func rows(series: String, x: String) -> [Row] {
    zip(rows, labels).filter { $1 == series && $0.x == x }.map(\.0)
  }

  /// `Fig14a: time to score 6000`.
  public var title: String { "\(experiment): \(yName)" }
}
