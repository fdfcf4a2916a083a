import Foundation
import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import Testing
import WorkerFixture

@Suite("Worker processes that end", .serialized, .timeLimit(.minutes(10)))
struct WorkerCrashTests {
  private func crash(_ error: any Error) -> String? {
    if case .workerCrashed(let text)? = error as? RuntimeError { text } else { nil }
  }

  @Test(
    "A worker that exits, traps or is killed takes its task with it, says so, and is replaced",
    arguments: zip(
      Ending.allCases, ["ended with code 3", "was killed by SIG", "was killed by SIGKILL"]))
  func ways(_ ending: Ending, _ words: String) async throws {
    let node = try ProcessCluster(cpus: 1)
    let functions = node.functions
    try await node.run { ray async throws in
      let first = try await ray.get(ray.submit(functions.process))
      await #expect {
        try await ray.get(ray.submit(functions.end, .value(ending.rawValue)))
      } throws: {
        let text = crash($0) ?? "\($0)"
        return text.hasPrefix("worker 0 of node 0 (process \(first)) \(words)")
          && text.hasSuffix("while it ran 'end'")
      }
      let second = try await ray.get(ray.submit(functions.process))
      #expect(second != first)
      #expect(try await ray.get(ray.submit(functions.square, .value(7))) == 49)
    }
    #expect(node.log.all.count == 1, "\(node.log.all)")
    #expect(node.log.all[0].contains("error: worker 0 of node 0 (process "))
    #expect(node.log.all[0].contains(words))
  }

  @Test("SIGKILL in mid-task: that task fails, those of another worker and those that wait go on")
  func killed() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    let pipe = NamedPipe()
    try await node.run { ray async throws in
      let doomed = ray.submit(functions.hang, .value(pipe.path))
      let process = await pipe.number()
      let before = (0..<100).map { ray.submit(functions.square, .value($0)) }
      kill(process, SIGKILL)
      let after = (0..<100).map { ray.submit(functions.square, .value($0)) }
      await #expect {
        try await ray.get(doomed)
      } throws: {
        (crash($0) ?? "").contains("(process \(process)) was killed by SIGKILL while it ran 'hang'")
      }
      #expect(try await ray.get(before) == (0..<100).map { $0 * $0 })
      #expect(try await ray.get(after) == (0..<100).map { $0 * $0 })
      // A task that depends on the dead one fails with it, and with the same words.
      await #expect {
        try await ray.get(ray.submit(functions.square, .ref(doomed)))
      } throws: {
        (crash($0) ?? "").contains("(process \(process)) was killed by SIGKILL while it ran 'hang'")
      }
    }
  }

  @Test(
    "Among many short tasks on one worker, one that ends it takes none with it that had not begun")
  func pipeline() async throws {
    let node = try ProcessCluster(cpus: 1)
    let functions = node.functions
    try await node.run { ray async throws in
      // The node learns that they are short: then many are sent at once.
      _ = try await ray.get((0..<300).map { ray.submit(functions.squareOrEnd, .value($0)) })
      let refs = (0..<1000).map {
        ray.submit(functions.squareOrEnd, .value($0 % 250 == 100 ? -$0 : $0))
      }
      var lost = 0
      for (number, ref) in refs.enumerated() {
        do {
          #expect(try await ray.get(ref) == number * number)
        } catch {
          let text = try #require(crash(error), "\(number): \(error)")
          #expect(text.contains("while it ran 'squareOrEnd'"))
          // Others may only have lost a result that was already there.
          if number % 250 == 100 {
            #expect(text.hasSuffix("while it ran 'squareOrEnd'"))
            lost += 1
          } else {
            #expect(
              text.hasSuffix("the result of this task was lost with it"), "\(number): \(text)")
          }
        }
      }
      #expect(lost == 4)
    }
    #expect(node.log.all.count == 4, "\(node.log.all)")
  }

  @Test("A process that dies with input that it has not read is one message, of its end")
  func unread() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    let pipe = NamedPipe()
    let process = try await node.run { ray async throws in
      let actor = ray.create(functions.counter)
      let hanging = ray.call(actor, functions.hangActor, .value(pipe.path))
      let process = await pipe.number()
      let behind = (0..<100).map { ray.call(actor, functions.add, .value($0)) }
      // The node takes these later, and the calls have left when the results are there.
      for _ in 0..<3 { _ = try await ray.get(ray.submit(functions.square, .value(3))) }
      kill(process, SIGKILL)
      for ref in [hanging] + behind {
        await #expect(throws: RuntimeError.actorDied) { try await ray.get(ref) }
      }
      return process
    }
    #expect(node.log.all.count == 1, "\(node.log.all)")
    #expect(node.log.all[0].contains("(process \(process)) was killed by SIGKILL"))
  }

  /// A frame with nothing but a head, and a body of one value.
  private static func frame(kind: UInt8, byteCount: UInt8, body: UInt8 = 0) -> [UInt8] {
    let head = [byteCount, 0, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    return head + [UInt8](repeating: body, count: Int(byteCount) - 16)
  }

  /// The frame by which a program of worker 0 says that a worker goes on.
  private static func unblocked(worker: UInt8) -> [UInt8] {
    let addresses = [
      Address.driver(0x8000).raw.littleEndian, Address.raylet(NodeID(0)).raw.littleEndian,
    ]
    return [20, 0, 0, 0, MessageKind.workerUnblocked.rawValue, 0, 0, 0]
      + addresses.withUnsafeBytes { Array($0) } + [worker, 0, 0, 0]
  }

  @Test(
    "A worker process that sends what it may not is ended, and the message says what that was",
    arguments: [
      ([UInt8](repeating: 0xff, count: 64), "a frame of 4294967295 bytes"),
      // Results: with a status that there is not, and cut short.
      (frame(kind: 181, byteCount: 32, body: 0xff), "status"),
      (frame(kind: 181, byteCount: 20), "it sent what it may not"),
      // A message between machines, and frames that nobody knows.
      (frame(kind: 0, byteCount: 16), "it sent what it may not"),
      (frame(kind: 250, byteCount: 16), "kind of frame"),
      // It was not blocked, and another worker is not for it to speak of.
      (unblocked(worker: 0), "message of a driver"),
      (unblocked(worker: 1), "message of a driver"),
      // Room that it was not given.
      (frame(kind: 185, byteCount: 40), "room of another"),
      // It says no more.
      ([], "ended with code 0"),
    ] as [([UInt8], String)])
  func misuse(_ bytes: [UInt8], _ words: String) async throws {
    let node = try ProcessCluster(cpus: 1)
    let functions = node.functions
    try await node.run { ray async throws in
      await #expect {
        try await ray.get(ray.submit(functions.misuse, .value(bytes)))
      } throws: { (crash($0) ?? "").contains(words) }
      #expect(try await ray.get(ray.submit(functions.square, .value(7))) == 49)
    }
    #expect(node.log.all.count == 1, "\(node.log.all)")
    #expect(node.log.all[0].hasPrefix("error: worker 0 of node 0"))
    #expect(node.log.all[0].contains(words))
  }

  @Test("An actor dies with its process, and later calls hear so; a new actor lives")
  func actor() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    let pipe = NamedPipe()
    try await node.run { ray async throws in
      for ending in Ending.allCases {
        let actor = ray.create(functions.counter)
        #expect(try await ray.get(ray.call(actor, functions.add, .value(1))) == 1)
        let last = ray.call(actor, functions.endActor, .value(ending.rawValue))
        let behind = (0..<20).map { ray.call(actor, functions.add, .value($0)) }
        for ref in [last] + behind {
          await #expect(throws: RuntimeError.actorDied) { try await ray.get(ref) }
        }
        await #expect(throws: RuntimeError.actorDied) {
          try await ray.get(ray.call(actor, functions.add, .value(1)))
        }
      }
      let actor = ray.create(functions.counter)
      let hanging = ray.call(actor, functions.hangActor, .value(pipe.path))
      kill(await pipe.number(), SIGKILL)
      await #expect(throws: RuntimeError.actorDied) { try await ray.get(hanging) }
      let other = ray.create(functions.counter)
      #expect(try await ray.get(ray.call(other, functions.add, .value(4))) == 4)
      #expect(try await ray.get(ray.submit(functions.square, .value(3))) == 9)
    }
  }

  @Test("A program that is killed while it waits: its task fails, what it submitted goes on")
  func program() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    let pipes = (NamedPipe(), NamedPipe())
    try await node.run { ray async throws in
      let nested = ray.submit(
        functions.nestHang, .value(pipes.0.path), .value(pipes.1.path))
      let outer = await pipes.0.number()
      let inner = await pipes.1.number()
      kill(outer, SIGKILL)
      await #expect {
        try await ray.get(nested)
      } throws: {
        (crash($0) ?? "").contains(
          "(process \(outer)) was killed by SIGKILL while it ran 'nestHang'")
      }
      #expect(exists(inner))
      // The inner one holds a CPU still; the other is free again.
      #expect(try await ray.get(ray.submit(functions.nest, .value(4))) == 30)
    }
  }

  @Test("A task that ends its worker fails the program that waits for it, with the reason")
  func innerTask() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    let pipes = (NamedPipe(), NamedPipe())
    try await node.run { ray async throws in
      let nested = ray.submit(
        functions.nestHang, .value(pipes.0.path), .value(pipes.1.path))
      _ = await pipes.0.number()
      let inner = await pipes.1.number()
      kill(inner, SIGKILL)
      await #expect {
        try await ray.get(nested)
      } throws: { "\($0)".contains("(process \(inner)) was killed by SIGKILL while it ran 'hang'") }
    }
  }

  @Test(
    "Worker after worker is killed under load: every result is there or says why, and none hangs")
  func underLoad() async throws {
    let node = try ProcessCluster(cpus: 2)
    let functions = node.functions
    let (good, bad) = try await node.run { ray async throws in
      var random = RandomStream(seed: 7, stream: 1)
      var (good, bad) = (0, 0)
      for _ in 0..<25 {
        let actor = ray.create(functions.counter)
        let squares = (0..<40).map { ray.submit(functions.square, .value($0)) }
        let large = (0..<6).map { _ in ray.submit(functions.count, .value(20_000)) }
        let sums = large.map { ray.submit(functions.sum, .ref($0)) }
        let nests = (0..<4).map { _ in ray.submit(functions.nest, .value(5)) }
        let largeNests = (0..<2).map { _ in ray.submit(functions.nestLarge, .value(20_000)) }
        let calls = (0..<10).map { _ in ray.call(actor, functions.add, .value(1)) }
        // Whichever runs these dies at once, or a little later.
        let victims = (0..<2).map { _ in ray.submit(functions.process) }
        for victim in victims {
          if random.below(2) == 0 { _ = try? await ray.get(squares[Int(random.below(40))]) }
          if let process = try? await ray.get(victim) { kill(Int32(process), SIGKILL) }
        }
        func check<Value: RemoteValue>(
          _ refs: [ObjectRef<Value>], _ isRight: (Int, Value) -> Bool
        ) async {
          for (number, ref) in refs.enumerated() {
            do {
              #expect(isRight(number, try await ray.get(ref)))
              good += 1
            } catch {
              let isExpected =
                switch error as? RuntimeError {
                case .workerCrashed, .actorDied: true
                case .taskFailed(let text): text.contains("was killed by SIGKILL")
                default: false
                }
              #expect(isExpected, "\(error)")
              bad += 1
            }
          }
        }
        await check(squares) { $1 == $0 * $0 }
        await check(large) { $1.count == 20_000 }
        await check(sums) { $1 == 20_000 * 19_999 / 2 }
        await check(nests) { $1 == 55 }
        await check(largeNests) { $1.count == 20_000 }
        await check(calls) { $1 == $0 + 1 }
        ray.free(squares)
        ray.free(large)
        ray.free(sums)
        ray.free(nests)
        ray.free(largeNests)
        ray.free(calls)
        // Its worker goes with it: an actor lives as long as its cluster.
        _ = try? await ray.get(ray.call(actor, functions.endActor, .value("exit")))
      }
      let last = (0..<200).map { ray.submit(functions.square, .value($0)) }
      #expect(try await ray.get(last) == (0..<200).map { $0 * $0 })
      return (good, bad)
    }
    #expect(bad > 0)
    #expect(good > bad)
  }

  @Test("A program that cannot be a worker: after some attempts its tasks fail with the reason")
  func cannotStart() async throws {
    for (program, words) in [
      ("/bin/false", "ended with code 1 before it was ready"), ("/nowhere", "No such file"),
    ] {
      let node = try ProcessCluster(cpus: 1, launch: WorkerLaunch(executable: program))
      let functions = node.functions
      _ = try await node.run { ray async throws in
        await #expect {
          try await ray.get(ray.submit(functions.square, .value(3)))
        } throws: {
          let text = crash($0) ?? "\($0)"
          return text.contains("cannot be started") && text.contains(words)
        }
      }
      let attempts = node.log.all.filter { $0.hasPrefix("warning: worker 0 of node 0") }
      #expect(attempts.count == 5)
      #expect(attempts.last?.contains("next try in") == true)
      #expect(node.log.all.last?.hasPrefix("error: ") == true)
    }
  }

  @Test("Another function table is refused at once, with the difference")
  func otherFunctions() async throws {
    let functions = FixtureFunctions()
    let more = functions.library.remote("more") { (x: Int) in x }
    let log = LogLines()
    let cluster = try Cluster.inProcess(
      cpus: 1, store: ByteCount(16 << 20), library: functions.library,
      workers: .processes(WorkerLaunch(executable: ProcessCluster.program)), logger: log.logger())
    _ = try await cluster.runAndStop { ray async throws in
      await #expect {
        try await ray.get(ray.submit(more, .value(1)))
      } throws: { "\($0)".contains("has no function 'more'") }
    }
    #expect(log.all.filter { $0.contains("cannot be started") }.count == 1)
    #expect(!log.all.contains { $0.contains("next try in") })
  }
}
