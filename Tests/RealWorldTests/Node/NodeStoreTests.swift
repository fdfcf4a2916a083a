import Primitives
import RuntimeCore
import Testing

@testable import RealWorld

@Suite("The store of a real node under pressure", .timeLimit(.minutes(10)))
struct NodeStoreTests {
  private static let mebibyte = 1 << 20

  @Test("A result larger than the store is an error, and so is a put; the node goes on")
  func tooLarge() async throws {
    let node = try TestNode(store: 32 << 20)
    try await node.run { client in
      for size in [40 << 20, 200 << 20] {
        let object = client.make([Pattern(count: size, seed: 1)], function: node.make)
        #expect(await client.get(object) == .storeFull)
        let checked = client.check(
          [object], [Pattern(count: size, seed: 1)], function: node.check)
        #expect(await client.get(checked) == .storeFull)
        client.free(object)
        await #expect(throws: StoreIsFull.self) {
          _ = try await client.put(Pattern(count: size, seed: 1))
        }
      }
      let pattern = Pattern(count: 20 << 20, seed: 2)
      let object = client.make([pattern], function: node.make)
      #expect(await client.get(object) == .value)
      #expect(pattern.matches(client.bytes(object)))
    }
  }

  @Test("Fifty objects in a store for eight, some of them being read: every one comes back whole")
  func pressure() async throws {
    let node = try TestNode(store: 32 << 20)
    try await node.run { client in
      let patterns = (0..<50).map { Pattern(count: 4 * Self.mebibyte, seed: UInt64($0)) }
      var objects: [ObjectHandle] = []
      var readers: [AnyObject] = []
      for (number, pattern) in patterns.enumerated() {
        let object =
          number % 2 == 0
          ? try await client.put(pattern) : client.make([pattern], function: node.make)
        objects.append(object)
        if number < 3 {
          #expect(await client.get(object) == .value)
          readers.append(try #require(client.owner(object)))
        }
      }
      for (object, pattern) in zip(objects, patterns) {
        let checked = client.check([object], [pattern], function: node.check)
        #expect(await client.get(checked) == .value, "\(pattern.seed): \(client.text(checked))")
      }
      for number in 0..<3 {
        #expect(patterns[number].matches(client.bytes(objects[number])))
      }
      withExtendedLifetime(readers) {}
    }
  }

  @Test("A value read in place stays whole after it is freed, and its room returns with the reader")
  func loans() async throws {
    let node = try TestNode(store: 32 << 20)
    try await node.run { client in
      // Far more in turn than the segment could hold at once.
      for round in 0..<40 {
        let pattern = Pattern(count: 8 * Self.mebibyte, seed: UInt64(round))
        let object =
          round % 2 == 0
          ? client.make([pattern], function: node.make) : try await client.put(pattern)
        #expect(await client.get(object) == .value, "round \(round)")
        let reader = try #require(client.owner(object), "round \(round)")
        let bytes = client.bytes(object)
        client.free(object)
        for seed in 0..<3 {
          let other = Pattern(count: 8 * Self.mebibyte, seed: UInt64(1000 + seed))
          let busy = client.make([other], function: node.make)
          #expect(await client.get(busy) == .value, "round \(round)")
          #expect(other.matches(client.bytes(busy)), "round \(round)")
          client.free(busy)
        }
        #expect(pattern.matches(bytes), "round \(round)")
        withExtendedLifetime(reader) {}
      }
    }
  }
}
