import Foundation
import Logging
import Primitives
import RealWorld

/// Where an experiment runs.
public enum World: Sendable {
  /// Modelled, in virtual time.
  case simulated
  /// Processes, threads and memory of this machine, in wall time.
  case real(RealWorldOptions)

  /// As rows and manifests name it.
  public var name: String {
    switch self {
    case .simulated: "simulated"
    case .real: "real"
    }
  }

  /// On a cluster that others have started.
  var isRunningAlready: Bool {
    guard case .real(let options) = self, case .cluster = options.place else { return false }
    return true
  }

  /// The processors that all nodes of a run share; nil where time is modelled, and where nodes are on
  /// machines of which nothing is known here.
  var processors: Int? {
    guard case .real(let options) = self else { return nil }
    if case .cluster(let endpoint) = options.place, !endpoint.isThisHost { return nil }
    return ProcessInfo.processInfo.activeProcessorCount
  }
}

/// There was no cluster to run on: it could not be reached or started, for this reason.
public struct ClusterUnavailable: Error, CustomStringConvertible {
  public let cause: any Error
  public var description: String { "\(cause)" }
}

/// How a run in the real world gets its cluster.
public struct RealWorldOptions: Sendable {
  public enum Place: Sendable, Equatable {
    /// One node in this process.
    case inProcess
    /// This many node processes on this machine, started for each run.
    case processes(Int)
    /// A cluster that runs already, reached at this address.
    case cluster(Endpoint)
  }

  public var place = Place.inProcess
  /// CPUs and GPUs of each node; nil takes what the file's cluster has, dealt out to the nodes.
  public var cpus: Int?
  public var gpus: Int?
  /// The object store of each node; nil takes the file's, at most 1 GiB where that is enough.
  public var store: ByteCount?
  /// For `.cluster`: its secret and TLS.
  public var transport = TransportConfiguration()
  /// For `.cluster`: the name that it must have; empty takes any.
  public var clusterName = ""
  /// For `.cluster`: the key paths of policies and parameters that the file sweeps over and that
  /// options have fixed. A cluster that has others is not the one that was asked for.
  public var fixed: [String] = []
  /// For `.processes`: the program and the arguments that start a node with the file's functions.
  public var nodeCommand: [String] = []
  /// For `.inProcess`: the program and the arguments that start a worker process with the file's
  /// functions; nil for workers that are threads.
  public var workerCommand: [String]?
  public var logger = Logger(label: "heliostat")
  /// Hears of each local cluster when it is ready.
  public var started: (@Sendable (LocalCluster) -> Void)?

  public init() {}
}
