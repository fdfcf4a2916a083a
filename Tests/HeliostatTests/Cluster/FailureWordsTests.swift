import Heliostat
import Primitives
import Testing
import WorkerFixture

/// What a task said as it failed reaches whoever gets something that depends on it, on whatever nodes
/// the two are, and however late it asks.
@Suite("Words of a failure across nodes", .timeLimit(.minutes(10)))
struct FailureWordsTests {
  private static let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)]

  private static func on(_ node: Int) -> TaskOptions { .cpus(0).custom("r\(node)", 0.1) }

  /// Runs `body` for each pair of nodes, that of what fails and that of what depends on it, in a program
  /// on each of `drivers`.
  private static func onEachPair(
    drivers: [Int] = [0, 1],
    _ body:
      @escaping @Sendable (Session, SocketNodes, _ there: Int, _ here: Int) async throws ->
      Void
  ) async throws {
    try await SocketNodes.with(2) { nodes in
      for driver in drivers {
        try await nodes.run(on: driver) { ray async throws in
          for (there, here) in pairs { try await body(ray, nodes, there, here) }
        }
      }
    }
  }

  @Test("A task placed on a node carries the words of its input on that node or on the other")
  func task() async throws {
    try await Self.onEachPair { ray, nodes, there, here async throws in
      let functions = nodes.functions
      let words = "too bad on \(there)"
      let bad = ray.submit(
        functions.start.fail, .value(words), options: Self.on(there))
      let late = ray.submit(
        functions.start.late, .value(1), options: Self.on(1 - there))
      let sum = ray.submit(functions.plus, .ref(late), .ref(bad), options: Self.on(here))
      let error = RuntimeError.taskFailed("start.fail: \(words)")
      #expect(await ray.error(of: sum) == error, "\(there) to \(here)")
      #expect(await ray.error(of: bad) == error)
    }
  }

  @Test("A method of an actor carries the words of its input, and the next one runs")
  func method() async throws {
    try await Self.onEachPair { ray, nodes, there, here async throws in
      let functions = nodes.functions
      let words = "too bad on \(there)"
      let actor = ray.create(functions.start.counter, .value(5), options: Self.on(here))
      let bad = ray.submit(
        functions.start.fail, .value(words), options: Self.on(there))
      let first = ray.call(actor, functions.add, .ref(bad))
      let second = ray.call(actor, functions.add, .value(2))
      let error = RuntimeError.taskFailed("start.fail: \(words)")
      #expect(await ray.error(of: first) == error, "\(there) to \(here)")
      #expect(try await ray.get(second) == 7)
    }
  }

  @Test("Calls of an actor whose constructor failed carry its words, or those of its input")
  func constructor() async throws {
    try await Self.onEachPair { ray, nodes, there, here async throws in
      let functions = nodes.functions
      let bad = ray.submit(
        functions.start.fail, .value("too bad"), options: Self.on(there))
      let never = ray.create(functions.start.counter, .ref(bad), options: Self.on(here))
      let negative = ray.create(
        functions.start.counter, .value(-1), options: Self.on(here))
      let calls = [never, negative].map { ray.call($0, functions.add, .value(1)) }
      #expect(await ray.error(of: calls[0]) == .taskFailed("start.fail: too bad"))
      #expect(
        await ray.error(of: calls[1]) == .taskFailed("start.Counter: -1 is below zero"))
    }
  }

  @Test("A chain of dependents over two nodes carries the words to each of them, the last first")
  func chain() async throws {
    try await SocketNodes.with(2) { nodes in
      let functions = nodes.functions
      for driver in 0..<2 {
        try await nodes.run(on: driver) { ray async throws in
          for route in 0..<16 {
            let places = (0..<4).map { route >> $0 & 1 }
            let words = "too bad on \(route)"
            let bad = ray.submit(
              functions.start.fail, .value(words), options: Self.on(places[0]))
            let near = ray.submit(
              functions.start.late, .ref(bad), options: Self.on(places[1]))
            let actor = ray.create(
              functions.start.counter, .value(0), options: Self.on(places[2]))
            let far = ray.call(actor, functions.add, .ref(near))
            let last = ray.submit(
              functions.plus, .value(1), .ref(far), options: Self.on(places[3]))
            let error = RuntimeError.taskFailed("start.fail: \(words)")
            for ref in [last, far, near, bad] {
              #expect(await ray.error(of: ref) == error, "\(places)")
            }
          }
        }
      }
    }
  }

  @Test("A dependent keeps the words when what failed has been freed before anybody asks for it")
  func freed() async throws {
    try await Self.onEachPair(drivers: [1]) { ray, nodes, there, here async throws in
      let functions = nodes.functions
      func objects() async throws -> Int {
        try await nodes.nodes[0].status().objects + nodes.nodes[1].status().objects
      }
      let bad = ray.submit(
        functions.start.fail, .value("too bad"), options: Self.on(there))
      let near = ray.submit(functions.start.late, .ref(bad), options: Self.on(here))
      _ = try await ray.wait([near], fetch: false)
      let rest = try await objects() - (there == here ? 1 : 2)
      ray.free([bad])
      while try await objects() > rest {}
      let far = ray.submit(functions.start.late, .ref(near), options: Self.on(1 - here))
      let error = RuntimeError.taskFailed("start.fail: too bad")
      #expect(await ray.error(of: far) == error, "\(there) to \(here)")
      #expect(await ray.error(of: near) == error, "\(there) to \(here)")
    }
  }

  @Test("Who waits without fetching and then gets hears the words, of the input and of a dependent")
  func existence() async throws {
    try await Self.onEachPair(drivers: [1]) { ray, nodes, there, here async throws in
      let functions = nodes.functions
      let bad = ray.submit(
        functions.start.fail, .value("too bad"), options: Self.on(there))
      let near = ray.submit(functions.start.late, .ref(bad), options: Self.on(here))
      _ = try await ray.wait([bad, near], count: 2, fetch: false)
      let error = RuntimeError.taskFailed("start.fail: too bad")
      #expect(await ray.error(of: near) == error, "\(there) to \(here)")
      #expect(await ray.error(of: bad) == error, "\(there) to \(here)")
    }
  }

  @Test("Long words arrive whole", arguments: [3000, 5000, 100_000])
  func long(_ count: Int) async throws {
    let words = String(repeating: "bad", count: count / 3)
    try await Self.onEachPair(drivers: [1]) { ray, nodes, there, here async throws in
      let functions = nodes.functions
      let bad = ray.submit(
        functions.start.fail, .value(words), options: Self.on(there))
      let near = ray.submit(functions.start.late, .ref(bad), options: Self.on(here))
      for ref in [near, bad] {
        let error = await ray.error(of: ref)
        #expect(error == .taskFailed("start.fail: \(words)"), "\(there) to \(here)")
      }
    }
  }

  @Test(
    "Calls of an actor whose constructor failed carry its words when memory has been short since")
  func memoryShort() async throws {
    let library = FunctionLibrary()
    let functions = StartFunctions(library)
    let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(1 << 20), library: library)
    try await cluster.runAndStop { ray async throws in
      let error = RuntimeError.taskFailed("start.Counter: -1 is below zero")
      let actor = ray.create(functions.counter, .value(-1))
      #expect(await ray.error(of: ray.call(actor, functions.next)) == error)
      for i in 0..<8 {
        _ = try await ray.put(Vector([Double](repeating: Double(i), count: 50_000)))
      }
      #expect(await ray.error(of: ray.call(actor, functions.next)) == error)
    }
  }
}
