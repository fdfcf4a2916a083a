import Primitives
import RuntimeCore
import Simulation
import Testing

@Suite("runs of a simulated cluster")
struct ClusterRunTests {
  private func graph(_ seed: UInt64) -> TaskGraph {
    var random = RandomStream(seed: seed, stream: 1)
    return .random(tasks: 200, &random)
  }

  private func configuration(seed: UInt64 = 1) throws -> ClusterConfiguration {
    var configuration = try freeCluster(
      nodes: 3, cpus: 2, spillover: "QueueThreshold", latency: .microseconds(50))
    configuration.service = ServiceTimes(everywhere: .microseconds(5))
    configuration.seed = seed
    return configuration
  }

  @Test("a run in pieces, by time or by events, is the run in one piece")
  func pieces() throws {
    let whole = SimulatedCluster(try configuration())
    #expect(whole.run(GraphApplication(graph(1))) == .finished)

    let byTime = SimulatedCluster(try configuration())
    let first = GraphApplication(graph(1))
    var limit = Instant.zero
    var end = byTime.run(first, until: limit)
    while end == .limited {
      #expect(byTime.clock <= limit)
      limit += .microseconds(137)
      end = byTime.resume(first, until: limit)
    }
    #expect(end == .finished && byTime.fingerprint == whole.fingerprint)
    #expect(byTime.eventCount == whole.eventCount && byTime.clock == whole.clock)

    let byEvents = SimulatedCluster(try configuration())
    let second = GraphApplication(graph(1))
    end = byEvents.run(second, maximumEvents: 10)
    var most: UInt64 = 10
    while end == .limited {
      #expect(byEvents.eventCount == most)
      most += 97
      end = byEvents.resume(second, maximumEvents: most)
    }
    #expect(end == .finished && byEvents.fingerprint == whole.fingerprint)
  }

  @Test("the same seed gives the same run and another seed another")
  func fingerprints() throws {
    func fingerprint(_ seed: UInt64, _ graphSeed: UInt64) throws -> UInt64 {
      let cluster = SimulatedCluster(try configuration(seed: seed), isChecked: true)
      #expect(cluster.run(GraphApplication(graph(graphSeed))) == .finished)
      return cluster.fingerprint
    }
    let one = try fingerprint(1, 1)
    #expect(try fingerprint(1, 1) == one)
    #expect(try fingerprint(2, 1) != one)
    #expect(try fingerprint(1, 2) != one)
  }

  @Test("checking the machines changes nothing, nor does an observer or a recording of transitions")
  func observation() throws {
    let plain = SimulatedCluster(try configuration())
    #expect(plain.run(GraphApplication(graph(1))) == .finished)
    var configuration = try configuration()
    configuration.parameters.recordsTransitions = true
    let watched = SimulatedCluster(configuration, isChecked: true)
    var messages: UInt64 = 0
    var finished = 0
    watched.observe { _, _, _, _ in messages += 1 }
    watched.onTransition = { transition, _ in
      if case .finished = transition { finished += 1 }
    }
    #expect(watched.run(GraphApplication(graph(1))) == .finished)
    #expect(watched.fingerprint == plain.fingerprint)
    #expect(messages == watched.eventCount)
    #expect(finished == 200)
  }

  @Test("an observer sees time stand or go forward, and every machine's messages in order")
  func order() throws {
    let cluster = SimulatedCluster(try configuration(), isChecked: true)
    var last = Instant.zero
    var backwards = 0
    cluster.observe { time, _, _, _ in
      if time < last { backwards += 1 }
      last = time
    }
    #expect(cluster.run(GraphApplication(graph(3))) == .finished)
    #expect(backwards == 0)
  }

  @Test("an application that waits for nothing that can happen is told that it stalled")
  func stalled() throws {
    final class Idle: Application {
      var isFinished: Bool { false }
      func start(on cluster: SimulatedCluster) {}
    }
    let cluster = SimulatedCluster(try configuration(), isChecked: true)
    #expect(cluster.run(Idle()) == .stalled)
  }

  @Test("drivers that are added later have identities of their own")
  func laterDrivers() throws {
    let cluster = SimulatedCluster(try configuration())
    let ids = (0..<40).map { _ in
      let driver = cluster.addDriver(on: NodeID(1))
      return cluster.newTask(of: driver, function: FunctionID(0), shape: 0).id
    }
    #expect(Set(ids).count == 40)
    #expect(cluster.node(of: 39) == NodeID(1))
  }
}
