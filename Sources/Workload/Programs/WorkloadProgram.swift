import Heliostat
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
  /// Latencies by name, in the order reported; the caller makes histograms of them.
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

/// Durations counted in logarithmic cells of 1/128 of a power of two: at most 0.4 % off, constant
/// memory, merged into an HdrHistogram afterwards. Recording must not cost more than the event.
public final class LatencyLog: @unchecked Sendable {
  private let cells: UnsafeMutablePointer<UInt64>
  public private(set) var count: UInt64 = 0
  private static let cellCount = 64 << 7

  public init() {
    cells = .allocate(capacity: Self.cellCount)
    cells.initialize(repeating: 0, count: Self.cellCount)
  }

  deinit { cells.deallocate() }

  public func record(_ span: TimeSpan) {
    let ns = span.nanoseconds
    let index: Int
    if ns < 256 {
      index = Int(ns)
    } else {
      let exponent = 63 - ns.leadingZeroBitCount
      index = (exponent - 7) << 7 + Int(ns >> UInt64(exponent - 7))
    }
    cells[index] += 1
    count += 1
  }

  /// The cells that hold something, in rising order: (middle of the cell, how many).
  public func forEach(_ body: (TimeSpan, UInt64) -> Void) {
    for index in 0..<Self.cellCount where cells[index] > 0 {
      let middle: UInt64
      if index < 256 {
        middle = UInt64(index)
      } else {
        // A cell's index is (exponent − 7)·128 plus a mantissa from 128 to 255.
        let exponent = index >> 7 - 1 + 7
        let mantissa = UInt64(index & 127 | 128)
        middle = mantissa << UInt64(exponent - 7) + (1 << UInt64(exponent - 7)) / 2
      }
      body(TimeSpan(nanoseconds: middle), cells[index])
    }
  }
}

/// A built-in program: Swift `async` code against the API. Its initialiser reads and checks the
/// parameters of `workload.with`, so that bad input is found before anything runs.
public protocol WorkloadProgram: Sendable {
  static var name: String { get }
  /// One sentence for `heliostat list workloads`.
  static var summary: String { get }
  init(_ with: inout MappingReader) throws(WorkloadError)
  /// The largest demand of any of its tasks, for validation against the cluster.
  func demands() -> [(what: String, demand: ResourceVector)]
  /// The largest object that it makes, for validation against the stores.
  var largestObject: ByteCount { get }
  /// Where the driver runs; nil for the head node.
  var driverNode: NodeID? { get }
  func run(_ ray: Session, _ sink: MeasureSink) async throws
}

/// Why a program cannot go on: bad input that shows only on the given cluster, or a wrong result.
public struct ProgramError: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

extension WorkloadProgram {
  public var driverNode: NodeID? { nil }
  public func demands() -> [(what: String, demand: ResourceVector)] {
    [("a task", ResourceVector(cpus: 1))]
  }
  public var largestObject: ByteCount { .zero }
}

/// Every built-in program by name. A new one is one file and one line here.
public enum ProgramRegistry {
  public static let programs: [any WorkloadProgram.Type] = [
    EvolutionStrategies.self, Locality.self, TreeReduce.self, TrainPolicy.self, EndToEnd.self,
    ParameterServer.self,
  ]

  public static func program(named name: String) -> (any WorkloadProgram.Type)? {
    programs.first { $0.name == name }
  }
}
