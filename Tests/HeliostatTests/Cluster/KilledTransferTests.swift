import Foundation
import Heliostat
import NIOPosix
import Primitives
import RuntimeCore
import Testing
import WorkerFixture

@testable import RealWorld

/// A head in this process and nodes that are processes of their own. Node `i` has one of `r<i>`; the
/// head has `r0`.
private final class NodeProcesses: @unchecked Sendable {
  let functions = FixtureFunctions()
  let log = LogLines()
  let head: NodeProcess
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  private var children: [Process] = []

  init() async throws {
    head = try await NodeProcess.start(
      NodeFixture.options(0, listen: .tcp(host: "127.0.0.1", port: 0)),
      library: functions.library, on: group.next(), logger: log.logger())
  }

  /// Starts a process that has `r<index>`, and returns when it takes part.
  func add(_ index: Int) throws -> Process {
    let child = Process()
    child.executableURL = URL(fileURLWithPath: ProcessCluster.program)
    child.arguments = NodeFixture.arguments(index, head: head.endpoint)
    // Its end ends the child.
    child.standardInput = Pipe()
    let output = Pipe()
    child.standardOutput = output
    try child.run()
    children.append(child)
    let line = output.fileHandleForReading.availableData
    try #require(String(decoding: line, as: UTF8.self) == "ready\n")
    return child
  }

  func run<Result: Sendable>(
    _ program: @escaping @Sendable (Session) async throws -> Result
  ) async throws -> Result {
    let cluster = try await Cluster.connect(
      to: head.endpoint, library: functions.library, logger: log.logger())
    do {
      let result = try await cluster.run(program)
      await cluster.stop()
      return result
    } catch {
      await cluster.stop()
      throw error
    }
  }

  /// What `body` finds on the head's loop.
  func atHead<Result: Sendable>(
    _ body: @escaping @Sendable (NodeProcess) -> Result
  ) async throws -> Result {
    try await head.loop.submit { body(self.head) }.get()
  }

  /// Returns when it holds on the head's loop, false when the result is there before.
  func until<Value>(
    _ body: @escaping @Sendable (NodeProcess) -> Bool, before result: ObjectRef<Value>,
    _ session: Session
  ) async throws -> Bool {
    while true {
      if try await atHead(body) { return true }
      let state = try await session.wait(
        [result], count: 1, timeout: .microseconds(10), fetch: false)
      if !state.ready.isEmpty { return false }
    }
  }

  /// By SIGKILL; returns when the process is gone.
  func end(_ child: Process) async {
    kill(child.processIdentifier, SIGKILL)
    while child.isRunning { await Task.yield() }
  }

  func stop() async throws {
    for child in children { await end(child) }
    await head.stop()
    try await group.shutdownGracefully()
    // What the killed ones left, as the next node does.
    _ = SharedSegment.removeAbandoned()
    _ = SpillDirectory.removeAbandoned(in: ClusterSettings.temporaryDirectory)
  }
}

/// Nodes that are killed while a large object is on its way.
@Suite(.serialized, .timeLimit(.minutes(10))) struct KilledTransferTests {
  private static let numbers = 6_000_000
  private static let total = Double(numbers) * Double(numbers - 1) / 2

  @Test("SIGKILL of the sender: the task that needs the object fails, the others go on")
  func sender() async throws {
    let cluster = try await NodeProcesses()
    _ = try cluster.add(2)
    let functions = cluster.functions
    var wasInTheMidst = false
    // The object may be whole before the signal has come: then once more.
    for _ in 0..<8 where !wasInTheMidst {
      let victim = try cluster.add(1)
      wasInTheMidst = try await cluster.run { session in
        let made = session.submit(functions.count.at(1, session), .value(Self.numbers))
        _ = try await session.wait([made], count: 1, fetch: false)
        let sum = session.submit(functions.sum.at(0, session), .ref(made))
        _ = try await cluster.until(
          { node in
            node.shell.core.pointee.arrivals.values.contains { $0.left < Int($0.chunkCount) }
          }, before: sum, session)
        await cluster.end(victim)
        do {
          let value = try await session.get(sum)
          #expect(value == Self.total)
          return false
        } catch {
          #expect(error as? RuntimeError == .objectLost)
        }
        let other = session.submit(functions.count.at(2, session), .value(Self.numbers))
        let second = session.submit(functions.sum.at(0, session), .ref(other))
        #expect(try await session.get(second) == Self.total)
        return true
      }
    }
    #expect(wasInTheMidst)
    #expect(cluster.log.all.contains { $0.contains(" is lost: ") })
    #expect(try await cluster.atHead { $0.shell.core.pointee.arrivals.isEmpty })
    #expect(try await cluster.atHead { $0.shell.core.pointee.landings.left.isEmpty })
    try await cluster.stop()
  }

  @Test("SIGKILL of the receiver: its task fails, and what was kept for it is let go")
  func receiver() async throws {
    let cluster = try await NodeProcesses()
    _ = try cluster.add(2)
    let functions = cluster.functions
    let victim = try cluster.add(1)
    try await cluster.run { session in
      let numbers = try await session.put(Vector((0..<Self.numbers).map(Double.init)))
      let sum = session.submit(functions.sum.at(1, session), .ref(numbers))
      let isInTheMidst = try await cluster.until(
        { node in node.lanes.outgoing.values.contains { $0.received > 0 } }, before: sum,
        session)
      #expect(isInTheMidst)
      await cluster.end(victim)
      await #expect(throws: RuntimeError.nodeDied) { try await session.get(sum) }
      while try await cluster.atHead({
        !$0.lanes.outgoing.isEmpty || $0.shell.core.pointee.sendingPins > 0
      }) {}
      let second = session.submit(functions.sum.at(2, session), .ref(numbers))
      #expect(try await session.get(second) == Self.total)
      // The store takes two of these only when nothing is pinned in vain.
      session.free([numbers])
      for _ in 0..<3 {
        let other = session.submit(functions.count.at(0, session), .value(Self.numbers))
        let again = session.submit(functions.sum.at(2, session), .ref(other))
        #expect(try await session.get(again) == Self.total)
        session.free([other])
      }
    }
    #expect(cluster.log.all.contains { $0.contains(" is lost: ") })
    try await cluster.stop()
  }
}
