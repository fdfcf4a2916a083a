import Experiments
import Workload

extension RunCommand {
  /// Of the options, the key paths of policies and parameters, for a run on the cluster at `address`.
  /// That has its own: all that an option can do is to choose among what the file sweeps over, and
  /// then the cluster has to have the same.
  ///
  /// - Throws: `BadInput` for options that would do nothing.
  func fixedSettings(_ address: String) throws -> [String] {
    let swept = try WorkloadFile.load(file).sweep.flatMap { $0.paths.map(\.value) }
    let policies = try Self.pairs(policy, "--policy", form: "role=Policy")
      .map { ("--policy", $0, "policies.\($0)", $1) }
    let others = try Self.pairs(set, "--set", form: "key=value").map { ("--set", $0, $0, $1) }
    var fixed: [String] = []
    for (option, written, path, value) in policies + others {
      let target = path.hasPrefix("sweep.") ? String(path.dropFirst("sweep.".count)) : path
      let section = target.prefix { $0 != "." }
      guard section == "policies" || section == "parameters" else { continue }
      if swept.contains(path) {
        fixed.append(path)
        continue
      }
      throw BadInput(
        "\(option) \(written)=\(value) does not go with --connect: the cluster at \(address) has the "
          + "\(section) that it was started with; give the option to `heliostat cluster`, or to the "
          + "head's `heliostat node`, with --workload \(file)")
    }
    return fixed
  }
}
