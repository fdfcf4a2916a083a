import Heliostat
import Testing

/// With `Heliostat` alone, as a user's program says what its calls demand.
@Suite("What a call demands, in words")
struct ResourceOptionsTests {
  private func inBothWorlds(
    _ library: FunctionLibrary, _ program: @escaping ProgramRuntime.Program
  ) async throws {
    var simulated = TestCluster()
    simulated.nodes = 1
    simulated.cpus = 3
    simulated.gpus = 1
    simulated.custom = ["accelerator": 1, "licence": 2]
    try simulated.run(library, program).expectSuccess()
    let log = LogLines()
    let cluster = try Cluster.inProcess(
      cpus: 3, gpus: 1, custom: ["licence": 2, "accelerator": 1], store: ByteCount(16 << 20),
      library: library, logger: log.logger())
    try await cluster.runAndStop(program)
    // What is refused waits for no node, and nobody is told that it does.
    #expect(!log.all.contains { $0.contains("200000") })
  }

  @Test("options may live across an await: they fit into the frame of an async function")
  func alignment() { #expect(MemoryLayout<TaskOptions>.alignment <= 16) }

  @Test(
    "a call runs where its CPUs, GPUs and custom resources are, and waits where there are fewer")
  func demands() async throws {
    let library = FunctionLibrary()
    let square = library.remote("square", .cpus(2)) { (x: Int) in x * x }
    let type = library.actorClass("Counter", .cpus(0).custom("licence", 1.5)) { 0 }
    try await inBothWorlds(library) { ray async throws in
      let can: [TaskOptions] = [
        .cpus(2), .cpus(0), .cpus(0.25), .gpus(1), .custom("accelerator", 0.5),
        .cpus(2).gpus(1).custom("accelerator", 1).custom("licence", 2), square.options.gpus(0.5),
        TaskOptions(resources: ResourceVector(cpus: 3)),
      ]
      let done = can.map { ray.submit(square, .value(3), options: $0) }
      #expect(try await ray.get(done) == [Int](repeating: 9, count: can.count))
      let chained = ray.submit(square, .value(3), options: .cpus(1).custom("licence", 2))
      #expect(try await ray.get(chained) == 9)
      let actor = ray.create(type)
      try await ray.get(actor.created)
      // With the actor's share there are 0.5 left.
      let cannot: [TaskOptions] = [
        .cpus(4), .gpus(2), .custom("accelerator", 2), .custom("licence", 1),
        .cpus(2).cpus(1).gpus(1.0001),
      ]
      let pending = cannot.map { ray.submit(square, .value(3), options: $0) }
      let free = ray.submit(square, .value(4), options: .cpus(3).gpus(1).custom("licence", 0.5))
      #expect(try await ray.get(free) == 16)
      #expect(try await ray.wait(pending, timeout: .zero).ready.isEmpty)
      ray.cancel(pending)
    }
  }

  @Test(
    "a name that the cluster does not know, and an amount that cannot be, are errors of the call")
  func mistakes() async throws {
    let library = FunctionLibrary()
    let runs = Log<Int>()
    let square = library.remote("square") { (x: Int) in
      runs.add(x)
      return x * x
    }
    let type = library.actorClass("Counter") { 0 }
    let add = library.remote("add") { (x: Int, y: Int) in x + y }
    let known = ["CPU", "GPU", "accelerator", "licence"]
    try await inBothWorlds(library) { ray async throws in
      let wrong = ray.submit(square, .value(7), options: .custom("acelerator", 1))
      let dependent = ray.submit(add, .value(1), .ref(wrong))
      let both = ray.submit(square, returns: 2, .value(7), options: .custom("tpu", 1))
      #expect(await ray.error(of: wrong) == .unknownResource("acelerator", known: known))
      #expect(await ray.error(of: dependent) == .taskCancelled)
      for ref in both {
        #expect(await ray.error(of: ref) == .unknownResource("tpu", known: known))
      }
      let actor = ray.create(type, options: .custom("tpu", 1))
      await #expect(throws: RuntimeError.unknownResource("tpu", known: known)) {
        try await ray.get(actor.created)
      }
      for (options, text) in [
        (TaskOptions.cpus(-1), "-1.0 of CPU"), (.gpus(300_000), "300000.0 of GPU"),
        (.custom("licence", .nan), "nan of licence"), (.cpus(.infinity), "inf of CPU"),
      ] {
        #expect(
          await ray.error(of: ray.submit(square, .value(7), options: options))
            == .invalidArgument("a demand for \(text); an amount is 0 to 214748"))
      }
      #expect(try await ray.get(ray.submit(add, .value(1), .value(2))) == 3)
    }
    #expect(runs.entries.isEmpty)
    #expect(
      "\(RuntimeError.unknownResource("tpu", known: known))"
        == "the cluster has no resource 'tpu'; it has CPU, GPU, accelerator, licence")
  }

  @Test("a cluster in this process with more kinds of resources than there can be does not start")
  func kinds() {
    let names = (1...7).map { "kind\($0)" }
    for custom in [Dictionary(uniqueKeysWithValues: names.map { ($0, 1.0) }), ["licence": -1.0]] {
      #expect {
        _ = try Cluster.inProcess(cpus: 1, custom: custom)
      } throws: {
        if case .invalidArgument = $0 as? RuntimeError { true } else { false }
      }
    }
  }
}
