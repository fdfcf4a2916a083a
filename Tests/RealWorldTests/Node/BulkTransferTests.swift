import Logging
import NIOCore
import NIOPosix
import Primitives
import RuntimeCore
import Testing
import WireFormat

@testable import RealWorld

/// Two nodes of this process that speak over sockets; the second one has a GPU. The program is at the
/// first.
private struct TwoNodes: Sendable {
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
  let nodes: [NodeProcess]
  let log = LogStore()
  let make: FunctionID
  let check: FunctionID
  private let functions = FunctionTable()

  let transport: TransportConfiguration

  init(store: Int = 512 << 20, bulkConnections: Int = 2, isEncrypted: Bool = false) async throws {
    var transport = TransportConfiguration().patient
    transport.bulkConnections = bulkConnections
    if isEncrypted {
      transport.tls = TLSSettings(
        certificateChainFile: TestCertificate.certificateFile,
        privateKeyFile: TestCertificate.keyFile, trustRootsFile: TestCertificate.certificateFile)
    }
    self.transport = transport
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
      // Encryption of this size on a loaded machine leaves little time for heartbeats.
      options.settings.silenceLimit = .seconds(600)
      options.transport = transport
      nodes.append(
        try await NodeProcess.start(
          options, functions: functions, on: group.next(), logger: log.logger))
    }
    self.nodes = nodes
  }

  private static func pattern(_ input: CallInput) -> Pattern {
    Pattern(
      count: Int(input.values.loadUnaligned(as: UInt64.self)),
      seed: input.values.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }

  /// What the nodes have complained of so far.
  var warnings: [String] { log.lines.filter { $0.hasPrefix("warning") || $0.hasPrefix("error") } }

  /// Runs a program at the first node and ends the nodes, whatever comes of it.
  func run(_ program: @escaping @Sendable (Client) async throws -> Void) async throws {
    let client = try await LoopClient.connect(
      to: nodes[0].endpoint, functions: functions, transport: transport, on: group.next(),
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

  /// Has something done at a node when the other one, or the same, has handed over so many chunks
  /// from now on.
  func when(
    _ chunks: Int, leave sender: Int, at node: Int,
    _ action: @escaping @Sendable (NodeProcess) -> Void
  ) async throws {
    let process = nodes[node]
    let triggers = triggers
    try await at(sender) { sender in
      let trigger = Trigger(sender.lanes, after: chunks) {
        process.loop.execute { action(process) }
      }
      triggers.all.append(trigger)
      sender.shell.core.pointee.bulk = trigger
    }
  }

  /// Those of the nodes, which do not keep them. On the loops alone.
  private final class Triggers: @unchecked Sendable {
    var all: [Trigger] = []
  }
  private let triggers = Triggers()
}

/// The way for objects of a node, which counts their chunks.
private final class Trigger: BulkCarrier {
  private let lanes: BulkLanes
  private var left: Int
  private let action: () -> Void

  init(_ lanes: BulkLanes, after chunks: Int, _ action: @escaping () -> Void) {
    self.lanes = lanes
    left = chunks
    self.action = action
  }

  func reaches(_ node: NodeID) -> Bool { lanes.reaches(node) }

  func carry(
    _ head: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer, of transfer: Transfer,
    pin: UInt64?
  ) {
    lanes.carry(head, bytes, of: transfer, pin: pin)
    left -= 1
    if left == 0 { action() }
  }
}

@Suite("Objects between nodes", .timeLimit(.minutes(10)))
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
        for i in 1..<(count + 1) {
          await cluster.log.line(
            containing: "connection \(i) for objects to node \(1 - node) is ready")
        }
        #expect(try await cluster.at(node) { $0.lanes.outgoing.count } == count)
      }
      for node in 0..<2 {
        #expect(try await cluster.at(node) { $0.lanes.incoming.count } == count)
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
        // From the sender's side and from the receiver's, one connection or all.
        try await cluster.when(6, leave: 0, at: round % 2) { node in
          node.lanes.cut(atMost: round % 3 == 0 ? 1 : .max)
        }
        let checked = cluster.call(client, cluster.check, pattern, [object], on: 1)
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
      try await cluster.when(6, leave: 0, at: 1) { $0.vanish() }
      let checked = cluster.call(client, cluster.check, pattern, [object], on: 1)
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
      try await cluster.when(6, leave: 1, at: 1) { $0.vanish() }
      let object = cluster.call(client, cluster.make, pattern, on: 1)
      let id = [object].withUnsafeBufferPointer { client.request($0, needed: 1, isGet: true) }
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

  /// What a peer says over a connection for objects that may not be.
  enum Nonsense: CaseIterable {
    case text, tooLong, otherSource, smallObject, chunkOutside

    var bytes: [UInt8] {
      get throws {
        if self == .text { return Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8) }
        let mebibyte = 1 << 20
        let size = self == .smallObject ? 1000 : 8 * mebibyte
        let chunk = ChunkFrame(
          object: ObjectID(producer: TaskID(high: 1, low: 2), index: 0), index: 0, count: 2,
          size: ByteCount(size), offset: .zero)
        var writer = FrameWriter()
        try chunk.encode(
          payloadCount: 500, from: .raylet(NodeID(self == .otherSource ? 0 : 1)),
          to: .raylet(NodeID(0)), into: &writer)
        var bytes = Array(writer.bytes)
        switch self {
        case .tooLong: bytes[3] = 0xFF
        case .chunkOutside: bytes[55] = 0xFF
        default: break
        }
        return bytes + [UInt8](repeating: 7, count: 500)
      }
    }
  }

  @Test(
    "What may not be on a connection for objects closes it with a reason, and nothing else",
    arguments: Nonsense.allCases)
  func nonsense(_ nonsense: Nonsense) async throws {
    let cluster = try await TwoNodes()
    try await cluster.run { client in
      let bytes = try nonsense.bytes
      let stranger = Speaker(saying: bytes, on: cluster.group.next())
      var hello = Hello(role: .data, process: "node", processID: 1)
      hello.payload = Introduction.bulk(NodeID(1)).encodedBytes()
      hello.functions = cluster.nodes[0].hello.functions
      _ = try await Connector.connect(
        to: cluster.nodes[0].endpoint, on: stranger.loop, as: hello,
        configuration: cluster.transport,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, delegate: stranger
      ).get()
      await cluster.log.line(
        containing: "a connection for objects from node 1 ended: the peer sent what it may not")
      _ = try await stranger.ended.futureResult.get()
      let pattern = Pattern(count: 3 * Self.mebibyte, seed: 1)
      let made = cluster.call(client, cluster.make, pattern, on: 1)
      #expect(await client.get(made) == .value)
      #expect(pattern.matches(client.bytes(made)))
    }
  }

  @Test("A receipt for chunks that were never sent ends the connection; the object still arrives")
  func falseReceipt() async throws {
    let cluster = try await TwoNodes(bulkConnections: 1)
    try await cluster.run { client in
      var receipts = FrameWriter()
      let (own, other) = (Address.raylet(NodeID(1)), Address.raylet(NodeID(0)))
      try ChunkReceipt(taken: 0).encode(from: own, to: other, into: &receipts)
      let ready = Array(receipts.bytes)
      receipts.removeAll()
      try ChunkReceipt(taken: 99).encode(from: own, to: other, into: &receipts)
      let liar = Speaker(saying: Array(receipts.bytes), on: cluster.group.next())
      let listener = try await Listener.start(
        at: .tcp(host: "127.0.0.1", port: 0), on: liar.loop, as: cluster.nodes[1].hello,
        configuration: cluster.transport,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        established: { link in
          link.delegate = liar
          ready.withUnsafeBytes { link.send($0) }
          link.flush()
        }
      ).get()
      let truth = try await cluster.at(0) { node in
        let truth = node.lanes.endpoints[NodeID(1)]
        node.lanes.endpoints[NodeID(1)] = "\(listener.endpoint)"
        return truth
      }
      let pattern = Pattern(count: 3 * Self.mebibyte, seed: 1)
      let here = try await client.put(pattern)
      let checked = cluster.call(client, cluster.check, pattern, [here], on: 1)
      await cluster.log.line(containing: "connection 1 for objects to node 1 is ready")
      try await cluster.at(0) { $0.lanes.endpoints[NodeID(1)] = truth }
      await cluster.log.line(
        containing: "a connection for objects to node 1 ended: the peer sent what it may not")
      #expect(await client.get(checked) == .value, "\(client.text(checked))")
      try await listener.close().get()
    }
  }

  @Test("Over TLS the bytes stay on the loop: they arrive, also when connections end midway")
  func encrypted() async throws {
    let cluster = try await TwoNodes(isEncrypted: true)
    try await cluster.run { client in
      for round in 0..<3 {
        let pattern = Pattern(count: 20 * Self.mebibyte + round, seed: UInt64(round))
        let here = try await client.put(pattern)
        if round > 0 {
          try await cluster.when(3, leave: 0, at: round % 2) { $0.lanes.cut(atMost: 1) }
        }
        let checked = cluster.call(client, cluster.check, pattern, [here], on: 1)
        let status = await client.get(checked)
        try #require(
          status == .value, "round \(round): \(client.text(checked)) \(cluster.warnings)")
        client.free(here)
      }
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
          configuration: cluster.transport,
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

/// Says something when it first hears something, and reports the end of its link.
private final class Speaker: LinkDelegate, @unchecked Sendable {
  let loop: any EventLoop
  let ended: EventLoopPromise<Void>
  private let bytes: [UInt8]
  private var hasSpoken = false

  init(saying bytes: [UInt8], on loop: any EventLoop) {
    self.bytes = bytes
    self.loop = loop
    ended = loop.makePromise()
  }

  /// Where no link came about: a promise that nobody keeps ends the process.
  deinit { ended.fail(CancellationError()) }

  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    if hasSpoken { return }
    hasSpoken = true
    bytes.withUnsafeBytes { link.send($0) }
    link.flush()
  }

  func linkClosed(_ link: Link, reason: LinkEnd) { ended.succeed() }
}
