import Glibc
import Synchronization

/// Where one thread sleeps until others have work for it.
///
/// A wake-up costs some 20 µs and a system call, so the sleeper says that it sleeps, and those who
/// bring work call only then. Both sides order their stores before their loads: either the sleeper
/// sees the work, or the bringer sees the sleeper.
public final class Parker: Sendable {
  private struct Lock: ~Copyable {
    var mutex = pthread_mutex_t()
    var condition = pthread_cond_t()
    var isSignalled = false
  }

  private nonisolated(unsafe) let lock: UnsafeMutablePointer<Lock>
  private nonisolated(unsafe) let isParked: UnsafeMutablePointer<Atomic<Bool>>
  /// A descriptor that wakes the sleeper too when it can be read, and a pipe for `wake`.
  private let watched: (descriptor: Int32, reader: Int32, writer: Int32)?

  public convenience init() { self.init(watched: nil) }

  /// A sleeper who also wakes when `descriptor` can be read.
  ///
  /// - Throws: `ThreadError` when the process has no descriptors left.
  convenience init(watching descriptor: Int32) throws(ThreadError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw ThreadError(name: "pipe of a parker") }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    self.init(watched: (descriptor, ends[0], ends[1]))
  }

  private init(watched: (descriptor: Int32, reader: Int32, writer: Int32)?) {
    self.watched = watched
    lock = .allocate(capacity: 1)
    lock.initialize(to: Lock())
    pthread_mutex_init(&lock.pointee.mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(&lock.pointee.condition, &attributes)
    pthread_condattr_destroy(&attributes)
    isParked = .allocate(capacity: 1)
    isParked.initialize(to: Atomic(false))
  }

  deinit {
    if let watched {
      close(watched.reader)
      close(watched.writer)
    }
    pthread_cond_destroy(&lock.pointee.condition)
    pthread_mutex_destroy(&lock.pointee.mutex)
    lock.deinitialize(count: 1)
    lock.deallocate()
    isParked.deinitialize(count: 1)
    isParked.deallocate()
  }

  /// Sleeps until `wake`, or until the monotonic clock reads `deadline` nanoseconds.
  ///
  /// - Parameter hasWork: asked once more after the sleeper has said that it sleeps.
  public func park(until deadline: UInt64?, unless hasWork: () -> Bool) {
    isParked.pointee.store(true, ordering: .relaxed)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if let watched {
      if !hasWork() { Self.sleep(until: deadline, watched.descriptor, watched.reader) }
    } else if !hasWork() {
      pthread_mutex_lock(&lock.pointee.mutex)
      while !lock.pointee.isSignalled {
        guard let deadline else {
          pthread_cond_wait(&lock.pointee.condition, &lock.pointee.mutex)
          continue
        }
        var time = timespec(
          tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        let code = pthread_cond_timedwait(&lock.pointee.condition, &lock.pointee.mutex, &time)
        if code == ETIMEDOUT { break }
      }
      lock.pointee.isSignalled = false
      pthread_mutex_unlock(&lock.pointee.mutex)
    }
    isParked.pointee.store(false, ordering: .relaxed)
  }

  /// Wakes the sleeper, if there is one. Call it after the work has been published.
  public func wake() {
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if isParked.pointee.load(ordering: .relaxed) { wakeSleeper() }
  }

  private static func sleep(until deadline: UInt64?, _ descriptor: Int32, _ reader: Int32) {
    var limit: Int32 = -1
    if let deadline {
      let now = MonotonicClock.nanoseconds
      // Rounded up: a timer is not looked for before it is due.
      limit = deadline > now ? Int32(clamping: (deadline - now + 999_999) / 1_000_000) : 0
    }
    var polled = [
      pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: reader, events: Int16(POLLIN), revents: 0),
    ]
    guard poll(&polled, 2, limit) > 0, polled[1].revents != 0 else { return }
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { bytes in
      while read(reader, bytes.baseAddress!, bytes.count) > 0 {}
    }
  }

  private func wakeSleeper() {
    if let watched {
      var byte: UInt8 = 1
      // A full pipe wakes as well.
      _ = write(watched.writer, &byte, 1)
      return
    }
    pthread_mutex_lock(&lock.pointee.mutex)
    let isFirst = !lock.pointee.isSignalled
    lock.pointee.isSignalled = true
    pthread_mutex_unlock(&lock.pointee.mutex)
    if isFirst { pthread_cond_signal(&lock.pointee.condition) }
  }
}
