import Heliostat
import Primitives
import Testing

@Suite("What was freed and is asked for", .timeLimit(.minutes(10)))
struct FreedReadTests {
  /// Time for the messages of `free`, and no time for them.
  static let pauses: [TimeSpan] = [.zero, .milliseconds(300)]

  private func expectFreed<Value: RemoteValue>(
    _ ray: Session, _ ref: ObjectRef<Value>, _ what: Comment
  ) async throws {
    #expect(await ray.error(of: ref) == .objectFreed, what)
    #expect(try await ray.wait([ref]).ready == [ref], what)
  }

  @Test("get throws, and wait finds it ready", arguments: TestWorld.allCases, pauses)
  func own(world: TestWorld, pause: TimeSpan) async throws {
    let library = FunctionLibrary()
    let double = library.remote("double") { (x: Int) in 2 * x }
    let split = library.remoteSplit("split") { (x: Int) in [x, x + 1, x + 2] }
    try await world.run(cpus: 2, library) { ray in
      let put = try await ray.put(4)
      let other = try await ray.put(5)
      let result = ray.submit(double, .value(4))
      let parts = ray.submit(split, returns: 3, .value(1))
      equal(try await ray.get(result), 8)
      equal(try await ray.get(parts), [1, 2, 3])
      let unread = ray.submit(split, returns: 3, .value(1))
      ray.free([put, result, parts[1], unread[0], unread[2]])
      if pause > .zero { await ray.sleep(pause) }
      try await expectFreed(ray, put, "put")
      try await expectFreed(ray, result, "result")
      try await expectFreed(ray, parts[1], "one of three")
      try await expectFreed(ray, unread[0], "the first of three")
      try await expectFreed(ray, unread[2], "the last of three")
      // The others are there.
      equal(try await ray.get(other), 5)
      equal(try await ray.get([parts[0], parts[2], unread[1]]), [1, 3, 2])
    }
  }

  @Test("a program may free what it was given by reference", arguments: TestWorld.allCases)
  func foreign(world: TestWorld) async throws {
    let library = FunctionLibrary()
    let consume = library.program("consume") { (ray: Session, refs: [ObjectRef<Int>]) -> Int in
      let value = try await ray.get(refs[0])
      ray.free([refs[0]])
      do {
        _ = try await ray.get(refs[0])
        return -1
      } catch RuntimeError.objectFreed {
        return value
      }
    }
    try await world.run(cpus: 2, library) { ray in
      let ref = try await ray.put(6)
      equal(try await ray.get(ray.submit(consume, .value([ref]))), 6)
    }
  }
}
