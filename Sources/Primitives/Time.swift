/// A length of time in whole nanoseconds; never negative.
///
/// Sums saturate: a sum past the end of representable time (584 years) stays at the end.
@frozen
public struct TimeSpan: Hashable, Comparable, Sendable, BitwiseCopyable, Codable {
  public var nanoseconds: UInt64

  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  @inlinable public static var zero: TimeSpan { TimeSpan(nanoseconds: 0) }
  @inlinable public static func nanoseconds(_ n: UInt64) -> TimeSpan { TimeSpan(nanoseconds: n) }
  @inlinable public static func microseconds(_ n: UInt64) -> TimeSpan {
    TimeSpan(nanoseconds: n * 1_000)
  }
  @inlinable public static func milliseconds(_ n: UInt64) -> TimeSpan {
    TimeSpan(nanoseconds: n * 1_000_000)
  }
  @inlinable public static func seconds(_ n: UInt64) -> TimeSpan {
    TimeSpan(nanoseconds: n * 1_000_000_000)
  }

  /// The nearest whole nanosecond to `seconds`; negative and NaN become zero, too long saturates.
  @inlinable public init(seconds: Double) {
    let ns = (seconds * 1e9).rounded()
    if !(ns > 0) {
      self.nanoseconds = 0
    } else if ns >= 0x1p63 {
      self.nanoseconds = 1 << 63
    } else {
      self.nanoseconds = UInt64(ns)
    }
  }

  @inlinable public var seconds: Double { Double(nanoseconds) * 1e-9 }

  @inlinable public static func < (a: TimeSpan, b: TimeSpan) -> Bool {
    a.nanoseconds < b.nanoseconds
  }
  @inlinable public static func + (a: TimeSpan, b: TimeSpan) -> TimeSpan {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
    return TimeSpan(nanoseconds: overflow ? .max : sum)
  }
  @inlinable public static func += (a: inout TimeSpan, b: TimeSpan) { a = a + b }
  @inlinable public static func * (a: TimeSpan, k: UInt64) -> TimeSpan {
    let (product, overflow) = a.nanoseconds.multipliedReportingOverflow(by: k)
    return TimeSpan(nanoseconds: overflow ? .max : product)
  }
}

/// A moment: nanoseconds since the world began. Virtual in the simulated world.
@frozen
public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var nanoseconds: UInt64

  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  @inlinable public static var zero: Instant { Instant(nanoseconds: 0) }
  /// Later than every event; "no deadline".
  @inlinable public static var never: Instant { Instant(nanoseconds: .max) }

  @inlinable public static func < (a: Instant, b: Instant) -> Bool {
    a.nanoseconds < b.nanoseconds
  }
  @inlinable public static func + (a: Instant, b: TimeSpan) -> Instant {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
    return Instant(nanoseconds: overflow ? .max : sum)
  }
  @inlinable public static func += (a: inout Instant, b: TimeSpan) { a = a + b }

  /// The time from `earlier` to this instant; zero when `earlier` is later.
  @inlinable public func since(_ earlier: Instant) -> TimeSpan {
    nanoseconds > earlier.nanoseconds
      ? TimeSpan(nanoseconds: nanoseconds - earlier.nanoseconds) : .zero
  }

  @inlinable public var seconds: Double { Double(nanoseconds) * 1e-9 }
}

extension TimeSpan: CustomStringConvertible {
  /// A short human form: `350ns`, `57.5us`, `12.3ms`, `1.5s`.
  public var description: String {
    func form(_ divisor: Double, _ unit: String) -> String {
      let value = Double(nanoseconds) / divisor
      let thousandths = (value * 1000).rounded() / 1000
      let text = "\(thousandths)"
      return (text.hasSuffix(".0") ? String(text.dropLast(2)) : text) + unit
    }
    switch nanoseconds {
    case ..<1_000: return "\(nanoseconds)ns"
    case ..<1_000_000: return form(1e3, "us")
    case ..<1_000_000_000: return form(1e6, "ms")
    default: return form(1e9, "s")
    }
  }
}

extension Instant: CustomStringConvertible {
  public var description: String { "@" + TimeSpan(nanoseconds: nanoseconds).description }
}
