import Primitives

extension ResourceVector {
  /// The demand of a call that its program gives up as it submits it: more than any node has, so that the
  /// call never begins.
  public static var refused: Self { Self(lanes: SIMD8(repeating: 200_000 * unitsPerOne)) }
}
