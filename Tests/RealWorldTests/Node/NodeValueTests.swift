import Primitives
import RuntimeCore
import Testing

@testable import RealWorld

@Suite("Values on a real node", .timeLimit(.minutes(10)))
struct NodeValueTests {
  /// Around every border between forms: in the record, in a block, asked for, in the segment.
  static let sizes = [
    0, 1, 16, 17, 4 << 10, (4 << 10) + 1, 63 << 10, (64 << 10) - 1, 64 << 10, (64 << 10) + 1,
    5 << 20,
  ]

  @Test("A result of any size comes back whole and serves as an argument", arguments: sizes)
  func results(size: Int) async throws {
    let node = try TestNode()
    try await node.run { client in
      let pattern = Pattern(count: size, seed: 7)
      let object = client.make([pattern], function: node.make)
      #expect(await client.get(object) == .value)
      #expect(pattern.matches(client.bytes(object)))
      let checked = client.check([object, object], [pattern, pattern], function: node.check)
      #expect(await client.get(checked) == .value, "\(client.text(checked))")
      #expect(client.bytes(checked).loadUnaligned(as: UInt64.self) == 2)
    }
  }

  @Test("A value that was put comes back whole and serves as an argument", arguments: sizes)
  func puts(size: Int) async throws {
    let node = try TestNode()
    try await node.run { client in
      let pattern = Pattern(count: size, seed: 8)
      let object = try await client.put(pattern)
      let checked = client.check([object], [pattern], function: node.check)
      #expect(await client.get(checked) == .value, "\(client.text(checked))")
      #expect(await client.get(object) == .value)
      #expect(pattern.matches(client.bytes(object)))
    }
  }

  @Test("Several results of one task keep their own sizes")
  func severalResults() async throws {
    let node = try TestNode()
    try await node.run { client in
      let patterns = Self.sizes.enumerated().map { Pattern(count: $1, seed: UInt64($0)) }
      let first = client.make(patterns, function: node.make)
      let objects = patterns.indices.map {
        ObjectHandle(producer: first.producer, index: Int32($0))
      }
      let checked = client.check(objects, patterns, function: node.check)
      #expect(await client.get(checked) == .value, "\(client.text(checked))")
      for (object, pattern) in zip(objects, patterns) {
        #expect(await client.get(object) == .value)
        #expect(pattern.matches(client.bytes(object)), "\(pattern.count) bytes")
      }
    }
  }

  @Test("What a task throws reaches all that need its result, with its text")
  func errorText() async throws {
    let node = try TestNode()
    try await node.run { client in
      let failed = client.call(node.fail, Array("no such luck".utf8))
      let pattern = Pattern(count: 20, seed: 1)
      let near = client.check([failed], [pattern], function: node.check)
      let far = client.check([near], [pattern], function: node.check)
      for object in [failed, near, far] {
        #expect(await client.get(object) == .taskFailed)
        #expect(client.text(object) == "fail: no such luck")
      }
      // A failure is nobody else's.
      #expect(await client.get(client.make([pattern], function: node.make)) == .value)
    }
  }
}
