import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Where actors that hold CPUs for life go")
struct SeparateTablesActorPlacesTests {
  private func cluster(
    _ nodes: Int, spillover: String, placement: String = "LowestWait", seed: UInt64 = 1
  ) throws -> SeparateTablesCluster {
    var parameters = Parameters()
    parameters.globalSchedulers = 2
    var plan = SeparateTablesPlan.headed(
      nodes: nodes, parameters: parameters, driverNodes: [0, 0])
    plan.cpus = 2
    plan.spillover = spillover
    plan.placement = placement
    return try SeparateTablesCluster(plan, seed: seed)
  }

  private static let spillovers = [
    "QueueThreshold", "NeverEscalate", "Immediate", "AlwaysEscalate", "WaitThreshold",
  ]

  @Test(
    "As many actors as the cluster has CPUs, created in a burst on one node: all come to life",
    arguments: spillovers, ["LowestWait", "Random", "RoundRobin"])
  func burst(spillover: String, placement: String) throws {
    for seed in UInt64(0)..<10 {
      let cluster = try cluster(3, spillover: spillover, placement: placement, seed: seed)
      let actors = (0..<6).map { _ in cluster.submit(kind: .actorCreation, cpus: 1) }
      cluster.run()
      // What lost a race for a node is placed again at a heartbeat.
      for _ in 0..<3 { cluster.beat() }
      for actor in actors {
        #expect(
          cluster.get(ObjectHandle(producer: actor, index: 0)).0 == .satisfied, "seed \(seed)")
      }
      for node in 0..<3 { #expect(cluster.raylets[node].availableResources == .zero) }
    }
  }

  @Test(
    "Where all CPUs are held a creation waits until actors end, and is placed then",
    arguments: spillovers)
  func full(spillover: String) throws {
    for seed in UInt64(0)..<10 {
      let cluster = try cluster(2, spillover: spillover, seed: seed)
      let first = (0..<4).map { _ in cluster.submit(1, kind: .actorCreation, cpus: 1) }
      for _ in 0..<3 {
        cluster.run()
        cluster.beat()
      }
      for actor in first {
        #expect(cluster.get(ObjectHandle(producer: actor, index: 0), by: 1).0 == .satisfied)
      }
      let waiting = cluster.submit(kind: .actorCreation, cpus: 2)
      let task = cluster.submit()
      cluster.run()
      cluster.beat()
      #expect(cluster.drivers[0].status(ObjectHandle(producer: waiting, index: 0)) == nil)
      #expect(cluster.get(ObjectHandle(producer: task, index: 0)).0 == nil)
      cluster.kill(driver: 1)
      cluster.run()
      for _ in 0..<3 { cluster.beat() }
      #expect(cluster.get(ObjectHandle(producer: waiting, index: 0)).0 == .satisfied)
      #expect(cluster.get(ObjectHandle(producer: task, index: 0)).0 == .satisfied)
    }
  }

  @Test("Tasks that were queued for CPUs which actors then took go to other nodes")
  func stranded() throws {
    let cluster = try cluster(2, spillover: "NeverEscalate")
    let blockers = (0..<2).map { _ in cluster.submit() }
    let tasks = (0..<4).map { number in
      cluster.submit(0, [ObjectHandle(producer: blockers[number % 2], index: 0)])
    }
    let actors = (0..<2).map { _ in cluster.submit(kind: .actorCreation, cpus: 1) }
    cluster.run()
    for _ in 0..<3 { cluster.beat() }
    for task in tasks + actors {
      #expect(cluster.get(ObjectHandle(producer: task, index: 0)).0 == .satisfied)
    }
  }
}
