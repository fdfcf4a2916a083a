import Primitives
import Recording
import RuntimeCore
import Scheduling
import Simulation
import Testing

/// What the real world does, against what the simulated one does.
@Suite("parity of the two worlds", .serialized, .timeLimit(.minutes(10)))
struct ParityTests {
  /// Facts about bytes in memory that others read in place: the simulated world has no bytes.
  private static let facts: Set<String> = ["room-requested", "object-pinned", "object-unpinned"]

  private static func collect(
    _ recordings: [[UInt8]], into transitions: TransitionCollector
  ) throws {
    for recording in recordings {
      var replay = Replay()
      replay.transitions = transitions
      let result = try RecordingTests.replay(recording, replay)
      #expect(result.difference == nil)
    }
  }

  /// Adds what the simulator does in runs of random programs on random clusters.
  private static func simulate(
    _ seeds: Range<UInt64>, into transitions: TransitionCollector
  ) throws {
    for seed in seeds {
      var random = RandomStream(seed: seed, stream: 0x5041_5249)
      func below(_ bound: Int) -> Int { Int(random.below(UInt64(bound))) }
      func span(_ most: UInt64) -> TimeSpan { TimeSpan(nanoseconds: random.below(most + 1)) }
      var cluster = ScriptCluster(nodes: 1 + below(3), cpus: 1 + below(3))
      cluster.seed = seed
      cluster.settings.spillover = ["QueueThreshold", "QueueThreshold[threshold=1]"][below(2)]
      cluster.settings.parameters.freeDelay = span(2_000_000)
      var configuration = try cluster.configuration()
      configuration.topology = try .star(
        nodes: cluster.nodes,
        nic: DuplexBandwidth(Bandwidth(bytesPerSecond: [1e9, 1e9, 1e5][below(3)])),
        latency: span([0, 1_000, 1_000_000][below(3)]))
      configuration.smallTransfer = ByteCount([0, 64_000][below(2)])
      configuration.localLatency = span([0, 1_000, 200_000][below(3)])
      for role in Address.Role.allCases {
        configuration.service.set(role, to: span([0, 1_000, 50_000][below(3)]))
      }
      configuration.client.submit = span([0, 1_000, 50_000][below(3)])
      configuration.client.call = span([0, 1_000, 50_000][below(3)])
      configuration.worker.start = span(2_000_000)
      configuration.worker.dispatch = span([0, 50_000][below(2)])
      configuration.worker.finish = span([0, 50_000][below(2)])
      // A few kinds of steps each time: what is rare among all of them is frequent among few.
      var choices = Array(0..<16)
      if seed % 2 == 1 { while choices.count > 6 { choices.remove(at: below(choices.count)) } }
      let script = Script(seed: seed, steps: 20 + below(100), choices: choices)
      let run = try cluster.simulate(script, configuration, isChecked: false)
      try collect([run.recording], into: transitions)
    }
  }

  @Test("a script gives the same in every world", arguments: UInt64(100)..<106)
  func values(seed: UInt64) async throws {
    let script = Script(seed: seed, steps: 60, largePut: 150_000)
    let simulated = try ScriptCluster(nodes: 2).simulate(script).lines
    #expect(simulated.count > 10)
    let inProcess = try await ScriptCluster().runInProcess(script).lines
    #expect(difference(inProcess, simulated) == nil)
    var cluster = ScriptCluster(nodes: 2)
    cluster.settings.spillover = "QueueThreshold[threshold=1]"
    let overSockets = try await cluster.runOverSockets(script).lines
    #expect(difference(overSockets, simulated) == nil)
  }

  @Test("each transition seen for real is one that the simulator makes; a forged one is not")
  func transitions() async throws {
    let real = TransitionCollector()
    for seed in UInt64(0)..<3 {
      let script = Script(seed: seed, steps: 60, largePut: 150_000)
      try Self.collect(
        [try await ScriptCluster(seed: seed).runInProcess(script).recording], into: real)
      var cluster = ScriptCluster(nodes: 2, seed: seed)
      cluster.settings.spillover = "QueueThreshold[threshold=1]"
      try Self.collect(try await cluster.runOverSockets(script).recordings, into: real)
    }
    let allowed = TransitionCollector()
    // What is rare may take the simulator long to come upon; what it never does never comes.
    var seeds: UInt64 = 0
    while seeds < 1000, seeds == 0 || !Self.missing(real, in: allowed).isEmpty {
      try Self.simulate(seeds..<(seeds + 50), into: allowed)
      seeds += 50
    }
    #expect(Self.missing(real, in: allowed) == [])
    #expect(real.counts.count > 150)
    // News that writes are safe makes no machine complete a task.
    let forged = ProtocolTransition(
      role: .raylet, input: "writes-committed", state: "-", order: "begin",
      next: "send task-completed to replica")
    real.add(forged)
    #expect(Self.missing(real, in: allowed) == [forged])
  }

  private static func missing(
    _ real: TransitionCollector, in allowed: TransitionCollector
  ) -> [ProtocolTransition] {
    real.missing(in: allowed).filter { !facts.contains($0.input) }
  }
}
