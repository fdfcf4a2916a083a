import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Drivers that die, in separate processes")
struct SeparateTablesDriverTests {
  typealias Program = SeparateTablesTests.Program

  private func cluster(nodes: Int = 2, cpus: Int = 1) throws -> SeparateTablesCluster {
    var parameters = Parameters()
    parameters.chainLength = 2
    parameters.gcsShards = 2
    var plan = SeparateTablesPlan.headed(
      nodes: nodes, parameters: parameters, driverNodes: [0, nodes - 1])
    plan.cpus = cpus
    plan.spillover = "Immediate"
    return try SeparateTablesCluster(plan, seed: 5)
  }

  /// An object of driver 1 as driver 0 knows it, which holds a reference.
  private func borrow(_ object: ObjectHandle, _ cluster: SeparateTablesCluster) -> ObjectHandle {
    let id = cluster.specs(ofDriver: 1)[object.producer].id
    return ObjectHandle(producer: cluster.specs(ofDriver: 0).intern(id), index: object.index)
  }

  @Test("What it had queued does not run, and who waits for its objects hears that the owner died")
  func queued() throws {
    let cluster = try cluster()
    let first = cluster.submit(1)
    let rest = (0..<20).map { _ in cluster.submit(1) }
    let awaited = borrow(ObjectHandle(producer: rest[19], index: 0), cluster)
    let dependent = cluster.submit(0, [awaited])
    while cluster.stepWithoutFinishing() {}
    let begun = cluster.executed.count
    #expect(begun <= 2)
    let request = cluster.request(0, [awaited])
    cluster.kill(driver: 1)
    while cluster.stepWithoutFinishing() {}
    #expect(cluster.outcome(of: request) == .failed)
    #expect(cluster.drivers[0].status(awaited) == .ownerDied)
    #expect(cluster.get(ObjectHandle(producer: dependent, index: 0)).1 == .ownerDied)
    cluster.run()
    #expect(cluster.executed.count == begun)
    // Asked only now.
    let late = borrow(ObjectHandle(producer: first, index: 0), cluster)
    #expect(cluster.get(late).1 == .ownerDied)
    let own = cluster.submit(0)
    #expect(cluster.get(ObjectHandle(producer: own, index: 0)).0 == .satisfied)
  }

  @Test("Its actors die with it and give their resources back; another driver's call says so")
  func actors() throws {
    let cluster = try cluster()
    let creations = (0..<2).map { _ in cluster.submit(1, kind: .actorCreation, cpus: 1) }
    for creation in creations {
      #expect(cluster.get(ObjectHandle(producer: creation, index: 0), by: 1).0 == .satisfied)
    }
    let id = cluster.specs(ofDriver: 1)[creations[0]].id
    let known = cluster.specs(ofDriver: 0).intern(id)
    let early = cluster.submit(0, kind: .actorMethod, actor: known)
    #expect(cluster.get(ObjectHandle(producer: early, index: 0)).0 == .satisfied)
    cluster.kill(driver: 1)
    cluster.run()
    for node in 0..<2 {
      #expect(cluster.raylets[node].availableResources == cluster.plan.resources)
      #expect(cluster.raylets[node].actorCount == 0)
    }
    let late = cluster.submit(0, kind: .actorMethod, actor: known)
    #expect(cluster.get(ObjectHandle(producer: late, index: 0)).1 == .actorDied)
    let own = cluster.submit(0, kind: .actorCreation, cpus: 1)
    #expect(cluster.get(ObjectHandle(producer: own, index: 0)).0 == .satisfied)
  }

  @Test("A node that joins after a driver died hears of it")
  func joins() throws {
    let cluster = try cluster()
    cluster.kill(driver: 1)
    cluster.run()
    // As one that registers again.
    let raylet = Address.raylet(NodeID(1))
    cluster.raylets[1].start(at: cluster.now, into: &cluster.effects)
    cluster.perform(from: raylet)
    cluster.endTurn(cluster.homes.raylets[1])
    let kind = MessageKind.jobEnded.rawValue
    var isTold = false
    while !isTold {
      isTold = cluster.wires.contains { $0.to == 1 && $0.frames.contains { $0[4] == kind } }
      if !cluster.step() { break }
    }
    #expect(isTold)
  }

  private func play(seed: UInt64) throws {
    var plan = SeparateTablesPlan.random(seed: seed, headed: true)
    plan.driverNodes = [0, Int(seed) % plan.homes.raylets.count]
    plan.homes.drivers = [plan.homes.raylets.count, plan.homes.raylets.count + 1]
    let cluster = try SeparateTablesCluster(plan, seed: seed)
    var program = Program(cluster)
    let steps = 10 + cluster.below(60)
    let end = cluster.below(steps)
    var drivers = 2
    var borrowed: [ObjectHandle] = []
    var dependents: [ObjectHandle] = []
    for step in 0..<steps {
      for _ in 0..<cluster.below(25) where !cluster.step() { break }
      if step == end {
        cluster.kill(driver: 1)
        drivers = 1
      }
      let driver = cluster.below(drivers)
      switch cluster.below(13) {
      case 0:
        let object = cluster.put(driver, size: UInt64(cluster.below(50)))
        program.live[driver].append(.init(object: object, isError: false))
      case 1...4: program.submitTask(driver)
      case 5, 6: program.ask(driver)
      case 7:
        // What others borrowed must not be freed before they are done with it.
        if driver == 1 && !borrowed.isEmpty { continue }
        for object in program.uncertain { #expect(cluster.get(object).0 != nil, "seed \(seed)") }
        #expect(program.freeSome(driver) == .satisfied, "seed \(seed)")
      case 8: program.createActor(driver)
      case 9, 10:
        if driver == 0, let theirs = program.live[1].last?.object, drivers == 2 {
          let object = borrow(theirs, cluster)
          borrowed.append(object)
          let task = cluster.submit(0, [object], notice: program.notice())
          dependents.append(ObjectHandle(producer: task, index: 0))
        }
      default:
        // An actor of driver 1 may be dead or alive: what comes of the call is not foretold.
        let count = program.live[driver].count
        program.callMethod(driver)
        if program.live[driver].count > count, driver == 0 { moveForeign(&program, count) }
      }
    }
    for one in program.live[0] {
      let (outcome, _) = cluster.get(one.object)
      #expect(outcome == (one.isError ? .failed : .satisfied), "seed \(seed)")
    }
    for object in dependents + program.uncertain {
      #expect(cluster.get(object).0 != nil, "seed \(seed)")
    }
    cluster.run()
    cluster.free(0, program.live[0].map(\.object) + dependents + program.uncertain)
    let specs = cluster.specs(ofDriver: 0)
    for object in borrowed { specs.release(object.producer) }
    for actor in program.actors where actor.creator == 1 {
      if let handle = actor.handles[0] { specs.release(handle) }
    }
    cluster.run()
    cluster.beat()
    let own = program.actors.filter { $0.creator == 0 }.map(\.creation)
    SeparateTablesTests.checkNothingIsLeft(cluster, actors: own, seed)
    #expect(cluster.raylets[0].actorCount <= own.count, "seed \(seed)")
  }

  /// Calls on actors of driver 1 are kept apart.
  private func moveForeign(_ program: inout Program, _ count: Int) {
    let calls = program.live[0][count...]
    let specs = program.cluster.specs(ofDriver: 0)
    let actor = specs[specs[calls.first!.object.producer].actor].id
    guard actor.job == program.cluster.roots[1].job else { return }
    program.uncertain += calls.map(\.object)
    program.live[0].removeLast(calls.count)
  }

  @Test(
    "Under random interleavings the others get their results, and nothing of the dead one is left",
    arguments: 0..<8)
  func interleavings(block: Int) throws {
    for seed in UInt64(30_000 + block * 50)..<UInt64(30_000 + block * 50 + 50) {
      try play(seed: seed)
    }
  }
}
