import Glibc
import Logging
import NIOCore
import NIOPosix
import Primitives
import RealWorld
import RuntimeCore
import WireFormat

/// Two links of the transport in this process, over TCP on loopback, on an event loop each: what
/// NIO does without any protocol above it.
final class LinkLimits: Sendable {
  private let group: MultiThreadedEventLoopGroup
  private let listener: Listener
  private let far: FarEnd
  private let near: NearEnd
  private let link: SocketLink

  /// - Parameter echoes: whether the far end answers each frame with the same.
  init(echoes: Bool, spin: TimeSpan = .microseconds(50)) async throws {
    group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let loops = (group.next(), group.next())
    let hello = Hello(role: .node, cluster: "bench", process: "bench", processID: getpid())
    let far = FarEnd(
      echoes: echoes, done: loops.0.makePromise(),
      spinner: try await LoopSpinner.start(on: loops.0, window: spin).get())
    let near = NearEnd(try await LoopSpinner.start(on: loops.1, window: spin).get())
    listener = try await Listener.start(
      at: .tcp(host: "127.0.0.1", port: 0), on: loops.0, as: hello, logger: BenchNode.logger,
      established: {
        $0.spinner = far.spinner
        $0.delegate = far
      }
    ).get()
    link = try await Connector.connect(
      to: listener.endpoint, on: loops.1, as: hello, logger: BenchNode.logger, delegate: near
    ).get()
    (self.far, self.near) = (far, near)
    let link = link
    try await loops.1.submit { link.spinner = near.spinner }.get()
  }

  func close() async {
    let link = link
    try? await link.eventLoop.submit { link.close(reason: "the benchmark has ended") }.get()
    try? await listener.close().get()
    try? await far.spinner.close().get()
    try? await near.spinner.close().get()
    far.abandon()
    try? await group.shutdownGracefully()
  }

  /// Frames of `length` bytes a second, one way, many in each buffer.
  func frameRate(frames: Int, length: Int) async throws -> Double {
    let (far, near, link) = (far, near, link)
    try await listener.eventLoop.submit { far.expected = frames * length }.get()
    let start = MonotonicClock.nanoseconds
    try await link.eventLoop.submit { near.send(frames, length: length, on: link) }.get()
    try await far.done.futureResult.get()
    return Double(frames) / RealBench.seconds(since: start)
  }

  /// Seconds of a round trip of one frame of 64 bytes: those of each.
  func roundTrips(_ rounds: Int) async throws -> [TimeSpan] {
    let (near, link) = (near, link)
    let promise = link.eventLoop.makePromise(of: [TimeSpan].self)
    try await link.eventLoop.submit { near.begin(rounds, promise, on: link) }.get()
    return try await promise.futureResult.get()
  }

  fileprivate static func put(_ length: Int, on link: Link) {
    let place = link.reserve(length)
    FrameHeader(length: length, kind: 200, source: Address(raw: 0), target: Address(raw: 0))
      .write(to: place)
    memset(place + FrameHeader.byteCount, 1, length - FrameHeader.byteCount)
    link.commit(length)
  }

  /// Counts what comes, or sends it back. On its loop alone.
  private final class FarEnd: LinkDelegate, @unchecked Sendable {
    let echoes: Bool
    let done: EventLoopPromise<Void>
    let spinner: LoopSpinner
    var expected = Int.max
    private var frames = 0
    private var bytes = 0

    init(echoes: Bool, done: EventLoopPromise<Void>, spinner: LoopSpinner) {
      self.echoes = echoes
      self.done = done
      self.spinner = spinner
    }

    func linkReceived(_ link: Link, frames run: UnsafeRawBufferPointer) {
      if echoes { link.send(run) }
      // Each frame is found, as whoever reads them has to.
      var offset = 0
      while offset < run.count {
        let length = Int(run.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        frames += 1
        offset += length
      }
      bytes += run.count
      if bytes >= expected { done.succeed() }
    }

    func linkReadCompleted(_ link: Link) { if echoes { link.flush() } }
    func linkClosed(_ link: Link, reason: LinkEnd) { abandon() }
    func abandon() { done.fail(BenchError("the link of the benchmark ended")) }
  }

  /// Sends as much as the link takes, or one frame after each answer. On its loop alone.
  private final class NearEnd: LinkDelegate, @unchecked Sendable {
    let spinner: LoopSpinner
    private var left = 0
    private var length = 0
    private var rounds = 0
    private var times: [TimeSpan] = []
    private var promise: EventLoopPromise<[TimeSpan]>?
    private var sent = Instant.zero

    init(_ spinner: LoopSpinner) { self.spinner = spinner }

    func send(_ frames: Int, length: Int, on link: Link) {
      left = frames
      self.length = length
      linkBecameWritable(link)
    }

    func linkBecameWritable(_ link: Link) {
      while left > 0 && link.isWritable {
        for _ in 0..<min(left, max(1, 65_536 / length)) {
          LinkLimits.put(length, on: link)
          left -= 1
        }
        link.flush()
      }
    }

    func begin(_ rounds: Int, _ promise: EventLoopPromise<[TimeSpan]>, on link: Link) {
      self.rounds = rounds
      self.promise = promise
      ask(link)
    }

    private func ask(_ link: Link) {
      sent = MonotonicClock.now
      LinkLimits.put(64, on: link)
      link.flush()
    }

    func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
      times.append(MonotonicClock.now.since(sent))
      if times.count < rounds {
        ask(link)
      } else {
        promise?.succeed(times)
        promise = nil
      }
    }

    func linkClosed(_ link: Link, reason: LinkEnd) {
      promise?.fail(BenchError("the link of the benchmark ended: \(reason)"))
      promise = nil
    }
  }
}
