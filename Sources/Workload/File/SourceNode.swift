import Yams

/// A YAML value with its place. Scalars stay text: each reader decides what it wants of them, so
/// that `1.10`, `no` and `12:30` mean what the key says and not what YAML guesses.
struct SourceNode: Sendable, Equatable {
  enum Content: Sendable, Equatable {
    /// `plain`: written without quotes.
    case scalar(String, plain: Bool)
    case list([SourceNode])
    case mapping([SourceEntry])
  }

  var position: SourcePosition
  var content: Content

  /// Nothing written: `key:`, `~` or `null`.
  var isNull: Bool {
    guard case .scalar(let text, plain: true) = content else { return false }
    return text.isEmpty || text == "~" || text == "null"
  }
}

/// A key of a mapping and its value, in the order written.
struct SourceEntry: Sendable, Equatable {
  var key: String
  var keyPosition: SourcePosition
  var value: SourceNode
}

extension SourceNode {
  /// Larger files are refused: they are no hand-written experiments.
  static let maximumBytes = 64 << 20
  static let maximumDepth = 64
  /// Bounds what aliases of aliases can grow to.
  static let maximumValues = 2_000_000

  /// Parses one YAML document. `file` is only what messages call it.
  static func parse(
    _ text: String, file: String, maximumValues: Int = Self.maximumValues
  ) throws(WorkloadError) -> SourceNode {
    // libYAML looks for a byte order mark only where it guesses the encoding.
    let text =
      text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    guard text.utf8.count <= maximumBytes else {
      throw WorkloadError(
        "the file is larger than 64 MiB", at: SourcePosition(file: file, line: 1, column: 1),
        hint: "use a generator instead of a list of tasks")
    }
    try checkCharacters(text, file: file)
    let root: Yams.Node?
    do {
      // The basic resolver types nothing, and compares keys as text.
      root = try Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot()
    } catch let error as YamlError {
      throw translate(error, text: text, file: file)
    } catch {
      throw WorkloadError(
        "cannot read YAML: \(error)", at: SourcePosition(file: file, line: 1, column: 1))
    }
    guard let root else {
      throw WorkloadError(
        "the file is empty", at: SourcePosition(file: file, line: 1, column: 1),
        expected: "a mapping of keys to values")
    }
    var converter = Converter(file: file, limit: maximumValues)
    return try converter.node(root, depth: 0)
  }

  /// YAML allows no control characters but tab and line ends; found here to name the exact place.
  private static func checkCharacters(_ text: String, file: String) throws(WorkloadError) {
    var line = 1
    var column = 1
    for scalar in text.unicodeScalars {
      let value = scalar.value
      let allowed =
        value == 9 || value == 10 || value == 13 || (32...126).contains(value) || value == 0x85
        || (0xA0...0xFFFD).contains(value) && value != 0xFEFF || value > 0xFFFF
      guard allowed else {
        throw WorkloadError(
          "the character U+\(String(value, radix: 16, uppercase: true)) is not allowed in YAML",
          at: SourcePosition(file: file, line: line, column: column), hint: "remove it")
      }
      if value == 10 {
        line += 1
        column = 1
      } else {
        column += 1
      }
    }
  }

  private static func translate(
    _ error: YamlError, text: String, file: String
  ) -> WorkloadError {
    switch error {
    case .scanner(let context, let problem, let mark, _),
      .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      let position = SourcePosition(file: file, line: mark.line, column: mark.column)
      if character(in: text, at: mark) == "\t" {
        return WorkloadError(
          "a tab cannot indent YAML", at: position, expected: "spaces",
          hint: "replace the tab by spaces")
      }
      if problem.contains("nesting level") { return tooDeep(at: position) }
      if problem.contains("another document") {
        return WorkloadError(
          "a second document begins here", at: position, expected: "one document in a file",
          hint: "remove this '---'")
      }
      var message = "not valid YAML: \(problem)"
      if let context, context.mark.line != mark.line, context.mark.line > 0 {
        message += " (\(context.text) that begins in line \(context.mark.line))"
      }
      return WorkloadError(message, at: position, hint: hint(for: problem))
    case .duplicatedKeysInMapping(let duplicates, let context):
      return WorkloadError(
        "key '\(clip(duplicates.first ?? ""))' is given twice in this mapping",
        at: SourcePosition(file: file, line: context.mark.line, column: context.mark.column),
        hint: "this is the first; keep one")
    case .memory:
      // What libYAML answers when blocks nest deeper than it allows.
      return tooDeep(at: SourcePosition(file: file, line: 1, column: 1))
    default:
      return WorkloadError(
        "not valid YAML: \(error)", at: SourcePosition(file: file, line: 1, column: 1))
    }
  }

  private static func character(in text: String, at mark: Mark) -> Unicode.Scalar? {
    let lines = text.unicodeScalars.split(
      separator: "\n", maxSplits: mark.line, omittingEmptySubsequences: false)
    guard mark.line >= 1, mark.line <= lines.count else { return nil }
    return lines[mark.line - 1].dropFirst(mark.column - 1).first
  }

  private static func hint(for problem: String) -> String {
    if problem.contains("mapping values are not allowed") {
      return "check the indentation, and put quotes around a value that contains ': '"
    }
    if problem.contains("',' or '") {
      return "close the bracket, and put quotes around a value that contains , [ ] { or }"
    }
    if problem.contains("expected ':'") || problem.contains("expected key")
      || problem.contains("'-' indicator") || problem.contains("block entry")
    {
      return "check the indentation of this line and of the one before"
    }
    if problem.contains("end of stream") { return "close the quotes" }
    if problem.contains("cannot start any token") { return "put quotes around the value" }
    if problem.contains("undefined alias") { return "define it before with &name" }
    if problem.contains("node content") { return "write the value that is missing here" }
    return "check this line; a value with special characters needs quotes"
  }

  static func tooDeep(at position: SourcePosition) -> WorkloadError {
    WorkloadError(
      "values are nested too deeply", at: position,
      expected: "at most \(maximumDepth) levels", hint: "look for an unclosed bracket")
  }
}

/// Copies a Yams tree into ours, expanding aliases and merge keys.
private struct Converter {
  let file: String
  let limit: Int
  var count = 0

  init(file: String, limit: Int) {
    self.file = file
    self.limit = limit
  }

  mutating func node(_ node: Yams.Node, depth: Int) throws(WorkloadError) -> SourceNode {
    let mark = node.mark
    let position = SourcePosition(file: file, line: mark?.line ?? 1, column: mark?.column ?? 1)
    if depth > SourceNode.maximumDepth { throw SourceNode.tooDeep(at: position) }
    count += 1
    if count > limit {
      throw WorkloadError(
        "more than \(limit) values", at: position,
        hint: "check what the aliases (*name) repeat, or use a generator")
    }
    switch node {
    case .scalar(let scalar):
      let plain = scalar.style == .plain
      return SourceNode(position: position, content: .scalar(scalar.string, plain: plain))
    case .sequence(let items):
      var list: [SourceNode] = []
      list.reserveCapacity(items.count)
      for item in items { list.append(try self.node(item, depth: depth + 1)) }
      return SourceNode(position: position, content: .list(list))
    case .mapping(let pairs):
      return SourceNode(
        position: position, content: .mapping(try entries(pairs, position, depth: depth)))
    case .alias:
      throw WorkloadError("an alias that leads nowhere", at: position, hint: "write the value out")
    }
  }

  private mutating func entries(
    _ pairs: Yams.Node.Mapping, _ position: SourcePosition, depth: Int
  ) throws(WorkloadError) -> [SourceEntry] {
    var entries: [SourceEntry] = []
    var merged: [SourceNode] = []
    for pair in pairs {
      let key = try node(pair.key, depth: depth + 1)
      let value = try node(pair.value, depth: depth + 1)
      guard case .scalar(let text, let plain) = key.content else {
        throw WorkloadError(
          "a key must be a plain word", at: key.position, hint: "put quotes around the key")
      }
      if plain, text == "<<" {
        if case .list(let several) = value.content { merged += several } else { merged = [value] }
      } else {
        entries.append(SourceEntry(key: text, keyPosition: key.position, value: value))
      }
    }
    // What is written here wins over what is merged in; earlier merges win over later ones.
    for base in merged {
      guard case .mapping(let more) = base.content else {
        throw WorkloadError("'<<' merges mappings only", at: base.position, expected: "*name")
      }
      for entry in more where !entries.contains(where: { $0.key == entry.key }) {
        entries.append(entry)
      }
    }
    return entries
  }
}
