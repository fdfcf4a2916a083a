import Foundation
import Primitives
import RuntimeCore
import Scheduling

/// What the head of a cluster decides for all its nodes.
public struct ClusterSettings: Codable, Sendable {
  public var name: String
  public var seed: UInt64
  public var parameters: Parameters
  /// Policies as their names with parameters, such as `WaitThreshold[milliseconds=5]`.
  public var spillover: String
  public var placement: String
  public var dispatch: String
  public var resourceNames: ResourceNames
  /// A node whose heartbeats have stayed away for so long counts as lost. At least ten times
  /// `Parameters.heartbeat`; Ray's default is the same, `num_heartbeats_timeout` times 100 ms.
  public var silenceLimit = TimeSpan.seconds(30)
  /// Where nodes put objects that do not fit into their memory, unless a node names a place of its
  /// own; nil for `temporaryDirectory`.
  public var spillDirectory: String?

  /// What the environment variable TMPDIR names, or /tmp.
  public static var temporaryDirectory: String {
    guard let place = ProcessInfo.processInfo.environment["TMPDIR"], !place.isEmpty else {
      return "/tmp"
    }
    return place
  }

  /// Parameters for a real cluster: workers take pipelines, and a node may run further ahead of the
  /// GCS than in 2018, because a turn commits hundreds of completions at once.
  public static var realParameters: Parameters {
    var parameters = Parameters()
    parameters.pipelineTime = .microseconds(500)
    parameters.pipelineLimit = 1024
    parameters.actorPipelineLimit = 2048
    parameters.uncommittedLimit = 4096
    parameters.chunkSize = ByteCount(4 << 20)
    parameters.chunksInFlight = 4
    // `WaitThreshold` keeps two tasks a worker until it has seen how long they take.
    parameters.priorTaskTime = .milliseconds(5)
    return parameters
  }

  public init(
    name: String = "heliostat", seed: UInt64 = 1,
    parameters: Parameters = ClusterSettings.realParameters,
    spillover: String = "WaitThreshold", placement: String = "LowestWait",
    dispatch: String = "FIFO", resourceNames: ResourceNames = ResourceNames()
  ) {
    self.name = name
    self.seed = seed
    self.parameters = parameters
    self.spillover = spillover
    self.placement = placement
    self.dispatch = dispatch
    self.resourceNames = resourceNames
  }

  /// The plan of one node under these settings.
  ///
  /// - Throws: `PolicyError` for a policy that does not exist.
  public func plan(
    node: NodeID, description: NodeDescription, nodes: [ResourceVector]
  ) throws -> NodePlan {
    let replicas = parameters.gcsShards * parameters.chainLength
    var plan = NodePlan(
      node: node, description: description, nodes: nodes, parameters: parameters,
      head: NodeID(0), replicaHomes: Array(repeating: NodeID(0), count: replicas),
      spillover: try PolicyRegistry.spillover(PolicySpec(parsing: spillover)),
      placement: try PolicyRegistry.placement(PolicySpec(parsing: placement)),
      dispatch: try PolicyRegistry.dispatch(PolicySpec(parsing: dispatch)), seed: seed)
    plan.resourceNames = resourceNames
    if let spillDirectory { plan.spillDirectory = spillDirectory }
    return plan
  }
}

/// A node as the others know it.
struct Member: Codable, Sendable, Equatable {
  var node: NodeID
  var endpoint: String
  var resources: ResourceVector
}

/// What a process says when it comes, in the payload of its hello.
enum Introduction: Codable, Sendable {
  /// A node that wants to join; the head answers with a `Welcome`, and with `MembershipNews.members`
  /// when the link is there.
  case join(endpoint: String, resources: ResourceVector, names: [String], nonce: UInt64)
  /// A node that has joined connects to another one.
  case member(Member)
  /// A connection for the objects of a node.
  case bulk(NodeID)
  /// A program that wants to use the cluster through this node.
  case driver(nonce: UInt64, sharesMemory: Bool)
}

/// The answer.
enum Welcome: Codable, Sendable {
  case joined(NodeID, ClusterSettings)
  case connected
  case driver(DriverWelcome)
}

struct DriverWelcome: Codable, Sendable {
  /// Of its address, as long as it is connected.
  var number: Int
  /// Of its job, for ever: all that it submits is named after that.
  var job: Int
  var node: NodeID
  var settings: ClusterSettings
  var nodes: [ResourceVector]
  /// The node's shared segment, for programs on its own host.
  var segment: String?
}

/// What nodes tell each other about the cluster, in frames of the layer above the protocol.
enum MembershipNews: Codable, Sendable {
  /// The head to a node that joins: who was there before it.
  case members([Member])
  /// The other side of a link has given it its place: what is sent now finds its way.
  case connected
  /// A new node is connected to all others: it takes part from now on.
  case ready(NodeID)
  case lost(NodeID, reason: String)
  /// A node to the head: a program has connected to it, by the numbers of the driver and its job, and
  /// has gone.
  case driverCame(Int, job: Int)
  case driverWent(Int)
  /// A node says that it goes: nothing new for it.
  case leaving(NodeID)
  /// The head to a node that leaves: all that was placed there has been sent before this.
  case placedNoMore
  /// A node that leaves has nothing more to say; the head asks the others whether they have `seen` it.
  case left(NodeID)
  case seen(NodeID)
  /// All have: the node is no longer one of the cluster.
  case gone(NodeID)
  /// The head ends, and with it the cluster.
  case ending
  /// A head that drains the cluster asks what is still to be done.
  case workAsked(round: UInt64)
  case work(round: UInt64, tasks: Int, programs: Int)

  static let frameKind: UInt8 = 170
}

extension Encodable {
  func encodedBytes() -> [UInt8] {
    // Only numbers and texts: cannot fail.
    guard let data = try? JSONEncoder().encode(self) else { return [] }
    return Array(data)
  }
}

extension Decodable {
  init(encodedBytes bytes: some Sequence<UInt8>) throws {
    self = try JSONDecoder().decode(Self.self, from: Data(bytes))
  }
}
