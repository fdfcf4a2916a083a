import Primitives

/// What a cluster's hardware and the system's code on it cost: nodes, network, service times,
/// workers and object stores. Plain values; see `Workloads/clusters/`.
public struct ClusterProfile: Sendable {
  public var name: String
  /// Empty when not given.
  public var description: String
  /// Where the numbers come from, one note each.
  public var source: [String]
  /// The node of the GCS, the global schedulers and the driver. Without a `head` key it has no
  /// CPUs, and so runs no tasks.
  public var head: Node
  /// In the order written; at most one without a count.
  public var groups: [NodeGroup]
  public var network: Network
  public var service: ServiceTimes
  public var worker: Worker
  public var store: Store

  /// One node.
  public struct Node: Sendable, Equatable {
    /// Task slots. Required for groups; 0 for a head that does not say.
    public var cpus: Int
    /// 0 when not given.
    public var gpus: Int
    /// Further kinds of resources.
    public var resources: [CustomResource]
    /// How fast tasks run, 1 being the reference machine: a task of 1 s takes 1 ÷ speed.
    public var speed: Double
    /// Room for objects; 100 GB when not given.
    public var store: ByteCount
    /// Which rack: the group's `rack`, else node number ÷ `network.rack.size`, else nil.
    public var rack: Int?
    /// The name of its group; nil for the head and in groups without a name.
    public var group: String?

    /// The node's resources; adds the custom kinds to `names`.
    public func vector(in names: inout ResourceNames) throws(WorkloadError) -> ResourceVector {
      try CustomResource.vector(
        cpus: Double(cpus), gpus: Double(gpus), custom: resources, names: &names)
    }
  }

  /// Nodes of one kind.
  public struct NodeGroup: Sendable, Equatable {
    public var name: String?
    /// Nil: the rest of the cluster's node count. The count of a single group is a default.
    public var count: Int?
    public var node: Node
    public var position: SourcePosition
  }

  /// How bytes travel.
  public enum NetworkModel: String, CaseIterable, Sendable {
    /// Latency only; size does not matter.
    case constant
    /// Latency plus size ÷ bandwidth; transfers do not disturb each other.
    case latencyBandwidth = "latency-bandwidth"
    /// Transfers queue at the sender's and the receiver's NIC.
    case fifoNIC = "fifo-nic"
    /// Transfers share links, max-min fair.
    case maxMin = "max-min"
  }

  /// The network. Only `latency` must be given.
  public struct Network: Sendable, Equatable {
    /// Default max-min.
    public var model: NetworkModel
    /// Each direction of each node's NIC; default unlimited.
    public var nic: Bandwidth
    /// Most that one connection carries; default unlimited.
    public var connection: Bandwidth
    /// One way, between two nodes.
    public var latency: TimeSpan
    /// One way, between two processes of one node; default 5 us.
    public var localLatency: TimeSpan
    /// Default: no racks.
    public var rack: Rack?
    /// What all racks together can exchange; default unlimited.
    public var core: Bandwidth
  }

  /// Racks of equal size, each with one uplink to the core.
  public struct Rack: Sendable, Equatable {
    public var size: Int
    /// Each direction; default unlimited.
    public var uplink: Bandwidth
    /// Extra one-way latency between racks; default 0.
    public var latency: TimeSpan
  }

  /// What messages cost the component that handles them, in the order written.
  public struct ServiceTimes: Sendable, Equatable {
    public var components: [Component]

    /// One component: raylet, driver, global-scheduler or gcs.
    public struct Component: Sendable, Equatable {
      public var name: String
      public var position: SourcePosition
      public var messages: [Entry]
    }

    /// One message name, or `default` for those that are not listed.
    public struct Entry: Sendable, Equatable {
      public var message: String
      public var time: TimeSpan
      /// Of the message's name.
      public var position: SourcePosition
    }

    public static let componentNames = ["raylet", "driver", "global-scheduler", "gcs"]

    /// The entries of a component; empty when the profile does not list it.
    public func entries(of component: String) -> [Entry] {
      components.first { $0.name == component }?.messages ?? []
    }
  }

  /// What a worker process costs; each 0 when not given.
  public struct Worker: Sendable, Equatable {
    /// Starting a process.
    public var start: TimeSpan
    /// From the raylet's command to the worker's first instruction.
    public var dispatch: TimeSpan
    /// From the worker's last instruction to the raylet's notice.
    public var finish: TimeSpan
  }

  /// Fixed cost and copy rate of one `put`.
  public struct Copy: Sendable, Equatable {
    public var fixed: TimeSpan
    public var bandwidth: Bandwidth
  }

  /// The object store of a node.
  public struct Store: Sendable, Equatable {
    /// With one copy thread; default free.
    public var put: Copy
    /// With several copy threads, for objects larger than `threadedAbove`; nil when not given.
    public var threadedPut: Copy?
    public var threadedAbove: ByteCount
    /// Piece in which objects travel; default 5 MiB.
    public var chunk: ByteCount
    /// Pieces of one object on their way at a time; default 4.
    public var chunksInFlight: Int
  }
}

/// An amount of a resource kind besides CPU and GPU.
public struct CustomResource: Sendable, Equatable {
  public var name: String
  public var amount: Double
  public var position: SourcePosition

  /// Most of one kind: what the fixed point of `ResourceVector` holds.
  static let maximumAmount = 200_000.0

  /// Puts amounts in their lanes, adding the custom kinds to `names`.
  static func vector(
    cpus: Double, gpus: Double, custom: [CustomResource], names: inout ResourceNames
  ) throws(WorkloadError) -> ResourceVector {
    var vector = ResourceVector.zero
    vector.lanes[ResourceVector.cpuLane] = ResourceVector.units(cpus)
    vector.lanes[ResourceVector.gpuLane] = ResourceVector.units(gpus)
    for resource in custom {
      guard let lane = names.lane(of: resource.name) else {
        throw WorkloadError(
          "resource '\(clip(resource.name))' is one kind too many", at: resource.position,
          expected: "at most \(ResourceVector.kindCount) kinds, CPU and GPU among them",
          hint: "known: \(names.names.joined(separator: ", "))")
      }
      vector.lanes[lane] = ResourceVector.units(resource.amount)
    }
    return vector
  }

  /// Reads `resources: {name: amount}`.
  static func read(_ value: PositionedValue?) throws(WorkloadError) -> [CustomResource] {
    guard let value else { return [] }
    var reader = try value.mapping()
    var resources: [CustomResource] = []
    for (key, amount) in reader.all() {
      if ["cpu", "gpu", "cpus", "gpus"].contains(key.value.lowercased()) {
        let known = key.value.lowercased().hasPrefix("c") ? "cpus" : "gpus"
        throw WorkloadError(
          "'\(key.value)' is not a custom resource", at: key.position,
          hint: "write '\(known):' beside 'resources:'")
      }
      resources.append(
        CustomResource(name: key.value, amount: try read(amount: amount), position: key.position))
    }
    return resources
  }

  /// An amount that fixed point can hold.
  static func read(amount value: PositionedValue) throws(WorkloadError) -> Double {
    let amount = try value.double(in: 0...maximumAmount)
    guard amount == 0 || ResourceVector.units(amount) > 0 else {
      throw value.wrong(expected: "0, or at least 0.0001, the precision of resources")
    }
    return amount
  }
}
