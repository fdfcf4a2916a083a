import Primitives
import RuntimeCore
import Synchronization
import Testing
import WireFormat

@testable import RealWorld

/// What a node keeps of programs that have gone.
@Suite("Programs that come and go", .serialized, .timeLimit(.minutes(10)))
struct ComeAndGoTests {
  @Test("Programs on threads by the dozen: their places and rings serve those that come later")
  func threads() async throws {
    let node = try TestNode(cpus: 2)
    let rings = Rings()
    func round(_ count: Int) async throws {
      for wave in 0..<(count / 4) {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for program in 0..<4 {
            group.addTask {
              try await node.cluster.run { client in
                rings.add((client.core.pointee.port.outlet as? RingOutlet)?.pair)
                // The last ones end with an answer under way that nobody reads.
                let pattern = Pattern(count: 90 << 10, seed: UInt64(wave * 4 + program))
                let object = client.make([pattern], function: node.make)
                if program == 3 { return }
                #expect(await client.get(object) == .value)
                #expect(pattern.matches(client.bytes(object)))
              }
            }
          }
          try await group.waitForAll()
        }
      }
    }
    try await round(80)
    // The second answer comes after the turn of the first, which heard of the last departures.
    _ = await node.cluster.status()
    let status = await node.cluster.status()
    await node.cluster.stop()
    // Two workers, and the programs of a wave with those that have just gone.
    #expect(status.peerPlaces <= 2 + 16)
    // A third worker may have been started when both had much to do.
    #expect(status.peers <= 3)
    #expect(rings.added == 80 && rings.alive == 0)
  }

  /// The rings of programs, as long as they are there.
  private final class Rings: Sendable {
    private struct Place {
      weak var pair: RingPair?
    }
    private let places = Mutex<[Place]>([])
    var added: Int { places.withLock { $0.count } }
    var alive: Int { places.withLock { $0.count { $0.pair != nil } } }
    func add(_ pair: RingPair?) {
      guard let pair else { return }
      places.withLock { $0.append(Place(pair: pair)) }
    }
  }

  @Test("Addresses are used again after all others, jobs never; both have limits that say so")
  func numbers() throws {
    var numbers = ProgramNumbers(NodeID(3))
    let (first, firstJob) = try numbers.take()
    #expect(first == .driver(3 << 16) && firstJob == 3 << 19)
    var jobs: Set<Int> = [firstJob]
    var areRight = true
    for round in 1..<100_000 {
      let (address, job) = try numbers.take()
      // Only the one that is still connected is passed over.
      areRight =
        areRight && address != first && address.number >> 16 == 3
        && address.number & 0x8000 == 0 && jobs.insert(job).inserted
        && TaskID.root(driver: job, seed: 1).job.number == UInt32(job)
        && (round >= ProgramNumbers.places || address.number == 3 << 16 | round)
      numbers.giveBack(address)
    }
    #expect(areRight)
    let others = try (1..<ProgramNumbers.places).map { _ in try numbers.take().address }
    let full = #expect(throws: ProgramLimit.self) { try numbers.take() }
    #expect(full?.description.contains("wait for one to end") == true)
    numbers.giveBack(first)
    #expect(try numbers.take().address == first)
    for address in [first] + others { numbers.giveBack(address) }
    while let (address, _) = try? numbers.take() { numbers.giveBack(address) }
    let over = #expect(throws: ProgramLimit.self) { try numbers.take() }
    #expect(over?.description.contains("start it again") == true)
  }

  @Test("A port's number is another's after the turn, and not while somebody waits in its name")
  func ports() throws {
    let settings = ClusterSettings()
    let description = NodeDescription(
      resources: ResourceVector(cpus: 1), store: ByteCount(16 << 20))
    let plan = try settings.plan(
      node: NodeID(0), description: description, nodes: [description.resources])
    let segment = try SharedSegment.create(
      byteCount: NodeCore.segmentBytes(plan), in: [.privateMemory])
    var core = NodeCore(
      plan,
      ObjectMemory(
        segment: segment, spillDirectory: try SpillDirectory(in: plan.spillDirectory)))
    final class Nowhere: Outlet {
      func send(_ frames: UnsafeRawBufferPointer) -> Int { frames.count }
      func flush() {}
    }
    func port(_ core: borrowing NodeCore) -> Port {
      Port(
        MessageEncoder(specs: core.specs, payloads: core.payloads),
        MessageDecoder(specs: core.specs, payloads: core.payloads), Nowhere())
    }
    let first = core.addPort(port(core))
    core.beginDriver(.driver(0), .root(driver: 0, seed: 1), at: first)
    core.endDriver(.driver(0), at: first)
    // What is still to be done in this turn finds it, and finds it closed.
    let isOpen = core.port(first).pointee.isOpen
    #expect(!isOpen)
    let second = core.addPort(port(core))
    #expect(second != first)
    _ = core.flush()
    let third = core.addPort(port(core))
    let (isOpenAgain, count) = (core.port(third).pointee.isOpen, core.portCount)
    #expect(third == first && isOpenAgain && count == 2)
    core.closePort(third)
    core.closePort(third)
    core.disk.wishes.append(
      DiskWork.Wish(asker: .client(port: third, .driver(1), ticket: 1), count: 1))
    _ = core.flush()
    let fourth = core.addPort(port(core))
    #expect(fourth == 2)
    core.disk.wishes.removeAll()
    _ = core.flush()
    let (fifth, sixth) = (core.addPort(port(core)), core.addPort(port(core)))
    #expect(fifth == third && sixth == 3)
  }
}
