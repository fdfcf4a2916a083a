import Foundation
import Heliostat
import Logging
import Primitives
import RealWorld
import Synchronization
import WorkerFixture

/// What a node logs, for tests that read it.
final class LogLines: Sendable {
  private let lines = Mutex<[String]>([])

  var all: [String] { lines.withLock { $0 } }

  func logger() -> Logger {
    var logger = Logger(label: "test") { _ in Handler(lines: self) }
    logger.logLevel = .info
    return logger
  }

  private struct Handler: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
      lines.lines.withLock { $0.append("\(event.level): \(event.message)") }
    }
  }
}

/// A node in this process whose workers are processes of the fixture.
struct ProcessCluster: Sendable {
  let functions = FixtureFunctions()
  let log = LogLines()
  let cluster: Cluster

  /// The fixture lies beside the test bundle, which is the first argument of the test process.
  static let program: String = {
    let places = [
      URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent(),
      Bundle.main.bundleURL,
      URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../.build/debug")
        .standardized,
    ]
    let files = places.map { $0.appendingPathComponent("WorkerFixture").path }
    return files.first { FileManager.default.isExecutableFile(atPath: $0) } ?? files[0]
  }()

  init(
    cpus: Int = 2, store: Int = 64 << 20, launch: WorkerLaunch = WorkerLaunch(executable: program),
    _ change: (inout ClusterSettings) -> Void = { _ in }
  ) throws {
    var launch = launch
    // A trap shows where it was, and takes its time; here it is meant.
    launch.environment["SWIFT_BACKTRACE"] = "enable=no"
    var settings = ClusterSettings()
    change(&settings)
    cluster = try .inProcess(
      cpus: cpus, store: ByteCount(UInt64(store)), settings: settings,
      library: functions.library, workers: .processes(launch), logger: log.logger())
  }

  /// Runs a program and ends the cluster, whatever comes of it.
  func run<Result: Sendable>(
    _ program: @escaping @Sendable (Session) async throws -> Result
  ) async throws -> Result {
    try await cluster.runAndStop(program)
  }
}

/// A pipe with a name, by which a task in another process says that it has begun.
final class NamedPipe: Sendable {
  let path = FileManager.default.temporaryDirectory
    .appendingPathComponent("heliostat-\(UUID().uuidString)").path

  init() { mkfifo(path, 0o600) }
  deinit { unlink(path) }

  /// The number that the task writes, when it has begun.
  func number() async -> Int32 {
    let path = path
    // On a thread of its own: it blocks.
    return await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        let file = FileHandle(forReadingAtPath: path)
        let data = (try? file?.readToEnd()) ?? Data()
        let text = String(decoding: data, as: UTF8.self)
        continuation.resume(returning: Int32(text.dropLast()) ?? -1)
      }
    }
  }
}

/// Whether a process is there, as a zombie too.
func exists(_ process: Int32) -> Bool { kill(process, 0) == 0 }
