import Primitives
import RuntimeCore
import Testing

@testable import RealWorld

@Suite("Futures that a program gives up", .timeLimit(.minutes(10)))
struct FreedEarlyTests {
  @Test("A result that comes after its future was freed is not taken for another task's")
  func freedBeforeItCame() async throws {
    let node = try TestNode(cpus: 2)
    try await node.run { client in
      for round in 0..<300 {
        let given = client.make([Pattern(count: 40, seed: UInt64(round))], function: node.make)
        client.free(given)
        // Its value is on its way; the places of both in the table are used again and again.
        let patterns = (0..<3).map { Pattern(count: 24, seed: UInt64(1000 + 3 * round + $0)) }
        let objects = patterns.map { client.make([$0], function: node.make) }
        for (object, pattern) in zip(objects, patterns) {
          #expect(await client.get(object) == .value)
          #expect(pattern.matches(client.bytes(object)), "round \(round)")
          client.free(object)
        }
        client.flushFreed()
      }
    }
  }
}
