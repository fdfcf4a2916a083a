import DequeModule
import Glibc
import Primitives
import Synchronization

/// What a `PumpThread` does between the jobs of its programs.
protocol Pump: AnyObject, Sendable {
  /// Handles everything that has arrived; true when there was anything.
  func pump() -> Bool
  /// Whether `pump` would find something.
  var hasWork: Bool { get }
}

/// What everything of a node happens on: a thread of its own, or an event loop.
protocol ShellHost: AnyObject, Sendable {
  /// Calls `body` there after `delay`. Only from there.
  func schedule(after delay: TimeSpan, _ body: @escaping () -> Void)
  /// Something was brought from another thread.
  func wake()
}

/// A thread that runs the jobs of `async` programs and pumps: everything that belongs to its programs
/// happens on this one thread, so none of it needs a lock.
///
/// Without work it looks again for `spin`, giving the processor away each time, and then parks.
public final class PumpThread: TaskExecutor, ShellHost, @unchecked Sendable {
  public let parker: Parker
  /// How long it looks for work before it parks.
  let spin: TimeSpan
  private let name: String
  private var thread: WorkerThread?
  /// Zero until the thread runs.
  private let identity = Atomic<UInt>(0)
  private var jobs: Deque<UnownedJob> = []
  private let incoming = Mutex<[UnownedJob]>([])
  private let hasIncoming = Atomic<Bool>(false)
  private let isStopping = Atomic<Bool>(false)
  private var timers = TimerHeap()

  /// Where others want the processor, one look may take as long as the whole spin: whoever brings the
  /// work had no time yet.
  private static let leastLooks = 64

  init(name: String, spin: TimeSpan, parker: Parker = Parker()) {
    self.name = name
    self.spin = spin
    self.parker = parker
  }

  /// Starts the thread; `pumped` must outlive it.
  func start(_ pumped: any Pump) throws(ThreadError) {
    guard
      let thread = WorkerThread({ [self] in
        identity.store(UInt(pthread_self()), ordering: .relaxed)
        WorkerThread.nameOwn(name)
        run(pumped)
      })
    else { throw ThreadError(name: name) }
    self.thread = thread
  }

  /// Ends the thread when its present job returns, and waits for that.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    parker.wake()
    thread?.join()
    thread = nil
  }

  /// Calls `body` on this thread after `delay`. Only from this thread.
  func schedule(after delay: TimeSpan, _ body: @escaping () -> Void) {
    timers.add(at: MonotonicClock.nanoseconds + delay.nanoseconds, body)
  }

  func wake() { parker.wake() }

  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if identity.load(ordering: .relaxed) == UInt(pthread_self()) {
      jobs.append(job)
      return
    }
    incoming.withLock { $0.append(job) }
    hasIncoming.store(true, ordering: .releasing)
    parker.wake()
  }

  private func run(_ pumped: any Pump) {
    var idleSince: UInt64 = 0
    var looks = 0
    while !isStopping.load(ordering: .relaxed) {
      var worked = false
      if hasIncoming.load(ordering: .acquiring) {
        hasIncoming.store(false, ordering: .relaxed)
        incoming.withLock {
          jobs.append(contentsOf: $0)
          $0.removeAll(keepingCapacity: true)
        }
      }
      while let job = jobs.popFirst() {
        job.runSynchronously(on: asUnownedTaskExecutor())
        worked = true
      }
      if pumped.pump() { worked = true }
      if !timers.isEmpty {
        let now = MonotonicClock.nanoseconds
        while let due = timers.takeDue(at: now) {
          due()
          worked = true
        }
      }
      if worked {
        idleSince = 0
        looks = 0
        continue
      }
      let now = MonotonicClock.nanoseconds
      if idleSince == 0 { idleSince = now }
      looks += 1
      if now - idleSince < spin.nanoseconds || spin > .zero && looks < Self.leastLooks {
        sched_yield()
        continue
      }
      parker.park(until: timers.next) {
        hasIncoming.load(ordering: .acquiring) || pumped.hasWork
          || isStopping.load(ordering: .relaxed)
      }
      idleSince = 0
      looks = 0
    }
  }
}

/// The system gave no thread.
public struct ThreadError: Error, CustomStringConvertible {
  let name: String
  public var description: String {
    "no thread for '\(name)': the limit of threads or memory is reached (see ulimit -u)"
  }
}

/// Reminders of one thread, the earliest first. There are few: heartbeats, time limits of `get`.
struct TimerHeap {
  private struct Entry {
    var time: UInt64
    var body: () -> Void
  }

  private var entries: [Entry] = []

  var isEmpty: Bool { entries.isEmpty }
  /// When the first is due, on the monotonic clock in nanoseconds.
  var next: UInt64? { entries.last?.time }

  mutating func add(at time: UInt64, _ body: @escaping () -> Void) {
    // From late to early; among equal times the first added is the last in the array.
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].time > time { low = middle + 1 } else { high = middle }
    }
    entries.insert(Entry(time: time, body: body), at: low)
  }

  /// The next one that is due. The caller calls it: it may add timers.
  mutating func takeDue(at now: UInt64) -> (() -> Void)? {
    guard let last = entries.last, last.time <= now else { return nil }
    entries.removeLast()
    return last.body
  }
}
