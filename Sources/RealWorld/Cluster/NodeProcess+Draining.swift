import Logging
import NIOCore
import Primitives
import RuntimeCore

/// How a node leaves without loss.
///
///     node: leaving ──► head: places nothing there ──► node: runs what it has, then hands its objects
///     to others, then left ──► head ──► all others: seen ──► head: gone; all drop it
///
/// The round of `seen` is there because what the others told the tables of their new copies goes
/// another way than the leaving node's word.
extension NodeProcess {
  /// What a node that drained could not bring to an end.
  public struct Leftovers: Sendable, Hashable, CustomStringConvertible {
    /// Tasks queued or running.
    public var tasks = 0
    /// Programs connected.
    public var programs = 0
    /// Objects whose only sure copy was here.
    public var objects = 0

    public init(tasks: Int = 0, programs: Int = 0, objects: Int = 0) {
      (self.tasks, self.programs, self.objects) = (tasks, programs, objects)
    }

    public var isEmpty: Bool { tasks == 0 && programs == 0 && objects == 0 }

    public var description: String {
      let parts = [(tasks, "tasks"), (programs, "programs"), (objects, "objects")]
      let text = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
      return text.isEmpty ? "nothing" : text
    }
  }

  struct Departure {
    enum Phase { case none, working, moving, leaving, over }
    var phase = Phase.none
    var deadline = Instant.zero
    var grace = TimeSpan.zero
    var step: RepeatedTask?
    var promise: EventLoopPromise<Leftovers>?
    var left = Leftovers()
    /// Nothing that was placed here is still on its way.
    var placedNoMore = false
    /// The others have dropped this node, or the whole cluster ends.
    var isGone = false
    /// Other nodes that leave: objects are not for them.
    var leaving: [NodeID] = []
    /// At the head: who has not seen yet that a node has left.
    var unseen: [NodeID: [NodeID]] = [:]
    /// At a head that drains the cluster: the round of questions, and who has not answered in it.
    var round: UInt64 = 0
    var unanswered: [NodeID] = []
    var counted = Leftovers()
    var idleRounds = 0
  }

  /// Leaves the cluster: takes nothing new, waits for at most `grace` until what is queued and runs
  /// here has ended and programs have gone, and then for at most as long again until other nodes have
  /// this node's objects. Actors end with the node. The head waits in the same way for the whole
  /// cluster, which then ends. To be followed by `stop`.
  ///
  /// - Returns: what was left when the time was over.
  public func drain(grace: TimeSpan) async -> Leftovers {
    let promise = loop.makePromise(of: Leftovers.self)
    loop.execute { self.startDraining(grace, promise) }
    return (try? await promise.futureResult.get()) ?? Leftovers()
  }

  private func startDraining(_ grace: TimeSpan, _ promise: EventLoopPromise<Leftovers>) {
    guard departure.phase == .none, !departure.isGone else { return promise.succeed(Leftovers()) }
    departure.phase = .working
    departure.promise = promise
    departure.grace = grace
    departure.deadline = MonotonicClock.now + grace
    if node != NodeID(0) {
      drainMachines(of: node)
      tell(NodeID(0), .leaving(node))
    }
    // Only a node that drains looks at a clock for it.
    let pause = TimeAmount.milliseconds(5)
    departure.step = loop.scheduleRepeatedTask(initialDelay: .zero, delay: pause) { [weak self] _ in
      guard let self else { return }
      if departure.isGone {
        finishDraining()
      } else if node == NodeID(0) {
        stepHead()
      } else {
        stepNode()
      }
    }
  }

  private func finishDraining() {
    departure.phase = .over
    departure.step?.cancel()
    departure.step = nil
    departure.promise?.succeed(departure.left)
    departure.promise = nil
  }

  private func drainMachines(of number: NodeID) {
    shell.core.pointee.now = MonotonicClock.now
    shell.core.pointee.drain(number)
    shell.endTurn()
  }

  /// What keeps this node from going.
  private var work: Leftovers {
    let raylet = shell.core.pointee.raylet
    return Leftovers(
      tasks: raylet.pointee.hasNoTasks ? 0 : max(1, raylet.pointee.taskCount),
      programs: programCount)
  }

  private func stepNode() {
    let raylet = shell.core.pointee.raylet
    let isLate = MonotonicClock.now >= departure.deadline
    switch departure.phase {
    case .working:
      let work = work
      guard (departure.placedNoMore && work.isEmpty) || isLate else { return }
      departure.left = work
      departure.phase = .moving
      departure.deadline = MonotonicClock.now + departure.grace
      stepNode()
    case .moving:
      let rest = raylet.pointee.offeredObjects + (raylet.pointee.hasObjectsToOffer ? 1 : 0)
      if rest == 0 || isLate {
        departure.left.objects = rest + raylet.pointee.objectsNotTaken
        departure.phase = .leaving
        departure.deadline = MonotonicClock.now + .seconds(5)
        tell(NodeID(0), .left(node))
      } else if raylet.pointee.offeredObjects < 512 {
        offerObjects()
      }
    case .leaving: if isLate { finishDraining() }
    case .none, .over: break
    }
  }

  private func offerObjects() {
    shell.core.pointee.now = MonotonicClock.now
    for number in links.keys.sorted()
    where member(number) != nil && !departure.leaving.contains(number) {
      shell.core.pointee.handOver(atMost: 64, to: number)
    }
    shell.endTurn()
  }

  // MARK: The head

  /// Asks all nodes for their work until nobody has had any twice.
  private func stepHead() {
    if !departure.unanswered.isEmpty && MonotonicClock.now < departure.deadline { return }
    if departure.round > 0 {
      let own = work
      departure.counted.tasks += own.tasks
      departure.counted.programs += own.programs
      departure.idleRounds = departure.counted.isEmpty ? departure.idleRounds + 1 : 0
      let isLate = MonotonicClock.now >= departure.deadline
      if departure.idleRounds == 2 || isLate {
        departure.left = departure.counted
        for number in links.keys.sorted() { tell(number, .ending) }
        return finishDraining()
      }
    }
    departure.round += 1
    departure.counted = Leftovers()
    departure.unanswered = links.keys.sorted()
    for number in departure.unanswered { tell(number, .workAsked(round: departure.round)) }
  }

  // MARK: News

  func heardOfDeparture(_ peer: NodeID, _ news: MembershipNews) {
    switch news {
    case .leaving(let number):
      logger.info("node \(number.index) is leaving")
      departure.leaving.append(number)
      guard node == NodeID(0), peer == number else { return }
      drainMachines(of: number)
      for other in links.keys.sorted() where other != number { tell(other, .leaving(number)) }
      tell(number, .placedNoMore)
    case .placedNoMore: departure.placedNoMore = true
    case .left(let number):
      guard node == NodeID(0) else { return tell(NodeID(0), .seen(number)) }
      guard peer == number else { return }
      let others = links.keys.sorted().filter { $0 != number }
      departure.unseen[number] = others
      for other in others { tell(other, .left(number)) }
      if others.isEmpty { hasLeft(number) }
    case .seen(let number): seen(number, by: peer)
    case .gone(let number):
      if number == node {
        departure.isGone = true
      } else {
        logger.info("node \(number.index) has left")
        lose(number)
      }
    case .ending:
      departure.isGone = true
      end("the head ends, and with it the cluster", isOrderly: true)
    case .workAsked(let round):
      let work = work
      tell(peer, .work(round: round, tasks: work.tasks, programs: work.programs))
    case .work(let round, let tasks, let programs):
      guard round == departure.round else { return }
      departure.counted.tasks += tasks
      departure.counted.programs += programs
      departure.unanswered.removeAll { $0 == peer }
    case .members, .connected, .ready, .lost, .driverCame, .driverWent: break
    }
  }

  private func seen(_ number: NodeID, by other: NodeID) {
    guard departure.unseen[number] != nil else { return }
    departure.unseen[number]?.removeAll { $0 == other }
    if departure.unseen[number]?.isEmpty == true { hasLeft(number) }
  }

  /// At the head: everybody knows, and what they said before has been heard.
  private func hasLeft(_ number: NodeID) {
    departure.unseen[number] = nil
    logger.info("node \(number.index) has left")
    tell(number, .gone(number))
    lose(number)
    for other in links.keys.sorted() where other != number { tell(other, .gone(number)) }
  }

  /// At the head: a link has ended. True when the node had said all it had to say.
  func departed(_ number: NodeID) -> Bool {
    departure.unanswered.removeAll { $0 == number }
    for leaver in departure.unseen.keys.sorted() { seen(leaver, by: number) }
    if departure.unseen[number] != nil { hasLeft(number) }
    return member(number) == nil
  }
}
