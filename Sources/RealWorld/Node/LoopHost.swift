import NIOCore
import Primitives
import Synchronization

/// An event loop as the host of a node: while it spins it looks at the rings of workers and clients
/// each turn; else they wake it.
final class LoopHost: ShellHost, SpinSource, @unchecked Sendable {
  let loop: any EventLoop
  private let spinner: LoopSpinner
  /// From `attach` to `detach`. No weak reference: those make every retain of what they name slow.
  private var pumped: (any Pump)?
  /// Those who bring work must say so: nobody looks.
  private let isParked = Atomic<Bool>(true)

  init(_ loop: any EventLoop, _ spinner: LoopSpinner) {
    self.loop = loop
    self.spinner = spinner
  }

  /// From now on `pumped` is looked at. On the loop.
  func attach(_ pumped: any Pump) {
    self.pumped = pumped
    spinner.add(self)
    wake()
  }

  func detach() {
    spinner.remove(self)
    pumped = nil
  }

  func schedule(after delay: TimeSpan, _ body: @escaping () -> Void) {
    let timer = Timer(body)
    loop.scheduleTask(in: TimeAmount.nanoseconds(Int64(clamping: delay.nanoseconds))) {
      guard self.pumped != nil else { return }
      timer.body()
      self.turn()
    }
  }

  /// The closure runs on the loop that it was made on.
  private struct Timer: @unchecked Sendable {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  func wake() {
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard isParked.load(ordering: .relaxed),
      isParked.exchange(false, ordering: .acquiringAndReleasing)
    else { return }
    loop.execute { self.turn() }
  }

  /// Looks once, and keeps the loop looking for a while where it may spin.
  private func turn() {
    guard pumped != nil else { return }
    if spinner.window > .zero {
      spinner.activity()
      _ = poll()
    } else {
      repeat { while poll() {} } while !park()
    }
  }

  // MARK: While the loop spins

  func poll() -> Bool { pumped?.pump() ?? false }

  func park() -> Bool {
    isParked.store(true, ordering: .relaxed)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if pumped?.hasWork ?? false {
      isParked.store(false, ordering: .relaxed)
      return false
    }
    return true
  }

  func unpark() { isParked.store(false, ordering: .relaxed) }
}
