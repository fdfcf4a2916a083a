/// Where a value was written: a file with line and column, or an override of the command line.
public struct SourcePosition: Hashable, Sendable, CustomStringConvertible {
  /// The file as the user named it, or `--set key=value`.
  public var file: String
  /// From 1; 0 where there is no line to show.
  public var line: Int
  /// From 1, counted in Unicode scalars.
  public var column: Int

  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }

  /// `file:line:column`, or only the file's name when there is no line.
  public var description: String { line > 0 ? "\(file):\(line):\(column)" : file }
}

/// A value together with the place it came from.
public struct Positioned<Value: Sendable>: Sendable {
  public var value: Value
  public var position: SourcePosition

  public init(_ value: Value, at position: SourcePosition) {
    self.value = value
    self.position = position
  }
}

extension Positioned: Equatable where Value: Equatable {}

/// What is wrong in a workload file or cluster profile: one problem, its place, and the way out.
public struct WorkloadError: Error, Equatable, Sendable, CustomStringConvertible {
  public var position: SourcePosition
  /// What is wrong.
  public var message: String
  /// What would have been right; follows "expected".
  public var expected: String?
  /// What to do.
  public var hint: String?

  public init(
    _ message: String, at position: SourcePosition, expected: String? = nil, hint: String? = nil
  ) {
    self.message = message
    self.position = position
    self.expected = expected
    self.hint = hint
  }

  /// `file:line:column: message; expected …; hint`.
  public var description: String {
    var text = "\(position): \(message)"
    if let expected { text += "; expected \(expected)" }
    if let hint { text += "; \(hint)" }
    return text
  }

  /// A name that is not known: suggests the nearest of `known`, or lists them.
  ///
  /// - Parameter kind: what the name names, for example `key` or `dispatch policy`.
  public static func unknown(
    _ kind: String, _ name: String, known: [String], at position: SourcePosition,
    in place: String = ""
  ) -> WorkloadError {
    let hint: String
    if let nearest = nearest(to: name, in: known) {
      hint = "did you mean '\(nearest)'?"
    } else if known.isEmpty {
      hint = "none is known here; remove it"
    } else {
      let more = known.count > 24 ? ", and \(known.count - 24) more" : ""
      hint = "known: \(known.prefix(24).map(clip).joined(separator: ", "))\(more)"
    }
    let inside = place.isEmpty ? "" : " in '\(place)'"
    return WorkloadError("unknown \(kind) '\(clip(name))'\(inside)", at: position, hint: hint)
  }

  /// The candidate with the fewest edits from `name`, if it is near enough to be a slip.
  static func nearest(to name: String, in candidates: [String]) -> String? {
    let typed = Array(name.lowercased().unicodeScalars.prefix(64))
    var best: (distance: Int, name: String)?
    for candidate in candidates {
      let distance = editDistance(typed, Array(candidate.lowercased().unicodeScalars.prefix(64)))
      if distance < best?.distance ?? .max { best = (distance, candidate) }
    }
    guard let best, best.distance <= max(1, min(3, typed.count / 3)) else { return nil }
    return best.name
  }

  /// Insertions, removals, replacements and swaps of neighbours (optimal string alignment).
  private static func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var before: [Int] = []
    var previous = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var cost = min(previous[j + 1] + 1, row[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
        row.append(cost)
      }
      before = previous
      previous = row
    }
    return previous[b.count]
  }
}

/// Short enough for one line of a message.
func clip(_ text: String) -> String {
  let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
  return line.count <= 60 ? line : line.prefix(57) + "…"
}
