import Heliostat
import Primitives
import RealWorld
import Testing

@testable import Workload

/// Runs a program to its end on a node of the real world in this process.
private func runReally(
  _ program: some WorkloadProgram, cpus: Int = 4, gpus: Int = 0, seed: UInt64 = 1
) async throws -> MeasureSink {
  let library = FunctionLibrary()
  let prepared = program.prepared(in: library)
  let cluster = try Cluster.inProcess(
    cpus: cpus, gpus: gpus, store: ByteCount(64 << 20), settings: ClusterSettings(seed: seed),
    library: library)
  let sink = MeasureSink()
  try await cluster.runAndStop { ray in try await prepared.run(ray, sink) }
  return sink
}

@Suite("programs in the real world", .serialized, .timeLimit(.minutes(10)))
struct RealProgramTests {
  @Test("evolution strategies learn the same policies as in the simulated world")
  func learningES() async throws {
    let with = "{iterations: 3, target: -1, evaluation-episodes: 8, aggregators: 2}"
    let real = try await runReally(program(LearningES.self, with))
    let simulated = try run(program(LearningES.self, with))
    #expect(simulated.error == nil)
    for name in ["policy fingerprint", "iterations", "score", "environment steps"] {
      #expect(try #require(real.figure(name)) == simulated.figure(name), "\(name)")
    }
  }

  @Test(
    "proximal policy optimisation learns the same policies as in the simulated world",
    arguments: ["actors", "tasks"])
  func learningPPO(rollouts: String) async throws {
    let with = """
      {iterations: 1, target: -1, workers: 2, steps: 64, epochs: 2, evaluation-episodes: 8, \
      rollouts: \(rollouts)}
      """
    let real = try await runReally(program(LearningPPO.self, with))
    let simulated = try run(program(LearningPPO.self, with))
    #expect(simulated.error == nil)
    for name in ["policy fingerprint", "iterations", "score"] {
      #expect(try #require(real.figure(name)) == simulated.figure(name), "\(name)")
    }
  }

  @Test("words are counted right")
  func wordCount() async throws {
    let sink = try await runReally(
      program(WordCount.self, "{documents: 8, words-per-document: 200, mappers: 4, reducers: 3}"))
    #expect(sink.figure("words") == 1600)
  }

  @Test("π comes out the same as in the simulated world")
  func pi() async throws {
    let with = "{tasks: 16, samples: 1000}"
    let real = try await runReally(program(MonteCarloPi.self, with))
    let simulated = try run(program(MonteCarloPi.self, with))
    #expect(try #require(real.figure("estimate")) == simulated.figure("estimate"))
  }

  @Test("a slow add takes its time: a chain of three, a tree of two levels")
  func treeReduce() async throws {
    for (shape, seconds) in [("chain", 0.09), ("tree", 0.06)] {
      let sink = try await runReally(
        program(TreeReduce.self, "{count: 4, duration: 30ms, shape: \(shape)}"))
      #expect(sink.figure("sum") == 10)
      #expect(try #require(sink.figure("makespan")) >= seconds)
    }
  }

  @Test("simulators on GPUs and an update that waits for their rollouts make every policy")
  func trainPolicy() async throws {
    let sink = try await runReally(
      program(
        TrainPolicy.self,
        """
        {simulators: 2, steps: 3, rollout-time: 5ms, update-time: 1ms, policy-size: 200KB, \
        rollout-size: 300KB}
        """), gpus: 4)
    #expect(sink.figure("policy version") == 3)
    #expect(try #require(sink.figure("time per step")) >= 0.006)
  }

  @Test("parameter servers converge", arguments: ["synchronous", "asynchronous"])
  func parameterServer(mode: String) async throws {
    let sink = try await runReally(
      program(
        ParameterServer.self,
        """
        {mode: \(mode), workers: 2, steps: 40, gradient-time: 100us, parameter-size: 300KB, \
        dimension: 8, rate: 0.4}
        """))
    #expect(try #require(sink.figure("weight error")) <= 0.05)
    #expect(sink.latency("gradient step").recorder.count == 80)
  }

  @Test("rollouts are summed by a tree of actors or at the driver", arguments: ["tree", "flat"])
  func evolutionStrategies(aggregation: String) async throws {
    let sink = try await runReally(
      program(
        EvolutionStrategies.self,
        """
        {aggregation: \(aggregation), tasks: 40, steps: 1, step-time: 100us, iterations: 3, \
        policy-size: 200KB, combine-time: 10us, update-time: 1ms, fan-in: 2, \
        tasks-per-aggregator: 8}
        """))
    #expect(sink.figure("iterations") == 3)
  }
}
