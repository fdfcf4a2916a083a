import Glibc
import Primitives
import Synchronization

/// The tasks that a worker was asked to stop: the node puts them in, the worker looks when it begins one,
/// and the code that runs whenever it likes. A worker process has two: one on its node's side, whose
/// news go over a link (`CancellationWriter`), and one of its own.
final class CancellationInbox: @unchecked Sendable {
  private struct Requests: Sendable {
    /// By handle: whether the task's children are to be reached still.
    var tasks: [UInt32: Bool] = [:]
    var program: Task<Void, Never>?
    var programTask = TaskHandle.none
    /// Since the last `news`, in order.
    var fresh: [Request] = []
  }

  struct Request: Sendable, Equatable {
    var task: TaskHandle
    var isRecursive: Bool
  }

  private let requests = Mutex(Requests())
  private let hasAny = Atomic<Bool>(false)
  private let hasNewsFlag = Atomic<Bool>(false)
  private let wake: @Sendable () -> Void
  /// What the worker runs; the worker's own.
  var current = TaskHandle.none

  private let keepsNews: Bool

  /// - Parameter keepsNews: for somebody who passes the requests on.
  init(keepsNews: Bool = false, wake: @escaping @Sendable () -> Void) {
    self.keepsNews = keepsNews
    self.wake = wake
  }

  // MARK: The node's side

  /// False when that was asked before.
  @discardableResult
  func request(_ task: TaskHandle, isRecursive: Bool) -> Bool {
    let (isNew, program) = requests.withLock { requests in
      let known = requests.tasks[task.index]
      requests.tasks[task.index] = isRecursive || known == true
      if keepsNews { requests.fresh.append(Request(task: task, isRecursive: isRecursive)) }
      hasAny.store(true, ordering: .releasing)
      return (known == nil, requests.programTask == task ? requests.program : nil)
    }
    program?.cancel()
    hasNewsFlag.store(true, ordering: .releasing)
    wake()
    return isNew
  }

  /// The task has ended: its handle may soon be another's. False when nobody had cancelled it.
  func forget(_ task: TaskHandle) -> Bool {
    requests.withLock { requests in
      let isKnown = requests.tasks.removeValue(forKey: task.index) != nil
      if requests.tasks.isEmpty { hasAny.store(false, ordering: .relaxed) }
      return isKnown
    }
  }

  /// The worker has ended, and its tasks with it or elsewhere: what it was asked to stop.
  func takeAll() -> [Request] {
    requests.withLock { requests in
      let all = requests.tasks.sorted { $0.key < $1.key }
      requests.tasks = [:]
      requests.fresh = []
      hasAny.store(false, ordering: .relaxed)
      return all.map { Request(task: TaskHandle($0.key), isRecursive: $0.value) }
    }
  }

  // MARK: The worker's side

  /// What has been asked since the last look, for who passes it on.
  func news() -> [Request] {
    guard hasNewsFlag.exchange(false, ordering: .acquiringAndReleasing) else { return [] }
    return requests.withLock { requests in
      defer { requests.fresh = [] }
      return requests.fresh
    }
  }

  /// Drops the requests for tasks that are not to come any more; costs a look when there are none.
  @inline(__always)
  func forget(where hasEnded: (TaskHandle) -> Bool) {
    guard hasAny.load(ordering: .relaxed) else { return }
    requests.withLock { requests in
      requests.tasks = requests.tasks.filter { !hasEnded(TaskHandle($0.key)) }
      if requests.tasks.isEmpty { hasAny.store(false, ordering: .relaxed) }
    }
  }

  /// Whether a task was asked to stop.
  @inline(__always)
  func concerns(_ task: TaskHandle) -> Bool {
    hasAny.load(ordering: .acquiring) && requests.withLock { $0.tasks[task.index] != nil }
  }

  /// A program runs from now on.
  func begin(_ program: Task<Void, Never>, of task: TaskHandle) {
    let isCancelled = requests.withLock { requests in
      requests.program = program
      requests.programTask = task
      return requests.tasks[task.index] != nil
    }
    if isCancelled { program.cancel() }
  }

  func endProgram() {
    requests.withLock { requests in
      requests.program = nil
      requests.programTask = .none
    }
  }

  var hasNews: Bool { hasNewsFlag.load(ordering: .relaxed) }

  /// Whether what runs has just been cancelled together with what it has submitted.
  func mustReachChildren() -> Bool {
    guard hasNewsFlag.load(ordering: .relaxed) else { return false }
    hasNewsFlag.store(false, ordering: .relaxed)
    return requests.withLock { requests in
      guard requests.tasks[current.index] == true else { return false }
      requests.tasks[current.index] = false
      return true
    }
  }
}

/// The task that runs on this thread, if it is a worker's.
public enum RunningTask {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// Whether it was asked to stop. False on a thread that is no worker's.
  public static var isCancelled: Bool {
    guard let place = pthread_getspecific(key) else { return false }
    let inbox = Unmanaged<CancellationInbox>.fromOpaque(place).takeUnretainedValue()
    return inbox.concerns(inbox.current)
  }

  /// The inbox outlives its thread.
  static func bind(_ inbox: CancellationInbox) {
    pthread_setspecific(key, Unmanaged.passUnretained(inbox).toOpaque())
  }
}
