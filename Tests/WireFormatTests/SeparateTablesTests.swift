import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Machines in separate processes, under random interleavings")
struct SeparateTablesTests {
  /// A random program of one or two drivers, and what is to come of it.
  struct Program {
    struct Live {
      var object: ObjectHandle
      var isError: Bool
    }

    struct Actor {
      var creation: TaskID
      var creator: Int
      /// The creation as each driver knows it; nil while it has not heard of it.
      var handles: [TaskHandle?]
      var fails: Bool
    }

    let cluster: SeparateTablesCluster
    var live: [[Live]]
    var actors: [Actor] = []
    var expected: Set<TaskID> = []
    var requests: [UInt64] = []
    /// Drivers whose actors only they call: a creation may be lost with its driver's node before anyone
    /// has heard of it, and then the actor never is.
    var secretive: Set<Int> = []
    /// Results of which it cannot be said whether they are values.
    var uncertain: [ObjectHandle] = []

    init(_ cluster: SeparateTablesCluster) {
      self.cluster = cluster
      live = Array(repeating: [], count: cluster.homes.drivers.count)
    }

    func inputs(_ driver: Int) -> [Live] {
      (0..<(live[driver].isEmpty ? 0 : cluster.below(4))).map { _ in
        live[driver][cluster.below(live[driver].count)]
      }
    }

    func notice() -> ResultNotice { [.none, .localCopy, .ifKept][cluster.below(3)] }

    mutating func note(_ task: TaskHandle, _ driver: Int, runs: Bool, isError: Bool) {
      let specs = cluster.specs(ofDriver: driver)
      if runs { expected.insert(specs[task].id) }
      for index in 0..<Int32(specs[task].returns) {
        live[driver].append(
          Live(object: ObjectHandle(producer: task, index: index), isError: isError))
      }
    }

    mutating func submitTask(_ driver: Int) {
      let some = inputs(driver)
      let fails = cluster.below(10) == 0
      let inputFails = some.contains { $0.isError }
      let task = cluster.submit(
        driver, some.map(\.object), size: UInt64(cluster.below(50)),
        returns: 1 + cluster.below(3), fails: fails, notice: notice())
      note(task, driver, runs: !inputFails, isError: fails || inputFails)
    }

    mutating func createActor(_ driver: Int) {
      let some = inputs(driver)
      let fails = cluster.below(6) == 0
      // The future is one thing, the actor another. With inputs it stays for the next barrier: they
      // must not be freed before the constructor has run.
      let isBrief = some.isEmpty && cluster.below(2) == 0
      let inputFails = some.contains { $0.isError }
      let task = cluster.submit(
        driver, some.map(\.object), kind: .actorCreation, fails: fails,
        notice: isBrief ? .ifKept : notice())
      var handles = [TaskHandle?](repeating: nil, count: live.count)
      handles[driver] = task
      actors.append(
        Actor(
          creation: cluster.specs(ofDriver: driver)[task].id, creator: driver, handles: handles,
          fails: fails || inputFails))
      note(task, driver, runs: !inputFails, isError: fails || inputFails)
      if isBrief { cluster.free(driver, [live[driver].removeLast().object]) }
    }

    mutating func callMethod(_ driver: Int) {
      guard !actors.isEmpty else { return }
      let index = cluster.below(actors.count)
      let creator = actors[index].creator
      if creator != driver && secretive.contains(creator) { return }
      let specs = cluster.specs(ofDriver: driver)
      if actors[index].handles[driver] == nil {
        actors[index].handles[driver] = specs.intern(actors[index].creation)
      }
      let some = inputs(driver)
      let fails = cluster.below(10) == 0
      let inputFails = some.contains { $0.isError }
      let task = cluster.submit(
        driver, some.map(\.object), kind: .actorMethod, actor: actors[index].handles[driver]!,
        size: UInt64(cluster.below(50)), returns: 1 + cluster.below(2), fails: fails,
        notice: notice())
      note(
        task, driver, runs: !inputFails && !actors[index].fails,
        isError: fails || inputFails || actors[index].fails)
    }

    mutating func ask(_ driver: Int) {
      guard !live[driver].isEmpty else { return }
      let some = (0..<1 + cluster.below(3)).map { _ in
        live[driver][cluster.below(live[driver].count)].object
      }
      let isGet = cluster.below(2) == 0
      requests.append(
        cluster.request(
          driver, some, needed: isGet ? some.count : 1, isGet: isGet,
          fetch: cluster.below(3) > 0,
          timeout: [nil, .zero, .milliseconds(1)][cluster.below(3)]))
    }

    /// A barrier, after which nothing pending needs what is freed then.
    mutating func freeSome(_ driver: Int) -> RequestOutcome? {
      let all = live[driver].map(\.object)
      if all.isEmpty { return .satisfied }
      let barrier = cluster.request(
        driver, all, isGet: false, fetch: cluster.below(2) == 0)
      let outcome = cluster.outcome(of: barrier)
      // A free that overtook a look-up, on other ways than it, would leave the look-up's row behind.
      cluster.runUntilLookedUp()
      let count = cluster.below(all.count + 1)
      cluster.free(driver, Array(all[..<count]))
      live[driver].removeFirst(count)
      return outcome
    }
  }

  /// After everything has been freed and one round of heartbeats, each process knows only programs
  /// and actors, and the machines hold nothing.
  static func checkNothingIsLeft(
    _ cluster: SeparateTablesCluster, actors: [TaskID], _ seed: UInt64
  ) {
    for node in cluster.homes.raylets.indices where !cluster.nodesLost.contains(node) {
      #expect(cluster.raylets[node].isQuiescent == true, "seed \(seed) node \(node)")
      #expect(cluster.raylets[node].storedObjects == 0, "seed \(seed) node \(node)")
      #expect(cluster.raylets[node].taskCount == 0, "seed \(seed) node \(node)")
      #expect(
        cluster.raylets[node].availableResources == cluster.plan.resources,
        "seed \(seed) node \(node)")
    }
    for i in cluster.homes.replicas.indices {
      #expect(cluster.replicas[i].taskCount == 0, "seed \(seed) replica \(i)")
      #expect(cluster.replicas[i].objectCount == 0, "seed \(seed) replica \(i)")
    }
    for number in cluster.processes.indices where !cluster.processes[number].isDead {
      checkTable(cluster, number, actors: actors, seed)
    }
  }

  /// A table keeps the roots of its process's drivers and the actors, which live for ever, with what
  /// their creations name; each as often as it is named, and not once more.
  private static func checkTable(
    _ cluster: SeparateTablesCluster, _ number: Int, actors: [TaskID], _ seed: UInt64
  ) {
    let specs = cluster.processes[number].specs
    let homes = cluster.homes
    var mentions: [TaskHandle: Int] = [:]
    var reached: [TaskHandle] = []
    func reach(_ task: TaskHandle) {
      if mentions[task] != nil { return }
      mentions[task] = 0
      reached.append(task)
    }
    let kept = actors.compactMap { specs.find($0) }
    for creation in kept { reach(creation) }
    let roots = cluster.roots.indices.filter { homes.drivers[$0] == number }
    for driver in roots { reach(cluster.drivers[driver].root) }
    var next = 0
    while next < reached.count {
      let task = reached[next]
      next += 1
      var named = (0..<specs[task].argumentCount).map { specs.argument(task, $0).producer }
      if specs[task].actor != .none { named.append(specs[task].actor) }
      for other in named {
        reach(other)
        mentions[other]! += 1
      }
    }
    #expect(specs.count == reached.count, "seed \(seed): process \(number)")
    func count(_ homes: [Int]) -> Int { homes.count { $0 == number } }
    // For an actor at most: each driver one, a raylet as host and as caller, a replica its row.
    let most = count(homes.drivers) + 2 * count(homes.raylets) + count(homes.replicas)
    for task in reached {
      let own = specs.references(task) - mentions[task]!
      if kept.contains(task) {
        #expect(own <= most, "seed \(seed): process \(number) holds an actor \(own) times")
      } else {
        let isRoot = roots.contains { cluster.drivers[$0].root == task }
        #expect(own == (isRoot ? 1 : 0), "seed \(seed): process \(number), task \(task.index)")
      }
    }
  }

  /// How many messages went within another's frame.
  private func play(seed: UInt64, actors useActors: Bool) throws -> Int {
    let cluster = try SeparateTablesCluster(.random(seed: seed), seed: seed)
    var program = Program(cluster)
    for _ in 0..<(10 + cluster.below(60)) {
      for _ in 0..<cluster.below(25) where !cluster.step() { break }
      let driver = cluster.below(program.live.count)
      switch cluster.below(useActors ? 12 : 8) {
      case 0:
        let object = cluster.put(driver, size: UInt64(cluster.below(50)))
        program.live[driver].append(.init(object: object, isError: false))
      case 1...3: program.submitTask(driver)
      case 4: for _ in 0...cluster.below(6) { program.submitTask(driver) }
      case 5, 6: program.ask(driver)
      case 7: #expect(program.freeSome(driver) == .satisfied, "seed \(seed)")
      case 8: program.createActor(driver)
      default: program.callMethod(driver)
      }
    }
    for driver in program.live.indices {
      for one in program.live[driver] {
        let (outcome, _) = cluster.get(one.object, by: driver)
        #expect(outcome == (one.isError ? .failed : .satisfied), "seed \(seed)")
      }
    }
    cluster.run()
    for request in program.requests { #expect(cluster.ended[request] != nil, "seed \(seed)") }
    #expect(cluster.executed.count == program.expected.count, "seed \(seed)")
    #expect(Set(cluster.executed) == program.expected, "seed \(seed)")
    for driver in program.live.indices {
      cluster.free(driver, program.live[driver].map(\.object))
    }
    cluster.run()
    // What the schedulers have placed they hold until a heartbeat has counted it.
    cluster.beat()
    Self.checkNothingIsLeft(cluster, actors: program.actors.map(\.creation), seed)
    return cluster.repeated
  }

  @Test(
    "Tasks run once or carry an error, requests end, and every process's table is empty at the end",
    arguments: 0..<8)
  func tasks(block: Int) throws {
    var repeated = 0
    for seed in UInt64(block * 50)..<UInt64(block * 50 + 50) {
      repeated += try play(seed: seed, actors: false)
    }
    #expect(repeated > 50, "frames that stand for several messages belong to what is tried here")
  }

  @Test(
    "The same with actors, called from several drivers after their creations' futures are freed",
    arguments: 0..<8)
  func actors(block: Int) throws {
    for seed in UInt64(10_000 + block * 50)..<UInt64(10_000 + block * 50 + 50) {
      _ = try play(seed: seed, actors: true)
    }
  }
}
