import Measurement

/// `summary.md`: what came out, what was expected, and where every number comes from.
public struct SummaryDocument: Sendable {
  public var title: String
  /// Paragraphs below the title.
  public var notes: [String]
  public var checks: [Check]
  public var rows: [Row]
  public var published: PublishedResults
  /// Further tables, after those of the rows.
  public var details: [ResultTable]
  public var manifest: Manifest?

  public init(
    title: String, notes: [String] = [], checks: [Check] = [], rows: [Row],
    published: PublishedResults = PublishedResults(), details: [ResultTable] = [],
    manifest: Manifest? = nil
  ) {
    self.title = title
    self.notes = notes
    self.checks = checks
    self.rows = rows
    self.published = published
    self.details = details
    self.manifest = manifest
  }

  public var markdown: String {
    var text = "# \(ResultTable.escaped(title))\n"
    if let world = manifest?.world { text += "\nWorld: \(ResultTable.escaped(world))\n" }
    for note in notes { text += "\n\(ResultTable.escaped(note))\n" }
    if !checks.isEmpty { text += "\n" + Self.table(checks).markdown }
    for table in ResultTable.listings(rows, published: published) { text += "\n" + table.markdown }
    for table in details { text += "\n" + table.markdown }
    if let manifest {
      let facts = manifest.facts.map {
        "- \(ResultTable.escaped($0.name)): \(ResultTable.escaped($0.value))\n"
      }
      text += "\n## How it was made\n\n" + facts.joined()
    }
    return text
  }

  /// The checks with their verdicts, those that failed first and those that were skipped last.
  public static func table(_ checks: [Check]) -> ResultTable {
    return ResultTable(
      title: "Checks: " + verdict(checks),
      headings: [
        .init("verdict"), .init("check"), .init("measured", .trailing), .init("expected"),
        .init("note"),
      ],
      rows: ordered(checks).map {
        [$0.verdict, $0.name, $0.measured, $0.expected, note($0)]
      })
  }

  /// How many passed, in words: `all 3 passed`, `1 of 3 failed`, `2 passed, 1 skipped`.
  public static func verdict(_ checks: [Check]) -> String {
    let failed = checks.count(where: \.failed)
    let skipped = checks.count { $0.skipped != nil }
    let rest = skipped == 0 ? "" : ", \(skipped) skipped"
    if failed > 0 { return "\(failed) of \(checks.count) failed" + rest }
    return skipped == 0 ? "all \(checks.count) passed" : "\(checks.count - skipped) passed" + rest
  }

  static func ordered(_ checks: [Check]) -> [Check] {
    checks.filter(\.failed) + checks.filter(\.passed) + checks.filter { $0.skipped != nil }
  }

  /// With the reason why it was skipped.
  static func note(_ check: Check) -> String {
    guard let reason = check.skipped else { return check.note }
    return "skipped: \(reason)" + (check.note.isEmpty ? "" : "; \(check.note)")
  }
}

extension Manifest {
  /// What is worth reading at a glance, in order.
  var facts: [(name: String, value: String)] {
    var facts: [(name: String, value: String)] = [("experiment", experiment)]
    if let workload { facts.append(("workload", workload.path)) }
    if !command.isEmpty { facts.append(("command", command.joined(separator: " "))) }
    if !seeds.isEmpty { facts.append(("seeds", seeds.map { "\($0)" }.joined(separator: ", "))) }
    if !fingerprints.isEmpty {
      facts.append(("fingerprints", fingerprints.joined(separator: ", ")))
    }
    for (name, version) in versions.sorted(by: { $0.key < $1.key }) {
      facts.append((name, version))
    }
    if cores > 0 { facts.append(("cores", "\(cores)")) }
    if wallSeconds > 0 { facts.append(("wall time", Quantity.text(wallSeconds, unit: "s"))) }
    if !startedAt.isEmpty { facts.append(("started", startedAt)) }
    return facts
  }
}
