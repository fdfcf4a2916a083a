import Glibc

/// A mutex with two conditions. Neither Foundation nor Dispatch offers one that parks without both.
final class Monitor: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let conditions: UnsafeMutablePointer<pthread_cond_t>

  /// What a waiter waits for: each signal wakes the waiters of its own condition.
  enum Condition: Int { case work, done }

  init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
    conditions = .allocate(capacity: 2)
    for i in 0..<2 {
      (conditions + i).initialize(to: pthread_cond_t())
      pthread_cond_init(conditions + i, nil)
    }
  }

  deinit {
    for i in 0..<2 { pthread_cond_destroy(conditions + i) }
    conditions.deallocate()
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }

  /// Only while locked.
  func wait(_ condition: Condition) { pthread_cond_wait(conditions + condition.rawValue, mutex) }
  func wakeAll(_ condition: Condition) { pthread_cond_broadcast(conditions + condition.rawValue) }
}

/// A thread that is joined before its owner goes.
final class WorkerThread: @unchecked Sendable {
  private var thread = pthread_t()

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Nil when the system gives no more threads.
  init?(_ run: @escaping @Sendable () -> Void) {
    let body = Unmanaged.passRetained(Body(run))
    let code = pthread_create(
      &thread, nil,
      { argument in
        // Signals of the program belong to its own threads.
        var all = sigset_t()
        sigfillset(&all)
        for signal in [SIGBUS, SIGSEGV, SIGILL, SIGFPE] { sigdelset(&all, signal) }
        pthread_sigmask(SIG_BLOCK, &all, nil)
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, body.toOpaque())
    if code != 0 {
      body.release()
      return nil
    }
  }

  /// Waits for the end of the thread; called once. A thread that drops its owner itself ends later.
  func join() {
    if pthread_equal(pthread_self(), thread) != 0 {
      pthread_detach(thread)
    } else {
      pthread_join(thread, nil)
    }
  }

  /// Names the calling thread, for profilers and `top -H`; the system takes 15 bytes.
  static func nameOwn(_ name: String) {
    let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    var name = String(name.prefix(15))
    _ = name.withUTF8 { write(file, $0.baseAddress, $0.count) }
    close(file)
  }

  /// Makes the calling thread nicer than it is; on Linux it alone.
  static func lowerOwnPriority(by steps: Int32 = 19) {
    _ = nice(steps)
  }
}

/// Processors that this process may use.
func processorCount() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
