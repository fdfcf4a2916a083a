import Primitives
import Reporting
import RuntimeCore
import Scheduling
import Simulation
import Workload

/// Makes a cluster's configuration from a workload file, and writes down the configuration in effect.
struct ClusterBuilder {
  let file: WorkloadFile
  private(set) var configuration: ClusterConfiguration
  private(set) var effective: [String: ConfigurationValue] = [:]

  init(_ file: WorkloadFile) throws(WorkloadError) {
    self.file = file
    guard file.architecture.value == "osdi18" else {
      throw .unknown(
        "architecture", file.architecture.value, known: ["osdi18"], at: file.architecture.position)
    }
    let profile = file.cluster.profile
    var names = ResourceNames()
    var parameters = Parameters()
    parameters.chunkSize = profile.store.chunk
    parameters.chunksInFlight = profile.store.chunksInFlight
    parameters.priorBandwidth = min(profile.network.connection, profile.network.nic)
    var nodes = file.cluster.nodes
    try Self.read(file.parameters, into: &parameters, &nodes, file.cluster)
    nodes.append(profile.head)

    var simulated: [SimulatedNode] = []
    for node in nodes {
      let resources = try node.vector(in: &names)
      simulated.append(
        SimulatedNode(NodeDescription(resources: resources, store: node.store), speed: node.speed))
    }
    let (spillover, placement, dispatch) = try Self.policies(file)
    configuration = ClusterConfiguration(
      nodes: simulated, head: NodeID(simulated.count - 1),
      topology: try Self.topology(nodes, profile.network, file.cluster.position),
      network: Self.model(profile.network.model), spillover: spillover, placement: placement,
      dispatch: dispatch)
    configuration.resourceNames = names
    configuration.parameters = parameters
    configuration.localLatency = profile.network.localLatency
    configuration.worker.start = profile.worker.start
    configuration.worker.dispatch = profile.worker.dispatch
    configuration.worker.finish = profile.worker.finish
    configuration.client.putFixed = profile.store.put.fixed
    configuration.client.putBandwidth = profile.store.put.bandwidth
    if let threaded = profile.store.threadedPut {
      configuration.client.threadedAbove = profile.store.threadedAbove
      configuration.client.threadedFixed = threaded.fixed
      configuration.client.threadedBandwidth = threaded.bandwidth
    }
    try readServiceTimes(profile)
    effective = describe(profile)
  }

  // MARK: Parameters

  static func read(
    _ value: PositionedValue, into parameters: inout Parameters,
    _ nodes: inout [ClusterProfile.Node], _ cluster: ClusterSpec
  ) throws(WorkloadError) {
    var with = try value.mapping()
    parameters.globalSchedulers = try with.int(
      "global-schedulers", default: parameters.globalSchedulers, in: 1...1000)
    parameters.gcsShards = try with.int("gcs-shards", default: parameters.gcsShards, in: 1...4096)
    parameters.chainLength = try with.int(
      "chain-length", default: parameters.chainLength, in: 1...64)
    parameters.heartbeat = try with.duration("heartbeat", default: parameters.heartbeat)
    parameters.averageWeight = try with.double(
      "average-weight", default: parameters.averageWeight, in: 0...1)
    parameters.priorTaskTime = try with.duration(
      "prior-task-time", default: parameters.priorTaskTime)
    parameters.priorBandwidth = try with.bandwidth(
      "prior-bandwidth", default: parameters.priorBandwidth)
    parameters.unknownObjectSize = try with.size(
      "unknown-object-size", default: parameters.unknownObjectSize)
    parameters.pullQuotaPercent = try with.int(
      "pull-quota-percent", default: parameters.pullQuotaPercent, in: 1...100)
    parameters.diskBandwidth = try with.bandwidth(
      "disk-bandwidth", default: parameters.diskBandwidth)
    parameters.extraWorkersPerCPU = try with.int(
      "extra-workers-per-cpu", default: parameters.extraWorkersPerCPU, in: 0...10_000)
    parameters.freeDelay = try with.duration("free-delay", default: parameters.freeDelay)
    parameters.uncommittedLimit = try with.int(
      "uncommitted-limit", default: parameters.uncommittedLimit, in: 1...1_000_000_000)
    // The machine that hosts the control plane counts among the cluster's nodes.
    if try with.bool("head-counts", default: false) {
      guard nodes.count > 1 else {
        throw WorkloadError(
          "a cluster of one node, the head, runs no tasks", at: cluster.position,
          hint: "use at least two nodes with head-counts: true")
      }
      nodes.removeLast()
    }
    guard parameters.heartbeat > .zero else {
      throw WorkloadError(
        "a heartbeat of zero never lets time pass", at: with.position,
        expected: "a positive duration such as 100ms")
    }
    try with.finish()
  }

  private static func policies(_ file: WorkloadFile) throws(WorkloadError) -> (
    any SpilloverPolicy, any PlacementPolicy, any DispatchPolicy
  ) {
    func spec(_ role: String, default name: String) -> (PolicySpec, SourcePosition) {
      guard let choice = file.policies.first(where: { $0.role == role }) else {
        return (PolicySpec(name), file.cluster.position)
      }
      let parameters = choice.parameters.map {
        PolicySpec.Parameter(key: $0.key, value: $0.value)
      }
      return (PolicySpec(choice.name, parameters), choice.position)
    }
    func make<T>(
      _ role: String, _ name: String, _ make: (PolicySpec) throws(PolicyError) -> T
    ) throws(WorkloadError) -> T {
      let (spec, position) = spec(role, default: name)
      do {
        return try make(spec)
      } catch {
        throw WorkloadError("\(error)", at: position, hint: "see `heliostat list policies`")
      }
    }
    let roles = ["spillover", "placement", "dispatch"]
    for choice in file.policies where !roles.contains(choice.role) {
      throw .unknown("policy role", choice.role, known: roles, at: choice.rolePosition)
    }
    return (
      try make("spillover", "QueueThreshold", PolicyRegistry.spillover),
      try make("placement", "LowestWait", PolicyRegistry.placement),
      try make("dispatch", "FIFO", PolicyRegistry.dispatch)
    )
  }

  // MARK: Network

  private static func model(_ model: ClusterProfile.NetworkModel) -> BulkNetworkModel {
    switch model {
    case .constant: .constant
    case .latencyBandwidth: .latencyBandwidth
    case .fifoNIC: .fifoNIC
    case .maxMin: .maxMin
    }
  }

  private static func topology(
    _ nodes: [ClusterProfile.Node], _ network: ClusterProfile.Network, _ position: SourcePosition
  ) throws(WorkloadError) -> Topology {
    let racks = nodes.map { $0.rack ?? 0 }
    let rackCount = (racks.max() ?? 0) + 1
    let uplink = network.rack?.uplink ?? .unlimited
    do {
      return try Topology(
        nics: nodes.map { _ in DuplexBandwidth(network.nic) }, rackOfNode: racks,
        rackUplinks: Array(repeating: DuplexBandwidth(uplink), count: rackCount),
        core: network.core, flowCap: network.connection,
        latencyWithinNode: network.localLatency,
        latencyWithinRack: network.latency,
        latencyAcrossRacks: network.latency + (network.rack?.latency ?? .zero))
    } catch {
      throw WorkloadError("\(error)", at: position)
    }
  }

  // MARK: Service times

  private mutating func readServiceTimes(_ profile: ClusterProfile) throws(WorkloadError) {
    let roles: [(String, Address.Role)] = [
      ("raylet", .raylet), ("driver", .driver), ("global-scheduler", .globalScheduler),
      ("gcs", .replica),
    ]
    let kinds = MessageKind.allCases
    for (component, role) in roles {
      let entries = profile.service.entries(of: component)
      if let all = entries.first(where: { $0.message == "default" }) {
        configuration.service.set(role, to: all.time)
        // Reminders to itself and the world's own notices are not messages.
        configuration.service[role, .timerFired] = .zero
        if role == .driver {
          configuration.client.submit = all.time
          configuration.client.call = all.time
        }
      }
      for entry in entries where entry.message != "default" {
        if role == .driver && entry.message == "submit" {
          configuration.client.submit = entry.time
        } else if role == .driver && entry.message == "call" {
          configuration.client.call = entry.time
        } else if let kind = kinds.first(where: { $0.name == entry.message }) {
          configuration.service[role, kind] = entry.time
        } else {
          let own = role == .driver ? ["submit", "call"] : []
          throw .unknown(
            "message", entry.message, known: ["default"] + own + kinds.map(\.name),
            at: entry.position, in: "service.\(component)")
        }
      }
    }
  }

  // MARK: What is in effect

  private func describe(_ profile: ClusterProfile) -> [String: ConfigurationValue] {
    let p = configuration.parameters
    var service: [String: ConfigurationValue] = [:]
    for (name, role) in [
      ("raylet", Address.Role.raylet), ("driver", .driver), ("global-scheduler", .globalScheduler),
      ("gcs", .replica),
    ] {
      // The most frequent time stands for all; those that differ are listed.
      let times = MessageKind.allCases.map { (kind: $0, time: configuration.service[role, $0]) }
      let usual = times.map(\.time).max { a, b in
        times.count { $0.time == a } < times.count { $0.time == b }
      }
      var kinds: [String: ConfigurationValue] = ["default": .text("\(usual ?? .zero)")]
      for (kind, time) in times where time != usual { kinds[kind.name] = .text("\(time)") }
      service[name] = .map(kinds)
    }
    service["driver-calls"] = .map([
      "submit": .text("\(configuration.client.submit)"),
      "call": .text("\(configuration.client.call)"),
    ])
    let cpus = configuration.nodes.reduce(0.0) { $0 + $1.description.resources.amount(0) }
    let gpus = configuration.nodes.reduce(0.0) { $0 + $1.description.resources.amount(1) }
    return [
      "architecture": "osdi18",
      "cluster": .map([
        "profile": .text(profile.name), "nodes": .integer(configuration.nodes.count),
        "cpus": .number(cpus), "gpus": .number(gpus),
        "head": .integer(Int(configuration.head.index)),
      ]),
      "network": .map([
        "model": .text(configuration.network.rawValue),
        "nic": .text(Self.text(profile.network.nic)),
        "connection": .text(Self.text(profile.network.connection)),
        "latency": .text("\(profile.network.latency)"),
        "local-latency": .text("\(profile.network.localLatency)"),
      ]),
      "policies": .map([
        "spillover": .text("\(configuration.spillover.spec)"),
        "placement": .text("\(configuration.placement.spec)"),
        "dispatch": .text("\(configuration.dispatch.spec)"),
      ]),
      "parameters": .map([
        "global-schedulers": .integer(p.globalSchedulers), "gcs-shards": .integer(p.gcsShards),
        "chain-length": .integer(p.chainLength), "heartbeat": .text("\(p.heartbeat)"),
        "average-weight": .number(p.averageWeight),
        "prior-task-time": .text("\(p.priorTaskTime)"),
        "prior-bandwidth": .number(p.priorBandwidth.bytesPerSecond),
        "unknown-object-size": .text("\(p.unknownObjectSize)"),
        "chunk-size": .text("\(p.chunkSize)"), "chunks-in-flight": .integer(p.chunksInFlight),
        "pull-quota-percent": .integer(p.pullQuotaPercent),
        "disk-bandwidth": .number(p.diskBandwidth.bytesPerSecond),
        "extra-workers-per-cpu": .integer(p.extraWorkersPerCPU),
        "free-delay": .text("\(p.freeDelay)"),
        "uncommitted-limit": .integer(p.uncommittedLimit),
      ]),
      "service": .map(service),
      "worker": .map([
        "start": .text("\(configuration.worker.start)"),
        "dispatch": .text("\(configuration.worker.dispatch)"),
        "finish": .text("\(configuration.worker.finish)"),
      ]),
    ]
  }

  private static func text(_ bandwidth: Bandwidth) -> String {
    if bandwidth == .unlimited { return "unlimited" }
    return "\(ByteCount(UInt64(min(bandwidth.bytesPerSecond, 1e18))))/s"
  }

  /// The policies in one line, as rows name them.
  var policyText: String {
    "spillover=\(configuration.spillover.spec) placement=\(configuration.placement.spec) "
      + "dispatch=\(configuration.dispatch.spec)"
  }
}
