/// What was wrong with a frame. Its bytes come from a peer: whoever catches this closes that
/// connection and goes on.
public struct FrameError: Error, Sendable, BitwiseCopyable {
  public enum Problem: UInt8, Sendable, BitwiseCopyable {
    /// `found` bytes where `expected` are needed.
    case truncated
    /// The frame holds `found` bytes where its contents take `expected`.
    case trailingBytes
    /// The frame of `found` bytes is longer than `expected`, the most that is allowed.
    case tooLong
    /// A buffer of fixed size has `expected` bytes left, the frame takes `found`.
    case noRoom
    /// The field holds `found`, which is above `expected`, the most that is allowed.
    case aboveLimit
    /// The field is negative.
    case negative
    /// The field holds `found` instead of `expected`.
    case mismatch
    /// The field holds `found`, which means nothing.
    case unknownValue
    /// A message of kind `found` may not come this way.
    case notAllowed
  }

  public var problem: Problem
  public var field: StaticString
  public var found: UInt64
  public var expected: UInt64

  public init(_ problem: Problem, _ field: StaticString, found: UInt64, expected: UInt64 = 0) {
    self.problem = problem
    self.field = field
    self.found = found
    self.expected = expected
  }

  @inline(never)
  static func make(
    _ problem: Problem, _ field: StaticString, _ found: some BinaryInteger,
    _ expected: some BinaryInteger
  ) -> FrameError {
    FrameError(
      problem, field, found: UInt64(truncatingIfNeeded: found),
      expected: UInt64(truncatingIfNeeded: expected))
  }

  @inline(never)
  static func make(
    _ problem: Problem, _ field: StaticString, _ found: some BinaryInteger
  ) -> FrameError {
    FrameError(problem, field, found: UInt64(truncatingIfNeeded: found))
  }
}

extension FrameError: Equatable {
  public static func == (a: FrameError, b: FrameError) -> Bool {
    a.problem == b.problem && a.found == b.found && a.expected == b.expected
      && "\(a.field)" == "\(b.field)"
  }
}

extension FrameError: CustomStringConvertible {
  public var description: String {
    switch problem {
    case .truncated:
      "malformed frame: \(field) ends after \(found) bytes, expected \(expected)"
    case .trailingBytes:
      "malformed frame: \(field) takes \(expected) bytes, found \(found)"
    case .tooLong:
      "frame too long: \(field) of \(found) bytes, allowed are \(expected)"
    case .noRoom:
      "no room for a frame: \(field) takes \(found) bytes, left are \(expected)"
    case .aboveLimit:
      "malformed frame: \(field) is \(found), expected at most \(expected)"
    case .negative:
      "malformed frame: \(field) is negative"
    case .mismatch:
      "malformed frame: \(field) is \(found), expected \(expected)"
    case .unknownValue:
      "malformed frame: \(field) is \(found), which has no meaning"
    case .notAllowed:
      "frame refused: \(field) of kind \(found) may not come this way"
    }
  }
}
