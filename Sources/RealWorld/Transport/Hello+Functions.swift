extension Hello {
  /// Why two function tables do not match, naming the first differences; nil when they do.
  ///
  /// Functions travel by number, so both processes must have the same names in the same order.
  static func difference(of asking: Hello, from answering: Hello) -> String? {
    guard let theirs = asking.functions, let ours = answering.functions, theirs != ours else {
      return nil
    }
    let shown = 3
    var parts: [String] = []
    func list(_ names: [String], missingIn other: [String], _ process: String) {
      let known = Set(other)
      let missing = names.filter { !known.contains($0) }
      if missing.isEmpty { return }
      let quoted = missing.prefix(shown).map { "'\($0)'" }.joined(separator: ", ")
      let more = missing.count > shown ? " and \(missing.count - shown) more" : ""
      parts.append("\(process) has no function \(quoted)\(more)")
    }
    list(theirs, missingIn: ours, "\(answering.role) '\(answering.process)'")
    list(ours, missingIn: theirs, "\(asking.role) '\(asking.process)'")
    if parts.isEmpty {
      if let i = zip(theirs, ours).enumerated().first(where: { $1.0 != $1.1 })?.offset {
        parts.append(
          "function \(i) is '\(theirs[i])' in '\(asking.process)' "
            + "and '\(ours[i])' in '\(answering.process)'")
      } else {
        parts.append("'\(asking.process)' has \(theirs.count) functions, ours are \(ours.count)")
      }
    }
    return "the function tables differ: " + parts.joined(separator: "; ")
      + "; register the same functions in the same order in every process"
  }
}
