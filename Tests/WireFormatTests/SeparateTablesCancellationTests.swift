import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Tasks that are cancelled, in separate processes")
struct SeparateTablesCancellationTests {
  private func cluster(
    nodes: Int = 1, _ change: (inout SeparateTablesPlan) -> Void = { _ in }
  ) throws -> SeparateTablesCluster {
    var parameters = Parameters()
    parameters.chainLength = 2
    var plan = SeparateTablesPlan.headed(nodes: nodes, parameters: parameters)
    change(&plan)
    return try SeparateTablesCluster(plan, seed: 3)
  }

  private func result(_ task: TaskHandle) -> ObjectHandle { ObjectHandle(producer: task, index: 0) }

  /// Nothing goes on but what runs.
  private func settle(_ cluster: SeparateTablesCluster) {
    while cluster.stepWithoutFinishing() {}
  }

  @Test("Ready, or waiting for inputs: it does not run, and its dependents carry the error")
  func queued() throws {
    let cluster = try cluster { $0.spillover = "NeverEscalate" }
    let first = cluster.submit()
    let ready = cluster.submit()
    let waiting = cluster.submit(0, [result(first)])
    let dependent = cluster.submit(0, [result(waiting)])
    settle(cluster)
    cluster.cancel(0, result(ready))
    cluster.cancel(0, result(waiting))
    settle(cluster)
    for task in [ready, waiting, dependent] {
      #expect(cluster.get(result(task)).1 == .taskCancelled)
    }
    #expect(cluster.get(result(first)).1 == .value)
    #expect(cluster.executed.count == 1)
    cluster.cancel(0, result(first))
    cluster.run()
    #expect(cluster.get(result(first)).1 == .value, "what has ended is left alone")
  }

  @Test("Forwarded to another node, or infeasible: it is found there")
  func elsewhere() throws {
    let cluster = try cluster(nodes: 3) { $0.spillover = "AlwaysEscalate" }
    let tasks = (0..<9).map { _ in cluster.submit() }
    let impossible = cluster.submit(cpus: 7)
    settle(cluster)
    let begun = cluster.executed.count
    #expect(begun == 3)
    for task in tasks + [impossible] { cluster.cancel(0, result(task)) }
    settle(cluster)
    #expect(cluster.get(result(impossible)).1 == .taskCancelled)
    let statuses = tasks.map { cluster.get(result($0)).1 }
    #expect(statuses.count { $0 == .taskCancelled } >= 6)
    #expect(cluster.executed.count == begun)
  }

  @Test("Before anybody has logged it: the task table passes the request on when it is")
  func onItsWay() throws {
    let cluster = try cluster(nodes: 2) { $0.spillover = "AlwaysEscalate" }
    let blockers = (0..<2).map { _ in cluster.submit() }
    settle(cluster)
    let task = cluster.submit()
    cluster.cancel(0, result(task))
    settle(cluster)
    #expect(cluster.get(result(task)).1 == .taskCancelled)
    for blocker in blockers { #expect(cluster.get(result(blocker)).1 == .value) }
    #expect(cluster.executed.count == 2)
  }

  @Test("A method before its turn: the calls behind it keep their order", arguments: [0, 1])
  func method(home: Int) throws {
    let cluster = try cluster(nodes: 2) { plan in
      plan.spillover = home == 0 ? "NeverEscalate" : "AlwaysEscalate"
      plan.placement = "RoundRobin[offset=zero]"
    }
    if home == 1 { _ = cluster.get(result(cluster.submit())) }
    let actor = cluster.submit(kind: .actorCreation)
    #expect(cluster.get(result(actor)).1 == .value)
    let blocker = cluster.submit(cpus: 1)
    let calls = [
      cluster.submit(kind: .actorMethod, actor: actor),
      cluster.submit(0, [result(blocker)], kind: .actorMethod, actor: actor),
      cluster.submit(kind: .actorMethod, actor: actor),
      cluster.submit(kind: .actorMethod, actor: actor),
    ]
    settle(cluster)
    cluster.cancel(0, result(calls[1]))
    cluster.cancel(0, result(calls[2]))
    settle(cluster)
    #expect(cluster.get(result(calls[1])).1 == .taskCancelled)
    #expect(cluster.get(result(calls[2])).1 == .taskCancelled)
    #expect(cluster.get(result(calls[0])).1 == .value)
    #expect(cluster.get(result(calls[3])).1 == .value)
    let ids = calls.map { cluster.specs(ofDriver: 0)[$0].id }
    #expect(cluster.executed.filter(ids.contains) == [ids[0], ids[3]])
  }

  @Test("A creation before its constructor: its methods carry the error")
  func creation() throws {
    let cluster = try cluster { $0.spillover = "NeverEscalate" }
    let blocker = cluster.submit()
    let actor = cluster.submit(0, [result(blocker)], kind: .actorCreation, cpus: 1)
    let call = cluster.submit(kind: .actorMethod, actor: actor)
    settle(cluster)
    cluster.cancel(0, result(actor))
    settle(cluster)
    #expect(cluster.get(result(call)).1 == .taskCancelled)
    #expect(cluster.get(result(blocker)).1 == .value)
    #expect(cluster.get(result(cluster.submit())).1 == .value)
    #expect(cluster.raylets[0].availableResources == cluster.plan.resources)
  }

  private func play(seed: UInt64) throws {
    let cluster = try SeparateTablesCluster(.random(seed: seed), seed: seed)
    var program = SeparateTablesTests.Program(cluster)
    for _ in 0..<(10 + cluster.below(60)) {
      for _ in 0..<cluster.below(25) where !cluster.step() { break }
      let driver = cluster.below(program.live.count)
      switch cluster.below(13) {
      case 0...4: program.submitTask(driver)
      case 5: program.createActor(driver)
      case 6, 7: program.callMethod(driver)
      case 8: program.ask(driver)
      default:
        guard !program.live[driver].isEmpty else { continue }
        // The latest mostly, which have not ended.
        let count = program.live[driver].count
        let place = max(0, count - 1 - cluster.below(8))
        cluster.cancel(driver, program.live[driver][place].object)
      }
    }
    var cancelled: Set<TaskID> = []
    for driver in program.live.indices {
      for one in program.live[driver] {
        let (outcome, status) = cluster.get(one.object, by: driver)
        #expect(outcome != nil, "seed \(seed)")
        if status == .taskCancelled {
          cancelled.insert(cluster.specs(ofDriver: driver)[one.object.producer].id)
        }
      }
    }
    cluster.run()
    #expect(Set(cluster.executed).count == cluster.executed.count, "seed \(seed): ran twice")
    for id in cluster.executed where !cluster.stopped.contains(id) {
      #expect(!cancelled.contains(id), "seed \(seed): \(id) ran though it was cancelled")
    }
    for request in program.requests { #expect(cluster.ended[request] != nil, "seed \(seed)") }
    for driver in program.live.indices {
      cluster.free(driver, program.live[driver].map(\.object))
    }
    cluster.run()
    cluster.beat()
    SeparateTablesTests.checkNothingIsLeft(
      cluster, actors: program.actors.map(\.creation), seed)
  }

  @Test(
    "Under random interleavings every request ends, no cancelled task runs, and nothing is left",
    arguments: 0..<8)
  func interleavings(block: Int) throws {
    for seed in UInt64(40_000 + block * 50)..<UInt64(40_000 + block * 50 + 50) {
      try play(seed: seed)
    }
  }
}
