import Glibc
import Primitives

/// Work of the real world that has a length and no content.
public enum ModelledWork {
  /// A timer overshoots by about 80 µs: this long before the end the thread spins.
  private static let spinning: UInt64 = 200_000

  /// Blocks the thread for `span`. Most of it is slept, so that a machine may stand for one with
  /// more processors.
  public static func spend(_ span: TimeSpan) {
    spend(until: MonotonicClock.now + span)
  }

  /// Blocks the thread until `moment`, which may have passed.
  public static func spend(until moment: Instant) {
    let end = moment.nanoseconds
    if end > MonotonicClock.nanoseconds + 2 * spinning {
      let wake = end - spinning
      var time = timespec()
      time.tv_sec = Int(wake / 1_000_000_000)
      time.tv_nsec = Int(wake % 1_000_000_000)
      while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
    }
    while MonotonicClock.nanoseconds < end {}
  }
}
