import Foundation
import Heliostat
import Logging
import NIOPosix
import Primitives
import RealWorld
import RuntimeCore
import Testing

@Suite("Who keeps the functions of a cluster", .timeLimit(.minutes(10)))
struct LibraryOwnershipTests {
  private struct Functions {
    let library = FunctionLibrary()
    let square: RemoteFunction<Int, Int>
    let sumOfSquares: RemoteFunction<Int, Int>

    init() {
      let square = library.remote("square") { (x: Int) in x * x }
      self.square = square
      sumOfSquares = library.program("sumOfSquares") { (ray: Session, count: Int) in
        try await ray.get((1...count).map { ray.submit(square, .value($0)) }).reduce(0, +)
      }
    }
  }

  @Test("A node runs programs whose library its maker has let go, and lets it go when it ends")
  func node() async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("heliostat-\(UUID().uuidString.prefix(8))").path
    weak var library: FunctionLibrary?
    func start() async throws -> NodeProcess {
      let functions = Functions()
      library = functions.library
      return try await NodeProcess.start(
        NodeProcess.Options(
          endpoint: .unix(path: path), head: nil,
          description: NodeDescription(
            resources: ResourceVector(cpus: 1), store: ByteCount(16 << 20))),
        library: functions.library, on: group.next(), logger: Logger(label: "test"))
    }
    let node = try await start()
    #expect(library == nil)
    let functions = Functions()
    let cluster = try await Cluster.connect(to: node.endpoint, library: functions.library)
    let sum = try await cluster.run { ray in
      try await ray.get(ray.submit(functions.sumOfSquares, .value(10)))
    }
    #expect(sum == 385)
    await cluster.stop()
    await node.stop()
    try await group.shutdownGracefully()
  }

  /// Lives as long as a function that holds it.
  private final class Witness: Sendable {}

  @Test("A library and what its functions hold go with the last who uses them")
  func released() async throws {
    weak var witness: Witness?
    do {
      let library = FunctionLibrary()
      let held = Witness()
      witness = held
      let program = library.program("program") { (ray: Session) in
        withExtendedLifetime(held) { 5 }
      }
      let cluster = try Cluster.inProcess(cpus: 1, store: ByteCount(16 << 20), library: library)
      #expect(try await cluster.run { ray in try await ray.get(ray.submit(program)) } == 5)
      await cluster.stop()
    }
    #expect(witness == nil)
  }
}
