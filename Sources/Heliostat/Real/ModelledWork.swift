import Glibc
import Primitives
import RealWorld

/// Work of the real world that has a length and no content.
enum ModelledWork {
  /// A timer overshoots by about 80 µs: this long before the end the thread spins.
  private static let spinning: UInt64 = 200_000

  /// Blocks the thread for `span`. Most of it is slept, so that a machine may stand for one with
  /// more processors.
  static func spend(_ span: TimeSpan) {
    let end = (MonotonicClock.now + span).nanoseconds
    if span.nanoseconds > 2 * spinning {
      let wake = end - spinning
      var time = timespec()
      time.tv_sec = Int(wake / 1_000_000_000)
      time.tv_nsec = Int(wake % 1_000_000_000)
      while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
    }
    while MonotonicClock.nanoseconds < end {}
  }
}
