import Glibc
import Heliostat
import Logging
import NIOPosix
import Primitives
import RealWorld
import RuntimeCore

/// The processes that benchmarks start: a node of a cluster, or one measurement that wants a
/// process of its own.
public enum BenchNode {
  public struct Options: Sendable {
    /// The head's endpoint; nil for the head.
    public var join: String?
    public var cpus = 2
    public var gpus = 0
    /// Bytes of the object store.
    public var store = 1 << 30
    /// Measure this many queued tasks instead of being a node.
    public var queue: Int?

    public init() {}

    /// A store for results that are small or none: a larger one gets its pages made in the background
    /// once a program has connected, which takes time from what is measured.
    static let smallStore = 64 << 20

    init(cpus: Int = 2, gpus: Int = 0, store: Int = 1 << 30) {
      self.cpus = cpus
      self.gpus = gpus
      self.store = store
    }

    /// As the command line that gives them.
    var arguments: [String] {
      var list = ["--cpus", "\(cpus)", "--gpus", "\(gpus)", "--store", "\(store)"]
      if let join { list += ["--join", join] }
      if let queue { list += ["--queue", "\(queue)"] }
      return list
    }
  }

  static var logger: Logger {
    var logger = Logger(label: "bench", factory: { StreamLogHandler.standardError(label: $0) })
    logger.logLevel = .error
    return logger
  }

  /// Prints one line when it is ready, the endpoint or the measurement, and returns when standard
  /// input ends.
  ///
  /// - Throws: what starting a node throws.
  public static func main(_ options: Options) async throws {
    WorkerProcess.runIfStarted(BenchFunctions().library)
    if let tasks = options.queue {
      print(try await QueueMeasurement.measure(tasks: tasks).line)
      fflush(nil)
      return
    }
    var node = NodeProcess.Options(
      endpoint: .tcp(host: "127.0.0.1", port: 0),
      head: try options.join.map { try Endpoint(parsing: $0) },
      description: NodeDescription(
        resources: ResourceVector(cpus: options.cpus, gpus: options.gpus),
        store: ByteCount(UInt64(options.store))))
    node.settings.name = "bench"
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let process = try await NodeProcess.start(
      node, library: BenchFunctions().library, on: group.next(), logger: logger)
    print(process.endpoint)
    fflush(nil)
    await endOfInput()
    await process.stop()
    try? await group.shutdownGracefully()
  }

  private static func endOfInput() async {
    await withCheckedContinuation { continuation in
      RawLimits.detach {
        var byte: UInt8 = 0
        while read(0, &byte, 1) > 0 {}
        continuation.resume()
        // Whatever the node does then, this process does not outlive its parent for long.
        sleep(4)
        _exit(0)
      }
    }
  }
}
