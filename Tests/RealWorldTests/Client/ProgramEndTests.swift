import Primitives
import RuntimeCore
import Testing

@testable import RealWorld

@Suite("Programs on a real node", .timeLimit(.minutes(10)))
struct ProgramEndTests {
  @Test("A thousand programs, each waiting for a task of its own, go through two workers")
  func nested() async throws {
    let node = try TestNode(cpus: 2)
    try await node.run { client in
      let patterns = (0..<1000).map { Pattern(count: 24, seed: UInt64($0)) }
      let objects = patterns.map { client.make([$0], function: node.nest, body: .program) }
      for (object, pattern) in zip(objects, patterns) {
        #expect(await client.get(object) == .value, "\(pattern.seed): \(client.text(object))")
        #expect(pattern.matches(client.bytes(object)))
      }
    }
  }

  @Test("A driver may end with tasks and programs under way; the next one finds the node at work")
  func abandoned() async throws {
    let node = try TestNode(cpus: 2)
    for round in 0..<5 {
      try await node.cluster.run { client in
        for seed in 0..<40 {
          _ = client.make(
            [Pattern(count: 1 << 10, seed: UInt64(seed))],
            function: seed % 4 == 0 ? node.nest : node.make,
            body: seed % 4 == 0 ? .program : .function)
        }
        // One of them was asked for, and its answer comes too late.
        let asked = client.make([Pattern(count: 100 << 10, seed: 1)], function: node.make)
        _ = [asked].withUnsafeBufferPointer { client.request($0, needed: 1, isGet: true) }
      }
      if round == 4 { break }
      let status = try await node.cluster.run { client in
        await client.get(client.make([Pattern(count: 17, seed: 9)], function: node.make))
      }
      #expect(status == .value, "round \(round)")
    }
    let status = try await node.run { client in
      await client.get(client.make([Pattern(count: 17, seed: 9)], function: node.make))
    }
    #expect(status == .value)
  }

  @Test("A driver that throws hands its error on, and the node goes on")
  func throwing() async throws {
    let node = try TestNode()
    await #expect(throws: TestFailure.self) {
      try await node.cluster.run { client in
        _ = client.make([Pattern(count: 17, seed: 9)], function: node.make)
        throw TestFailure(description: "the program gave up")
      }
    }
    let status = try await node.run { client in
      await client.get(client.make([Pattern(count: 17, seed: 9)], function: node.make))
    }
    #expect(status == .value)
  }
}
