import DequeModule

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Runs the jobs of programs one after another on the simulator's own thread, in the order in which
/// the simulator resumed them. Virtual time stands still while they run.
final class DeterministicExecutor: TaskExecutor, @unchecked Sendable {
  private var jobs: Deque<UnownedJob> = []
  private let thread = pthread_self()

  func enqueue(_ job: consuming ExecutorJob) {
    expectOwnThread()
    jobs.append(UnownedJob(job))
  }

  /// Traps where a program is resumed or cancelled from another thread.
  func expectOwnThread() {
    precondition(
      pthread_equal(thread, pthread_self()) != 0,
      """
      A program resumed from outside its cluster. Inside a simulated program, await only calls of \
      its Session: other tasks, sleeps and callbacks have no place in virtual time.
      """)
  }

  /// Runs until every program waits for the cluster.
  func drain() {
    while let job = jobs.popFirst() {
      job.runSynchronously(on: asUnownedTaskExecutor())
    }
  }
}
