import Primitives

extension World {
  /// Where these cells run, what nodes there are and what their workers are, in words; for a cluster
  /// that runs already, the nodes that its runs have found.
  public func text(_ cells: [PreparedCell], runs: [RunResult] = []) -> String {
    guard case .real(let options) = self else { return name }
    let workers = "workers are \(options.workerCommand == nil ? "threads" : "processes")"
    switch options.place {
    case .cluster(let endpoint):
      return "\(name), connected to \(endpoint)" + Self.list(runs.compactMap(\.connectedNodes))
    case .inProcess, .processes:
      let place = options.place == .inProcess ? "in one process" : "a process for each node"
      // Checked before anything runs.
      let nodes = cells.compactMap { try? RealPlan($0, options).text }
      return "\(name), \(place)\(Self.list(nodes)), \(workers)"
    }
  }

  /// Each once; of a long sweep the first and the last.
  private static func list(_ texts: [String]) -> String {
    var different: [String] = []
    for text in texts where !different.contains(text) { different.append(text) }
    if different.count > 3 { different = [different[0], "…", different[different.count - 1]] }
    return different.isEmpty ? "" : ": " + different.joined(separator: "; ")
  }
}
