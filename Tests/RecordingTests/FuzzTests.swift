import Foundation
import Primitives
import RuntimeCore
import Scheduling
import Testing

@testable import Recording

/// Recordings altered at random below right checks. `HELIOSTAT_FUZZ=FROM:COUNT` tries other ones and
/// more of them: a crash is that of the last number shown.
@Suite("recordings altered at random", .timeLimit(.minutes(60)))
struct FuzzTests {
  private static let fuzzers: [RecordingFuzzer] = {
    var cluster = ScriptCluster(nodes: 2)
    cluster.settings.spillover = "QueueThreshold[threshold=1]"
    cluster.settings.parameters.chainLength = 2
    // No bursts: a short recording is altered in more of its places.
    let choices = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]
    return (UInt64(1)...3).compactMap {
      let script = Script(seed: $0, steps: 8, choices: choices)
      return (try? cluster.simulate(script).recording).flatMap { try? RecordingFuzzer($0) }
    }
  }()

  private static let (from, count): (UInt64, UInt64) = {
    let text = ProcessInfo.processInfo.environment["HELIOSTAT_FUZZ"] ?? ""
    let numbers = text.split(separator: ":").compactMap { UInt64($0) }
    return numbers.count == 2 ? (numbers[0], numbers[1]) : (0, 60)
  }()

  @Test("no altered recording crashes a replay or a listing", arguments: 0..<2)
  func altered(part: UInt64) throws {
    try #require(Self.fuzzers.count == 3)
    var (errors, differences, agreeing) = (0, 0, 0)
    for number in (Self.from..<(Self.from + Self.count)) where number % 2 == part {
      if Self.count > 1000 { FileHandle.standardError.write(Data("\(number)\n".utf8)) }
      let bytes = Self.fuzzers[Int(number / 2 % 3)].altered(number)
      for goesOn in [false, true] {
        var replay = Replay()
        replay.goesOn = goesOn
        if number % 8 < 2 { replay.policies.spillover = PolicySpec("AlwaysEscalate") }
        if number % 16 < 4 { replay.transitions = TransitionCollector() }
        do {
          let result = try RecordingTests.replay(bytes, replay)
          if result.difference == nil { agreeing += 1 } else { differences += 1 }
        } catch let error as RecordingError {
          #expect((0...bytes.count).contains(error.offset) && !error.text.isEmpty)
          errors += 1
        }
      }
      _ = try? listing(bytes)
    }
    // Altered badly enough, and not so badly that machines never hear of it.
    if Self.count >= 60 { #expect(errors > 0 && differences > 0 && agreeing > 0) }
  }
}
