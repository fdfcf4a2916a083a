import Primitives
import Recording
import RuntimeCore
import Scheduling
import Testing

@Suite("recording and replay", .serialized, .timeLimit(.minutes(10)))
struct ReplayTests {
  @Test("a simulated run replays to the same effects", arguments: UInt64(1)..<9)
  func simulated(seed: UInt64) throws {
    var cluster = ScriptCluster(nodes: 1 + Int(seed % 3))
    cluster.settings.parameters.gcsShards = 1 + Int(seed % 2)
    cluster.settings.parameters.chainLength = 1 + Int(seed % 4) / 2
    cluster.settings.parameters.globalSchedulers = 1 + Int(seed % 2)
    if seed % 2 == 0 { cluster.settings.spillover = "QueueThreshold[threshold=1]" }
    let (_, recording) = try cluster.simulate(Script(seed: seed))
    let result = try replay(recording)
    expectSame(result, Address.Role.allCases.filter { $0 != .globalScheduler || seed > 0 })
  }

  @Test("a real node with its workers and programs replays to the same effects")
  func inProcess() async throws {
    let script = Script(seed: 3, steps: 120, largePut: 200_000)
    let (_, recording) = try await ScriptCluster().runInProcess(script)
    expectSame(try replay(recording), Address.Role.allCases)
  }

  @Test("two real nodes and a driver over sockets replay to the same effects, each by itself")
  func twoNodes() async throws {
    var cluster = ScriptCluster(nodes: 2)
    cluster.settings.spillover = "QueueThreshold[threshold=1]"
    let script = Script(seed: 5, steps: 120, largePut: 200_000)
    let (_, recordings) = try await cluster.runOverSockets(script)
    expectSame(try replay(recordings[0]), [.raylet, .globalScheduler, .replica])
    expectSame(try replay(recordings[1]), [.raylet])
    expectSame(try replay(recordings[2]), [.driver])
  }

  @Test("a node that ends in the middle of a run: those who hear of it replay to the same effects")
  func lostNode() async throws {
    var cluster = ScriptCluster(nodes: 3)
    cluster.settings.spillover = "AlwaysEscalate"
    let recordings = try await cluster.runAndLoseANode()
    for number in [0, 1] {
      let result = try replay(recordings[number])
      expectSame(result, [.raylet])
      let lost = try listing(recordings[number]).count { $0.input.hasPrefix("node-lost") }
      #expect(lost > 0, "node \(number)")
    }
  }
}
