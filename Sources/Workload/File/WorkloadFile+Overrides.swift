extension WorkloadFile {
  /// The file with values replaced or added, as `--set key=value` asks; then read again.
  ///
  /// A value in brackets or quotes is YAML, anything else is taken as it stands. `sweep.a.b` sets
  /// the list of the sweep over `a.b`. Setting a path that is swept fixes it: that dimension of
  /// the sweep is dropped. Unknown keys are errors, as in the file.
  ///
  /// - Parameters:
  ///   - option: what messages call these overrides.
  ///   - section: where the keys lie, when the option leaves it out: `policies.` for `--policy`.
  public func applying(
    overrides: [(String, String)], option: String = "--set", section: String = ""
  ) throws(WorkloadError) -> WorkloadFile {
    var tree = root
    for (written, text) in overrides {
      let place = SourcePosition(
        file: "\(option) \(clip("\(written)=\(text)"))", line: 0, column: 0)
      let key = section + written
      var keys = try SourceNode.splitPath(key, at: place)
      // A series template may begin with a bracket.
      let value = try Self.overrideValue(text, isText: keys == ["series"], at: place)
      if keys[0] == "sweep" {
        // The path that is swept is one key, dots and all.
        keys = keys.count > 1 ? ["sweep", keys.dropFirst().joined(separator: ".")] : keys
      } else {
        try Self.dropSweep(over: key, in: &tree, at: place)
      }
      try tree.set(keys[...], to: value, at: place, whole: key)
    }
    var file = try WorkloadFile(root: tree, path: path, files: files)
    file.isOverridden = isOverridden || !overrides.isEmpty
    return file
  }

  /// The file without those of its checks that `isWanted` turns down.
  public func keepingChecks(where isWanted: (CheckChoice) -> Bool) -> WorkloadFile {
    var file = self
    file.checks = checks.filter(isWanted)
    return file
  }

  private static func overrideValue(
    _ text: String, isText: Bool, at place: SourcePosition
  ) throws(WorkloadError) -> SourceNode {
    let text = text.trimmed
    guard let first = text.first, "[{\"'".contains(first), !isText else {
      if text.isEmpty {
        throw WorkloadError("there is no value after '='", at: place, expected: "key=value")
      }
      return SourceNode(position: place, content: .scalar(text, plain: true))
    }
    do {
      return try SourceNode.parse(text, file: place.file).placed(at: place)
    } catch {
      throw WorkloadError(error.message, at: place, expected: error.expected, hint: error.hint)
    }
  }

  /// Removes `path` from the sweep, so that the override is not overridden in turn.
  private static func dropSweep(
    over path: String, in tree: inout SourceNode, at place: SourcePosition
  ) throws(WorkloadError) {
    guard let sweep = tree.child("sweep"), let entries = sweep.entries else { return }
    var kept: [SourceEntry] = []
    for entry in entries {
      if entry.key == "zip", case .list(let points) = entry.value.content {
        var entry = entry
        var rest: [SourceNode] = []
        for point in points {
          guard let pairs = point.entries else { continue }
          for pair in pairs { try refuse(path, insteadOf: pair.key, at: place) }
          let others = pairs.filter { $0.key != path }
          if !others.isEmpty {
            rest.append(SourceNode(position: point.position, content: .mapping(others)))
          }
        }
        entry.value.content = .list(rest)
        if !rest.isEmpty || points.isEmpty { kept.append(entry) }
      } else {
        try refuse(path, insteadOf: entry.key, at: place)
        if entry.key != path { kept.append(entry) }
      }
    }
    try tree.set(
      ["sweep"], to: SourceNode(position: sweep.position, content: .mapping(kept)), at: place,
      whole: path)
  }

  /// An override of a part of what is swept, or of more than it, would be lost or lose the sweep.
  private static func refuse(_ path: String, insteadOf swept: String, at place: SourcePosition)
    throws(WorkloadError)
  {
    if swept != path, SweepDimension.overlap(swept, path) {
      throw WorkloadError(
        "the sweep sets '\(clip(swept))', which overlaps '\(clip(path))'", at: place,
        hint: "set 'sweep.\(clip(swept))' instead")
    }
  }
}

extension SourceNode {
  /// The same value, with every part at one place.
  func placed(at place: SourcePosition) -> SourceNode {
    switch content {
    case .scalar: return SourceNode(position: place, content: content)
    case .list(let items):
      return SourceNode(position: place, content: .list(items.map { $0.placed(at: place) }))
    case .mapping(let entries):
      return SourceNode(
        position: place,
        content: .mapping(
          entries.map {
            SourceEntry(key: $0.key, keyPosition: place, value: $0.value.placed(at: place))
          }))
    }
  }
}
