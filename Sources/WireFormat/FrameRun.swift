/// Whole frames one behind the other, as they came: hands them out one by one, where they lie.
public struct FrameRun: BitwiseCopyable {
  private var rest: UnsafeRawBufferPointer

  public init(_ frames: UnsafeRawBufferPointer) { rest = frames }

  /// The next frame; nil at the end.
  ///
  /// - Throws: `FrameError` when what is left is no whole frame.
  @inline(__always)
  public mutating func next() throws(FrameError) -> UnsafeRawBufferPointer? {
    guard let base = rest.baseAddress, rest.count > 0 else { return nil }
    guard let length = try FrameHeader.frameLength(in: rest, limit: rest.count) else {
      throw FrameError(
        .truncated, "frame", found: UInt64(rest.count), expected: UInt64(FrameHeader.byteCount))
    }
    rest = UnsafeRawBufferPointer(start: base + length, count: rest.count - length)
    return UnsafeRawBufferPointer(start: base, count: length)
  }
}
