/// One dimension of a sweep: its points, each of which sets one or (with `zip`) several key paths.
public struct SweepDimension: Sendable, Equatable {
  /// The key paths it sets, as written.
  public var paths: [Positioned<String>]
  /// At least one; each holds one value for every path.
  public var points: [[PositionedValue]]

  /// Sections that a sweep or an override may set.
  static let settable = [
    "cluster", "architecture", "policies", "parameters", "workload", "seeds",
  ]

  /// Sets the values of point `index`.
  func apply(_ index: Int, to root: inout SourceNode) throws(WorkloadError) {
    for (path, value) in zip(paths, points[index]) {
      let keys = try SourceNode.splitPath(path.value, at: path.position)
      try root.set(keys[...], to: value.node, at: path.position, whole: path.value)
    }
  }

  static func read(_ value: PositionedValue?) throws(WorkloadError) -> [SweepDimension] {
    guard var reader = try value?.mapping() else { return [] }
    var dimensions: [SweepDimension] = []
    for (key, values) in reader.all() {
      let dimension =
        key.value == "zip" ? try readZip(values) : try SweepDimension(key, values)
      for path in dimension.paths {
        try check(path, against: dimensions.flatMap(\.paths))
      }
      dimensions.append(dimension)
    }
    return dimensions
  }

  private init(paths: [Positioned<String>], points: [[PositionedValue]]) {
    self.paths = paths
    self.points = points
  }

  private init(_ path: Positioned<String>, _ values: PositionedValue) throws(WorkloadError) {
    paths = [path]
    try Self.check(path, against: [])
    let list = try values.list()
    if list.isEmpty {
      throw values.error(
        "'\(clip(path.value))' sweeps over nothing", expected: "a list with at least one value",
        hint: "add values, or remove the key")
    }
    // A swept value stands at the path it sets, so that its own messages name that path.
    points = list.map { [PositionedValue($0.node, path: path.value)] }
  }

  private static func readZip(_ values: PositionedValue) throws(WorkloadError) -> SweepDimension {
    let form = "a list of mappings with the same keys, such as [{a: 1, b: 2}, {a: 3, b: 4}]"
    guard values.isList else { throw values.wrong(expected: form) }
    var dimension: SweepDimension?
    for item in try values.list() {
      var reader = try item.mapping()
      let entries = reader.all()
      guard let first = dimension else {
        if entries.isEmpty { throw item.error("a zip without keys", expected: form) }
        for (index, entry) in entries.enumerated() {
          try check(entry.key, against: entries[..<index].map(\.key))
        }
        dimension = SweepDimension(
          paths: entries.map(\.key),
          points: [entries.map { PositionedValue($0.value.node, path: $0.key.value) }])
        continue
      }
      var point: [PositionedValue] = []
      for path in first.paths {
        guard let entry = entries.first(where: { $0.key.value == path.value }) else {
          throw item.error(
            "this one lacks '\(clip(path.value))', which the first of the zip sets", expected: form)
        }
        point.append(PositionedValue(entry.value.node, path: path.value))
      }
      if let extra = entries.first(where: { entry in
        !first.paths.contains { $0.value == entry.key.value }
      }) {
        throw .unknown(
          "key", extra.key.value, known: first.paths.map(\.value),
          at: extra.key.position, in: "zip")
      }
      dimension?.points.append(point)
    }
    guard let dimension else {
      throw values.error("'zip' sweeps over nothing", expected: form)
    }
    return dimension
  }

  /// A path must lead into a section that can be varied, and touch no other path.
  private static func check(_ path: Positioned<String>, against others: [Positioned<String>])
    throws(WorkloadError)
  {
    let keys = try SourceNode.splitPath(path.value, at: path.position)
    guard settable.contains(keys[0]) else {
      throw .unknown("section", keys[0], known: settable, at: path.position, in: "sweep")
    }
    if let other = others.first(where: { overlap($0.value, path.value) }) {
      throw WorkloadError(
        "'\(clip(path.value))' and '\(clip(other.value))' set the same value", at: path.position,
        hint: "keep one")
    }
  }

  /// One path is the other, or leads through it.
  static func overlap(_ a: String, _ b: String) -> Bool {
    a == b || a.hasPrefix(b + ".") || b.hasPrefix(a + ".")
  }
}
