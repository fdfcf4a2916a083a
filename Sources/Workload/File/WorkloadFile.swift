import Primitives

/// An experiment as a file describes it: where it runs, what runs, what is varied and measured.
///
/// The values are those of the first cell of the sweep; `cells()` gives all of them. Names of
/// programs, policies, architectures, measures and checks are kept with their positions, for those
/// who own these names to look up.
public struct WorkloadFile: Sendable {
  /// The file as the user named it.
  public let path: String
  /// Letters a–z, digits and hyphens: the folder of the results.
  public let experiment: String
  public let title: String
  /// Empty when not given.
  public let description: String
  /// The published figure its points are compared with.
  public let figure: Positioned<String>?
  public let cluster: ClusterSpec
  /// `osdi18` when not given.
  public let architecture: Positioned<String>
  /// In the order written.
  public let policies: [PolicyChoice]
  /// An open mapping; empty when not given.
  public let parameters: PositionedValue
  public let workload: WorkloadBody
  public let measures: [MeasureChoice]
  /// At least one; 1 when not given.
  public let seeds: [UInt64]
  /// What is varied, the first slowest; empty for the file of one cell.
  public let sweep: [SweepDimension]
  public let x: XAxis?
  /// The name of the series, with `{key.path}` placeholders.
  public let series: Positioned<String>?
  public let compare: [ComparedSeries]
  public internal(set) var checks: [CheckChoice]
  /// True when overrides changed it: parts of the sweep that checks name may be gone.
  public internal(set) var isOverridden = false

  /// The whole file, sweep and overrides included.
  let root: SourceNode
  let files: FileReader

  /// Reads a workload file from the disk.
  public static func load(_ path: String) throws(WorkloadError) -> WorkloadFile {
    let text = try FileReader.disk.read(
      path, askedAt: SourcePosition(file: path, line: 0, column: 0))
    return try WorkloadFile(text: text, path: path)
  }

  /// Reads a workload file from its text. `path` is what messages call it, and where relative
  /// paths start; `files` gives the cluster profile.
  public init(text: String, path: String, files: FileReader = .disk) throws(WorkloadError) {
    try self.init(root: try SourceNode.parse(text, file: path), path: path, files: files)
  }
}

/// The cluster of an experiment: a profile, what the file changes in it, and how many nodes.
public struct ClusterSpec: Sendable {
  /// With the overrides of the workload file merged in.
  public var profile: ClusterProfile
  public var profilePath: String
  /// Every node but the head, in the order of the profile's groups.
  public var nodes: [ClusterProfile.Node]
  public var position: SourcePosition
  /// The profile's file, without the overrides.
  let profileTree: SourceNode
}

/// One role of the scheduler and the policy chosen for it: `Name` or `Name[key=value,…]`.
public struct PolicyChoice: Sendable, Equatable {
  public var role: String
  public var rolePosition: SourcePosition
  /// As written.
  public var text: String
  public var name: String
  public var parameters: [Parameter]
  public var position: SourcePosition

  public struct Parameter: Sendable, Equatable {
    public var key: String
    public var value: String
  }
}

/// What runs.
public enum WorkloadBody: Sendable {
  /// A built-in program and its open mapping of parameters.
  case program(Positioned<String>, with: PositionedValue)
  /// A generator of tasks and its open mapping of parameters.
  case generator(Positioned<String>, with: PositionedValue)
  case graph(TaskGraph)
}

/// A measure by name, and how its column is called.
public struct MeasureChoice: Sendable, Equatable {
  public var name: Positioned<String>
  /// The name on the y axis; the measure's own unless `as` says otherwise.
  public var yName: String
  /// Nil: the measure's own unit.
  public var unit: Positioned<String>?
}

/// The value that goes on the x axis.
public struct XAxis: Sendable, Equatable {
  public var name: String
  /// The key path of the value.
  public var from: Positioned<String>
  /// Multiplies the value; 1 leaves its text as written.
  public var scale: Double
}

/// A published series to show beside the results.
public struct ComparedSeries: Sendable, Equatable {
  public var figure: Positioned<String>
  public var series: Positioned<String>
  /// How the report calls it: `series (figure)` unless `as` says otherwise.
  public var label: String
}

/// A check of the results, by name, with its open mapping of parameters.
public struct CheckChoice: Sendable, Equatable {
  public var name: Positioned<String>
  /// Without the key `check`.
  public var parameters: PositionedValue
}
