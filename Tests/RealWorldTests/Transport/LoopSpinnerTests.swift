import NIOCore
import NIOPosix
import Primitives
import Synchronization
import Testing

@testable import RealWorld

@Suite(.timeLimit(.minutes(10))) struct LoopSpinnerTests {
  /// Has work when another thread says so; tells when it was parked.
  final class Source: SpinSource, @unchecked Sendable {
    let work = Atomic(0)
    var taken = 0
    var parks = 0
    var unparks = 0
    let tookWork: EventLoopPromise<Void>
    let parked: EventLoopPromise<Void>

    init(_ loop: any EventLoop) {
      tookWork = loop.makePromise()
      parked = loop.makePromise()
    }

    func poll() -> Bool {
      let found = work.exchange(0, ordering: .acquiring)
      if found > 0 {
        taken += found
        tookWork.succeed()
      }
      return found > 0
    }
    func park() -> Bool {
      if work.load(ordering: .acquiring) > 0 { return false }
      parks += 1
      parked.succeed()
      return true
    }
    func unpark() { unparks += 1 }
  }

  @Test("after activity the loop looks at its sources by itself, then sleeps")
  func spinsAndStops() async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let spinner = try await LoopSpinner.start(on: loop, window: .milliseconds(5)).get()
    let source = Source(loop)
    try await loop.submit {
      spinner.add(source)
      spinner.activity()
      #expect(spinner.isSpinning && source.unparks == 1)
    }.get()
    source.work.store(3, ordering: .releasing)
    try await source.parked.futureResult.get()
    // Found while it spun, or by the last look before sleep; never by a wake-up.
    try await loop.submit {
      if source.work.load(ordering: .acquiring) > 0 { spinner.activity() }
    }.get()
    try await source.tookWork.futureResult.get()
    let turns = try await loop.submit { () -> UInt64 in
      #expect(source.taken == 3)
      return spinner.turns
    }.get()
    #expect(turns > 0)
    try await spinner.close().get()
    try await loop.submit { #expect(!spinner.isSpinning) }.get()
  }

  @Test("sockets and tasks get their turn while a source has work all the time")
  func fairness() async throws {
    final class Busy: SpinSource {
      func poll() -> Bool { true }
      func park() -> Bool { false }
      func unpark() {}
    }
    let site = try await Site()
    let spinner = try await LoopSpinner.start(on: site.loop).get()
    let busy = NIOLoopBoundBox.makeBoxSendingValue(Busy(), eventLoop: site.loop)
    try await site.loop.submit {
      spinner.add(busy.value)
      spinner.activity()
    }.get()
    try await site.checkGoodLink()
    let before = try await site.loop.submit { spinner.turns }.get()
    let (link, recorder) = try await site.connect()
    site.clientLoop.execute {
      frame(2).withUnsafeBytes { link.send($0) }
      link.flush()
    }
    #expect(try await recorder.frames(1) == [frame(2)])
    try await site.loop.submit {
      #expect(spinner.isSpinning && spinner.turns > before)
      spinner.remove(busy.value)
    }.get()
    try await spinner.close().get()
    site.clientLoop.execute { link.close(reason: "done") }
    try await site.close()
  }

  @Test("a window of zero switches spinning off")
  func off() async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let spinner = try await LoopSpinner.start(on: loop, window: .zero).get()
    try await loop.submit {
      spinner.activity()
      #expect(!spinner.isSpinning)
    }.get()
    try await spinner.close().get()
  }
}
