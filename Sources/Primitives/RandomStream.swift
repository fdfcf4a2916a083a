/// A seeded generator, xoshiro256** by D. Blackman and S. Vigna (https://prng.di.unimi.it). It is
/// part of the state of whoever draws from it, so a run is a function of its seed.
@frozen
public struct RandomStream: RandomNumberGenerator, Sendable, BitwiseCopyable {
  @usableFromInline var s0: UInt64
  @usableFromInline var s1: UInt64
  @usableFromInline var s2: UInt64
  @usableFromInline var s3: UInt64

  /// The stream `stream` of a run seeded with `seed`: streams of one seed are independent.
  @inlinable public init(seed: UInt64, stream: UInt64) {
    var x = mix64(seed) ^ mix64(stream &* 0x9E37_79B9_7F4A_7C15 &+ 0x2545_F491_4F6C_DD1D)
    func next() -> UInt64 {
      x = x &+ 0x9E37_79B9_7F4A_7C15
      return mix64(x)
    }
    s0 = next()
    s1 = next()
    s2 = next()
    s3 = next()
  }

  @inlinable public mutating func next() -> UInt64 {
    let product = s1 &* 5
    let result = ((product << 7) | (product >> 57)) &* 9
    let t = s1 << 17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = (s3 << 45) | (s3 >> 19)
    return result
  }

  /// Uniform in `0 ..< bound`, without bias (Lemire, "Fast random integer generation", 2019).
  @inlinable public mutating func below(_ bound: UInt64) -> UInt64 {
    precondition(bound > 0, "a draw below \(bound) is empty")
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      let threshold = (0 &- bound) % bound
      while product.low < threshold { product = next().multipliedFullWidth(by: bound) }
    }
    return product.high
  }

  /// Uniform in the half-open interval from 0 to 1, in steps of 2⁻⁵³.
  @inlinable public mutating func unit() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// True with the given probability.
  @inlinable public mutating func chance(_ ratio: Ratio) -> Bool {
    below(ratio.denominator) < ratio.numerator
  }
}
