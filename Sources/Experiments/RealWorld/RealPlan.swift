import Foundation
import Primitives
import RealWorld
import Reporting
import RuntimeCore
import Workload

/// What becomes of a cell's cluster on this machine.
///
/// The nodes of the file are dealt out to those that run here, so that the whole keeps its resources;
/// the head is the first of them and runs tasks too. A CPU is a worker thread: as in Ray, how many there
/// are is a matter of scheduling, and more than the machine has cores take turns.
public struct RealPlan: Sendable {
  /// Workers that one core may stand for.
  public static let cpusPerCore = 16

  public let nodes: [NodeDescription]
  public let settings: ClusterSettings
  /// What the file's cluster has.
  private let asked: String

  /// - Throws: `WorkloadError` when this machine cannot stand for the cluster, or no node can run what
  ///   the workload asks for.
  public init(_ prepared: PreparedCell, _ options: RealWorldOptions) throws(WorkloadError) {
    let file = prepared.cell.file
    settings = try prepared.realSettings()
    var written = prepared.configuration.nodes.map(\.description)
    let head = written.removeLast()
    if written.isEmpty { written = [head] } else { written[0].resources += head.resources }
    asked = Self.describe(written, settings.resourceNames)
    var count = 1
    if case .processes(let number) = options.place {
      count = options.cpus == nil ? min(number, written.count) : number
    }
    var dealt: [NodeDescription] = []
    for number in 0..<count {
      var share = NodeDescription(resources: .zero, store: .zero)
      // With more nodes than the file has, those of the file come again.
      let own = number < written.count ? number : number % written.count
      for source in stride(from: own, to: written.count, by: count) {
        share.resources += written[source].resources
        share.store += written[source].store
      }
      if let cpus = options.cpus {
        share.resources.lanes[ResourceVector.cpuLane] = ResourceVector(cpus: cpus).cpuUnits
      }
      if let gpus = options.gpus {
        share.resources.lanes[ResourceVector.gpuLane] = ResourceVector(gpus: gpus).gpuUnits
      }
      share.store = options.store ?? Self.store(share.store, prepared.largestObject)
      dealt.append(share)
    }
    nodes = dealt
    if case .cluster = options.place { return }
    try checkCPUs(file, hasOwnCPUs: options.cpus != nil)
    try checkDemands(prepared)
    try checkStore(prepared)
  }

  /// A store in memory costs memory: at most 1 GiB unless the objects need more.
  private static func store(_ asked: ByteCount, _ largest: ByteCount) -> ByteCount {
    min(asked, max(ByteCount(1 << 30), ByteCount(largest.bytes &* 4)))
  }

  private func checkCPUs(_ file: WorkloadFile, hasOwnCPUs: Bool) throws(WorkloadError) {
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let most = cores * Self.cpusPerCore
    let cpus = nodes.reduce(0.0) { $0 + $1.resources.amount(ResourceVector.cpuLane) }
    guard cpus > Double(most) else { return }
    let what = hasOwnCPUs ? "--cpus makes it \(text)" : "the file's cluster has \(asked)"
    throw WorkloadError(
      "\(what); this machine has \(cores) cores",
      at: file.cluster.position, expected: "at most \(most) CPUs, \(Self.cpusPerCore) a core")
  }

  private func checkDemands(_ prepared: PreparedCell) throws(WorkloadError) {
    for (what, demand, position) in prepared.demands
    where !nodes.contains(where: { demand.fits(in: $0.resources) }) {
      let names = settings.resourceNames
      throw WorkloadError(
        "\(what) needs \(names.describe(demand)), which no node has here", at: position,
        expected: "a node with that among \(Self.describe(nodes, names))")
    }
  }

  private func checkStore(_ prepared: PreparedCell) throws(WorkloadError) {
    let store = nodes.map(\.store).min() ?? .zero
    if prepared.largestObject > store {
      throw WorkloadError(
        "an object of \(prepared.largestObject) is larger than an object store of \(store)",
        at: prepared.cell.file.cluster.position)
    }
  }

  // MARK: In words

  private static func describe(_ nodes: [NodeDescription], _ names: ResourceNames) -> String {
    describe(nodes.map(\.resources), names)
  }

  static func describe(_ nodes: [ResourceVector], _ names: ResourceNames) -> String {
    let total = nodes.reduce(into: ResourceVector.zero) { $0 += $1 }
    return "\(nodes.count) node\(nodes.count == 1 ? "" : "s") with \(names.describe(total)) in all"
  }

  /// The nodes here in a few words, such as `2 nodes with {CPU: 8} in all`.
  public var text: String { Self.describe(nodes, settings.resourceNames) }

  /// The flags of `heliostat node` that give it what node `number` of this plan has.
  public func flags(_ number: Int, seed: UInt64) -> [String] {
    let node = nodes[number]
    func amount(_ lane: Int) -> String {
      let amount = node.resources.amount(lane)
      return amount == amount.rounded() ? "\(Int(amount))" : "\(amount)"
    }
    var flags = [
      "--cpus", amount(ResourceVector.cpuLane), "--gpus", amount(ResourceVector.gpuLane),
      "--store", "\(node.store.bytes)B", "--seed", "\(seed)",
    ]
    for (lane, name) in settings.resourceNames.names.enumerated().dropFirst(2) {
      flags += ["--resource", "\(name)=\(amount(lane))"]
    }
    return flags
  }

  /// For the manifest.
  ///
  /// - Parameter connected: what a cluster that runs already has said; nil when none was reached.
  func effective(
    _ options: RealWorldOptions, connected: ClusterSettings?
  ) -> [String: ConfigurationValue] {
    var effective = place(options)
    var inForce: ClusterSettings? = settings
    if case .cluster = options.place { inForce = connected }
    if let inForce {
      effective["policies"] = .map(
        Dictionary(
          uniqueKeysWithValues: inForce.policies.map { ($0.role, .text($0.policy)) }))
      effective["parameters"] = Self.effective(inForce.parameters)
    }
    return effective
  }

  private func place(_ options: RealWorldOptions) -> [String: ConfigurationValue] {
    let names = settings.resourceNames
    var cluster: [String: ConfigurationValue] = ["asked": .text(asked)]
    if case .cluster(let endpoint) = options.place {
      cluster["connected to"] = .text("\(endpoint)")
    } else {
      cluster["nodes"] = .list(
        nodes.map { .text("\(names.describe($0.resources)), store \($0.store)") })
    }
    if case .cluster = options.place {
    } else {
      cluster["workers"] = .text(options.workerCommand == nil ? "threads" : "processes")
    }
    return [
      "world": "real", "cluster": .map(cluster), "network": .text(options.network),
    ]
  }

  private static func effective(_ parameters: Parameters) -> ConfigurationValue {
    .map([
      "global-schedulers": .integer(parameters.globalSchedulers),
      "gcs-shards": .integer(parameters.gcsShards),
      "chain-length": .integer(parameters.chainLength),
      "heartbeat": .text("\(parameters.heartbeat)"),
      "average-weight": .number(parameters.averageWeight),
      "prior-task-time": .text("\(parameters.priorTaskTime)"),
      "prior-bandwidth": .number(parameters.priorBandwidth.bytesPerSecond),
      "unknown-object-size": .text("\(parameters.unknownObjectSize)"),
      "chunk-size": .text("\(parameters.chunkSize)"),
      "chunks-in-flight": .integer(parameters.chunksInFlight),
      "pull-quota-percent": .integer(parameters.pullQuotaPercent),
      "extra-workers-per-cpu": .integer(parameters.extraWorkersPerCPU),
      "free-delay": .text("\(parameters.freeDelay)"),
      "uncommitted-limit": .integer(parameters.uncommittedLimit),
      "pipeline-time": .text("\(parameters.pipelineTime)"),
      "actor-pipeline-limit": .integer(parameters.actorPipelineLimit),
    ])
  }
}

extension RealWorldOptions {
  /// How the nodes and the program reach each other, as rows name it.
  var network: String {
    switch place {
    case .inProcess: "in-process"
    case .processes, .cluster: "tcp"
    }
  }
}

extension PreparedCell {
  /// Every setting in force in `world`, for the manifest.
  func effective(
    in world: World, connected: ClusterSettings? = nil
  ) -> [String: ConfigurationValue] {
    guard case .real(let options) = world, let plan = try? RealPlan(self, options) else {
      return effective
    }
    var real = plan.effective(options, connected: connected)
    for key in ["architecture", "workload"] { real[key] = effective[key] }
    return real
  }

  /// What the file says of policies and parameters, over what is usual in the real world.
  public func realSettings() throws(WorkloadError) -> ClusterSettings {
    var parameters = ClusterSettings.realParameters
    var nodes = cell.file.cluster.nodes
    nodes.append(cell.file.cluster.profile.head)
    try ClusterBuilder.read(cell.file.parameters, into: &parameters, &nodes, cell.file.cluster)
    return ClusterSettings(
      parameters: parameters, spillover: "\(configuration.spillover.spec)",
      placement: "\(configuration.placement.spec)", dispatch: "\(configuration.dispatch.spec)",
      resourceNames: configuration.resourceNames)
  }
}
