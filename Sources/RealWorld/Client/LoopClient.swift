import DequeModule
import Foundation
import Logging
import NIOCore
import Primitives
import Recording
import RuntimeCore
import WireFormat

/// A program's connection to a cluster over a socket. The program runs on the connection's event loop,
/// so that no thread has to wake another one between an answer and the program's next call.
public final class LoopClient: TaskExecutor, ClientHost, LinkDelegate, @unchecked Sendable {
  private let loop: any EventLoop
  private var jobs: Deque<UnownedJob> = []
  private var isDraining = false
  private var isScheduled = false
  private var link: SocketLink?
  private var spinner: LoopSpinner?
  private(set) var client: Client!
  /// Which node the program speaks to.
  public private(set) var node = NodeID(0)
  /// What the cluster's head has decided for all.
  public private(set) var settings = ClusterSettings()
  private let programs = RunningPrograms()

  var executor: any TaskExecutor { self }

  private init(_ loop: any EventLoop) { self.loop = loop }

  /// Connects to a node of a cluster.
  ///
  /// - Parameters:
  ///   - seed: the seed that the program sees; nil for the cluster's own.
  ///   - spin: how long the program's loop looks for answers before it sleeps.
  ///   - recording: where everything that the program's driver hears is written down.
  /// - Throws: `TransportError`: nobody listens there, a wrong secret, another function table, with
  ///   what to do.
  public static func connect(
    to endpoint: Endpoint, cluster: String = "", functions: FunctionTable, seed: UInt64? = nil,
    transport: TransportConfiguration = TransportConfiguration(),
    spin: TimeSpan = .microseconds(50), retry: RetryPolicy = .once,
    recording: (any RecordingOutput)? = nil, on loop: any EventLoop, logger: Logger
  ) async throws -> LoopClient {
    let host = LoopClient(loop)
    let spinner = try await LoopSpinner.start(on: loop, window: spin).get()
    host.spinner = spinner
    do {
      let hello = Hello(
        role: .driver, cluster: cluster, process: "driver",
        processID: ProcessInfo.processInfo.processIdentifier, functions: functions.names,
        payload: Introduction.driver(
          nonce: UInt64.random(in: 0...UInt64.max), sharesMemory: endpoint.isThisHost
        ).encodedBytes())
      let link = try await Connector.connect(
        to: endpoint, on: loop, as: hello, configuration: transport, retry: retry,
        logger: logger, delegate: host
      ).get()
      guard case .driver(let welcome) = try Welcome(encodedBytes: link.peer.payload) else {
        throw TransportError(.handshake, "\(endpoint) does not take programs")
      }
      try await loop.submit { host.start(link, welcome, seed, recording) }.get()
    } catch {
      _ = spinner.close()
      throw error
    }
    return host
  }

  private func start(
    _ link: SocketLink, _ welcome: DriverWelcome, _ seed: UInt64?,
    _ recording: (any RecordingOutput)?
  ) {
    self.link = link
    // On the node's own host its segment is read in place; elsewhere values come as bytes.
    let segment = try? welcome.segment.map { try SharedSegment.attach(path: $0, writable: true) }
    link.spinner = spinner
    node = welcome.node
    settings = welcome.settings
    let address = Address.driver(welcome.number)
    let core = ClientCore(
      address: address, node: welcome.node, worker: .none,
      root: .root(driver: welcome.job, seed: welcome.settings.seed),
      incarnation: UInt32(truncatingIfNeeded: welcome.job),
      parameters: welcome.settings.parameters, bounds: .none, segment: segment,
      outlet: LinkOutlet(link), recording: recording)
    client = Client(
      core,
      cluster: Client.Cluster(
        seed: seed ?? welcome.settings.seed, roster: NodeRoster(welcome.nodes),
        resourceNames: welcome.settings.resourceNames),
      host: self)
  }

  /// Runs a program to its end. A cancelled caller cancels it.
  ///
  /// - Throws: what the program throws; `ClusterStopped`.
  public func run<Result: Sendable>(
    _ program: @escaping @Sendable (Client) async throws -> Result
  ) async throws -> Result {
    let client = self.client!
    // `close` tells all of them at once.
    return try await programs.run { _ in
      RunningPrograms.Program(
        task: Task(executorPreference: self) {
          let result = await Swift.Result.capturing { try await program(client) }
          client.flushFreed()
          _ = client.endTurn()
          return try result.get()
        })
    }
  }

  /// Leaves the cluster; what the program still had there ends with it. Programs that still run are
  /// told that the connection is gone, and waited for, but by one of themselves.
  ///
  /// - Parameter finish: what is to be done when the last program has ended.
  public func close(_ finish: @escaping @Sendable () async -> Void = {}) async {
    await programs.stop { [self] reason in
      // A program that keeps the loop busy hears it too.
      client?.end(reason)
      loop.execute { [self] in
        client?.heedNews()
        link?.close(reason: "the program has ended")
        drain()
      }
    } finish: { [self] in
      try? await loop.submit { [self] in self.client?.core.pointee.endRecording() }.get()
      try? await spinner?.close().get()
      await finish()
    }
  }

  // MARK: Host

  func schedule(after delay: TimeSpan, _ body: @escaping () -> Void) {
    let timer = Unshared(body)
    loop.scheduleTask(in: .nanoseconds(Int64(clamping: delay.nanoseconds))) { [self] in
      timer.body()
      drain()
    }
  }

  func wake() { loop.execute { [self] in drain() } }

  /// The closure runs on the loop that it was made on.
  private struct Unshared: @unchecked Sendable {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    guard loop.inEventLoop else {
      loop.execute { [self] in
        jobs.append(job)
        drain()
      }
      return
    }
    jobs.append(job)
    if isDraining || isScheduled { return }
    isScheduled = true
    loop.execute { [self] in drain() }
  }

  /// Runs what the program can do now, and sends what it said.
  private func drain() {
    isScheduled = false
    if isDraining { return }
    isDraining = true
    if let client, !client.news.isEmpty { client.heedNews() }
    while let job = jobs.popFirst() { job.runSynchronously(on: asUnownedTaskExecutor()) }
    isDraining = false
    if let client { _ = client.endTurn() }
  }

  // MARK: Link

  public func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    guard let client else { return }
    // What the answers set going runs when all of them have been read.
    isScheduled = true
    do throws(FrameError) {
      try client.receive(frames)
    } catch {
      link.close(reason: "\(link.peer) sent what it may not: \(error)")
    }
  }

  public func linkReadCompleted(_ link: Link) { drain() }
  public func linkBecameWritable(_ link: Link) { drain() }

  public func linkClosed(_ link: Link, reason: LinkEnd) {
    client?.disconnected(reason.text)
    drain()
  }
}

extension Result where Failure == any Error {
  /// What an `async` body returns or throws.
  static func capturing(_ body: () async throws -> Success) async -> Result {
    do { return .success(try await body()) } catch { return .failure(error) }
  }
}
