extension SourceNode {
  /// The entries of a mapping; nil for anything else.
  var entries: [SourceEntry]? {
    guard case .mapping(let entries) = content else { return nil }
    return entries
  }

  /// The value of a key.
  func child(_ key: String) -> SourceNode? {
    switch content {
    case .mapping(let entries): return entries.first { $0.key == key }?.value
    case .list(let items):
      guard let index = Int(key), items.indices.contains(index) else { return nil }
      return items[index]
    case .scalar: return nil
    }
  }

  /// The value at a key path such as `cluster.nodes`; list elements count from 0.
  func value(at path: [String]) -> SourceNode? {
    var node = self
    for key in path {
      guard let next = node.child(key) else { return nil }
      node = next
    }
    return node
  }

  /// Puts `value` at `path`, adding the mappings that are missing on the way. Whether the keys are
  /// known is for the reader to say: added keys carry `position`, so its message points there.
  mutating func set(
    _ path: ArraySlice<String>, to value: SourceNode, at position: SourcePosition,
    whole: String
  ) throws(WorkloadError) {
    guard let key = path.first else {
      self = value
      return
    }
    let rest = path.dropFirst()
    if isNull { content = .mapping([]) }
    switch content {
    case .mapping(var entries):
      if let index = entries.firstIndex(where: { $0.key == key }) {
        try entries[index].value.set(rest, to: value, at: position, whole: whole)
      } else {
        var new = SourceNode(position: position, content: .mapping([]))
        try new.set(rest, to: value, at: position, whole: whole)
        entries.append(SourceEntry(key: key, keyPosition: position, value: new))
      }
      content = .mapping(entries)
    case .list(var items):
      guard let index = Int(key), items.indices.contains(index) else {
        throw WorkloadError(
          "no element '\(clip(key))' for '\(clip(whole))'", at: position,
          expected: items.isEmpty ? "a list with elements" : "a number from 0 to \(items.count - 1)"
        )
      }
      try items[index].set(rest, to: value, at: position, whole: whole)
      content = .list(items)
    case .scalar(let text, _):
      throw WorkloadError(
        "'\(clip(whole))' goes through '\(clip(text))', which has no keys", at: position,
        hint: "shorten the path before '.\(clip(key))'")
    }
  }

  /// Lays `top` over this value: mappings merge key by key, anything else is replaced.
  func merged(with top: SourceNode) -> SourceNode {
    guard case .mapping(var entries) = content, case .mapping(let over) = top.content else {
      return top.isNull ? self : top
    }
    for entry in over {
      if let index = entries.firstIndex(where: { $0.key == entry.key }) {
        entries[index].value = entries[index].value.merged(with: entry.value)
      } else {
        entries.append(entry)
      }
    }
    return SourceNode(position: position, content: .mapping(entries))
  }

  /// Splits `a.b.c`; an empty part is an error.
  static func splitPath(_ text: String, at position: SourcePosition) throws(WorkloadError)
    -> [String]
  {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= maximumDepth, !parts.contains(where: \.isEmpty) else {
      throw WorkloadError(
        "'\(clip(text))' is not a key path", at: position,
        expected: "keys with dots between them, such as cluster.nodes")
    }
    return parts
  }

  /// As one would write it on one line; for labels and messages.
  var inlineText: String {
    switch content {
    case .scalar(let text, _): return text
    case .list(let items): return "[" + items.map(\.inlineText).joined(separator: ", ") + "]"
    case .mapping(let entries):
      return "{" + entries.map { "\($0.key): \($0.value.inlineText)" }.joined(separator: ", ") + "}"
    }
  }
}
