import Heliostat
import Primitives
import RuntimeCore
import Scheduling
import Simulation
import Testing

/// The cluster of a test: small, checked after every event, with every choice open to change.
struct TestCluster {
  var nodes = 2
  var cpus = 4
  var gpus = 0
  var store = ByteCount(1_000_000_000)
  var latency = TimeSpan.microseconds(100)
  var localLatency = TimeSpan.zero
  var nic = Bandwidth(bytesPerSecond: 1e9)
  var network = BulkNetworkModel.fifoNIC
  var spillover = "QueueThreshold"
  var placement = "LowestWait"
  var dispatch = "FIFO"
  var parameters = Parameters()
  var seed: UInt64 = 1
  /// Overrides `cpus` and `gpus` for single nodes.
  var resources: [Int: ResourceVector] = [:]
  /// What every node has besides, by name.
  var custom: KeyValuePairs<String, Int> = [:]

  func configuration() throws -> ClusterConfiguration {
    var names = ResourceNames()
    var further = ResourceVector.zero
    for (name, amount) in custom {
      further.lanes[names.lane(of: name)!] = Int32(amount) * ResourceVector.unitsPerOne
    }
    let descriptions = (0..<nodes).map { node in
      SimulatedNode(
        NodeDescription(
          resources: further + (resources[node] ?? ResourceVector(cpus: cpus, gpus: gpus)),
          store: store))
    }
    var configuration = ClusterConfiguration(
      nodes: descriptions, head: NodeID(0),
      topology: try .star(nodes: nodes, nic: DuplexBandwidth(nic), latency: latency),
      network: network, spillover: try PolicyRegistry.spillover(PolicySpec(parsing: spillover)),
      placement: try PolicyRegistry.placement(PolicySpec(parsing: placement)),
      dispatch: try PolicyRegistry.dispatch(PolicySpec(parsing: dispatch)))
    configuration.resourceNames = names
    configuration.parameters = parameters
    configuration.localLatency = localLatency
    configuration.seed = seed
    return configuration
  }

  /// Runs `program` on node 0 to its end; the run's virtual time is limited, so that a test of a
  /// live-lock ends.
  @discardableResult
  func run(
    _ library: FunctionLibrary = FunctionLibrary(),
    until limit: Instant = Instant(nanoseconds: 3_600_000_000_000),
    maximumEvents: UInt64 = 2_000_000, _ program: @escaping ProgramRuntime.Program
  ) throws -> ProgramRun {
    let cluster = SimulatedCluster(try configuration(), isChecked: true)
    let runtime = ProgramRuntime(driverNode: NodeID(0), library: library, program: program)
    let end = cluster.run(runtime, until: limit, maximumEvents: maximumEvents)
    return ProgramRun(end: end, cluster: cluster, runtime: runtime)
  }
}

struct ProgramRun {
  var end: RunEnd
  var cluster: SimulatedCluster
  var runtime: ProgramRuntime

  /// The program ended, and without an error.
  func expectSuccess(_ location: SourceLocation = #_sourceLocation) {
    #expect(end == .finished, sourceLocation: location)
    #expect(runtime.error == nil, "\(String(describing: runtime.error))", sourceLocation: location)
  }

  /// Every node has all its resources back and nothing under way.
  func expectQuiet(_ location: SourceLocation = #_sourceLocation) {
    for (i, node) in cluster.configuration.nodes.enumerated() {
      #expect(
        cluster.available(of: NodeID(i)) == node.description.resources, "node \(i)",
        sourceLocation: location)
      #expect(cluster.isQuiescent(NodeID(i)), "node \(i)", sourceLocation: location)
    }
  }

  /// Nothing is left in any store or table: everything was freed and the notice has gone round.
  /// Actors live on, each with one specification.
  func expectEmpty(actors: Int = 0, _ location: SourceLocation = #_sourceLocation) {
    for node in 0..<cluster.configuration.nodes.count {
      #expect(
        cluster.storedBytes(of: NodeID(node)) == .zero, "node \(node)", sourceLocation: location)
    }
    // The driver's own root stays.
    #expect(cluster.specs.count == 1 + actors, sourceLocation: location)
    let parameters = cluster.configuration.parameters
    for shard in 0..<parameters.gcsShards {
      for member in 0..<parameters.chainLength {
        let state = cluster.chainState(shard: shard, member: member)
        #expect(state.tasks == 0, "shard \(shard) member \(member)", sourceLocation: location)
        #expect(state.objects == 0, "shard \(shard) member \(member)", sourceLocation: location)
        #expect(state.sent == 0, "shard \(shard) member \(member)", sourceLocation: location)
      }
    }
  }
}

/// Collects what a program observes.
final class Log<Element: Sendable>: @unchecked Sendable {
  private(set) var entries: [Element] = []
  func add(_ element: Element) { entries.append(element) }
}

struct Failure: Error, CustomStringConvertible {
  var description: String { "it failed on purpose" }
}

/// Long enough for the driver, and then its node, to report what was freed.
let twoHeartbeats = TimeSpan.milliseconds(350)

extension Session {
  /// What a `get` throws; nil when it throws nothing, or nothing of the runtime.
  func error<Value: RemoteValue>(of ref: ObjectRef<Value>) async -> RuntimeError? {
    do {
      _ = try await get(ref)
      return nil
    } catch {
      return error as? RuntimeError
    }
  }
}
