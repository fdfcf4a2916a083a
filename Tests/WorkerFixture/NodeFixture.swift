import Foundation
import Heliostat
import Logging
import NIOPosix
import Primitives
import RealWorld
import RuntimeCore

/// A node as a process of its own, for tests that kill it.
public enum NodeFixture {
  /// The custom resources of all nodes: `r0`, `r1`, …
  public static let resourceCount = 3

  /// What node `index` has: one CPU and one of `r<index>`.
  public static func options(
    _ index: Int, listen endpoint: Endpoint, head: Endpoint? = nil
  ) -> NodeProcess.Options {
    var settings = ClusterSettings()
    var resources = ResourceVector(cpus: 1)
    for i in 0..<resourceCount {
      let lane = settings.resourceNames.lane(of: "r\(i)")!
      if i == index { resources.lanes[lane] = ResourceVector.units(1) }
    }
    var options = NodeProcess.Options(
      endpoint: endpoint, head: head,
      description: NodeDescription(resources: resources, store: ByteCount(120 << 20)))
    options.settings = settings
    return options
  }

  /// The command line of such a process; it writes a line when it takes part, and ends with its
  /// standard input.
  public static func arguments(_ index: Int, head: Endpoint) -> [String] {
    ["node", "\(index)", "\(head)"]
  }

  static func runIfStarted(_ library: FunctionLibrary) {
    let arguments = CommandLine.arguments
    guard arguments.count == 4, arguments[1] == "node", let index = Int(arguments[2]),
      let head = try? Endpoint(parsing: arguments[3])
    else { return }
    Task.detached {
      let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
      do {
        let node = try await NodeProcess.start(
          options(index, listen: .tcp(host: "127.0.0.1", port: 0), head: head),
          library: library, on: group.next(),
          logger: Logger(label: "node") { _ in SwiftLogNoOpLogHandler() })
        print("ready")
        fflush(nil)
        _ = try? await node.ended.get()
        node.removeNames()
        exit(1)
      } catch {
        FileHandle.standardError.write(Data("\(error)\n".utf8))
        exit(1)
      }
    }
    var byte: UInt8 = 0
    while read(0, &byte, 1) > 0 {}
    exit(0)
  }
}
