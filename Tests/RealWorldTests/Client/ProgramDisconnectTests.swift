import Primitives
import RuntimeCore
import Testing
import WireFormat

@testable import RealWorld

@Suite("Programs whose node is gone", .timeLimit(.minutes(10)))
struct ProgramDisconnectTests {
  /// A way that notices only when something is sent that nobody is there.
  private final class DeadOutlet: Outlet, @unchecked Sendable {
    var client: Client!
    private(set) var sentCount = 0

    func send(_ frames: UnsafeRawBufferPointer) -> Int {
      sentCount += frames.count
      return frames.count
    }

    func flush() { client.disconnected("broken pipe") }
  }

  private final class Host: ClientHost {
    var executor: any TaskExecutor { globalConcurrentExecutor }
    func schedule(after delay: TimeSpan, _ body: @escaping () -> Void) {}
    func wake() {}
  }

  @Test("Asking may be what shows that nobody is there: the program does not wait for ever")
  func asking() async throws {
    let outlet = DeadOutlet()
    let host = Host()
    let segment = try SharedSegment.create(byteCount: 1 << 20, in: [.anonymousMemory])
    let core = ClientCore(
      address: .driver(0), node: NodeID(0), worker: .none, root: .root(driver: 0, seed: 1),
      incarnation: 1, parameters: Parameters(), bounds: .none, segment: segment, outlet: outlet)
    let client = Client(
      core,
      cluster: Client.Cluster(seed: 1, roster: NodeRoster([]), resourceNames: ResourceNames()),
      host: host)
    outlet.client = client
    let object = client.call(FunctionID(0), [])
    let request = [object].withUnsafeBufferPointer {
      client.request($0, needed: 1, isGet: true)
    }
    #expect(await client.wait(request) == .failed)
    #expect(outlet.sentCount > 0)
    #expect(client.lost == "broken pipe")
    await #expect(throws: StoreIsFull.self) {
      _ = try await client.put(byteCount: 1 << 19) { (room: UnsafeMutableRawBufferPointer) in }
    }
    withExtendedLifetime(host) {}
  }
}
