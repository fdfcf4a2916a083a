import Logging
import NIOCore
import NIOPosix
import Primitives
import RuntimeCore
import Testing

@testable import RealWorld

/// Two nodes of this process that speak over sockets; the second one has a GPU. The program is at the
/// first.
private struct TwoNodes: Sendable {
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
  let nodes: [NodeProcess]
  let make: FunctionID
  let check: FunctionID
  private let functions = FunctionTable()

  init(store: Int = 512 << 20, bulkConnections: Int = 2) async throws {
    make = functions.register(
      "make",
      .function { input, output in
        let pattern = Self.pattern(input)
        try output.store(0, byteCount: pattern.count) { pattern.write($0) }
      })
    check = functions.register(
      "check",
      .function { input, output in
        guard Self.pattern(input).matches(input.objects[0]) else {
          throw TestFailure(description: "\(input.objects[0].count) bytes differ")
        }
        try output.store(0, byteCount: 8) { $0.storeBytes(of: 1, as: UInt64.self) }
      })
    var nodes: [NodeProcess] = []
    for gpus in 0..<2 {
      var options = NodeProcess.Options(
        endpoint: .tcp(host: "127.0.0.1", port: 0), head: nodes.first?.endpoint,
        description: NodeDescription(
          resources: ResourceVector(cpus: 1, gpus: gpus), store: ByteCount(UInt64(store))))
      options.settings.parameters.freeDelay = .milliseconds(1)
      options.transport.bulkConnections = bulkConnections
      nodes.append(
        try await NodeProcess.start(
          options, functions: functions, on: group.next(),
          logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }))
    }
    self.nodes = nodes
  }

  private static func pattern(_ input: CallInput) -> Pattern {
    Pattern(
      count: Int(input.values.loadUnaligned(as: UInt64.self)),
      seed: input.values.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }

  /// Runs a program at the first node and ends the nodes, whatever comes of it.
  func run(_ program: @escaping @Sendable (Client) async throws -> Void) async throws {
    let client = try await LoopClient.connect(
      to: nodes[0].endpoint, functions: functions, on: group.next(),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let result = await Result.capturing { try await client.run(program) }
    await client.close()
    for node in nodes.reversed() { await node.stop() }
    try await group.shutdownGracefully()
    try result.get()
  }

  /// A task for the second node, or the first; its result.
  func call(
    _ client: Client, _ function: FunctionID, _ pattern: Pattern, _ objects: [ObjectHandle] = [],
    on node: Int
  ) -> ObjectHandle {
    var spec = client.model(
      function: function,
      shape: client.specs.shape(
        node == 1 ? ResourceVector(cpus: 1, gpus: 1) : ResourceVector(cpus: 1)))
    spec.returns = 1
    let values = [UInt64(pattern.count), pattern.seed]
    let task = objects.withUnsafeBufferPointer { objects in
      values.withUnsafeBytes { values in
        withUnsafePointer(to: spec) {
          client.submit(
            like: $0, sequence: 0, arguments: objects, values: values, notice: .ifKept)
        }
      }
    }
    return ObjectHandle(producer: task, index: 0)
  }

  /// What `body` finds on a node's loop.
  func at<Result: Sendable>(
    _ node: Int, _ body: @escaping @Sendable (NodeProcess) -> Result
  ) async throws -> Result {
    let process = nodes[node]
    return try await process.loop.submit { body(process) }.get()
  }

  /// Returns when chunks of an object have come to a node and others are still to come.
  func untilUnderWay(to node: Int) async throws {
    while try await !at(
      node,
      { node in
        node.shell.core.pointee.arrivals.values.contains { $0.left < Int($0.chunkCount) }
      })
    {}
  }
}

@Suite("Objects between nodes", .timeLimit(.minutes(2)))
struct BulkTransferTests {
  private static let mebibyte = 1 << 20

  @Test(
    "A large object goes over as many connections as asked for and arrives whole, either way",
    arguments: [0, 1, 2, 5])
  func connections(count: Int) async throws {
    let cluster = try await TwoNodes(bulkConnections: count)
    try await cluster.run { client in
      for size in [100, 64 << 10, 1 << 20, (1 << 20) + 1, 40_000_007] {
        let pattern = Pattern(count: size, seed: UInt64(size))
        let here = try await client.put(pattern)
        let checked = cluster.call(client, cluster.check, pattern, [here], on: 1)
        #expect(await client.get(checked) == .value, "\(size): \(client.text(checked))")
        let there = cluster.call(client, cluster.make, pattern, on: 1)
        #expect(await client.get(there) == .value, "\(size)")
        #expect(pattern.matches(client.bytes(there)), "\(size)")
      }
      // The last ones may become ready after the first have carried everything.
      for node in 0..<2 {
        while try await cluster.at(node, { $0.lanes.outgoing.count + $0.lanes.incoming.count })
          != 2 * count
        {}
        #expect(try await cluster.at(node) { $0.lanes.outgoing.count } == count)
      }
    }
  }

  @Test("Connections that end in the midst of a transfer: the object still arrives, whole")
  func cut() async throws {
    let cluster = try await TwoNodes()
    try await cluster.run { client in
      for round in 0..<6 {
        let pattern = Pattern(count: 60 * Self.mebibyte + round, seed: UInt64(round))
        let object = try await client.put(pattern)
        let checked = cluster.call(client, cluster.check, pattern, [object], on: 1)
        try await cluster.untilUnderWay(to: 1)
        // From the sender's side and from the receiver's, one connection or all.
        try await cluster.at(round % 2) { node in
          node.lanes.cut(atMost: round % 3 == 0 ? 1 : .max)
        }
        #expect(await client.get(checked) == .value, "round \(round): \(client.text(checked))")
        client.free(object)
        client.free(checked)
      }
      #expect(try await cluster.at(1) { $0.shell.core.pointee.arrivals.isEmpty })
      #expect(try await cluster.at(0) { $0.shell.core.pointee.abandoned.isEmpty })
    }
  }

  @Test("The receiver goes in the midst of a transfer: its task fails, the sender goes on")
  func receiverGoes() async throws {
    let cluster = try await TwoNodes(store: 128 << 20)
    try await cluster.run { client in
      let pattern = Pattern(count: 100 * Self.mebibyte, seed: 1)
      let object = try await client.put(pattern)
      let checked = cluster.call(client, cluster.check, pattern, [object], on: 1)
      try await cluster.untilUnderWay(to: 1)
      try await cluster.at(1) { $0.vanish() }
      #expect(await client.get(checked) == .nodeDied)
      // Nothing is pinned by the push that came to nothing: the next object needs all its room.
      client.free(object)
      for seed in 2..<4 as Range<UInt64> {
        let next = Pattern(count: 100 * Self.mebibyte, seed: seed)
        let other = try await client.put(next)
        let checked = cluster.call(client, cluster.check, next, [other], on: 0)
        #expect(await client.get(checked) == .value, "\(client.text(checked))")
        client.free(other)
      }
    }
  }

  @Test("The sender goes in the midst of a transfer: whoever waits hears that the object is lost")
  func senderGoes() async throws {
    let cluster = try await TwoNodes()
    try await cluster.run { client in
      let pattern = Pattern(count: 100 * Self.mebibyte, seed: 1)
      let object = cluster.call(client, cluster.make, pattern, on: 1)
      let id = [object].withUnsafeBufferPointer { client.request($0, needed: 1, isGet: true) }
      try await cluster.untilUnderWay(to: 0)
      try await cluster.at(1) { $0.vanish() }
      _ = await client.wait(id)
      #expect(client.status(object) == .objectLost)
      #expect(try await cluster.at(0) { $0.shell.core.pointee.arrivals.isEmpty })
      let next = Pattern(count: 3 * Self.mebibyte, seed: 2)
      let made = cluster.call(client, cluster.make, next, on: 0)
      #expect(await client.get(made) == .value)
    }
  }

  @Test("Objects of both nodes cross while both stores spill: every one arrives whole")
  func pressure() async throws {
    let cluster = try await TwoNodes(store: 24 << 20)
    try await cluster.run { client in
      var random = RandomStream(seed: 5, stream: 0)
      var checks: [(object: ObjectHandle, check: ObjectHandle)] = []
      for number in 0..<60 {
        let size = Int(random.next() % UInt64(5 * Self.mebibyte)) + 1
        let pattern = Pattern(count: size, seed: UInt64(number))
        let home = Int(random.next() % 3)
        let object =
          home == 2
          ? try await client.put(pattern) : cluster.call(client, cluster.make, pattern, on: home)
        let check = cluster.call(
          client, cluster.check, pattern, [object], on: Int(random.next() % 2))
        checks.append((object, check))
      }
      for (number, entry) in checks.enumerated() {
        #expect(
          await client.get(entry.check) == .value, "\(number): \(client.text(entry.check))")
        if number % 2 == 0 { client.free(entry.object) }
      }
      #expect(try await cluster.at(0) { $0.shell.core.pointee.arrivals.isEmpty })
      #expect(try await cluster.at(1) { $0.shell.core.pointee.arrivals.isEmpty })
    }
  }

  @Test("A stranger's connection for objects is refused")
  func stranger() async throws {
    let cluster = try await TwoNodes()
    try await cluster.run { _ in
      final class Nobody: LinkDelegate {
        func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {}
        func linkClosed(_ link: Link, reason: LinkEnd) {}
      }
      var hello = Hello(role: .data, process: "stranger", processID: 1)
      hello.payload = Introduction.bulk(NodeID(7)).encodedBytes()
      await #expect(throws: TransportError.self) {
        _ = try await Connector.connect(
          to: cluster.nodes[0].endpoint, on: cluster.group.next(), as: hello,
          logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, delegate: Nobody()
        ).get()
      }
    }
  }
}

extension NodeProcess {
  /// All connections end at once, as when the process is killed.
  fileprivate func vanish() {
    lanes.cut(atMost: .max)
    for link in links.values { (link as? SocketLink)?.fail(LinkEnd(.connectionError, "vanished")) }
  }
}

extension BulkLanes {
  /// Ends connections from this side, as when they fail.
  fileprivate func cut(atMost count: Int) {
    let ways = outgoing.values.map { $0.close } + incoming.values.map { $0.close }
    for close in ways.prefix(count) { close(LinkEnd(.connectionError, "cut")) }
  }
}
