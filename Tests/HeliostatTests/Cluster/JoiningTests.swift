import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import Testing

/// Nodes that come, and what others know of them.
@Suite(.serialized) struct JoiningTests {
  @Test("nodes that start at the same moment all know all: objects go between any two")
  func together() async throws {
    for _ in 0..<4 {
      try await SocketNodes.with(5, together: true) { cluster async throws in
        #expect(Set(cluster.nodes.map(\.node.index)) == Set(0..<5))
        let (count, functions) = (cluster.count, cluster.functions)
        for index in 0..<count {
          let sums = try await cluster.run(on: index) { session in
            // Large enough to go from store to store.
            let values = (0..<count).map {
              session.submit(functions.make.at($0, session), .value(20_000))
            }
            var sums: [ObjectRef<Int>] = []
            for value in values {
              for other in 0..<count {
                sums.append(session.submit(functions.sum.at(other, session), .ref(value)))
              }
            }
            return try await session.get(sums)
          }
          #expect(sums == Array(repeating: 199_990_000, count: count * count))
        }
      }
    }
  }

  @Test("programs over sockets that come one after the other take each other's place at the node")
  func programs() async throws {
    try await SocketNodes.with(2) { cluster async throws in
      let functions = cluster.functions
      for _ in 0..<60 {
        let sum = try await cluster.run(on: 1) { session in
          try await session.get(session.submit(functions.sum, .value([Int64](1...3))))
        }
        #expect(sum == 6)
      }
      let status = try await cluster.nodes[1].status()
      // Workers, the head, and programs of which one may still be going when the next one comes.
      #expect(status.peerPlaces <= 16)
    }
  }

  @Test("a program sees all nodes through any node, and a lost one keeps its number")
  func numbers() async throws {
    try await SocketNodes.with(4) { cluster async throws in
      let all = try await cluster.run(on: 0) { session in
        (0..<session.nodeCount).map { session.resources(of: NodeID($0)) }
      }
      #expect(all.count == 4)
      for number in 0..<4 { #expect(all[number].lanes[2 + number] > 0) }
      for index in 1..<4 {
        let seen = try await cluster.run(on: index) { session in
          (0..<session.nodeCount).map { session.resources(of: NodeID($0)) }
        }
        #expect(seen == all)
      }
      await cluster.nodes[1].stop()
      // The others hear of it by the head, in their own time.
      var expected = all
      expected[1] = .zero
      for index in [0, 2, 3] {
        var seen = all
        while seen == all {
          seen = try await cluster.run(on: index) { session in
            (0..<session.nodeCount).map { session.resources(of: NodeID($0)) }
          }
        }
        #expect(seen == expected)
      }
    }
  }
}
