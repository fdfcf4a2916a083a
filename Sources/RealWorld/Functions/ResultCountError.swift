/// A function returned another number of values than its caller asked for.
public struct ResultCountError: Error, Equatable, CustomStringConvertible {
  public let returned: Int
  public let asked: Int

  public init(returned: Int, asked: Int) {
    self.returned = returned
    self.asked = asked
  }

  /// Whether the values are to be kept: a caller that asked for none drops whatever there is.
  ///
  /// - Throws: `ResultCountError` when it asked for another number of them.
  @inlinable public static func check(
    returned: Int, asked: Int
  ) throws(ResultCountError) -> Bool {
    if asked == returned { return true }
    if asked == 0 { return false }
    throw ResultCountError(returned: returned, asked: asked)
  }

  public var description: String {
    "returned \(returned) \(returned == 1 ? "value" : "values"), "
      + "\(asked) \(asked == 1 ? "was" : "were") asked for"
  }
}
