import RuntimeCore
import Synchronization

/// What other threads have for a client; the program's own thread takes it.
final class ClientNews: Sendable {
  private struct Waiting: Sendable {
    var givenUp: [TimerToken] = []
    var fetches: [FetchWait] = []
    var end: String?
  }

  /// Somebody who waits for the bytes of an object.
  struct FetchWait: Sendable {
    var object: UInt64
    var ticket: UInt64
  }

  private let waiting = Mutex(Waiting())
  private let hasAny = Atomic<Bool>(false)

  var isEmpty: Bool { !hasAny.load(ordering: .relaxed) }

  /// Who waits for this request does so no longer.
  func giveUp(_ request: TimerToken) {
    waiting.withLock { $0.givenUp.append(request) }
    hasAny.store(true, ordering: .releasing)
  }

  func giveUp(_ fetch: FetchWait) {
    waiting.withLock { $0.fetches.append(fetch) }
    hasAny.store(true, ordering: .releasing)
  }

  /// The program's cluster goes.
  func end(_ reason: String) {
    waiting.withLock { $0.end = reason }
    hasAny.store(true, ordering: .releasing)
  }

  func take() -> (givenUp: [TimerToken], fetches: [FetchWait], end: String?) {
    guard hasAny.exchange(false, ordering: .acquiringAndReleasing) else { return ([], [], nil) }
    return waiting.withLock { waiting in
      defer { waiting = Waiting() }
      return (waiting.givenUp, waiting.fetches, waiting.end)
    }
  }
}

extension Client {
  /// Lets go of the program: whoever waits for the node need not. From any thread, as long as the
  /// host is there.
  func end(_ reason: String) {
    news.end(reason)
    host.wake()
  }

  /// Heeds what other threads have brought.
  ///
  /// A request that was given up ends like one whose time limit has passed, so that the driver, the
  /// node and a recording know nothing of a further way to end.
  func heedNews() {
    let (givenUp, fetches, end) = news.take()
    if let end { disconnected(end) }
    // A program that is itself a task is asked to stop, and its waiting goes on.
    if RunningTask.isCancelled { return }
    for request in givenUp where isAwaited(request) { core.pointee.timerFired(request) }
    for fetch in fetches { endFetch(fetch) }
    deliverEvents()
  }
}
