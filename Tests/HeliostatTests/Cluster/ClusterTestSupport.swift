import Foundation
import Heliostat
import Logging
import NIOPosix
import Primitives
import RealWorld
import RuntimeCore
import Synchronization
import WorkerFixture

/// How often something has happened.
final class Tally: Sendable {
  private let number = Atomic<Int>(0)
  var count: Int { number.load(ordering: .acquiring) }
  func add() { number.add(1, ordering: .acquiringAndReleasing) }
}

/// Holds up those who enter until it is opened.
final class Gate: @unchecked Sendable {
  private let condition = NSCondition()
  private var isOpen = false
  private var number = 0

  var entered: Int { condition.withLock { number } }

  func enter() {
    condition.lock()
    number += 1
    while !isOpen { condition.wait() }
    condition.unlock()
  }

  func open() {
    condition.withLock {
      isOpen = true
      condition.broadcast()
    }
  }
}

/// What the nodes and programs of these tests run.
struct NodeFunctions: Sendable {
  let library = FunctionLibrary()
  let make: RemoteFunction<Int, [Int64]>
  let sum: RemoteFunction<[Int64], Int>
  let slow: RemoteFunction<Int, Int>
  let slowCount = Tally()
  let held: RemoteFunction<Int, Int>
  let gate = Gate()
  let start: StartFunctions
  /// Of the actor `start.counter`.
  let add: ActorMethod<Int, Int, Int>
  let plus: RemoteFunction<Int, Int, Int>

  init() {
    make = library.remote("make") { (count: Int) in (0..<Int64(count)).map { $0 } }
    sum = library.remote("sum") { (values: [Int64]) in Int(values.reduce(0, +)) }
    slow = library.remote("slow") { [slowCount] (x: Int) in
      slowCount.add()
      usleep(5000)
      return x
    }
    held = library.remote("held") { [gate] (x: Int) in
      gate.enter()
      return x
    }
    start = StartFunctions(library)
    add = library.method("add", of: start.counter) { (count: inout Int, x: Int) in
      count += x
      return count
    }
    plus = library.remote("plus") { (x: Int, y: Int) in x + y }
  }
}

/// Nodes that reach each other over sockets, each with an event loop of its own in this process. Node
/// `i` of those that were asked for has one of the custom resource `r<i>`.
final class SocketNodes: @unchecked Sendable {
  let group: MultiThreadedEventLoopGroup
  let functions = NodeFunctions()
  let log = LogLines()
  let directory: URL
  let count: Int
  /// In the order in which they were asked for, which need not be that of their numbers.
  private(set) var nodes: [NodeProcess] = []

  /// Starts `count` nodes, one after the other or all at the same moment, and stops them whatever
  /// comes of `body`.
  static func with(
    _ count: Int, together: Bool = false, _ body: (SocketNodes) async throws -> Void
  ) async throws {
    let cluster = try SocketNodes(count)
    let result: Result<Void, any Error>
    do {
      if together { try await cluster.startTogether() } else { try await cluster.startInOrder() }
      result = .success(try await body(cluster))
    } catch {
      result = .failure(error)
    }
    try await cluster.stop()
    try result.get()
  }

  private init(_ count: Int) throws {
    self.count = count
    group = MultiThreadedEventLoopGroup(numberOfThreads: count)
    directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      "heliostat-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  private func path(_ index: Int) -> String { directory.appendingPathComponent("\(index)").path }

  private func start(_ index: Int) async throws -> NodeProcess {
    var resources = ResourceVector(cpus: 1)
    var names = ClusterSettings().resourceNames
    for i in 0..<count {
      let lane = names.lane(of: "r\(i)")!
      if i == index { resources.lanes[lane] = ResourceVector.units(1) }
    }
    var options = NodeProcess.Options(
      endpoint: .unix(path: path(index)), head: index == 0 ? nil : .unix(path: path(0)),
      description: NodeDescription(resources: resources, store: ByteCount(16 << 20)))
    options.settings.resourceNames = names
    return try await NodeProcess.start(
      options, library: functions.library, on: group.next(), logger: log.logger())
  }

  /// Starts all at the same moment: the others as soon as the head's address is there, which is well
  /// before the head is ready.
  private func startTogether() async throws {
    let head = Task { try await start(0) }
    while !FileManager.default.fileExists(atPath: path(0)) { await Task.yield() }
    nodes = try await withThrowingTaskGroup(of: (Int, NodeProcess).self) { group in
      for index in 1..<count { group.addTask { (index, try await self.start(index)) } }
      var started: [NodeProcess?] = Array(repeating: nil, count: count)
      for try await (index, node) in group { started[index] = node }
      started[0] = try await head.value
      return started.compactMap { $0 }
    }
  }

  /// Starts one after the other.
  private func startInOrder() async throws {
    for index in 0..<count { nodes.append(try await start(index)) }
  }

  /// Runs a program that is connected to a node.
  func run<Result: Sendable>(
    on index: Int, _ program: @escaping @Sendable (Session) async throws -> Result
  ) async throws -> Result {
    let cluster = try await Cluster.connect(
      to: nodes[index].endpoint, library: functions.library, logger: log.logger())
    return try await cluster.runAndStop(program)
  }

  /// The head last.
  private func stop() async throws {
    functions.gate.open()
    for node in nodes.reversed() { await node.stop() }
    try await group.shutdownGracefully()
    try FileManager.default.removeItem(at: directory)
  }
}

extension RemoteFunction {
  /// The same on the node that has `r<index>`.
  func at(_ index: Int, _ session: Session) -> RemoteFunction {
    var copy = self
    var resources = ResourceVector.zero
    resources.lanes[session.lane(of: "r\(index)")!] = ResourceVector.units(1)
    copy.options.resources = resources
    return copy
  }
}
