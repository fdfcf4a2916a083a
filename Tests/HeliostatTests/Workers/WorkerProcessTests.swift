import Foundation
import Heliostat
import Primitives
import RealWorld
import Testing
import WorkerFixture

@Suite("Workers as processes", .serialized, .timeLimit(.minutes(10)))
struct WorkerProcessTests {
  @Test("Tasks run in processes of their own, with arguments by value and by future")
  func tasks() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    try await node.run { ray async throws in
      let squares = (0..<500).map { ray.submit(functions.square, .value($0)) }
      #expect(try await ray.get(squares) == (0..<500).map { $0 * $0 })
      let chained = ray.submit(functions.square, .ref(ray.submit(functions.square, .value(3))))
      #expect(try await ray.get(chained) == 81)
      let process = try await ray.get(ray.submit(functions.process))
      #expect(process != Int(getpid()))
    }
    #expect(node.log.all.isEmpty)
  }

  @Test(
    "Values of every size go both ways",
    arguments: [0, 1, 2, 100, 5_000, 8_190, 8_191, 8_192, 8_193, 300_000])
  func sizes(_ count: Int) async throws {
    let node = try ProcessCluster(cpus: 1)
    let functions = node.functions
    try await node.run { ray async throws in
      let made = ray.submit(functions.count, .value(count))
      let total = ray.submit(functions.sum, .ref(made))
      #expect(try await ray.get(made) == Vector((0..<count).map(Double.init)))
      #expect(try await ray.get(total) == Double(count) * Double(count - 1) / 2)
      let put = try await ray.put(Vector((0..<count).map(Double.init)))
      let sum = try await ray.get(ray.submit(functions.sum, .ref(put)))
      #expect(sum == Double(count) * Double(count - 1) / 2)
      let parts = ray.submit(functions.split, returns: 3, .value(count))
      for (part, ref) in parts.enumerated() {
        #expect(try await ray.get(ref) == [Double](repeating: Double(part), count: count))
      }
    }
  }

  @Test("A result larger than the store is a typed error, and the worker goes on")
  func tooLarge() async throws {
    let node = try ProcessCluster(cpus: 1, store: 4 << 20)
    let functions = node.functions
    try await node.run { ray async throws in
      await #expect(throws: RuntimeError.objectStoreFull) {
        let options = TaskOptions(outputSize: ByteCount(100 << 20))
        try await ray.get(ray.submit(functions.model, options: options))
      }
      #expect(try await ray.get(ray.submit(functions.square, .value(5))) == 25)
    }
  }

  @Test("A thrown error and a modelled task come through as from a thread")
  func errorsAndModels() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    try await node.run { ray async throws in
      await #expect(throws: RuntimeError.taskFailed("fail: too bad")) {
        try await ray.get(ray.submit(functions.fail, .value("too bad")))
      }
      let begin = ray.now
      let options = TaskOptions(duration: .milliseconds(20), outputSize: ByteCount(100 << 10))
      try await ray.get(ray.submit(functions.model, options: options))
      #expect(ray.now.since(begin) >= .milliseconds(20))
    }
  }

  @Test("A wrong number of results fails the call, and its worker goes on")
  func numberOfResults() async throws {
    let node = try ProcessCluster(cpus: 1)
    let functions = node.functions
    try await node.run { ray async throws in
      let pair = ray.submit(functions.split, returns: 2, .value(10))
      let twice = ray.submit(functions.square, returns: 2, .value(5))
      for ref in pair {
        #expect(
          await ray.error(of: ref) == .taskFailed("split: returned 3 values, 2 were asked for"))
      }
      #expect(
        await ray.error(of: ray.submit(functions.split, .value(10)))
          == .taskFailed("split: returned 3 values, 1 was asked for"))
      for ref in twice {
        #expect(
          await ray.error(of: ref) == .taskFailed("square: returned 1 value, 2 were asked for"))
      }
      #expect(try await ray.get(ray.submit(functions.square, .value(5))) == 25)
    }
    #expect(node.log.all.isEmpty)
  }

  @Test("Programs in worker processes submit, wait, put and read large values")
  func nested() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    try await node.run { ray async throws in
      let sums = (1...20).map { ray.submit(functions.nest, .value($0)) }
      #expect(try await ray.get(sums) == (1...20).map { n in (1...n).reduce(0) { $0 + $1 * $1 } })
      // More than a ring holds at once.
      let many = try await ray.get(ray.submit(functions.nest, .value(5000)))
      #expect(many == (1...5000).reduce(0) { $0 + $1 * $1 })
      for count in [10, 300_000] {
        let back = try await ray.get(ray.submit(functions.nestLarge, .value(count)))
        #expect(back == Vector((0..<count).map(Double.init)))
      }
    }
  }

  @Test(
    "What a program says last, in a frame too long for the ring, comes before its end",
    arguments: [true, false])
  func lastWords(_ inProcesses: Bool) async throws {
    let functions = FixtureFunctions()
    let cluster = try Cluster.inProcess(
      cpus: 2, store: ByteCount(16 << 20), library: functions.library,
      workers: inProcesses
        ? .processes(WorkerLaunch(executable: ProcessCluster.program)) : .threads)
    let totals = try await cluster.runAndStop { ray async throws in
      var totals: [Double] = []
      for _ in 0..<20 {
        let total = try await ray.get(ray.submit(functions.leave, .value(20_000)))
        totals.append(try await ray.get(total))
      }
      return totals
    }
    #expect(totals == [Double](repeating: 20_000 * 19_999 / 2, count: 20))
  }

  @Test("Methods of an actor run in order, in one process that keeps its state")
  func actors() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    try await node.run { ray async throws in
      let actors = (0..<2).map { _ in ray.create(functions.counter) }
      for actor in actors {
        let totals = (1...600).map { ray.call(actor, functions.add, .value($0)) }
        #expect(try await ray.get(totals) == (1...600).map { $0 * ($0 + 1) / 2 })
      }
    }
  }

  @Test("A function registered after the start fails with what to do")
  func lateFunction() async throws {
    let node = try ProcessCluster(cpus: 1)
    let functions = node.functions
    try await node.run { ray async throws in
      #expect(try await ray.get(ray.submit(functions.square, .value(2))) == 4)
      let late = ray.remote("late") { (x: Int) in x }
      await #expect {
        try await ray.get(ray.submit(late, .value(1)))
      } throws: { "\($0)".contains("register all functions before the cluster starts") }
    }
  }

  @Test("A cluster that stops in mid-task leaves no process and no zombie")
  func cleanStop() async throws {
    let node = try ProcessCluster(cpus: 3)
    let functions = node.functions
    let pipe = NamedPipe()
    let processes = try await node.run { ray async throws in
      _ = ray.submit(functions.hang, .value(pipe.path))
      let busy = await pipe.number()
      let other = try await ray.get(ray.submit(functions.process))
      return [busy, Int32(other)]
    }
    for process in processes { #expect(!exists(process), "process \(process)") }
    #expect(node.log.all.isEmpty)
  }
}
