import Primitives
import RuntimeCore
import Synchronization
import Testing

@testable import RealWorld

@Suite("A real node and its disk", .timeLimit(.minutes(10)))
struct NodeDiskTests {
  private static let mebibyte = 1 << 20

  @Test(
    "Objects made, put, read, passed on and freed in any order in a store for a few: all whole",
    arguments: 0..<6 as Range<UInt64>)
  func interleavings(seed: UInt64) async throws {
    let directory = ScratchDirectory()
    defer { directory.remove() }
    try await Self.interleave(seed, in: directory)
    #expect(directory.entries.isEmpty, "the node leaves nothing on the disk")
  }

  private static func interleave(_ seed: UInt64, in directory: ScratchDirectory) async throws {
    let node = try TestNode(store: 16 << 20, spillDirectory: directory.path)
    try await node.run { client in
      var random = RandomStream(seed: seed, stream: 0)
      var live: [(object: ObjectHandle, pattern: Pattern)] = []
      var checks: [ObjectHandle] = []
      var readers: [(reader: AnyObject, bytes: UnsafeRawBufferPointer, pattern: Pattern)] = []
      for step in 0..<250 as Range<UInt64> {
        let entry = live.isEmpty ? nil : live[Int(random.below(UInt64(live.count)))]
        switch random.below(12) {
        case 0..<3:
          let size = Int(random.below(UInt64(3 * Self.mebibyte))) + 1
          let pattern = Pattern(count: size, seed: seed << 32 | step)
          live.append((try await client.put(pattern), pattern))
        case 3..<6:
          let size = Int(random.below(UInt64(3 * Self.mebibyte))) + 1
          let pattern = Pattern(count: size, seed: seed << 32 | step)
          live.append((client.make([pattern], function: node.make), pattern))
        case 6..<8:
          guard let entry else { continue }
          #expect(await client.get(entry.object) == .value, "step \(step)")
          #expect(entry.pattern.matches(client.bytes(entry.object)), "step \(step)")
          if readers.count < 2, let reader = client.owner(entry.object) {
            readers.append((reader, client.bytes(entry.object), entry.pattern))
          }
        case 8..<10:
          guard let entry else { continue }
          let other = live[Int(random.below(UInt64(live.count)))]
          checks.append(
            client.check(
              [entry.object, other.object], [entry.pattern, other.pattern], function: node.check))
        case 10:
          if live.count < 12 { continue }
          let index = Int(random.below(UInt64(live.count)))
          // A freed object that a task still needs is an error of the program.
          for check in checks {
            #expect(await client.get(check) == .value, "step \(step): \(client.text(check))")
            client.free(check)
          }
          checks = []
          client.free(live.remove(at: index).object)
        default:
          for entry in readers { #expect(entry.pattern.matches(entry.bytes), "step \(step)") }
          readers = []
        }
      }
      for check in checks {
        #expect(await client.get(check) == .value, "\(client.text(check))")
      }
      for entry in live {
        #expect(await client.get(entry.object) == .value)
        #expect(entry.pattern.matches(client.bytes(entry.object)))
        client.free(entry.object)
      }
    }
  }

  @Test(
    "A full disk: a put that finds no room says so, what is there stays whole, and room that comes is used",
    .enabled(if: SmallFileSystem.isAllowed, "needs the right to mount"))
  func fullDisk() async throws {
    let disk = try #require(SmallFileSystem(byteCount: 20 << 20))
    defer { disk.remove() }
    let node = try TestNode(store: 32 << 20, spillDirectory: disk.directory.path)
    try await node.run { client in
      func fill() async throws -> [(object: ObjectHandle, pattern: Pattern)] {
        var stored: [(object: ObjectHandle, pattern: Pattern)] = []
        for seed in 0..<200 as Range<UInt64> {
          let pattern = Pattern(count: 4 * Self.mebibyte, seed: seed)
          do {
            stored.append((try await client.put(pattern), pattern))
          } catch is StoreIsFull {
            return stored
          }
        }
        throw TestFailure(description: "200 objects fitted")
      }
      for round in 0..<3 {
        let stored = try await fill()
        // The memory, and most of the disk.
        #expect(stored.count >= 8 + 3, "round \(round)")
        for entry in stored {
          #expect(await client.get(entry.object) == .value)
          #expect(entry.pattern.matches(client.bytes(entry.object)), "round \(round)")
          client.free(entry.object)
        }
        client.flushFreed()
        // The node has taken all of it back when it has room for a whole store again.
        let whole = Pattern(count: 30 * Self.mebibyte, seed: 7)
        let object = client.make([whole], function: node.make)
        #expect(await client.get(object) == .value, "round \(round)")
        client.free(object)
      }
    }
  }

  @Test("A spill directory that is not there: the node does not start, and says which")
  func noDirectory() {
    #expect {
      _ = try TestNode(spillDirectory: "/nowhere/at/all")
    } throws: {
      "\($0)".contains("/nowhere/at/all")
    }
  }

  @Test("A large argument that outlives its task stays whole, and its room returns with its reader")
  func escapingArgument() async throws {
    let kept = KeptArguments()
    let functions = FunctionTable()
    let keep = functions.register(
      "keep",
      .function { input, output in
        guard let owner = input.owner(of: 0) else {
          throw TestFailure(description: "the argument was copied")
        }
        kept.add(owner, input.objects[0])
        try output.store(0, byteCount: 8) { $0.storeBytes(of: 1, as: UInt64.self) }
      })
    var settings = ClusterSettings()
    settings.parameters.freeDelay = .milliseconds(1)
    let description = NodeDescription(
      resources: ResourceVector(cpus: 1), store: ByteCount(UInt64(32 << 20)))
    let cluster = try InProcessCluster(
      try settings.plan(
        node: NodeID(0), description: description, nodes: [description.resources]),
      functions: functions)
    try await cluster.run { client in
      // Far more in turn than the segment could hold at once.
      for round in 0..<60 as Range<UInt64> {
        let pattern = Pattern(count: 8 * Self.mebibyte, seed: round)
        let object = try await client.put(pattern)
        let done = client.call(keep, [], [object])
        #expect(await client.get(done) == .value, "round \(round): \(client.text(done))")
        client.free(object)
        client.free(done)
        let other = try await client.put(Pattern(count: 8 * Self.mebibyte, seed: 1000))
        #expect(kept.matchesLast(pattern), "round \(round)")
        client.free(other)
        kept.drop(keeping: 1)
      }
    }
    await cluster.stop()
    kept.drop(keeping: 0)
  }
}

/// Arguments that tasks have kept.
private final class KeptArguments: @unchecked Sendable {
  private let lock = Mutex<Void>(())
  private var list: [(owner: AnyObject, bytes: UnsafeRawBufferPointer)] = []

  func add(_ owner: AnyObject, _ bytes: UnsafeRawBufferPointer) {
    lock.withLock { _ in list.append((owner, bytes)) }
  }

  func matchesLast(_ pattern: Pattern) -> Bool {
    lock.withLock { _ in list.last.map { pattern.matches($0.bytes) } ?? false }
  }

  func drop(keeping count: Int) {
    lock.withLock { _ in list.removeFirst(max(0, list.count - count)) }
  }
}
