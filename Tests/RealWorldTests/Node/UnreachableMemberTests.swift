import Logging
import NIOCore
import NIOPosix
import Primitives
import RuntimeCore
import Testing

@testable import RealWorld

@Suite(.timeLimit(.minutes(10))) struct UnreachableMemberTests {
  @Test("a node that does not reach a member names it, and does not take the head for gone")
  func unreachableMember() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let functions = FunctionTable()
    let log = LogStore()
    func options(_ head: Endpoint?) -> NodeProcess.Options {
      NodeProcess.Options(
        endpoint: .tcp(host: "127.0.0.1", port: 0), head: head,
        description: NodeDescription(
          resources: ResourceVector(cpus: 1, gpus: 0), store: ByteCount(8 << 20)))
    }
    let head = try await NodeProcess.start(
      options(nil), functions: functions, on: group.next(), logger: log.logger)
    // A member that says it is reached where nobody listens, as one behind another address is.
    let listener = try await ListenerAddressTests.listen(Site.loopback)
    let nowhere = listener.endpoint
    try await listener.close().get()
    let link = try await Connector.connect(
      to: head.endpoint, on: group.next(),
      as: Hello(
        role: .node, process: "far", processID: 1, functions: functions.names,
        payload: Introduction.join(
          endpoint: "\(nowhere)", resources: .zero, names: head.settings.resourceNames.names,
          nonce: 1
        ).encodedBytes()), logger: log.logger, delegate: Ignoring()
    ).get()
    await #expect {
      _ = try await NodeProcess.start(
        options(head.endpoint), functions: functions, on: group.next(), logger: log.logger)
    } throws: {
      "\($0)".contains("cannot join: node 1 of the cluster is not reached at \(nowhere) (nobody")
    }
    // The head has seen the joiner go: whatever the joiner had to say of that, it has said.
    await log.line(containing: "node 2 is lost")
    #expect(log.lines.allSatisfy { !$0.contains("the head is gone") })
    link.eventLoop.execute { link.close(reason: "done") }
    await head.stop()
    try await group.shutdownGracefully()
  }

  @Test("a node does not take an address that stands for all of a machine")
  func wildcard() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    await #expect {
      _ = try await NodeProcess.start(
        NodeProcess.Options(
          endpoint: .tcp(host: "0.0.0.0", port: 0),
          description: NodeDescription(
            resources: ResourceVector(cpus: 1, gpus: 0), store: ByteCount(8 << 20))),
        functions: FunctionTable(), on: group.next(), logger: LogStore().logger)
    } throws: {
      ($0 as? TransportError)?.kind == .configuration && "\($0)".contains("others cannot reach")
    }
    try await group.shutdownGracefully()
  }

  private final class Ignoring: LinkDelegate {
    func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {}
    func linkClosed(_ link: Link, reason: LinkEnd) {}
  }
}
