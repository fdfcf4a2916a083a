import Foundation
import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import Testing

/// Clusters that are stopped while their programs run.
@Suite("Stopping a cluster", .timeLimit(.minutes(10)))
struct StopTests {
  private func expectStopped<Value>(
    _ running: Task<Value, any Error>, _ location: SourceLocation = #_sourceLocation
  ) async {
    do {
      _ = try await running.value
      Issue.record("the program has ended", sourceLocation: location)
    } catch RuntimeError.disconnected(let reason) {
      #expect(reason.contains("stopped"), sourceLocation: location)
    } catch {
      Issue.record("the program threw \(error)", sourceLocation: location)
    }
  }

  @Test("Three programs that get, wait and put end, and the stop waits for them")
  func waiting() async throws {
    for round in 0..<100 {
      let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(16 << 20))
      let stuck = cluster.library.program("stuck") { (ray: Session) in
        while !TaskContext.isCancelled { await ray.sleep(.milliseconds(1)) }
        return 0
      }
      let (begun, begin) = AsyncStream<Void>.makeStream()
      let ended = Tally()
      @Sendable func run(
        _ program: @escaping @Sendable (Session) async throws -> Void
      ) -> Task<Void, any Error> {
        Task {
          try await cluster.run { ray in
            defer { ended.add() }
            begin.yield()
            try await program(ray)
          }
        }
      }
      let programs = [
        run { ray in _ = try await ray.get(ray.submit(stuck)) },
        run { ray in while try await ray.wait([ray.submit(stuck)]).rest.isEmpty {} },
        run { ray in
          while true {
            let small = try await ray.put(round)
            let large = try await ray.put(Vector([Double](repeating: 1, count: 20_000)))
            ray.free([small])
            ray.free([large])
          }
        },
      ]
      // In some rounds there are fewer programs than tasks that are to run one.
      var awaited = round % 4
      if awaited > 0 {
        for await _ in begun {
          awaited -= 1
          if awaited == 0 { break }
        }
      }
      await cluster.stop()
      let count = ended.count
      for program in programs { await expectStopped(program) }
      #expect(ended.count == count, "a program went on after the stop")
      #expect(await cluster.status() == nil)
      await expectStopped(Task { try await cluster.run { _ in } })
    }
  }

  @Test("A program that is stopped may still do what it does at its end")
  func orderly() async throws {
    let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(16 << 20))
    let stuck = cluster.library.program("stuck") { (ray: Session) in
      while !TaskContext.isCancelled { await ray.sleep(.milliseconds(1)) }
      return 0
    }
    let (begun, begin) = AsyncStream<Void>.makeStream()
    let running = Task {
      try await cluster.run { ray in
        let task = ray.submit(stuck)
        begin.finish()
        do {
          return try await ray.get(task)
        } catch {
          ray.cancel(task)
          ray.free([task])
          await #expect(throws: RuntimeError.self) { try await ray.get(ray.submit(stuck)) }
          await ray.sleep(.seconds(3600))
          return -1
        }
      }
    }
    for await _ in begun {}
    await cluster.stop()
    #expect(try await running.value == -1)
  }

  @Test(
    "A program may stop its own cluster: it loses it, and the cluster ends with the last program",
    arguments: [false, true])
  func fromWithin(throughTask: Bool) async throws {
    let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(16 << 20))
    let double = cluster.library.remote("double") { (x: Int) in 2 * x }
    let stuck = cluster.library.program("stuck") { (ray: Session) in
      while !TaskContext.isCancelled { await ray.sleep(.milliseconds(1)) }
      return 0
    }
    let (begun, begin) = AsyncStream<Void>.makeStream()
    let other = Task {
      try await cluster.run { ray in
        let task = ray.submit(stuck)
        begin.finish()
        return try await ray.get(task)
      }
    }
    for await _ in begun {}
    let own = Task {
      try await cluster.run { ray in
        if throughTask { await Task { await cluster.stop() }.value } else { await cluster.stop() }
        return try await ray.get(ray.submit(double, .value(1)))
      }
    }
    await expectStopped(own)
    await expectStopped(other)
    #expect(await cluster.status() == nil)
    // Nothing is left to be done.
    await cluster.stop()
  }

  @Test("A function that heeds being asked to stop does not hold the stop up")
  func askedFunctions() async throws {
    for _ in 0..<20 {
      let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(16 << 20))
      let (begun, begin) = AsyncStream<Void>.makeStream()
      let spin = cluster.library.remote("spin") { (x: Int) -> Int in
        begin.finish()
        while !TaskContext.isCancelled {}
        return x
      }
      let running = Task {
        try await cluster.run { ray in try await ray.get(ray.submit(spin, .value(1))) }
      }
      for await _ in begun {}
      await cluster.stop()
      await expectStopped(running)
    }
  }

  @Test("A program on a node elsewhere ends when its cluster is stopped, from within or without")
  func remote() async throws {
    try await SocketNodes.with(1) { nodes in
      let held = nodes.functions.held
      let sum = nodes.functions.sum
      for round in 0..<20 {
        let cluster = try await Cluster.connect(
          to: nodes.nodes[0].endpoint, library: nodes.functions.library)
        var programs: [Task<Int, any Error>] = []
        for i in 0..<3 {
          let (begun, begin) = AsyncStream<Void>.makeStream()
          programs.append(
            Task {
              try await cluster.run { ray in
                let task = ray.submit(held, .value(i))
                begin.finish()
                if round % 2 == 0 && i == 2 { await cluster.stop() }
                return try await ray.get(task)
              }
            })
          for await _ in begun {}
        }
        await cluster.stop()
        for program in programs { await expectStopped(program) }
      }
      nodes.functions.gate.open()
      let total = try await nodes.run(on: 0) { ray in
        try await ray.get(ray.submit(sum, .value([1, 2, 3] as [Int64])))
      }
      #expect(total == 6)
    }
  }

  @Test("A caller that is cancelled ends its program on a node elsewhere, and others can follow")
  func remoteCaller() async throws {
    try await SocketNodes.with(1) { nodes in
      let held = nodes.functions.held
      let sum = nodes.functions.sum
      let cluster = try await Cluster.connect(
        to: nodes.nodes[0].endpoint, library: nodes.functions.library)
      for round in 0..<100 {
        let (begun, begin) = AsyncStream<Void>.makeStream()
        let running = Task {
          try await cluster.run { ray in
            let task = ray.submit(held, .value(round))
            begin.finish()
            return try await ray.get(task)
          }
        }
        for await _ in begun {}
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
      }
      nodes.functions.gate.open()
      let total = try await cluster.run { ray in
        try await ray.get(ray.submit(sum, .value([1, 2, 3] as [Int64])))
      }
      #expect(total == 6)
      await cluster.stop()
    }
  }
}
