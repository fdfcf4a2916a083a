import Glibc
import Primitives

/// The real world's time: the machine's monotonic clock.
public enum MonotonicClock {
  @inline(__always)
  public static var nanoseconds: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  public static var now: Instant { Instant(nanoseconds: nanoseconds) }
}
