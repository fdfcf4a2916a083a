import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Drivers whose node dies, in separate processes")
struct SeparateTablesDriverNodeTests {
  private func cluster(cpus: Int = 1) throws -> SeparateTablesCluster {
    var parameters = Parameters()
    parameters.chainLength = 2
    parameters.gcsShards = 2
    var plan = SeparateTablesPlan.headed(
      nodes: 3, parameters: parameters, driverNodes: [0, 2])
    plan.cpus = cpus
    plan.spillover = "AlwaysEscalate"
    plan.placement = "RoundRobin"
    return try SeparateTablesCluster(plan, seed: 5)
  }

  private func checkNothingRuns(_ cluster: SeparateTablesCluster) {
    for node in 0..<2 {
      #expect(cluster.raylets[node].taskCount == 0)
      #expect(cluster.raylets[node].actorCount == 0)
      #expect(cluster.raylets[node].storedObjects == 0)
      #expect(cluster.raylets[node].availableResources == cluster.plan.resources)
    }
    for i in cluster.homes.replicas.indices {
      #expect(cluster.replicas[i].taskCount == 0)
      #expect(cluster.replicas[i].objectCount == 0)
    }
  }

  @Test("Its tasks and objects on other nodes go; what had not begun there does not run")
  func tasks() throws {
    let cluster = try cluster()
    let done = (0..<6).map { _ in cluster.submit(1, size: 40) }
    for task in done {
      #expect(cluster.get(ObjectHandle(producer: task, index: 0), by: 1).0 == .satisfied)
    }
    for _ in 0..<30 { _ = cluster.submit(1) }
    while cluster.stepWithoutFinishing() {}
    let begun = cluster.executed.count
    let elsewhere = (0..<2).map { cluster.raylets[$0].taskCount }
    #expect(elsewhere.allSatisfy { $0 > 5 })
    cluster.kill(node: 2)
    cluster.run()
    #expect(cluster.executed.count == begun)
    checkNothingRuns(cluster)
    let own = cluster.submit(0)
    #expect(cluster.get(ObjectHandle(producer: own, index: 0)).0 == .satisfied)
  }

  @Test("Its actors on other nodes go, and who calls one or waits for an object hears why")
  func actors() throws {
    let cluster = try cluster()
    let creations = (0..<3).map { _ in cluster.submit(1, kind: .actorCreation, cpus: 1) }
    for creation in creations {
      #expect(cluster.get(ObjectHandle(producer: creation, index: 0), by: 1).0 == .satisfied)
    }
    let pending = cluster.submit(1)
    let (mine, theirs) = (cluster.specs(ofDriver: 0), cluster.specs(ofDriver: 1))
    let awaited = ObjectHandle(producer: mine.intern(theirs[pending].id), index: 0)
    let dependent = cluster.submit(0, [awaited])
    let known = creations.map { mine.intern(theirs[$0].id) }
    // The node of one of them dies, the others live on without a driver.
    let early = known.map { cluster.submit(0, kind: .actorMethod, actor: $0) }
    while cluster.stepWithoutFinishing() {}
    cluster.kill(node: 2)
    cluster.run()
    // The schedulers learn that CPUs are free again.
    cluster.beat()
    #expect(cluster.get(ObjectHandle(producer: dependent, index: 0)).1 == .ownerDied)
    for call in early { #expect(cluster.get(ObjectHandle(producer: call, index: 0)).0 != nil) }
    for actor in known {
      let late = cluster.submit(0, kind: .actorMethod, actor: actor)
      #expect(cluster.get(ObjectHandle(producer: late, index: 0)).1 == .actorDied)
    }
    for node in 0..<2 {
      #expect(cluster.raylets[node].actorCount == 0)
      #expect(cluster.raylets[node].availableResources == cluster.plan.resources)
    }
  }

  @Test("An actor that its node had told nobody of: others who call it hear that it is dead")
  func unknownActor() throws {
    let cluster = try cluster()
    let creation = cluster.submit(1, kind: .actorCreation)
    let id = cluster.specs(ofDriver: 1)[creation].id
    let known = cluster.specs(ofDriver: 0).intern(id)
    let call = cluster.submit(0, kind: .actorMethod, actor: known)
    // Nothing of the driver has reached its node.
    cluster.kill(node: 2)
    cluster.run()
    #expect(cluster.get(ObjectHandle(producer: call, index: 0)).1 == .actorDied)
  }
}
