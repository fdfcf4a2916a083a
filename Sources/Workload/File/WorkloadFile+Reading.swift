import Primitives

extension WorkloadFile {
  /// Reads the tree `root`; what a sweep sets is taken from its first cell. `known` is a cluster
  /// that was read before: the same profile is not read again.
  init(root: SourceNode, path: String, files: FileReader, known: ClusterSpec? = nil)
    throws(WorkloadError)
  {
    let whole = PositionedValue(root, path: "")
    var outline = try whole.mapping()
    let sweep = try SweepDimension.read(outline.optional("sweep"))
    var first = root
    for dimension in sweep { try dimension.apply(0, to: &first) }

    var reader = try PositionedValue(first, path: "").mapping()
    experiment = try Self.experimentName(reader.required("experiment", "a name for the results"))
    title = try reader.string("title")
    description = try reader.string("description", default: "")
    figure = try reader.optional("figure")?.positionedString()
    cluster = try ClusterSpec(
      reader.required("cluster", "a mapping with a profile"), file: path, files: files,
      known: known)
    architecture =
      try reader.optional("architecture")?.positionedString()
      ?? Positioned("osdi18", at: whole.position)
    policies = try PolicyChoice.read(reader.optional("policies"))
    parameters =
      try Self.openMapping(reader.optional("parameters"))
      ?? .emptyMapping(path: "parameters", at: whole.position)
    workload = try WorkloadBody(
      reader.required("workload", "a mapping with program, generator or graph"))
    measures = try MeasureChoice.read(reader.optional("measures"))
    seeds = try Self.seeds(reader.optional("seeds"))
    _ = reader.optional("sweep")
    x = try XAxis(reader.optional("x"))
    series = try reader.optional("series")?.positionedString()
    compare = try ComparedSeries.read(reader.optional("compare"))
    checks = try CheckChoice.read(reader.optional("checks"))
    try reader.finish()
    self.path = path
    self.sweep = sweep
    self.root = root
    self.files = files
  }

  private static func experimentName(_ value: PositionedValue) throws(WorkloadError) -> String {
    let name = try value.string()
    let allowed = name.utf8.allSatisfy {
      (97...122).contains($0) || (48...57).contains($0) || $0 == 45
    }
    guard allowed, name.utf8.count <= 100 else {
      throw value.wrong(
        expected: "a name of a–z, 0–9 and '-', at most 100 long: it becomes the results folder")
    }
    return name
  }

  static func openMapping(_ value: PositionedValue?) throws(WorkloadError) -> PositionedValue? {
    if let value { _ = try value.mapping() }
    return value
  }

  /// A count n means seeds 1…n.
  private static func seeds(_ value: PositionedValue?) throws(WorkloadError) -> [UInt64] {
    guard let value else { return [1] }
    guard value.isList else {
      return try (1...value.int(in: 1...100_000)).map { UInt64($0) }
    }
    var seeds: [UInt64] = []
    for item in try value.list() {
      let seed = UInt64(try item.int(in: 0...Int.max))
      if seeds.contains(seed) { throw item.error("seed \(seed) is listed twice", hint: "keep one") }
      seeds.append(seed)
    }
    if seeds.isEmpty { throw value.error("'seeds' is an empty list", expected: "a seed") }
    return seeds
  }
}

extension WorkloadBody {
  init(_ value: PositionedValue) throws(WorkloadError) {
    var reader = try value.mapping()
    let kinds = ["program", "generator", "graph"]
    let given = reader.keys.filter { kinds.contains($0.value) }
    guard given.count <= 1 else {
      throw WorkloadError(
        "'\(given[0].value)' and '\(given[1].value)' exclude each other", at: given[1].position,
        expected: "exactly one of program, generator, graph", hint: "remove one")
    }
    if let name = try reader.optional("program")?.positionedString() {
      let with = try Self.with(&reader)
      try reader.finish()
      self = .program(name, with: with)
    } else if let name = try reader.optional("generator")?.positionedString() {
      let with = try Self.with(&reader)
      try reader.finish()
      self = .generator(name, with: with)
    } else if let graph = reader.optional("graph") {
      try reader.finish()
      self = .graph(try TaskGraph(graph))
    } else if let empty = given.first {
      throw WorkloadError("'workload.\(empty.value)' is empty", at: empty.position)
    } else {
      _ = reader.optional("with")
      try reader.finish()
      throw value.error(
        "'workload' says nothing to run", expected: "exactly one of program, generator, graph")
    }
  }

  private static func with(_ reader: inout MappingReader) throws(WorkloadError) -> PositionedValue {
    try WorkloadFile.openMapping(reader.optional("with"))
      ?? .emptyMapping(path: reader.path(of: "with"), at: reader.position)
  }
}

extension PolicyChoice {
  static func read(_ value: PositionedValue?) throws(WorkloadError) -> [PolicyChoice] {
    guard var reader = try value?.mapping() else { return [] }
    var choices: [PolicyChoice] = []
    for (role, text) in reader.all() { choices.append(try PolicyChoice(role, text)) }
    return choices
  }

  private init(_ role: Positioned<String>, _ value: PositionedValue) throws(WorkloadError) {
    let form = "a policy: Name or Name[key=value,…]"
    let text = try value.scalarText(expected: form).trimmed
    self.role = role.value
    rolePosition = role.position
    self.text = text
    position = value.position
    parameters = []
    guard let open = text.firstIndex(of: "[") else {
      guard !text.isEmpty, !text.contains("]"), !text.contains("=") else {
        throw value.wrong(expected: form)
      }
      name = text
      return
    }
    name = text[..<open].trimmed
    guard !name.isEmpty, text.last == "]" else {
      throw value.wrong(expected: form, hint: text.last == "]" ? nil : "close the bracket")
    }
    let inside = text[text.index(after: open)...].dropLast().trimmed
    if inside.isEmpty { return }
    for part in inside.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        .map(\.trimmed)
      guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty else {
        throw value.wrong(expected: form, hint: "'\(clip(part.trimmed))' is not key=value")
      }
      guard !parameters.contains(where: { $0.key == sides[0] }) else {
        throw value.wrong(expected: form, hint: "'\(clip(sides[0]))' is given twice; keep one")
      }
      parameters.append(Parameter(key: sides[0], value: sides[1]))
    }
  }
}

extension MeasureChoice {
  static func read(_ value: PositionedValue?) throws(WorkloadError) -> [MeasureChoice] {
    guard let value else { return [] }
    var measures: [MeasureChoice] = []
    for item in try value.list() {
      let measure: MeasureChoice
      if item.isMapping {
        var reader = try item.mapping()
        let name = try reader.required("name", "the name of a measure").positionedString()
        measure = MeasureChoice(
          name: name, yName: try reader.string("as", default: name.value),
          unit: try reader.optional("unit")?.positionedString())
        try reader.finish()
      } else {
        let name = try item.positionedString()
        measure = MeasureChoice(name: name, yName: name.value, unit: nil)
      }
      if measures.contains(where: { $0.yName == measure.yName }) {
        throw item.error(
          "two measures are called '\(clip(measure.yName))'", hint: "rename one with 'as: …'")
      }
      measures.append(measure)
    }
    return measures
  }
}

extension XAxis {
  init?(_ value: PositionedValue?) throws(WorkloadError) {
    guard var reader = try value?.mapping() else { return nil }
    name = try reader.string("name")
    from = try reader.required("from", "the key path of the value on the x axis").positionedString()
    scale = try reader.double("scale", default: 1, in: 1e-18...1e18)
    try reader.finish()
  }
}

extension ComparedSeries {
  static func read(_ value: PositionedValue?) throws(WorkloadError) -> [ComparedSeries] {
    guard let value else { return [] }
    var all: [ComparedSeries] = []
    for item in try value.list() {
      var reader = try item.mapping()
      let figure = try reader.required("figure", "a published figure").positionedString()
      let series = try reader.required("series", "one of its series").positionedString()
      let label = try reader.string("as", default: "\(series.value) (\(figure.value))")
      try reader.finish()
      all.append(ComparedSeries(figure: figure, series: series, label: label))
    }
    return all
  }
}

extension CheckChoice {
  static func read(_ value: PositionedValue?) throws(WorkloadError) -> [CheckChoice] {
    guard let value else { return [] }
    var all: [CheckChoice] = []
    for item in try value.list() {
      var reader = try item.mapping()
      let name = try reader.required("check", "the name of a check").positionedString()
      let rest = reader.entries.filter { $0.key != "check" }
      all.append(
        CheckChoice(
          name: name,
          parameters: PositionedValue(
            SourceNode(position: item.position, content: .mapping(rest)), path: item.path)))
    }
    return all
  }
}
