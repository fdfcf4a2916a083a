import Primitives

extension ClusterSpec {
  /// The keys of a workload's `cluster` that are laid over the profile.
  static let overrides = ["head", "network", "service", "worker", "store"]

  /// Reads `cluster: {profile: path, nodes: n}`; the path starts at the folder of `file`.
  init(_ value: PositionedValue, file: String, files: FileReader, known: ClusterSpec?)
    throws(WorkloadError)
  {
    var reader = try value.mapping()
    position = value.position
    let path = try reader.required("profile", "the path of a cluster profile").positionedString()
    profilePath = FileReader.resolve(path.value, from: file)
    if let known, known.profilePath == profilePath {
      profileTree = known.profileTree
    } else {
      let text = try files.read(profilePath, askedAt: path.position)
      profileTree = try SourceNode.parse(text, file: profilePath)
    }
    var root = profileTree
    for key in Self.overrides {
      guard let override = reader.optional(key) else { continue }
      var merged = SourceNode(position: override.position, content: .mapping([]))
      merged = root.child(key) ?? merged
      let result = merged.merged(with: override.node)
      try root.set([key], to: result, at: override.position, whole: "cluster.\(key)")
    }
    profile = try ClusterProfile(PositionedValue(root, path: ""))
    let counts = reader.optional("nodes")
    try reader.finish()
    nodes = try Self.nodes(of: profile, counts: counts, at: value.position)
  }

  /// Expands the groups: `counts` is a total, or a count for each named group. Of a total, the
  /// group without a count takes what the others leave; a single group takes all of it.
  private static func nodes(
    of profile: ClusterProfile, counts: PositionedValue?, at position: SourcePosition
  ) throws(WorkloadError) -> [ClusterProfile.Node] {
    let limit = ClusterProfile.maximumNodes
    var groups = profile.groups
    if let counts, counts.isMapping {
      var reader = try counts.mapping()
      for index in groups.indices {
        guard let name = groups[index].name, let count = reader.optional(name) else { continue }
        groups[index].count = try count.int(in: 0...limit)
      }
      try reader.finish()
    } else if let counts {
      let total = try counts.int(in: 1...limit)
      let fixed = groups.reduce(0) { min($0 + ($1.count ?? 0), limit + 1) }
      if groups.count == 1 {
        groups[0].count = total
      } else if let open = groups.firstIndex(where: { $0.count == nil }) {
        guard total >= fixed else {
          throw counts.error(
            "the groups of '\(profile.name)' alone have \(fixed) nodes, '\(counts.path)' is "
              + "\(total)", expected: "at least \(fixed)")
        }
        groups[open].count = total - fixed
      } else if total != fixed {
        throw counts.error(
          "the groups of '\(profile.name)' have \(fixed) nodes, '\(counts.path)' is \(total)",
          expected: "\(fixed)", hint: "leave the count of one group open in the profile")
      }
    }
    var nodes: [ClusterProfile.Node] = []
    for group in groups {
      guard let count = group.count else {
        throw WorkloadError(
          "the number of nodes is missing: a group of '\(profile.name)' has no count",
          at: position, expected: "a total, or a count for each group",
          hint: "add 'nodes: …' to 'cluster'")
      }
      for _ in 0..<min(count, limit + 1 - nodes.count) {
        var node = group.node
        if node.rack == nil, let rack = profile.network.rack { node.rack = nodes.count / rack.size }
        nodes.append(node)
      }
    }
    guard (1...limit).contains(nodes.count) else {
      throw WorkloadError(
        nodes.isEmpty ? "the cluster has no nodes" : "the cluster has more than \(limit) nodes",
        at: counts?.position ?? position, expected: "1 to \(limit) nodes besides the head")
    }
    return nodes
  }
}
