import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Workers and nodes that die, in separate processes")
struct SeparateTablesLossTests {
  private func cluster(
    nodes: Int = 1, cpus: Int = 1, seed: UInt64 = 1,
    _ change: (inout SeparateTablesPlan) -> Void = { _ in }
  ) throws -> SeparateTablesCluster {
    var parameters = Parameters()
    parameters.globalSchedulers = 1
    parameters.gcsShards = 1
    parameters.chainLength = 2
    var plan = SeparateTablesPlan.headed(nodes: nodes, parameters: parameters)
    plan.cpus = cpus
    change(&plan)
    return try SeparateTablesCluster(plan, seed: seed)
  }

  /// Runs until a task of this number of the cluster has begun; its worker.
  private func runUntilStarted(_ count: Int, _ cluster: SeparateTablesCluster) throws -> Int {
    // Tasks end only when the test says so.
    while cluster.executed.count < count {
      guard cluster.stepWithoutFinishing() else { break }
    }
    let id = try #require(cluster.executed.last)
    return try #require(
      cluster.workers.firstIndex { queue in
        let specs = cluster.processes[cluster.homes.raylets[queue.node]].specs
        return queue.tasks.contains { specs[$0].id == id }
      })
  }

  private func checkResources(_ cluster: SeparateTablesCluster) {
    for node in cluster.homes.raylets.indices where !cluster.nodesLost.contains(node) {
      #expect(cluster.raylets[node].availableResources == cluster.plan.resources)
      #expect(cluster.raylets[node].taskCount == 0)
    }
  }

  // MARK: Workers

  @Test(
    "A worker that dies in a task: its result carries the error, and the node runs the next task")
  func workerDiesRunning() throws {
    let cluster = try cluster()
    let first = cluster.submit(returns: 2)
    let place = try runUntilStarted(1, cluster)
    cluster.kill(worker: place)
    for index in [Int32(0), 1] {
      let (outcome, status) = cluster.get(ObjectHandle(producer: first, index: index))
      #expect(outcome == .failed)
      #expect(status == .workerCrashed)
    }
    let second = cluster.submit()
    #expect(cluster.get(ObjectHandle(producer: second, index: 0)).0 == .satisfied)
    checkResources(cluster)
  }

  @Test("A worker that dies while it is blocked gives back what it still held, once")
  func workerDiesBlocked() throws {
    let cluster = try cluster()
    let outer = cluster.submit()
    let place = try runUntilStarted(1, cluster)
    let raylet = Address.raylet(NodeID(0))
    cluster.deliver(
      .workerBlocked(cluster.workers[place].worker), from: raylet, to: raylet)
    cluster.endTurn(0)
    #expect(cluster.raylets[0].availableResources == cluster.plan.resources)
    cluster.kill(worker: place)
    #expect(cluster.raylets[0].availableResources == cluster.plan.resources)
    #expect(cluster.get(ObjectHandle(producer: outer, index: 0)).1 == .workerCrashed)
    let next = cluster.submit()
    #expect(cluster.get(ObjectHandle(producer: next, index: 0)).0 == .satisfied)
    checkResources(cluster)
  }

  @Test("A worker that dies with a pipeline behind it: what had not begun runs elsewhere, in order")
  func workerDiesWithPipeline() throws {
    let cluster = try cluster { plan in
      plan.parameters.pipelineTime = .seconds(1)
      plan.parameters.pipelineLimit = 4
      plan.spillover = "Immediate"
    }
    // The first tells the node how short tasks are: then several go to the worker at once.
    let warm = cluster.submit()
    #expect(cluster.get(ObjectHandle(producer: warm, index: 0)).0 == .satisfied)
    let tasks = (0..<6).map { _ in cluster.submit() }
    let place = try runUntilStarted(5, cluster)
    #expect(cluster.workers[place].tasks.count == 4)
    cluster.kill(worker: place)
    let statuses = tasks.map { cluster.get(ObjectHandle(producer: $0, index: 0)).1 }
    // Four were with the worker; the first of them ran.
    #expect(statuses.count { $0 == .workerCrashed } == 1)
    #expect(statuses.count { $0 == .value } == tasks.count - 1)
    checkResources(cluster)
  }

  @Test("An idle worker that dies is missed by nobody")
  func idleWorkerDies() throws {
    let cluster = try cluster(cpus: 2)
    cluster.kill(worker: 0)
    let tasks = (0..<4).map { _ in cluster.submit() }
    for task in tasks {
      #expect(cluster.get(ObjectHandle(producer: task, index: 0)).0 == .satisfied)
    }
    checkResources(cluster)
  }

  @Test("An actor's worker that dies: calls under way and all later ones say that the actor died")
  func actorWorkerDies() throws {
    let cluster = try cluster()
    let creation = cluster.submit(kind: .actorCreation, cpus: 1)
    #expect(cluster.get(ObjectHandle(producer: creation, index: 0)).0 == .satisfied)
    #expect(cluster.raylets[0].availableResources == .zero)
    let early = (0..<3).map { _ in cluster.submit(kind: .actorMethod, actor: creation) }
    let place = try runUntilStarted(2, cluster)
    cluster.kill(worker: place)
    let late = cluster.submit(kind: .actorMethod, actor: creation)
    for call in early + [late] {
      let (outcome, status) = cluster.get(ObjectHandle(producer: call, index: 0))
      #expect(outcome == .failed)
      #expect(status == .actorDied)
    }
    checkResources(cluster)
  }

  @Test("A worker that dies in a constructor: the actor is dead from the start")
  func constructorDies() throws {
    let cluster = try cluster()
    let creation = cluster.submit(kind: .actorCreation, cpus: 1)
    let waiting = cluster.submit(kind: .actorMethod, actor: creation)
    let place = try runUntilStarted(1, cluster)
    cluster.kill(worker: place)
    let late = cluster.submit(kind: .actorMethod, actor: creation)
    #expect(cluster.get(ObjectHandle(producer: creation, index: 0)).0 == .failed)
    for call in [waiting, late] {
      #expect(cluster.get(ObjectHandle(producer: call, index: 0)).1 == .actorDied)
    }
    checkResources(cluster)
  }

  // MARK: Nodes

  /// Two nodes, and tasks that all go to node 1.
  private func clusterThatPlacesElsewhere(_ seed: UInt64 = 1) throws -> SeparateTablesCluster {
    try cluster(nodes: 2, seed: seed) { plan in
      plan.spillover = "AlwaysEscalate"
      plan.placement = "RoundRobin"
    }
  }

  @Test(
    "A node that dies with tasks placed, queued or run: each result is there or says so",
    arguments: UInt64(0)..<40)
  func nodeDiesWithTasks(seed: UInt64) throws {
    let cluster = try clusterThatPlacesElsewhere(seed)
    let tasks = (0..<8).map { _ in cluster.submit() }
    for _ in 0..<cluster.below(60) where !cluster.step() { break }
    cluster.kill(node: 1)
    let late = (0..<4).map { _ in cluster.submit() }
    for task in tasks + late {
      let (outcome, status) = cluster.get(ObjectHandle(producer: task, index: 0))
      #expect(outcome != nil, "seed \(seed)")
      #expect(
        status == .value || status == .nodeDied || status == .objectLost,
        "seed \(seed): \(String(describing: status))")
    }
    cluster.run()
    checkResources(cluster)
  }

  @Test("The only copy of an object dies with its node: a reader hears that it is lost")
  func onlyCopyDies() throws {
    let cluster = try clusterThatPlacesElsewhere()
    let tasks = (0..<4).map { _ in cluster.submit() }
    let objects = tasks.map { ObjectHandle(producer: $0, index: 0) }
    // News of existence brings no copy.
    #expect(
      cluster.outcome(of: cluster.request(0, objects, isGet: false, fetch: false)) == .satisfied)
    cluster.run()
    let held = objects.filter { object in
      let id = cluster.specs(ofDriver: 0)[object.producer].id
      let specs = cluster.processes[0].specs
      return specs.find(id).map {
        cluster.raylets[0].holds(ObjectHandle(producer: $0, index: 0))
      } ?? false
    }
    #expect(held.count < objects.count)
    cluster.kill(node: 1)
    for object in objects {
      let (outcome, status) = cluster.get(object)
      #expect(outcome == (held.contains(object) ? .satisfied : .failed))
      #expect(status == (held.contains(object) ? .value : .objectLost))
    }
    // A task that needs it does not run, and says why.
    let lost = try #require(objects.first { !held.contains($0) })
    let reader = cluster.submit(0, [lost])
    #expect(cluster.get(ObjectHandle(producer: reader, index: 0)).1 == .objectLost)
  }

  @Test(
    "A node that hands its objects over before it goes: every result is there, nothing is lost",
    arguments: UInt64(0)..<40)
  func nodeDrains(seed: UInt64) throws {
    let cluster = try cluster(nodes: 3, seed: seed) { plan in
      plan.spillover = "AlwaysEscalate"
      plan.placement = "RoundRobin"
    }
    let tasks = (0..<12).map { _ in cluster.submit() }
    let objects = tasks.map { ObjectHandle(producer: $0, index: 0) }
    for _ in 0..<cluster.below(120) where !cluster.step() { break }
    let leaving = Address.raylet(NodeID(1))
    func tell(_ message: Message, _ target: Address) {
      cluster.deliver(message, from: leaving, to: target)
      cluster.endTurn(cluster.home(target))
    }
    tell(.nodeDraining(NodeID(1)), .globalScheduler(0))
    tell(.nodeDraining(NodeID(1)), leaving)
    cluster.run()
    let hasTasks = !cluster.raylets[1].hasNoTasks
    #expect(!hasTasks)
    while cluster.raylets[1].hasObjectsToOffer {
      for keeper in [0, 2] { tell(.objectsDue(NodeID(keeper), 2), leaving) }
      cluster.run()
    }
    let rest = cluster.raylets[1].offeredObjects + cluster.raylets[1].objectsNotTaken
    #expect(rest == 0)
    cluster.kill(node: 1)
    let late = (0..<4).map { _ in ObjectHandle(producer: cluster.submit(), index: 0) }
    for object in objects + late {
      let (outcome, status) = cluster.get(object)
      #expect(outcome == .satisfied && status == .value, "seed \(seed)")
    }
    cluster.run()
    checkResources(cluster)
  }

  @Test("Who was to take an object over dies: it is offered again, to another node")
  func keeperDies() throws {
    let cluster = try cluster(nodes: 3)
    for _ in 0..<4 { _ = cluster.put(size: 100) }
    cluster.run()
    /// What is offered, and whether there is more.
    func standing() -> [Int] {
      let offered = cluster.raylets[0].offeredObjects
      return [offered, cluster.raylets[0].hasObjectsToOffer ? 1 : 0]
    }
    let leaving = Address.raylet(NodeID(0))
    cluster.deliver(.nodeDraining(NodeID(0)), from: leaving, to: leaving)
    cluster.deliver(.objectsDue(NodeID(1), 4), from: leaving, to: leaving)
    cluster.endTurn(cluster.home(leaving))
    #expect(standing() == [4, 0])
    cluster.kill(node: 1)
    cluster.run()
    #expect(standing() == [0, 1])
    cluster.deliver(.objectsDue(NodeID(2), 9), from: leaving, to: leaving)
    cluster.endTurn(cluster.home(leaving))
    cluster.run()
    #expect(standing() == [0, 0])
    let taken = cluster.raylets[2].storedObjects
    #expect(taken == 4)
  }

  @Test(
    "A node that dies with an actor: calls before, on their way and after never hang",
    arguments: UInt64(0)..<60)
  func nodeDiesWithActor(seed: UInt64) throws {
    let cluster = try clusterThatPlacesElsewhere(seed)
    let actors = (0..<2).map { _ in cluster.submit(kind: .actorCreation) }
    var calls: [TaskHandle] = []
    func call() {
      for actor in actors { calls.append(cluster.submit(kind: .actorMethod, actor: actor)) }
    }
    call()
    for _ in 0..<cluster.below(80) where !cluster.step() { break }
    call()
    for _ in 0..<cluster.below(20) where !cluster.step() { break }
    cluster.kill(node: 1)
    call()
    for _ in 0..<cluster.below(20) where !cluster.step() { break }
    call()
    for task in calls {
      let (outcome, status) = cluster.get(ObjectHandle(producer: task, index: 0))
      #expect(outcome != nil, "seed \(seed)")
      #expect(
        status.map { [.value, .nodeDied, .objectLost, .actorDied].contains($0) } ?? false,
        "seed \(seed): \(String(describing: status))")
    }
    // By now everyone has heard: such an actor answers no more.
    cluster.run()
    let last = actors.map { cluster.submit(kind: .actorMethod, actor: $0) }
    for task in last {
      let (_, status) = cluster.get(ObjectHandle(producer: task, index: 0))
      #expect(status == .value || status == .actorDied, "seed \(seed)")
    }
  }

  // MARK: Random

  @Test(
    "Workers and nodes die at random steps: every request ends and no machine is confused",
    arguments: 0..<8)
  func randomLoss(block: Int) throws {
    for seed in UInt64(20_000 + block * 50)..<UInt64(20_000 + block * 50 + 50) {
      let cluster = try SeparateTablesCluster(.random(seed: seed, headed: true), seed: seed)
      let nodes = cluster.homes.raylets.count
      var program = SeparateTablesTests.Program(cluster)
      for _ in 0..<(20 + cluster.below(60)) {
        for _ in 0..<cluster.below(25) where !cluster.step() { break }
        // The program of a node that died has died with it.
        let driver = cluster.below(program.live.count)
        if cluster.nodesLost.contains(cluster.plan.driverNodes[driver]) { continue }
        switch cluster.below(14) {
        case 0:
          let object = cluster.put(driver, size: UInt64(cluster.below(50)))
          program.live[driver].append(.init(object: object, isError: false))
        case 1...4: program.submitTask(driver)
        case 5, 6: program.ask(driver)
        case 7: program.createActor(driver)
        case 8...11: program.callMethod(driver)
        case 12:
          if !cluster.workers.isEmpty {
            cluster.kill(worker: cluster.below(cluster.workers.count))
          }
        default:
          let node = 1 + cluster.below(nodes - 1)
          if cluster.below(2) == 0 && !cluster.nodesLost.contains(node) { cluster.kill(node: node) }
        }
      }
      for driver in program.live.indices
      where !cluster.nodesLost.contains(cluster.plan.driverNodes[driver]) {
        for one in program.live[driver] {
          let (outcome, status) = cluster.get(one.object, by: driver)
          #expect(
            outcome != nil, "seed \(seed): \(cluster.describe(one.object, ofDriver: driver))")
          if one.isError { #expect(status?.isError == true, "seed \(seed)") }
        }
        for request in program.requests where Int(request >> 32) == driver {
          #expect(cluster.ended[request] != nil, "seed \(seed)")
        }
      }
      cluster.run()
      for node in cluster.homes.raylets.indices where !cluster.nodesLost.contains(node) {
        #expect(cluster.raylets[node].taskCount == 0, "seed \(seed) node \(node)")
        #expect(
          cluster.raylets[node].availableResources == cluster.plan.resources,
          "seed \(seed) node \(node)")
        // What drivers of lost nodes had is gone too.
        for driver in program.live.indices
        where cluster.nodesLost.contains(cluster.plan.driverNodes[driver]) {
          let specs = cluster.processes[cluster.homes.raylets[node]].specs
          for object in program.live[driver].map(\.object) {
            let id = cluster.specs(ofDriver: driver)[object.producer].id
            guard let task = specs.find(id) else { continue }
            let isHeld = cluster.raylets[node].holds(
              ObjectHandle(producer: task, index: object.index))
            #expect(!isHeld, "seed \(seed) node \(node)")
          }
        }
      }
    }
  }
}
