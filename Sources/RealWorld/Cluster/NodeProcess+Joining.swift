import Logging
import NIOCore
import Primitives
import RuntimeCore
import WireFormat

/// How several nodes may join at the same moment, and all know all.
///
/// The head takes one joiner after the other, in the order in which their links are there, and tells
/// each who was there before it (`MembershipNews.members`). So of any two nodes exactly one is told of
/// the other, and connects to it; that one learns of the first by its introduction. A node takes part
/// when each of those has said that it has given the link its place (`connected`): who hears of the
/// node from then on can reach it.
extension NodeProcess {
  /// Takes what comes before the process is there.
  final class Door: @unchecked Sendable {
    var process: NodeProcess?

    func accept(_ hello: Hello) -> Acceptance {
      process?.accept(hello) ?? .postpone(NodeProcess.isStarting)
    }

    func established(_ link: SocketLink) {
      if let process { process.established(link) } else { link.close(reason: "not ready") }
    }
  }

  static let isStarting = "the node is still starting: try again"

  /// Stands in for the delegate of a link until there is one, and keeps for it what comes.
  final class LateDelegate: LinkDelegate, @unchecked Sendable {
    private var target: (any LinkDelegate)?
    private var runs: [[UInt8]] = []
    private var link: Link?
    private var end: LinkEnd?

    func attach(_ target: any LinkDelegate) {
      self.target = target
      guard let link else { return }
      for run in runs { run.withUnsafeBytes { target.linkReceived(link, frames: $0) } }
      runs = []
      if let end { target.linkClosed(link, reason: end) } else { target.linkReadCompleted(link) }
      self.link = nil
    }

    func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
      if let target { return target.linkReceived(link, frames: frames) }
      self.link = link
      runs.append(Array(frames))
    }

    func linkReceivedPart(
      _ link: Link, frameLength: Int, offset: Int, bytes: UnsafeRawBufferPointer
    ) {
      target?.linkReceivedPart(link, frameLength: frameLength, offset: offset, bytes: bytes)
    }

    func linkReadCompleted(_ link: Link) { target?.linkReadCompleted(link) }
    func linkBecameWritable(_ link: Link) { target?.linkBecameWritable(link) }

    func linkClosed(_ link: Link, reason: LinkEnd) {
      if let target { return target.linkClosed(link, reason: reason) }
      self.link = link
      end = reason
    }
  }

  /// Connects to all nodes that were there before this one.
  func connectToEarlierMembers() async throws {
    for member in try await earlierMembers.futureResult.get() where member.node != NodeID(0) {
      do {
        try await connect(to: member)
      } catch {
        // It may just have gone: then the head says so soon.
        let isGone = try await loop.scheduleTask(in: .seconds(2)) {
          self.member(member.node) == nil
        }.futureResult.get()
        if !isGone { throw Self.unreachable(member, error) }
      }
    }
  }

  /// A node that is there, as the head says, and yet not for this one.
  static func unreachable(_ member: Member, _ error: any Error) -> any Error {
    guard let error = error as? TransportError,
      error.kind == .unreachable || error.kind == .timeout
    else { return error }
    return TransportError(
      error.kind,
      """
      cannot join: node \(member.node.index) of the cluster is not reached at \(member.endpoint) \
      (\(error.message)). It must listen on an address that all machines of the cluster can reach, on \
      any port: check its --listen, and the firewall
      """)
  }

  private func connect(to member: Member) async throws {
    try await loop.flatSubmit { self.connection(to: member) }.get()
  }

  /// Not `async`: the compiler (Swift 6.3.1, optimising) made the frame of that too small and wrote
  /// behind it.
  private func connection(to member: Member) -> EventLoopFuture<Void> {
    var hello = hello
    let endpoint: Endpoint
    do { endpoint = try Endpoint(parsing: member.endpoint) } catch {
      return loop.makeFailedFuture(error)
    }
    hello.payload = Introduction.member(self.member(node)!).encodedBytes()
    let late = LateDelegate()
    return Connector.connect(
      to: endpoint, on: loop, as: hello, configuration: transport,
      retry: RetryPolicy(attempts: 3), logger: logger, delegate: late
    ).flatMap { [self] link in
      let connected = loop.makePromise(of: Void.self)
      connecting[member.node] = connected
      late.attach(adopt(link, as: .node(member.node)))
      return connected.futureResult
    }
  }

  // MARK: Members

  func member(_ number: NodeID) -> Member? {
    Int(number.index) < members.count ? members[Int(number.index)] : nil
  }

  func add(_ member: Member) {
    while members.count <= Int(member.node.index) { members.append(nil) }
    members[Int(member.node.index)] = member
    roster.set(member.node, member.resources)
    if member.node != node { lanes.endpoints[member.node] = member.endpoint }
  }

  /// The place of a node that has gone stays: numbers do not shift.
  func remove(_ number: NodeID) {
    guard member(number) != nil else { return }
    members[Int(number.index)] = nil
    roster.set(number, nil)
  }

  /// Puts news behind what the machines have said to that node before.
  func tell(_ number: NodeID, _ news: MembershipNews) {
    guard let port = ports[number] else { return }
    let body = news.encodedBytes()
    let place = try? shell.core.pointee.port(port).pointee.writer.takeFrame(
      kind: MembershipNews.frameKind, source: .raylet(node), target: .raylet(number),
      bodyCount: body.count)
    guard let place else { return }
    body.withUnsafeBytes {
      place.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
    }
    shell.endTurn()
  }
}
