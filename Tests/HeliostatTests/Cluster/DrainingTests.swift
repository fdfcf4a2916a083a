import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import Testing

/// Nodes that leave in good order.
@Suite(.serialized) struct DrainingTests {
  @Test("a node drains in the midst of tasks: every result arrives, and its objects stay to be had")
  func drain() async throws {
    try await SocketNodes.with(3) { cluster async throws in
      let functions = cluster.functions
      let hasLeft = Tally()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          try await cluster.run(on: 0) { session in
            // Only node 1 has these; no copy is asked for before it has gone.
            let large = (0..<8).map { _ in
              session.submit(functions.make.at(1, session), .value(20_000))
            }
            let small = (0..<100).map { _ in
              session.submit(functions.make.at(1, session), .value(1))
            }
            let made = try await session.wait(
              large + small, count: large.count + small.count, fetch: false)
            #expect(made.ready.count == large.count + small.count)
            let slow = (0..<300).map { session.submit(functions.slow, .value($0)) }
            #expect(try await session.get(slow) == Array(0..<300))
            while hasLeft.count == 0 { await session.sleep(.milliseconds(1)) }
            let later = (0..<10).map { session.submit(functions.slow, .value($0)) }
            #expect(try await session.get(later) == Array(0..<10))
            let sum = session.submit(functions.sum.at(2, session), .ref(large[0]))
            #expect(try await session.get(sum) == 199_990_000)
            for value in try await session.get(large) { #expect(value.count == 20_000) }
            for value in try await session.get(small) { #expect(value == [0]) }
          }
        }
        while functions.slowCount.count < 60 { await Task.yield() }
        let left = await cluster.nodes[1].drain(grace: .seconds(60))
        #expect(left == NodeProcess.Leftovers())
        await cluster.nodes[1].stop()
        hasLeft.add()
        try await group.waitForAll()
      }
      #expect(cluster.log.all.count { $0 == "info: node 1 has left" } == 2)
      #expect(!cluster.log.all.contains { $0.contains("lost") })
    }
  }

  @Test("all nodes but the head drain at the same moment")
  func together() async throws {
    try await SocketNodes.with(4) { cluster async throws in
      let functions = cluster.functions
      let nodes = cluster.nodes
      try await cluster.run(on: 0) { session in
        let values = (1...3).map { session.submit(functions.make.at($0, session), .value(20_000)) }
        _ = try await session.wait(values, count: 3, fetch: false)
        await withTaskGroup(of: NodeProcess.Leftovers.self) { group in
          for node in nodes.dropFirst() { group.addTask { await node.drain(grace: .seconds(60)) } }
          for await left in group { #expect(left.isEmpty, "\(left)") }
        }
        for value in try await session.get(values) { #expect(value.count == 20_000) }
      }
    }
  }

  @Test("what runs longer than the grace is counted, and the node goes all the same")
  func graceOver() async throws {
    try await SocketNodes.with(2) { cluster async throws in
      let functions = cluster.functions
      let nodes = cluster.nodes
      try await cluster.run(on: 0) { session in
        let held = session.submit(functions.held.at(1, session), .value(1))
        while functions.gate.entered == 0 { await session.sleep(.milliseconds(1)) }
        let left = await nodes[1].drain(grace: .milliseconds(50))
        #expect(left == NodeProcess.Leftovers(tasks: 1))
        await #expect(throws: RuntimeError.nodeDied) { _ = try await session.get(held) }
        functions.gate.open()
      }
    }
  }

  @Test("a node goes with a program connected: what the program had on other nodes goes too")
  func programStays() async throws {
    try await SocketNodes.with(3) { cluster async throws in
      let functions = cluster.functions
      let nodes = cluster.nodes
      let isOver = Gate()
      async let program: Void = cluster.run(on: 2) { session in
        _ = try await session.get(session.submit(functions.make.at(1, session), .value(20_000)))
        _ = try await session.get(session.submit(functions.make.at(0, session), .value(20_000)))
        for number in 0..<3 { _ = session.submit(functions.held.at(1, session), .value(number)) }
        while functions.gate.entered == 0 { await session.sleep(.milliseconds(1)) }
        let left = await nodes[2].drain(grace: .milliseconds(50))
        #expect(left.programs == 1)
        await nodes[2].stop()
        isOver.enter()
      }
      while functions.gate.entered == 0 { await Task.yield() }
      for node in nodes.prefix(2) {
        // What runs is not waited for, and counts as long as it runs.
        while let status = try? await node.status(),
          status.tasks - status.queued > 1 || status.queued > 0 || status.objects > 0
            || status.values > 0
        {
          await Task.yield()
        }
      }
      functions.gate.open()
      for node in nodes.prefix(2) {
        while let status = try? await node.status(), !status.isEmpty { await Task.yield() }
      }
      #expect(functions.gate.entered == 1)
      isOver.open()
      try await program
    }
  }

  @Test("the head drains: programs end first, then every node is told to end")
  func head() async throws {
    try await SocketNodes.with(3) { cluster async throws in
      let functions = cluster.functions
      let nodes = cluster.nodes
      async let results = cluster.run(on: 1) { session in
        try await session.get((0..<200).map { session.submit(functions.slow, .value($0)) })
      }
      while functions.slowCount.count < 10 { await Task.yield() }
      let left = await nodes[0].drain(grace: .seconds(60))
      #expect(left.isEmpty)
      #expect(try await results == Array(0..<200))
      for node in nodes.dropFirst() { #expect(try await node.ended.get().isOrderly) }
      await #expect(throws: TransportError.self) { _ = try await cluster.run(on: 0) { _ in } }
    }
  }
}
