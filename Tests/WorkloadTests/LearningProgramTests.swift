import Primitives
import Testing

@testable import Workload

@Suite("Learning programs")
struct LearningProgramTests {
  static let es = """
    {hidden: [], tasks: 4, pairs-per-task: 2, iterations: 10, target: 100, sigma: 0.3, rate: 0.1,
     evaluation-episodes: 10, evaluation-tasks: 3}
    """
  static let ppo = """
    {hidden: [8], workers: 2, steps: 96, iterations: 8, target: 45, epochs: 4, rate: 0.005,
     evaluation-episodes: 10, evaluation-tasks: 3}
    """

  private func with(_ text: String, _ more: String) -> String {
    text.dropLast() + ", \(more)}"
  }

  @Test("evolution strategies learn to hold the pole longer within a few iterations")
  func evolution() throws {
    let untrained = try run(
      program(LearningES.self, Self.es.replacing("rate: 0.1", with: "rate: 0")))
    #expect("\(try #require(untrained.error))".contains("below 100"))
    let before = try untrained.figure("score")
    let outcome = try run(program(LearningES.self, Self.es))
    #expect(outcome.error == nil)
    #expect(try outcome.figure("score") >= 100 && before < 50)
    let iterations = try outcome.figure("iterations")
    #expect(try outcome.figure("episodes") == iterations * 16)
    #expect(try outcome.figure("environment steps") > iterations * 16 * 8)
  }

  @Test("the policies are a function of the seed, not of cluster, durations or latency")
  func sameEverywhere() throws {
    let first = try run(program(LearningES.self, Self.es))
    let otherTimes = try run(
      program(
        LearningES.self,
        with(Self.es, "rollout-time: 'exponential(1s)', evaluation-time: 'uniform(0s, 3s)'")),
      nodes: 5, cpus: 1, latency: .milliseconds(20))
    let other = try run(program(LearningES.self, Self.es), seed: 2)
    #expect(
      try first.figure("policy fingerprint") == otherTimes.figure("policy fingerprint"))
    #expect(try first.figure("score") == otherTimes.figure("score"))
    #expect(try first.figure("makespan") < otherTimes.figure("makespan"))
    #expect(try first.figure("policy fingerprint") != other.figure("policy fingerprint"))
  }

  @Test("aggregation by a tree of tasks learns as well as aggregation by the driver")
  func aggregators() throws {
    // One task sums everything in the order of the driver; three in another order.
    let driver = try run(program(LearningES.self, Self.es))
    let one = try run(program(LearningES.self, with(Self.es, "aggregators: 1")))
    #expect(try driver.figure("policy fingerprint") == one.figure("policy fingerprint"))
    let three = try run(program(LearningES.self, with(Self.es, "aggregators: 3")))
    #expect(three.error == nil)
    let again = try run(
      program(LearningES.self, with(Self.es, "aggregators: 3, rollout-time: 1s")), nodes: 3)
    #expect(try three.figure("policy fingerprint") == again.figure("policy fingerprint"))
  }

  @Test(
    "PPO learns with actors and with tasks, alike under any timing", arguments: ["actors", "tasks"])
  func proximal(rollouts: String) throws {
    let text = with(Self.ppo, "rollouts: \(rollouts)")
    let first = try run(program(LearningPPO.self, text))
    #expect(first.error == nil, "\(String(describing: first.error))")
    #expect(try first.figure("score") >= 45)
    #expect(try first.figure("environment steps") == first.figure("iterations") * 192)
    let otherTimes = try run(
      program(LearningPPO.self, with(text, "rollout-time: 'exponential(1s)'")), nodes: 4, cpus: 3,
      latency: .milliseconds(20))
    #expect(
      try first.figure("policy fingerprint") == otherTimes.figure("policy fingerprint"))
    #expect(try first.figure("makespan") < otherTimes.figure("makespan"))
    let other = try run(program(LearningPPO.self, text), seed: 2)
    #expect(try first.figure("policy fingerprint") != other.figure("policy fingerprint"))
  }

  @Test("a continuous policy is trained through the same program")
  func continuous() throws {
    let outcome = try run(
      program(
        LearningPPO.self,
        """
        {environment: pendulum, hidden: [4], workers: 2, steps: 50, iterations: 2, epochs: 1,
         evaluation-episodes: 2, evaluation-tasks: 1}
        """))
    #expect("\(try #require(outcome.error))".hasPrefix("after 2 iterations the mean score is -"))
    #expect(try outcome.figure("score") > -200 * 16.3)
  }

  @Test("actors that would leave no CPU are an error, not a wait for ever")
  func room() throws {
    let actors = try run(
      program(LearningPPO.self, "{rollouts: actors, workers: 8}"), nodes: 2, cpus: 4)
    #expect(
      "\(try #require(actors.error))"
        == "8 workers and the learner hold 9.0 CPUs, and the cluster has 8.0: use more nodes or "
        + "fewer workers")
    let tasks = try run(program(LearningPPO.self, "{rollouts: tasks}"), nodes: 2, cpus: 1)
    #expect("\(try #require(tasks.error))".hasPrefix("the learner's 1.0 CPUs leave no room"))
    let late = try run(program(LearningPPO.self, "{rollouts: actors, start-timeout: 0s}"))
    #expect("\(try #require(late.error))".contains("only 0 of 5 actors have begun"))
  }

  @Test(
    "bad parameters of evolution strategies name the place",
    arguments: [
      (
        "{environment: cartpool}",
        "w.yaml:1:18: 'v.environment' is 'cartpool'; expected one of cartpole, pendulum; "
          + "did you mean 'cartpole'?"
      ),
      ("{tasks: 0}", "w.yaml:1:12: 'v.tasks' is '0'; expected a whole number from 1 to 1000000"),
      ("{hidden: 16}", "w.yaml:1:13: 'v.hidden' is '16'; expected a list; write [16]"),
      (
        "{hidden: [16, 0]}",
        "w.yaml:1:18: 'v.hidden[1]' is '0'; expected a whole number from 1 to 4096"
      ),
      (
        "{hidden: [1, 1, 1, 1, 1, 1, 1, 1, 1]}",
        "w.yaml:1:13: 'v.hidden' lists 9 layers; expected at most 8 hidden layers"
      ),
      ("{sigma: 0}", "w.yaml:1:12: 'v.sigma' is '0'; expected a number from 1e-06 to 100.0"),
      ("{taks: 4}", "w.yaml:1:5: unknown key 'taks' in 'v'; did you mean 'tasks'?"),
    ])
  func badEvolution(text: String, expected: String) {
    #expect(
      message { () throws(WorkloadError) in
        var reader = try parsed(text)
        _ = try LearningES(&reader)
        try reader.finish()
      } == expected)
  }

  @Test(
    "bad parameters of PPO name the place",
    arguments: [
      (
        "{rollouts: threads}",
        "w.yaml:1:15: 'v.rollouts' is 'threads'; expected one of actors, tasks"
      ),
      ("{clip: 2}", "w.yaml:1:11: 'v.clip' is '2'; expected a number from 0.0 to 1.0"),
      ("{anneal: 1}", "w.yaml:1:13: 'v.anneal' is '1'; expected true or false"),
      (
        "{update-time: 5}",
        "w.yaml:1:18: 'v.update-time' is '5'; expected a duration with a unit"
      ),
    ])
  func badProximal(text: String, expected: String) {
    let found = message { () throws(WorkloadError) in
      var reader = try parsed(text)
      _ = try LearningPPO(&reader)
      try reader.finish()
    }
    #expect(found?.hasPrefix(expected) == true, "\(found ?? "no error")")
  }

  private func parsed(_ text: String) throws(WorkloadError) -> MappingReader {
    var reader = try PositionedValue(SourceNode.parse("v: " + text, file: "w.yaml"), path: "")
      .mapping()
    return try reader.required("v", "a value").mapping()
  }
}
