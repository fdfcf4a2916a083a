import Primitives
import RealModule

extension RandomStream {
  /// Standard normal (G. Box and M. Muller, "A note on the generation of random normal deviates",
  /// 1958); the second of the pair is thrown away to keep the stream's state plain.
  mutating func normal() -> Double {
    let radius = (-2 * Double.log(1 - unit())).squareRoot()
    return radius * Double.cos(2 * Double.pi * unit())
  }
}

/// What a random stream of a learning program is for: the high half of its stream number, so that
/// streams of different purposes never meet.
enum StreamPurpose: UInt64, Sendable {
  case initialParameters = 1
  case noise, episode, evaluation, worker, shuffle, modelledTime

  func stream(seed: UInt64, _ number: Int) -> RandomStream {
    RandomStream(seed: seed, stream: rawValue << 48 | UInt64(number))
  }
}

/// Gradient steps with a size of their own per parameter (D. Kingma and J. Ba, "Adam: a method for
/// stochastic optimization", 2015, algorithm 1).
struct Adam: Sendable, Equatable {
  static let firstDecay = 0.9
  static let secondDecay = 0.999
  static let epsilon = 1e-8

  private var first: [Double]
  private var second: [Double]
  private var firstPower = 1.0
  private var secondPower = 1.0

  init(count: Int) {
    first = [Double](repeating: 0, count: count)
    second = first
  }

  /// Moves `parameters` against `gradient` by about `rate` each.
  mutating func descend(_ parameters: inout [Double], _ gradient: [Double], rate: Double) {
    firstPower *= Self.firstDecay
    secondPower *= Self.secondDecay
    let firstScale = 1 / (1 - firstPower)
    let secondScale = 1 / (1 - secondPower)
    for i in parameters.indices {
      let g = gradient[i]
      first[i] = Self.firstDecay * first[i] + (1 - Self.firstDecay) * g
      second[i] = Self.secondDecay * second[i] + (1 - Self.secondDecay) * g * g
      parameters[i] -=
        rate * first[i] * firstScale / ((second[i] * secondScale).squareRoot() + Self.epsilon)
    }
  }
}

/// A hash over every policy of a run, in their order: two runs, or two worlds, that made the same
/// policies bit by bit have the same one.
struct PolicyFingerprint: Sendable, Equatable {
  private var state: UInt64 = 0

  mutating func fold(_ parameters: [Double]) {
    for number in parameters { state = mix64(state ^ number.bitPattern &+ 0x9E37_79B9_7F4A_7C15) }
  }

  /// 32 bits, so that it is exact as a measure.
  var value: UInt32 { UInt32(truncatingIfNeeded: state ^ (state >> 32)) }
}
