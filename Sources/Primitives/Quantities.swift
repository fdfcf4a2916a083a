/// A number of bytes.
@frozen
public struct ByteCount: Hashable, Comparable, Sendable, BitwiseCopyable, Codable {
  public var bytes: UInt64

  @inlinable public init(_ bytes: UInt64) { self.bytes = bytes }

  @inlinable public static var zero: ByteCount { ByteCount(0) }
  @inlinable public static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }
  @inlinable public static func + (a: ByteCount, b: ByteCount) -> ByteCount {
    let (sum, overflow) = a.bytes.addingReportingOverflow(b.bytes)
    return ByteCount(overflow ? .max : sum)
  }
  @inlinable public static func += (a: inout ByteCount, b: ByteCount) { a = a + b }
  @inlinable public static func -= (a: inout ByteCount, b: ByteCount) { a.bytes -= b.bytes }
}

extension ByteCount: CustomStringConvertible {
  /// Decimal units, as networks and the paper count: `512B`, `100KB`, `2.5MB`, `1GB`.
  public var description: String {
    func form(_ divisor: Double, _ unit: String) -> String {
      let value = (Double(bytes) / divisor * 1000).rounded() / 1000
      let text = "\(value)"
      return (text.hasSuffix(".0") ? String(text.dropLast(2)) : text) + unit
    }
    switch bytes {
    case ..<1_000: return "\(bytes)B"
    case ..<1_000_000: return form(1e3, "KB")
    case ..<1_000_000_000: return form(1e6, "MB")
    default: return form(1e9, "GB")
    }
  }
}

/// A transfer rate in bytes per second.
@frozen
public struct Bandwidth: Hashable, Comparable, Sendable, BitwiseCopyable, Codable {
  public var bytesPerSecond: Double

  @inlinable public init(bytesPerSecond: Double) { self.bytesPerSecond = bytesPerSecond }

  @inlinable public static var unlimited: Bandwidth { Bandwidth(bytesPerSecond: .infinity) }
  @inlinable public static func < (a: Bandwidth, b: Bandwidth) -> Bool {
    a.bytesPerSecond < b.bytesPerSecond
  }

  /// How long `size` takes at this rate, rounded up to a whole nanosecond.
  @inlinable public func time(for size: ByteCount) -> TimeSpan {
    if size.bytes == 0 || bytesPerSecond == .infinity { return .zero }
    let ns = (Double(size.bytes) * 1e9 / bytesPerSecond).rounded(.up)
    return TimeSpan(nanoseconds: ns < 0x1p63 ? UInt64(ns) : 1 << 63)
  }
}

/// An exact fraction, for probabilities and shares: decisions never compare floats.
@frozen
public struct Ratio: Hashable, Sendable, BitwiseCopyable {
  public var numerator: UInt64
  public var denominator: UInt64

  @inlinable public init(_ numerator: UInt64, _ denominator: UInt64) {
    precondition(denominator > 0, "a ratio needs a positive denominator, got \(denominator)")
    self.numerator = numerator
    self.denominator = denominator
  }

  @inlinable public static var zero: Ratio { Ratio(0, 1) }
  @inlinable public static var one: Ratio { Ratio(1, 1) }
}
