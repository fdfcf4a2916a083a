import Heliostat
import Measurement
import Primitives

/// Where a running workload reports what it measures. One per run; used on one thread.
public final class MeasureSink: @unchecked Sendable {
  /// A reported figure.
  public struct Figure: Sendable, Equatable {
    public var name: String
    public var value: Double
    public var unit: String
  }

  /// Figures in order of first report; a repeated name replaces its value.
  public private(set) var figures: [Figure] = []
  /// Latencies by name, in order of first report.
  public private(set) var latencies: [(name: String, values: LatencyLog)] = []
  /// Called now and then with a sentence about how far the run has come.
  public var progress: ((String) -> Void)?

  public init() {}

  public func report(_ name: String, _ value: Double, unit: String) {
    if let known = figures.firstIndex(where: { $0.name == name }) {
      figures[known].value = value
    } else {
      figures.append(Figure(name: name, value: value, unit: unit))
    }
  }

  public func latency(_ name: String) -> LatencyLog {
    if let known = latencies.first(where: { $0.name == name }) { return known.values }
    let log = LatencyLog()
    latencies.append((name, log))
    return log
  }

  public func figure(_ name: String) -> Double? { figures.first { $0.name == name }?.value }
}

/// A latency histogram that several closures of one run share.
public final class LatencyLog: @unchecked Sendable {
  public private(set) var recorder = LatencyRecorder()

  public init() {}

  public func record(_ span: TimeSpan) { recorder.record(span) }
}

/// A built-in program: Swift `async` code against the API, for the simulated world and the real
/// one. Its initialiser reads and checks the parameters of `workload.with`, so that bad input is
/// found before anything runs.
///
/// Functions may use the program's own parameters, which every process reads from the same file, and
/// each other. What exists in the driver alone reaches them as arguments: sessions, futures and
/// actors, what is measured.
public protocol WorkloadProgram: Sendable {
  /// The remote functions and actor classes that it calls.
  associatedtype Functions: Sendable
  static var name: String { get }
  /// One sentence for `heliostat list workloads`.
  static var summary: String { get }
  /// Every figure that a run reports, with its unit: a file can only ask for these.
  static var measures: [Measure] { get }
  init(_ with: inout MappingReader) throws(WorkloadError)
  /// The largest demand of any of its tasks, for validation against the cluster.
  func demands() -> [(what: String, demand: ResourceVector)]
  /// The largest object that it makes, for validation against the stores.
  var largestObject: ByteCount { get }
  /// Where the driver runs; nil for the head node.
  var driverNode: NodeID? { get }
  /// Whether the driver tells the simulated cluster of all functions when it starts; else `run` does
  /// it by `Session.announce`.
  var announcesFunctions: Bool { get }
  /// Registers its functions: every process of a cluster does so, in the same way, before it
  /// connects.
  func register(_ library: FunctionLibrary) -> Functions
  /// The driver.
  func run(_ ray: Session, _ functions: Functions, _ sink: MeasureSink) async throws
}

/// A program whose functions are registered in a library.
public struct PreparedProgram: Sendable {
  /// Where the driver runs; nil for the head node.
  public let driverNode: NodeID?
  public let announcesFunctions: Bool
  /// The driver.
  public let run: @Sendable (Session, MeasureSink) async throws -> Void
}

/// A figure that a workload reports at the end of a run.
public struct Measure: Sendable, Equatable {
  public var name: String
  public var unit: String

  public init(_ name: String, _ unit: String) {
    self.name = name
    self.unit = unit
  }
}

/// Why a program cannot go on: bad input that shows only on the given cluster, or a wrong result.
public struct ProgramError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

extension WorkloadProgram {
  public var driverNode: NodeID? { nil }
  public var announcesFunctions: Bool { true }
  public func demands() -> [(what: String, demand: ResourceVector)] {
    [("a task", ResourceVector(cpus: 1))]
  }
  public var largestObject: ByteCount { .zero }

  /// Registers the functions; what is left is to run the driver, in one of the processes.
  public func prepared(in library: FunctionLibrary) -> PreparedProgram {
    let functions = register(library)
    return PreparedProgram(driverNode: driverNode, announcesFunctions: announcesFunctions) {
      ray, sink in try await run(ray, functions, sink)
    }
  }
}

/// Every built-in program by name. A new one is one file and one line here.
public enum ProgramRegistry {
  public static let programs: [any WorkloadProgram.Type] = [
    EvolutionStrategies.self, Locality.self, TreeReduce.self, TrainPolicy.self, EndToEnd.self,
    ParameterServer.self, LearningES.self, LearningPPO.self, MonteCarloPi.self, WordCount.self,
  ]

  public static func program(named name: String) -> (any WorkloadProgram.Type)? {
    programs.first { $0.name == name }
  }
}
