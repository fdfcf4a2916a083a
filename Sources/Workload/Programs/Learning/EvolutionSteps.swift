import Heliostat
import Primitives

/// What one task of evolution strategies plays: episodes at both ends of some directions.
struct PerturbedRollouts: Codable, RemoteValue {
  var task: ControlTask
  var policy: Network
  var seed: UInt64
  /// Number of the first pair within the run: it names the direction and the episodes.
  var firstPair: Int
  var pairs: Int
  /// Episodes at each end of a direction; both ends begin them alike, so that their difference is
  /// due to the direction (common random numbers).
  var episodes: Int
  /// Standard deviation of the perturbation.
  var sigma: Double

  /// The mean scores at θ + σε and θ − σε for each pair.
  func run(_ parameters: [Double]) throws -> PerturbedScores {
    var result = PerturbedScores(scores: [], steps: 0)
    for pair in firstPair..<firstPair + pairs {
      let noise = direction(seed: seed, pair: pair, count: parameters.count)
      for sign in [sigma, -sigma] {
        let perturbed = parameters.indices.map { parameters[$0] + sign * noise[$0] }
        var random = StreamPurpose.episode.stream(seed: seed, pair)
        var score = 0.0
        for _ in 0..<episodes {
          let played = try EvaluationTask.play(task, policy, perturbed, &random)
          score += played.score
          result.steps += played.steps
        }
        result.scores.append(score / Double(episodes))
      }
    }
    return result
  }
}

/// Scores in the order of pairs, the positive end of each first, and the steps that they took.
struct PerturbedScores: Codable, RemoteValue, Equatable {
  var scores: [Double]
  var steps: Int
}

/// A sum of directions that the seed and their numbers determine.
struct NoiseSum: Sendable, Equatable {
  var seed: UInt64
  var firstPair: Int
  /// One for each pair.
  var weights: [Double]
  /// Parameters of the policy.
  var count: Int

  func run() -> [Double] {
    var sum = [Double](repeating: 0, count: count)
    for (i, weight) in weights.enumerated() where weight != 0 {
      var random = StreamPurpose.noise.stream(seed: seed, firstPair + i)
      for j in sum.indices { sum[j] += weight * random.normal() }
    }
    return sum
  }
}

extension NoiseSum: RemoteValue {
  static var fingerprint: UInt32 { Fingerprint.of(name: "NoiseSum") }
  var encodedByteCount: Int { 24 + weights.encodedByteCount }

  func encode(into writer: inout ValueWriter) {
    writer.write(seed)
    writer.write(firstPair)
    writer.write(count)
    weights.encode(into: &writer)
  }

  static func decode(from reader: inout ValueReader) throws -> NoiseSum {
    let seed = try reader.read(UInt64.self)
    let firstPair = try reader.read(Int.self)
    let count = try reader.read(Int.self)
    return NoiseSum(
      seed: seed, firstPair: firstPair, weights: try [Double].decode(from: &reader), count: count)
  }
}

/// The direction ε of one pair: standard normal in every parameter.
func direction(seed: UInt64, pair: Int, count: Int) -> [Double] {
  var random = StreamPurpose.noise.stream(seed: seed, pair)
  return (0..<count).map { _ in random.normal() }
}

/// Each score's rank, from −½ for the lowest to ½ for the highest: outliers count no more than the
/// next best (Salimans et al. 2017, §2.1). Equal scores share their mean rank, so that scores that
/// do not differ move nothing.
func centredRanks(_ scores: [Double]) -> [Double] {
  if scores.count < 2 { return scores.map { _ in 0 } }
  let order = scores.indices.sorted { (scores[$0], $0) < (scores[$1], $1) }
  var ranks = [Double](repeating: 0, count: scores.count)
  var start = 0
  while start < order.count {
    var end = start + 1
    while end < order.count && scores[order[end]] == scores[order[start]] { end += 1 }
    let rank = Double(start + end - 1) / 2 / Double(scores.count - 1) - 0.5
    for i in order[start..<end] { ranks[i] = rank }
    start = end
  }
  return ranks
}
