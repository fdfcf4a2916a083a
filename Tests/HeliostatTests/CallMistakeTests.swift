import Heliostat
import Primitives
import RealWorld
import RuntimeCore
import Testing

/// Runs the same program in the simulated world and on threads of this process.
private func inBothWorlds(
  _ library: FunctionLibrary, _ program: @escaping ProgramRuntime.Program
) async throws {
  for world in TestWorld.allCases { try await world.run(cpus: 2, library, program) }
}

@Suite("What a program asks for and cannot be is an error that it can catch")
struct CallMistakeTests {
  @Test("a call that asks for another number of results than its function returns fails as a whole")
  func numberOfResults() async throws {
    let library = FunctionLibrary()
    let split = library.remoteSplit("split") { (text: String) in [text, text + text] }
    let square = library.remote("square") { (x: Int) in x * x }
    let nested = library.program("nested") { (ray: Session, x: Int) in x }
    let length = library.remote("length") { (text: String) in text.count }
    try await inBothWorlds(library) { ray async throws in
      let one = ray.submit(split, .value("ab"))
      let three = ray.submit(split, returns: 3, .value("ab"))
      let twice = ray.submit(square, returns: 2, .value(7))
      let both = ray.submit(nested, returns: 2, .value(7))
      let dependent = ray.submit(length, .ref(three[2]))
      let two = "split: returned 2 values,"
      #expect(await ray.error(of: one) == .taskFailed("\(two) 1 was asked for"))
      for ref in three {
        #expect(await ray.error(of: ref) == .taskFailed("\(two) 3 were asked for"))
      }
      for (ref, name) in zip(twice + both, ["square", "square", "nested", "nested"]) {
        let text = "\(name): returned 1 value, 2 were asked for"
        #expect(await ray.error(of: ref) == .taskFailed(text))
      }
      #expect(await ray.error(of: dependent) == .taskFailed("\(two) 3 were asked for"))
      #expect(try await ray.get(ray.submit(split, returns: 2, .value("a"))) == ["a", "aa"])
      // A caller that wants none drops what there is, and the worker goes on.
      #expect(ray.submit(split, returns: 0, .value("ab")).isEmpty)
      #expect(ray.submit(square, returns: 0, .value(7)).isEmpty)
      #expect(try await ray.get((1...8).map { ray.submit(square, .value($0)) }).last == 64)
    }
  }

  @Test("wait throws for more objects than there are, fewer than none, and one that is there twice")
  func wait() async throws {
    let library = FunctionLibrary()
    let square = library.remote("square") { (x: Int) in x * x }
    try await inBothWorlds(library) { ray async throws in
      let refs = (1...2).map { ray.submit(square, .value($0)) }
      for count in [-1, 3] {
        await #expect(
          throws: RuntimeError.invalidArgument(
            "wait was told to wait for \(count) of 2 objects; "
              + "a count is 0 to the number of objects")
        ) { try await ray.wait(refs, count: count) }
      }
      await #expect(
        throws: RuntimeError.invalidArgument(
          "wait was given the same object twice; every one counts once, so name each once")
      ) { try await ray.wait([refs[0], refs[0]], count: 2) }
      #expect(try await ray.wait(refs, count: 2).ready == refs)
      let none = try await ray.wait([ObjectRef<Int>]())
      #expect(none.ready.isEmpty && none.rest.isEmpty)
    }
  }

  @Test("get, cancel and free take an object twice, and no object at all")
  func twiceAndNone() async throws {
    let library = FunctionLibrary()
    let square = library.remote("square") { (x: Int) in x * x }
    try await inBothWorlds(library) { ray async throws in
      let ref = ray.submit(square, .value(3))
      #expect(try await ray.get([ref, ref, ref]) == [9, 9, 9])
      #expect(try await ray.get([ObjectRef<Int>](), timeout: .zero) == [])
      ray.free([ref])
      ray.free([ref])
      let kept = ray.submit(square, .value(3))
      #expect(try await ray.get(kept) == 9)
      ray.cancel([kept, kept])
      ray.cancel([ObjectRef<Int>]())
      ray.free([ObjectRef<Int>]())
      // The counts of references stay right: what comes after goes by places that are really free.
      for _ in 0..<50 {
        let early = ray.submit(square, .value(4))
        let put = try await ray.put(5)
        let known = ray.submit(square, .ref(put))
        #expect(try await ray.get(known) == 25)
        ray.free([early, early])
        ray.free([known, put, known])
        ray.free([put, known])
        #expect(await ray.error(of: early) == .objectFreed)
      }
      #expect(try await ray.get((1...100).map { ray.submit(square, .value($0)) }).last == 10_000)
      #expect(try await ray.get(kept) == 9)
    }
  }
}

@Suite("A cluster that was stopped", .timeLimit(.minutes(2)))
struct StoppedClusterTests {
  @Test("it runs nothing more, and can be stopped again")
  func inProcess() async throws {
    let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(16 << 20))
    #expect(try await cluster.run { _ in 1 } == 1)
    await cluster.stop()
    await expectStopped(cluster)
    #expect(await cluster.status() == nil)
  }

  @Test("a program that left a cluster over the network runs nothing more there")
  func remote() async throws {
    try await SocketNodes.with(1) { nodes in
      let cluster = try await Cluster.connect(
        to: nodes.nodes[0].endpoint, library: nodes.functions.library, logger: nodes.log.logger())
      #expect(try await cluster.run { _ in 1 } == 1)
      await cluster.stop()
      await expectStopped(cluster)
      #expect(try await nodes.run(on: 0) { _ in 2 } == 2)
    }
  }

  private func expectStopped(_ cluster: Cluster) async {
    for _ in 0..<2 {
      await #expect(
        throws: RuntimeError.disconnected(
          "the program has stopped the cluster; start or connect anew")
      ) { try await cluster.run { _ in 2 } }
      await cluster.stop()
    }
  }
}
