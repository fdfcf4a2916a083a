import Glibc
import NIOCore
import NIOPosix
import Primitives

/// Something that other threads fill and that an event loop looks at while it spins.
public protocol SpinSource: AnyObject {
  /// Takes what is there; true if there was something.
  func poll() -> Bool
  /// Asks to be woken from now on; false, and not parked, when something is there already.
  func park() -> Bool
  /// The loop looks by itself from now on: wake-ups would be wasted.
  func unpark()
}

/// Keeps an event loop turning for a short time after activity, so that what follows soon finds it
/// awake: waking a sleeping thread costs tens of microseconds.
///
/// While it spins, the loop polls its sockets and the sources each turn. A turn without work gives
/// the processor to any other thread that wants it. After `window` without work the loop sleeps.
///
/// An event loop looks at its sockets only when it has run all its tasks, so a task that submits
/// itself again would shut them out. The spinner reads a pipe that always holds a byte instead:
/// one more readable descriptor among the loop's own.
public final class LoopSpinner: @unchecked Sendable {
  public let eventLoop: any EventLoop
  /// How long the loop turns without work; zero switches spinning off.
  public let window: TimeSpan
  public private(set) var isSpinning = false
  /// Turns so far.
  public private(set) var turns: UInt64 = 0

  private var sources: [any SpinSource] = []
  private var hadActivity = false
  private var deadline = NIODeadline.uptimeNanoseconds(0)
  private var channel: (any Channel)?
  private var filler: CInt = -1
  private var filled = 0

  private static let fillBytes = 4096
  private static let looksPerTurn = 64

  private init(_ eventLoop: any EventLoop, _ window: TimeSpan) {
    self.eventLoop = eventLoop
    self.window = window
  }

  /// Makes a spinner for `loop`. The future fails with a `TransportError` when the process has no
  /// descriptors left.
  public static func start(
    on loop: any EventLoop, window: TimeSpan = .microseconds(50)
  ) -> EventLoopFuture<LoopSpinner> {
    let spinner = LoopSpinner(loop, window)
    if window == .zero { return loop.makeSucceededFuture(spinner) }
    var ends: [CInt] = [-1, -1]
    guard pipe(&ends) == 0 else {
      let text = "cannot make a pipe: \(errorText(errno))"
      return loop.makeFailedFuture(TransportError(.unreachable, text))
    }
    let (reader, writer) = (ends[0], ends[1])
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    spinner.filler = writer
    return NIOPipeBootstrap(group: loop)
      .channelOption(.autoRead, value: false)
      .channelOption(.maxMessagesPerRead, value: 1)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(SpinHandler(spinner))
        }
      }
      .takingOwnershipOfDescriptor(input: reader)
      .map { channel in
        spinner.channel = channel
        return spinner
      }
  }

  /// Ends spinning for good. Sources stay with their owners and wake the loop themselves.
  @discardableResult public func close() -> EventLoopFuture<Void> {
    let spinner = self
    return eventLoop.flatSubmit {
      if spinner.isSpinning { spinner.stop() }
      for source in spinner.sources {
        while !source.park() { _ = source.poll() }
      }
      spinner.sources = []
      if spinner.filler >= 0 { Glibc.close(spinner.filler) }
      spinner.filler = -1
      guard let channel = spinner.channel else {
        return spinner.eventLoop.makeSucceededVoidFuture()
      }
      spinner.channel = nil
      return channel.close().flatMapError { _ in spinner.eventLoop.makeSucceededVoidFuture() }
    }
  }

  /// Polls `source` while spinning. On the loop.
  public func add(_ source: any SpinSource) {
    sources.append(source)
    if isSpinning { source.unpark() }
  }

  /// On the loop.
  public func remove(_ source: any SpinSource) {
    sources.removeAll { $0 === source }
  }

  /// Something happened on the loop: more may follow soon. Cheap to call often.
  @inlinable public func activity() {
    noteActivity()
  }

  @usableFromInline func noteActivity() {
    hadActivity = true
    if isSpinning { return }
    guard let channel else { return }
    isSpinning = true
    for source in sources { source.unpark() }
    deadline = .now() + TimeAmount(window)
    if filled == 0 { fill() }
    try? channel.syncOptions?.setOption(.autoRead, value: true)
  }

  private func fill() {
    withUnsafeTemporaryAllocation(byteCount: Self.fillBytes, alignment: 1) { bytes in
      bytes.initializeMemory(as: UInt8.self, repeating: 0)
      filled += max(0, write(filler, bytes.baseAddress!, bytes.count))
    }
  }

  fileprivate func turn(_ bytes: Int) {
    filled -= bytes
    guard isSpinning else { return }
    turns &+= 1
    var worked = hadActivity
    hadActivity = false
    // A look at the sources costs a hundredth of a turn: look often before the sockets' turn.
    for _ in 0..<Self.looksPerTurn {
      for source in sources where source.poll() { worked = true }
      if worked || sources.isEmpty { break }
    }
    let now = NIODeadline.now()
    if worked {
      deadline = now + TimeAmount(window)
    } else if now >= deadline {
      stop()
      for source in sources where !source.park() { hadActivity = true }
      if hadActivity { noteActivity() }
      return
    } else {
      sched_yield()
    }
    if filled == 0 { fill() }
  }

  private func stop() {
    isSpinning = false
    try? channel?.syncOptions?.setOption(.autoRead, value: false)
  }
}

/// Gives the spinner a turn for each byte it reads.
private final class SpinHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let spinner: LoopSpinner

  init(_ spinner: LoopSpinner) { self.spinner = spinner }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    spinner.turn(unwrapInboundIn(data).readableBytes)
  }
}
