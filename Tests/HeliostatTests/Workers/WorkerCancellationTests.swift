import Foundation
import Heliostat
import Primitives
import RealWorld
import Testing
import WorkerFixture

@Suite("Cancellation of what workers run", .serialized, .timeLimit(.minutes(10)))
struct WorkerCancellationTests {
  enum Kind: CaseIterable { case threads, processes }

  /// A node with `cpus` workers of this kind.
  private func start(_ kind: Kind, cpus: Int) throws -> (FixtureFunctions, Cluster) {
    let functions = FixtureFunctions()
    let cluster = try Cluster.inProcess(
      cpus: cpus, store: ByteCount(64 << 20), library: functions.library,
      workers: kind == .threads
        ? .threads : .processes(WorkerLaunch(executable: ProcessCluster.program)))
    return (functions, cluster)
  }

  /// Runs a program on such a node.
  private func run(
    _ kind: Kind, cpus: Int,
    _ program: @escaping @Sendable (Session, FixtureFunctions) async throws -> Void
  ) async throws {
    let (functions, cluster) = try start(kind, cpus: cpus)
    try await cluster.runAndStop { ray in try await program(ray, functions) }
  }

  @Test(
    "A function that computes hears it at once; what was sent behind it does not begin",
    arguments: Kind.allCases)
  func function(_ kind: Kind) async throws {
    let pipe = NamedPipe()
    try await run(kind, cpus: 1) { ray, functions async throws in
      // The node learns that tasks are short: then many are sent at once.
      _ = try await ray.get((0..<300).map { ray.submit(functions.square, .value($0)) })
      let first = ray.submit(functions.heed, .value(pipe.path))
      let behind = (0..<100).map { ray.submit(functions.square, .value($0)) }
      let process = await pipe.number()
      #expect((process == getpid()) == (kind == .threads))
      for (index, ref) in behind.enumerated() where index % 2 == 0 { ray.cancel(ref) }
      ray.cancel(first)
      #expect(await ray.error(of: first) == .taskCancelled)
      for (index, ref) in behind.enumerated() {
        if index % 2 == 0 {
          #expect(await ray.error(of: ref) == .taskCancelled, "\(index)")
        } else {
          #expect(try await ray.get(ref) == index * index)
        }
      }
    }
  }

  @Test("What does not care keeps its result", arguments: Kind.allCases)
  func ignored(_ kind: Kind) async throws {
    let pipe = NamedPipe()
    try await run(kind, cpus: 1) { ray, functions async throws in
      let task = ray.submit(functions.ignore, .value(pipe.path))
      _ = await pipe.number()
      ray.cancel(task)
      #expect(try await ray.get(task) == 5)
    }
  }

  @Test(
    "A program that computes without a pause finds its Swift task cancelled",
    arguments: Kind.allCases)
  func program(_ kind: Kind) async throws {
    let pipe = NamedPipe()
    try await run(kind, cpus: 1) { ray, functions async throws in
      let task = ray.submit(functions.heedProgram, .value(pipe.path))
      _ = await pipe.number()
      ray.cancel(task)
      #expect(await ray.error(of: task) == .taskCancelled)
      #expect(try await ray.get(ray.submit(functions.square, .value(3))) == 9)
    }
  }

  @Test("A program that is cancelled takes what it had submitted with it", arguments: Kind.allCases)
  func recursive(_ kind: Kind) async throws {
    let (begin, end) = (NamedPipe(), NamedPipe())
    try await run(kind, cpus: 2) { ray, functions async throws in
      let task = ray.submit(functions.nestSleep, .value(begin.path), .value(end.path))
      let process = await begin.number()
      // The child's last word.
      async let last = end.number()
      ray.cancel(task)
      #expect(await ray.error(of: task) == .taskCancelled)
      #expect(await last == process)
      #expect(try await ray.get(ray.submit(functions.square, .value(3))) == 9)
    }
  }

  @Test(
    "Without recursion the child goes on until it is cancelled itself", arguments: Kind.allCases)
  func notRecursive(_ kind: Kind) async throws {
    let (begin, end, gate) = (NamedPipe(), NamedPipe(), NamedPipe())
    try await run(kind, cpus: 3) { ray, functions async throws in
      let task = ray.submit(functions.nestSleep, .value(begin.path), .value(end.path))
      let process = await begin.number()
      ray.cancel(task, recursive: false)
      // The same worker hears of another task later, and by then of this one.
      let other = ray.submit(functions.heed, .value(gate.path))
      _ = await gate.number()
      ray.cancel(other)
      #expect(await ray.error(of: other) == .taskCancelled)
      await #expect(throws: RuntimeError.getTimedOut(after: .milliseconds(50))) {
        try await ray.get(task, timeout: .milliseconds(50))
      }
      async let last = end.number()
      ray.cancel(task)
      #expect(await ray.error(of: task) == .taskCancelled)
      #expect(await last == process)
    }
  }

  @Test("A late request hits no other task", arguments: Kind.allCases)
  func late(_ kind: Kind) async throws {
    try await run(kind, cpus: 2) { ray, functions async throws in
      for round in 0..<30 {
        let refs = (0..<200).map { ray.submit(functions.square, .value($0)) }
        for (index, ref) in refs.enumerated() where index % 2 == round % 2 { ray.cancel(ref) }
        for (index, ref) in refs.enumerated() {
          if index % 2 == round % 2 {
            let error = await ray.error(of: ref)
            #expect(error == nil || error == .taskCancelled)
          } else {
            #expect(try await ray.get(ref) == index * index)
          }
          ray.free([ref])
        }
      }
    }
  }

  @Test("What a program leaves running when it ends is asked to stop", arguments: Kind.allCases)
  func orphan(_ kind: Kind) async throws {
    let (begin, end) = (NamedPipe(), NamedPipe())
    async let last = end.number()
    let (functions, cluster) = try start(kind, cpus: 1)
    let process = try await cluster.run { ray in
      _ = ray.submit(functions.sleepProgram, .value(begin.path), .value(end.path))
      return await begin.number()
    }
    #expect(await last == process)
    await cluster.stop()
  }

  @Test("What was cancelled behind a task that ends its process does not run elsewhere")
  func lost() async throws {
    let pipe = NamedPipe()
    try await run(.processes, cpus: 1) { ray, functions async throws in
      _ = try await ray.get((0..<300).map { ray.submit(functions.square, .value($0)) })
      let doomed = ray.submit(functions.hang, .value(pipe.path))
      let behind = (0..<40).map { ray.submit(functions.square, .value($0)) }
      let process = await pipe.number()
      for ref in behind.prefix(20) { ray.cancel(ref) }
      // Its node has passed the requests on when it answers this.
      _ = try await ray.wait([doomed], timeout: .zero)
      kill(process, SIGKILL)
      for ref in behind.prefix(20) {
        let error = await ray.error(of: ref)
        #expect(error == .taskCancelled, "\(String(describing: error))")
      }
      #expect(try await ray.get(Array(behind.suffix(20))) == (20..<40).map { $0 * $0 })
      guard case .workerCrashed? = await ray.error(of: doomed) else {
        Issue.record("the task outlived its process")
        return
      }
    }
  }
}
