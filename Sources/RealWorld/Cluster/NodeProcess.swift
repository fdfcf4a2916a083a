import Foundation
import Logging
import NIOCore
import NIOPosix
import Primitives
import Recording
import RuntimeCore
import WireFormat

/// A node of a cluster that others reach over sockets: a raylet with its workers, and on the head the
/// global schedulers and the GCS.
///
/// Everything happens on one event loop.
public final class NodeProcess: @unchecked Sendable {
  public struct Options: Sendable {
    /// Where other nodes and programs reach this node; port 0 takes a free one.
    public var endpoint: Endpoint
    /// The head to join; nil makes this node the head of a new cluster.
    public var head: Endpoint?
    public var description: NodeDescription
    /// For the head: what holds for the whole cluster.
    public var settings = ClusterSettings()
    public var transport = TransportConfiguration()
    /// Where this node puts objects that do not fit into its memory; nil for what the cluster's
    /// settings say.
    public var spillDirectory: String?
    /// How long the loop and the workers look for work before they sleep.
    public var spin = TimeSpan.microseconds(50)
    public var workers = NodeWorkers.threads
    /// Says where everything that the machines of this process hear is written down, when the node
    /// knows its number; nil for nowhere.
    public var recording: (@Sendable (NodeID) throws -> any RecordingOutput)?

    public init(endpoint: Endpoint, head: Endpoint? = nil, description: NodeDescription) {
      self.endpoint = endpoint
      self.head = head
      self.description = description
    }
  }

  /// Why a node ended by itself.
  public struct End: Sendable, CustomStringConvertible {
    public let description: String
    /// The head has ended in good order, and the cluster with it.
    public let isOrderly: Bool
  }

  public let node: NodeID
  public let endpoint: Endpoint
  public let settings: ClusterSettings
  /// Ends when the node has to: its head is gone or has ended.
  public let ended: EventLoopFuture<End>

  let loop: any EventLoop
  let logger: Logger
  private let functions: FunctionTable
  let transport: TransportConfiguration
  let shell: NodeShell
  private let host: LoopHost
  private let spinner: LoopSpinner
  let lanes: BulkLanes
  private let listener: Listener
  private let endPromise: EventLoopPromise<End>
  let hello: Hello
  /// By number; nil for those that have gone or are not there yet.
  var members: [Member?] = []
  /// The same for programs.
  let roster: NodeRoster
  var links: [NodeID: Link] = [:]
  /// The links' places among the ports.
  var ports: [NodeID: UInt32] = [:]
  /// What the head says was there before this node; empty for the head.
  let earlierMembers: EventLoopPromise<[Member]>
  /// Links that the other side has not given their place yet.
  var connecting: [NodeID: EventLoopPromise<Void>] = [:]
  // Used by the head alone.
  var silence: Silence
  /// Programs that are connected to other nodes: the numbers of their jobs, by those of the drivers.
  var driversElsewhere: [NodeID: [Int: Int]] = [:]
  var departure = Departure()
  /// Programs and joiners may come.
  private var takesPart = false
  private var peers: [ObjectIdentifier: PeerLink] = [:]
  /// Programs that were let in and are not there yet, the oldest first.
  private var drivers: [(nonce: UInt64, address: Address, job: Int)] = []
  private static let mostDriversOnTheirWay = 1024
  private var joins: [UInt64: NodeID] = [:]
  private var nextNode: Int
  private var isStopping = false

  // MARK: Start

  /// Starts a node and returns when it takes part in its cluster.
  ///
  /// - Throws: `TransportError` (address in use, head unreachable, refused with the head's reason),
  ///   `PolicyError`, `ThreadError`, `WorkerProcessError`.
  public static func start(
    _ options: Options, functions: FunctionTable, on loop: any EventLoop, logger: Logger
  ) async throws -> NodeProcess {
    if try options.endpoint.resolved().isWildcard {
      throw TransportError(
        .configuration,
        "others cannot reach \(options.endpoint): listen on the address of this machine that they "
          + "use")
    }
    let spinner = try await LoopSpinner.start(on: loop, window: options.spin).get()
    let door = Door()
    var hello = Hello(
      role: .node, cluster: options.settings.name, process: "node",
      processID: ProcessInfo.processInfo.processIdentifier, functions: functions.names)
    let listener = try await Listener.start(
      at: options.endpoint, on: loop, as: hello, configuration: options.transport,
      logger: logger, accept: { door.accept($0) }, established: { door.established($0) }
    ).get()
    do {
      var node = NodeID(0)
      var settings = options.settings
      var options = options
      options.transport.partsAbove = options.transport.partsAbove ?? NodeCore.bulkThreshold / 2
      let late = LateDelegate()
      var headLink: SocketLink?
      if let head = options.head {
        hello.payload = Introduction.join(
          endpoint: "\(listener.endpoint)", resources: options.description.resources,
          names: options.settings.resourceNames.names, nonce: UInt64.random(in: 0...UInt64.max)
        ).encodedBytes()
        let link = try await Connector.connect(
          to: head, on: loop, as: hello, configuration: options.transport,
          retry: RetryPolicy(attempts: 5, patience: .seconds(60)), logger: logger, delegate: late
        ).get()
        guard
          case .joined(let number, let theirs) = try Welcome(
            encodedBytes: link.peer.payload)
        else { throw TransportError(.handshake, "\(head) is no head of a cluster") }
        (node, settings) = (number, theirs)
        headLink = link
      }
      let resources = options.description.resources
      var plan = try settings.plan(
        node: node, description: options.description,
        nodes: options.head == nil ? [resources] : [])
      if let directory = options.spillDirectory { plan.spillDirectory = directory }
      plan.recording = try options.recording?(node)
      let host = LoopHost(loop, spinner)
      var makeProcesses: ((SharedSegment) throws -> ProcessWorkers)?
      if case .processes(let launch) = options.workers {
        makeProcesses = { segment in
          try ProcessWorkers(
            launch, plan, functions: functions, segment: segment, spin: options.spin, on: loop,
            spinner, logger: logger, wakeNode: { host.wake() })
        }
      }
      let shell = try NodeShell(
        plan, functions: functions, spin: options.spin, host: host, processes: makeProcesses,
        logger: logger)
      let process = NodeProcess(
        node: node, settings: settings, roster: plan.roster, shell: shell, host: host,
        spinner: spinner, listener: listener, functions: functions, options: options,
        loop: loop, hello: hello, logger: logger)
      let linkToHead = headLink
      try await loop.submit {
        process.add(
          Member(node: process.node, endpoint: "\(listener.endpoint)", resources: resources))
        if let linkToHead { late.attach(process.adopt(linkToHead, as: .node(NodeID(0)))) }
        door.process = process
      }.get()
      do {
        try await process.connectToEarlierMembers()
      } catch {
        try? await loop.submit { process.abandon() }.get()
        throw error
      }
      let isHead = options.head == nil
      // Only now: whoever hears of this node can reach it.
      try await loop.submit {
        try shell.start()
        host.attach(shell)
        process.takesPart = true
        if isHead {
          process.watchForSilence()
        } else {
          process.tell(NodeID(0), .ready(process.node))
        }
      }.get()
      return process
    } catch {
      try? await listener.close().get()
      _ = spinner.close()
      throw error
    }
  }

  private init(
    node: NodeID, settings: ClusterSettings, roster: NodeRoster, shell: NodeShell, host: LoopHost,
    spinner: LoopSpinner, listener: Listener, functions: FunctionTable, options: Options,
    loop: any EventLoop, hello: Hello, logger: Logger
  ) {
    self.node = node
    self.settings = settings
    self.roster = roster
    self.shell = shell
    self.host = host
    self.spinner = spinner
    self.listener = listener
    self.functions = functions
    self.loop = loop
    self.hello = hello
    var logger = logger
    logger[metadataKey: "node"] = "\(node.index)"
    self.logger = logger
    endpoint = listener.endpoint
    transport = options.transport
    silence = Silence(limit: settings.silenceLimit)
    endPromise = loop.makePromise(of: End.self)
    ended = endPromise.futureResult
    nextNode = 1
    earlierMembers = loop.makePromise(of: [Member].self)
    if node == NodeID(0) { earlierMembers.succeed([]) }
    var bulkHello = hello
    bulkHello.role = .data
    bulkHello.payload = Introduction.bulk(node).encodedBytes()
    lanes = BulkLanes(
      bulkHello, configuration: options.transport, on: loop, of: node, shell: shell,
      logger: logger)
    shell.core.pointee.bulk = options.transport.bulkConnections > 0 ? lanes : nil
  }

  // MARK: Peers that come

  func accept(_ hello: Hello) -> Acceptance {
    if isStopping { return .refuse("the node is stopping") }
    let isLeaving = departure.phase != .none
    guard let introduction = try? Introduction(encodedBytes: hello.payload) else {
      return .refuse("the introduction is not understood: use the same release everywhere")
    }
    switch introduction {
    case .join(let address, _, let names, let nonce):
      guard node == NodeID(0) else {
        let head = member(NodeID(0))?.endpoint ?? "that one"
        return .refuse("this is node \(node.index), not the head: join \(head)")
      }
      if isLeaving { return .refuse("the cluster is ending") }
      guard takesPart else { return .postpone(Self.isStarting) }
      if let place = try? Endpoint(parsing: address), let text = place.problem(asMemberOf: endpoint)
      {
        return .refuse(text)
      }
      let known = settings.resourceNames.names
      guard known.starts(with: names) else {
        return .refuse(
          "the resources of this cluster are \(known.joined(separator: ", ")), those of the node "
            + "\(names.joined(separator: ", ")): give the same ones in the same order, with 0 for "
            + "what a node does not have")
      }
      let number = NodeID(nextNode)
      nextNode += 1
      joins[nonce] = number
      return .accept(payload: Welcome.joined(number, settings).encodedBytes())
    case .bulk(let number):
      guard links[number] != nil else {
        return .refuse("node \(number.index) is not connected to node \(node.index)")
      }
      return .accept(payload: Welcome.connected.encodedBytes())
    case .member:
      return .accept(payload: Welcome.connected.encodedBytes())
    case .driver(let nonce, let sharesMemory):
      if isLeaving { return .refuse("the node is leaving: connect to another one") }
      guard takesPart else { return .postpone(Self.isStarting) }
      let program: (address: Address, job: Int)
      do throws(ProgramLimit) {
        program = try shell.takeProgram()
      } catch {
        return .refuse("\(error)")
      }
      // Some never come: they ended in between.
      if drivers.count == Self.mostDriversOnTheirWay {
        let oldest = drivers.removeFirst()
        shell.programs.withLock { $0.giveBack(oldest.address) }
      }
      drivers.append((nonce, program.address, program.job))
      return .accept(
        payload: Welcome.driver(
          DriverWelcome(
            number: program.address.number, job: program.job, node: node, settings: settings,
            nodes: roster.nodes,
            segment: sharesMemory ? shell.segmentPath : nil)
        ).encodedBytes())
    }
  }

  func established(_ link: SocketLink) {
    guard let introduction = try? Introduction(encodedBytes: link.peer.payload) else { return }
    switch introduction {
    case .join(let endpoint, let resources, _, let nonce):
      guard let number = joins.removeValue(forKey: nonce) else { return }
      let earlier = members.compactMap { $0 }
      add(Member(node: number, endpoint: endpoint, resources: resources))
      link.delegate = adopt(link, as: .node(number))
      tell(number, .members(earlier))
      logger.info("node \(number.index) joins from \(link.address), reached at \(endpoint)")
    case .member(let member):
      add(member)
      link.delegate = adopt(link, as: .node(member.node))
      tell(member.node, .connected)
    case .bulk(let number):
      lanes.receive(from: number, over: link)
    case .driver(let nonce, let sharesMemory):
      guard let index = drivers.firstIndex(where: { $0.nonce == nonce }) else {
        link.close(reason: "the program came too late: connect again")
        return
      }
      let (_, address, job) = drivers.remove(at: index)
      let peer = adopt(link, as: .driver(address), job: job)
      shell.core.pointee.port(peer.port).pointee.sharesMemory = sharesMemory
      if sharesMemory { shell.core.pointee.programCame() }
      link.delegate = peer
      tellHead(.driverCame(address.number, job: job))
      logger.debug("driver \(address.number) connects from \(link.address)")
    }
  }

  /// Gives a link its place among the ports.
  ///
  /// - Parameter job: of a driver.
  func adopt(_ link: SocketLink, as kind: PeerLink.Kind, job: Int = 0) -> PeerLink {
    link.spinner = spinner
    let port = shell.core.pointee.addPort(
      shell.makePort(LinkOutlet(link), bounds: shell.peerBounds))
    let peer = PeerLink(
      kind, port: port, shell, heard: { [unowned self] in heard($0, $1) },
      ended: { [unowned self] in ended($0, $1) })
    switch kind {
    case .driver(let address):
      shell.core.pointee.port(port).pointee.client = address
      shell.core.pointee.beginDriver(
        address, .root(driver: job, seed: settings.seed), at: port)
    case .node(let number):
      shell.core.pointee.connect(.raylet(number), to: port)
      links[number] = link
      ports[number] = port
      silence.connectedAt[number] = MonotonicClock.now
      shell.core.pointee.count(nodes: links.count + 1)
    }
    peers[ObjectIdentifier(peer)] = peer
    return peer
  }

  // MARK: News

  private func heard(_ peer: PeerLink, _ news: MembershipNews) {
    switch news {
    case .members(let earlier):
      for member in earlier { add(member) }
      earlierMembers.succeed(earlier)
    case .connected:
      if case .node(let number) = peer.kind { connecting.removeValue(forKey: number)?.succeed() }
    case .ready(let number):
      logger.info("node \(number.index) is ready")
    case .lost(let number, let reason):
      logger.warning("node \(number.index) is lost: \(reason)")
      lose(number)
    case .driverCame(let driver, let job):
      if case .node(let number) = peer.kind { came(driver, job: job, to: number) }
    case .driverWent(let driver):
      if case .node(let number) = peer.kind { went(driver, from: number) }
    default: if case .node(let number) = peer.kind { heardOfDeparture(number, news) }
    }
  }

  private func ended(_ peer: PeerLink, _ reason: LinkEnd) {
    peers[ObjectIdentifier(peer)] = nil
    if case .driver = peer.kind, shell.core.pointee.port(peer.port).pointee.sharesMemory {
      shell.core.pointee.programWent()
    }
    switch peer.kind {
    case .driver(let address):
      end(address, peer.port, reason)
      shell.programs.withLock { $0.giveBack(address) }
    case .node(let number):
      shell.core.pointee.closePort(peer.port)
      links[number] = nil
      ports[number] = nil
      connecting.removeValue(forKey: number)?.fail(
        TransportError(.closed, "node \(number.index) has gone: \(reason)"))
      shell.core.pointee.disconnect(.raylet(number))
      shell.core.pointee.count(nodes: links.count + 1)
      lanes.nodeLost(number)
      if isStopping || departure.isGone { return }
      if number == NodeID(0) {
        earlierMembers.fail(TransportError(.closed, "the head is gone: \(reason)"))
        logger.error("the head is gone (\(reason)): this node ends")
        departure.isGone = true
        end("the head is gone: \(reason)", isOrderly: false)
      } else if node == NodeID(0) {
        if departed(number) { return }
        logger.warning("node \(number.index) is lost: \(reason)")
        lose(number)
        for other in links.keys.sorted() { tell(other, .lost(number, reason: "\(reason)")) }
      }
    }
  }

  /// A driver has gone, and what its job had: here at once, elsewhere as the news spreads.
  private func end(_ driver: Address, _ port: UInt32, _ reason: LinkEnd) {
    shell.core.pointee.now = MonotonicClock.now
    let before = shell.core.pointee.status
    shell.core.pointee.endDriver(driver, at: port)
    let after = shell.core.pointee.status
    shell.endTurn()
    // After the machines' word about the job: nobody has to say it for this node any more.
    tellHead(.driverWent(driver.number))
    let left = before.tasks - after.tasks + before.actors - after.actors
    let objects = before.objects - after.objects
    if left == 0 && objects == 0 {
      logger.debug("driver \(driver.number) has gone: \(reason)")
      return
    }
    logger.info(
      """
      driver \(driver.number) has gone: \(reason). Its job ends: here \
      \(before.tasks - after.tasks) tasks are cancelled, \(before.actors - after.actors) actors \
      and \(objects) objects go; what runs is not waited for
      """)
  }

  /// What the node has now.
  public func status() async throws -> NodeStatus {
    try await loop.submit { self.shell.core.pointee.status }.get()
  }

  /// The machines hear that a node is gone.
  func lose(_ number: NodeID) {
    remove(number)
    // It may be there still, stopped or on its way out: it finds its links closed.
    links[number]?.close(reason: "this node has left the cluster")
    shell.core.pointee.now = MonotonicClock.now
    shell.core.pointee.lose(number)
    endDrivers(of: number)
    shell.endTurn()
  }

  // MARK: The end

  /// Programs that are connected over sockets.
  var programCount: Int { peers.count - links.count }

  func end(_ why: String, isOrderly: Bool) {
    endPromise.succeed(End(description: why, isOrderly: isOrderly))
  }

  /// Lets go of the nodes it is connected to, without having taken part.
  private func abandon() {
    isStopping = true
    for link in links.values { link.close(reason: "the node could not join") }
  }

  /// Removes what would outlive this process; for its end without `stop`. From any thread.
  public func removeNames() { shell.removeNames() }

  /// Stops: closes all links, ends the workers, and returns when that is done.
  public func stop() async {
    let links: [Link] =
      (try? await loop.submit { [self] in
        isStopping = true
        silence.look?.cancel()
        return Array(self.links.values)
      }.get()) ?? []
    try? await listener.close().get()
    try? await loop.submit { [self] in
      for link in links { link.close(reason: "the node stops") }
      lanes.stop()
      host.detach()
      shell.core.pointee.endRecording()
    }.get()
    shell.stopWorkers()
    try? await spinner.close().get()
    end("stopped", isOrderly: true)
  }
}
