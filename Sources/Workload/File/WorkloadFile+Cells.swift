/// One point of a sweep: a file without a sweep, and how results name the point.
public struct WorkloadCell: Sendable {
  /// Place in the order of expansion, from 0; the first dimension varies slowest.
  public var index: Int
  public var file: WorkloadFile
  /// Every swept key path with its value as text, in the order of the sweep.
  public var labels: [Label]
  /// The point on the x axis; nil when the file has no `x`.
  public var x: Point?
  /// The name of its series.
  public var series: String

  public struct Label: Sendable, Equatable {
    public var path: String
    public var text: String
  }

  public struct Point: Sendable, Equatable {
    public var name: String
    /// As written; with a scale, the scaled number.
    public var text: String
    /// The value as a number, scaled: seconds of a duration, bytes of a size; nil for words.
    public var number: Double?
  }
}

extension WorkloadFile {
  /// Most points of a sweep.
  static let maximumCells = 100_000

  /// Expands the sweep: each cell is the file with its values put in, read and checked again. A
  /// file without a sweep is one cell. Two cells with equal series and x are an error, because
  /// their results could not be told apart.
  public func cells() throws(WorkloadError) -> [WorkloadCell] {
    var count = 1
    for dimension in sweep {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension.points.count)
      guard !overflow, product <= Self.maximumCells else {
        throw WorkloadError(
          "the sweep has more than \(Self.maximumCells) cells",
          at: dimension.paths.first?.position ?? root.position, hint: "sweep over fewer values")
      }
      count = product
    }
    var bare = root
    if case .mapping(let entries) = bare.content {
      bare.content = .mapping(entries.filter { $0.key != "sweep" })
    }
    var cells: [WorkloadCell] = []
    cells.reserveCapacity(count)
    var seen: [String: Int] = [:]
    for index in 0..<count {
      let cell = try cell(index, of: bare, count: count)
      // U+001F cannot stand in a file.
      let identity = cell.series + "\u{1F}" + (cell.x?.text ?? "")
      if let other = seen.updateValue(index, forKey: identity) {
        throw duplicate(cells[other], cell)
      }
      cells.append(cell)
    }
    return cells
  }

  private func cell(_ index: Int, of bare: SourceNode, count: Int) throws(WorkloadError)
    -> WorkloadCell
  {
    var tree = bare
    var labels: [WorkloadCell.Label] = []
    var rest = index
    var block = count
    for dimension in sweep {
      block /= dimension.points.count
      let point = rest / block
      rest %= block
      try dimension.apply(point, to: &tree)
      for (path, value) in zip(dimension.paths, dimension.points[point]) {
        labels.append(WorkloadCell.Label(path: path.value, text: value.inlineText))
      }
    }
    let file = try WorkloadFile(root: tree, path: path, files: files, known: cluster)
    return WorkloadCell(
      index: index, file: file, labels: labels, x: try file.point(),
      series: try file.seriesName(labels))
  }

  /// The value of the x axis, as this file has it.
  private func point() throws(WorkloadError) -> WorkloadCell.Point? {
    guard let x else { return nil }
    let text = try text(at: x.from.value, askedAt: x.from.position)
    let number = Self.number(text).map { $0 * x.scale }
    if x.scale == 1 { return WorkloadCell.Point(name: x.name, text: text, number: number) }
    guard let number, number.isFinite else {
      throw WorkloadError(
        "'\(clip(text))' at '\(x.from.value)' is not a number, so it cannot be scaled",
        at: x.from.position, hint: "remove 'scale'")
    }
    let whole = number == number.rounded() && abs(number) < 0x1p53
    return WorkloadCell.Point(
      name: x.name, text: whole ? "\(Int(number))" : "\(number)", number: number)
  }

  /// A plain number, seconds of a duration, or bytes of a size.
  private static func number(_ text: String) -> Double? {
    guard let (digits, unit) = splitNumber(text), let number = Double(digits), number.isFinite
    else { return nil }
    if unit.isEmpty { return number }
    if let known = Units.durations.first(where: { $0.name == unit }) {
      return number * known.factor / 1e9
    }
    return Units.sizes.first { $0.name == unit }.map { number * $0.factor }
  }

  private func text(at path: String, askedAt position: SourcePosition) throws(WorkloadError)
    -> String
  {
    let keys = try SourceNode.splitPath(path, at: position)
    guard let node = root.value(at: keys) else {
      throw WorkloadError(
        "nothing is written at '\(clip(path))'", at: position,
        expected: "the key path of a value in this file", hint: "write the value, or sweep over it")
    }
    return node.inlineText
  }

  /// Fills in the placeholders of `series`; without a template, the swept values that are not x.
  private func seriesName(_ labels: [WorkloadCell.Label]) throws(WorkloadError) -> String {
    guard let series else {
      let others = labels.filter { $0.path != x?.from.value }
      if others.isEmpty { return experiment }
      return others.map { label in
        "\(label.path.split(separator: ".").last ?? "")=\(label.text)"
      }.joined(separator: ", ")
    }
    var name = ""
    var rest = series.value[...]
    while let open = rest.firstIndex(of: "{") {
      name += rest[..<open]
      rest = rest[rest.index(after: open)...]
      guard let close = rest.firstIndex(of: "}") else {
        throw WorkloadError(
          "the series '\(clip(series.value))' has '{' without '}'", at: series.position,
          expected: "{key.path}")
      }
      name += try text(at: rest[..<close].trimmed, askedAt: series.position)
      rest = rest[rest.index(after: close)...]
    }
    return name + rest
  }

  /// Names a swept path that neither x nor series shows.
  private func duplicate(_ first: WorkloadCell, _ second: WorkloadCell) -> WorkloadError {
    let pairs = zip(first.labels, second.labels)
    guard let hidden = pairs.first(where: { $0.0 != $0.1 }) else {
      let last = sweep.last { $0.points.count > 1 }
      return WorkloadError(
        "the sweep lists the same value twice",
        at: last?.points.last?.first?.position ?? root.position, hint: "keep one")
    }
    let path = hidden.0.path
    let place = x.map { " and x (\($0.name)) \(first.x?.text ?? "")" } ?? ""
    return WorkloadError(
      "the cells \(path)=\(clip(hidden.0.text)) and \(path)=\(clip(hidden.1.text)) share "
        + "the series '\(clip(first.series))'\(place)",
      at: series?.position ?? sweep.flatMap(\.paths).first { $0.value == path }?.position
        ?? root.position,
      hint: "add {\(path)} to 'series', or make it the x axis")
  }
}
