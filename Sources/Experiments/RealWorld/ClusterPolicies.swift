import Primitives
import RealWorld
import Scheduling

/// Policies and parameters of a cluster that runs already. They are its head's; a file and options of
/// a run say nothing to it, so that results have to name what the head says.
extension ClusterSettings {
  /// The policy of each role as results name it, with every parameter spelled out. A head may have
  /// been given less, and one of another version what is not known here, which stays as it is.
  var policies: [(role: String, policy: String)] {
    func spelledOut(_ text: String, _ make: (PolicySpec) throws -> PolicySpec) -> String {
      (try? make(PolicySpec(parsing: text))).map { "\($0)" } ?? text
    }
    return [
      ("spillover", spelledOut(spillover) { try PolicyRegistry.spillover($0).spec }),
      ("placement", spelledOut(placement) { try PolicyRegistry.placement($0).spec }),
      ("dispatch", spelledOut(dispatch) { try PolicyRegistry.dispatch($0).spec }),
    ]
  }

  /// The policies in one line, as rows name them.
  var policyText: String { policies.map { "\($0.role)=\($0.policy)" }.joined(separator: " ") }
}

/// A running cluster has other policies or parameters than options asked for.
struct OtherSettings: Error, CustomStringConvertible {
  let description: String
}

extension PreparedCell {
  /// Checks that a running cluster has what options have chosen of a sweep.
  ///
  /// - Parameter fixed: key paths, such as `policies.placement`.
  /// - Throws: `ClusterUnavailable` with `OtherSettings`.
  func check(
    _ theirs: ClusterSettings, of endpoint: Endpoint, has fixed: [String]
  ) throws {
    for path in fixed {
      let has: String
      if path.hasPrefix("parameters") {
        if try hasParameters(theirs) { continue }
        has = "other parameters"
      } else {
        let others = otherPolicies(theirs) { path == "policies" || path == "policies.\($0)" }
        guard let other = others.first else { continue }
        has = "\(other.role)=\(other.theirs)"
      }
      throw ClusterUnavailable(
        cause: OtherSettings(
          description:
            "the cluster at \(endpoint) has \(has), and the options ask for another value of "
            + "'\(path)'; start its nodes with the same options, or ask for what it has"))
    }
  }

  /// The policies that differ between the cell and a running cluster, of the roles that are asked
  /// about.
  private func otherPolicies(
    _ theirs: ClusterSettings, _ isAsked: (String) -> Bool
  ) -> [(role: String, ours: String, theirs: String)] {
    let ours = [
      "\(configuration.spillover.spec)", "\(configuration.placement.spec)",
      "\(configuration.dispatch.spec)",
    ]
    return zip(theirs.policies, ours).compactMap { theirs, ours in
      isAsked(theirs.role) && theirs.policy != ours ? (theirs.role, ours, theirs.policy) : nil
    }
  }

  /// The policies of these runs, as rows name them: a running cluster's own.
  func policies(of runs: [RunResult]) -> String {
    var texts: [String] = []
    for run in runs {
      let text = run.connectedSettings?.policyText ?? policies
      if !texts.contains(text) { texts.append(text) }
    }
    return texts.isEmpty ? policies : texts.joined(separator: "; ")
  }

  /// Whose policies ran on a cluster that ran already, and what the file says in vain.
  func notes(on theirs: ClusterSettings) -> [String] {
    let named = cell.file.policies.map(\.role)
    let unheard = otherPolicies(theirs) { named.contains($0) }
    var text = "The policies are the running cluster's own: \(theirs.policyText)."
    if !unheard.isEmpty {
      let list = unheard.map { "\($0.role)=\($0.ours)" }.joined(separator: " ")
      text += " The file's did not run: \(list)."
    }
    var notes = [text]
    if (try? hasParameters(theirs)) == false {
      notes.append("The parameters are the running cluster's own too: they are not the file's.")
    }
    return notes
  }

  /// Whether a running cluster has the parameters that the file names.
  private func hasParameters(_ theirs: ClusterSettings) throws -> Bool {
    var parameters = theirs.parameters
    var nodes = cell.file.cluster.nodes
    nodes.append(cell.file.cluster.profile.head)
    try ClusterBuilder.read(cell.file.parameters, into: &parameters, &nodes, cell.file.cluster)
    return parameters == theirs.parameters
  }
}
