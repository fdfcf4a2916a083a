import Dispatch
import Foundation
import Measurement
import Primitives
import Workload

/// All runs of an experiment: every cell of the sweep under every seed.
public struct ExperimentResult: Sendable {
  public var file: WorkloadFile
  public var cells: [PreparedCell]
  /// By cell, then by seed.
  public var runs: [[RunResult]]
  public var wallSeconds: Double
  /// Where it ran.
  public var world = World.simulated
  /// False when it was interrupted, or its cluster was gone: runs that were not reached are missing.
  public var isComplete: Bool
  /// The running cluster was gone before a run, which failed; those after it were left out.
  public var lostCluster = false
}

/// Runs the matrix: simulated runs over the cores, because each is single-threaded and independent, so
/// that results do not depend on how many run side by side; real runs one after the other.
public struct ExperimentRunner: Sendable {
  public var file: WorkloadFile
  public var seeds: [UInt64]
  public var threads: Int
  public var world = World.simulated
  /// With at most this many cells, the first seed of every cell is traced, else of the first cell.
  static let tracedCells = 4
  /// Tasks to record in each trace; 0 for none.
  public var traceLimit: Int
  /// The folder in which to write down what every machine of every run hears; nil for none. With more
  /// than one run each has a folder of its own there.
  public var recordings: String?
  /// What is to be removed from that folder before the first recording begins.
  public var earlierRecordings: EarlierRecordings?
  /// Hears how far the work has come: finished runs, all runs, and a sentence.
  public var progress: (@Sendable (Int, Int, String) -> Void)?
  /// Asked before each run; true leaves the rest out. One run is always made, so that there is a
  /// result.
  public var isInterrupted: @Sendable () -> Bool = { false }

  public init(_ file: WorkloadFile, threads: Int) {
    self.file = file
    seeds = file.seeds
    self.threads = max(1, threads)
    traceLimit = 0
  }

  /// Checks every cell before any runs.
  public func prepare() throws(WorkloadError) -> [PreparedCell] { try prepare(isAdvising: true) }

  /// - Parameter isAdvising: an error that options could prevent says which.
  func prepare(isAdvising: Bool) throws(WorkloadError) -> [PreparedCell] {
    var prepared: [PreparedCell] = []
    for cell in try file.cells() { prepared.append(try PreparedCell(cell)) }
    if case .real(let options) = world {
      for cell in prepared {
        do throws(WorkloadError) { _ = try RealPlan(cell, options) } catch {
          var error = error
          if isAdvising { error.hint = RealAdvice(self, prepared, options).text }
          throw error
        }
      }
      if case .cluster(let endpoint) = options.place, prepared.count > 1 {
        throw WorkloadError(
          "the nodes of a running cluster have the functions of one cell, this file has "
            + "\(prepared.count)", at: file.cluster.position,
          hint: "fix what is swept by --set, here and for the nodes at \(endpoint)")
      }
    }
    try ShapeChecks.validate(kept(prepared).checks, in: Self.scope(file, prepared))
    return prepared
  }

  /// How many checks are left out because overrides took away the series or points that they name.
  public func absentChecks(_ cells: [PreparedCell]) -> Int {
    file.checks.count - kept(cells).checks.count
  }

  /// The file with the checks that can be made.
  private func kept(_ cells: [PreparedCell]) -> WorkloadFile {
    guard file.isOverridden else { return file }
    let scope = Self.scope(file, cells)
    return file.keepingChecks { scope.covers($0) }
  }

  private static func scope(_ file: WorkloadFile, _ cells: [PreparedCell]) -> CheckScope {
    var scope = CheckScope(series: [], xs: [], measures: file.measures.map(\.yName))
    if scope.measures.isEmpty { scope.measures = cells.first?.measures.map(\.name) ?? [] }
    for cell in cells {
      if !scope.series.contains(cell.cell.series) { scope.series.append(cell.cell.series) }
      if let x = cell.cell.x?.text, !scope.xs.contains(x) { scope.xs.append(x) }
    }
    return scope
  }

  /// - Throws: `WorkloadError`; `ClusterUnavailable` when there is no cluster for the first run, as
  ///   then there is none for the others.
  public func run() throws -> ExperimentResult {
    let cells = try prepare()
    let begin = DispatchTime.now().uptimeNanoseconds
    let total = cells.count * seeds.count
    let results = Collected(cells: cells.count, seeds: seeds.count)
    let seeds = seeds
    let (traceLimit, progress, isInterrupted) = (traceLimit, progress, isInterrupted)
    let world = world
    let (recordings, earlierRecordings) = (recordings, earlierRecordings)
    var lanes = min(threads, total)
    if case .real = world { lanes = 1 }
    DispatchQueue.concurrentPerform(iterations: lanes) { _ in
      while results.finished == 0 || !isInterrupted(), let index = results.takeNext() {
        // The last cells of a sweep are mostly the largest: they start first, so that no core is
        // left with one long run at the end.
        let cellIndex = cells.count - 1 - index / seeds.count
        let seedIndex = index % seeds.count
        let cell = cells[cellIndex]
        let label = Self.label(cell.cell, seeds[seedIndex])
        var options = RunOptions()
        let isTraced = cellIndex == 0 || cells.count <= Self.tracedCells
        if isTraced && seedIndex == 0 { options.traceLimit = traceLimit }
        if let recordings {
          let name = "cell-\(cellIndex)-seed-\(seeds[seedIndex])"
          options.recordings = total == 1 ? recordings : "\(recordings)/\(name)"
          options.earlierRecordings = earlierRecordings
        }
        options.progress = { text in progress?(results.finished, total, "\(label): \(text)") }
        let result: RunResult
        var wall: String
        switch world {
        case .simulated:
          result = cell.run(seed: seeds[seedIndex], options)
          let rate = Double(result.events) / max(1e-9, result.wallSeconds) / 1e6
          wall = String(format: "%.1f s, %.1f M events/s", result.wallSeconds, rate)
        case .real(let real):
          result = cell.run(seed: seeds[seedIndex], in: real, options)
          wall = String(format: "%.1f s", result.wallSeconds)
        }
        // Others may still be started; one that ran already, and is gone, does not come back.
        if result.unavailable != nil, results.finished == 0 || world.isRunningAlready {
          results.giveUp()
        }
        results.store(result, cell: cellIndex, seed: seedIndex)
        progress?(results.finished, total, "\(label): done in \(wall)")
      }
    }
    if results.finished == 1, let unavailable = results.all.joined().first?.unavailable {
      throw unavailable
    }
    let wall = Double(DispatchTime.now().uptimeNanoseconds - begin) * 1e-9
    return ExperimentResult(
      file: kept(cells), cells: cells, runs: results.all, wallSeconds: wall,
      world: world, isComplete: results.finished == total,
      lostCluster: results.isGivenUp)
  }

  private static func label(_ cell: WorkloadCell, _ seed: UInt64) -> String {
    let x = cell.x.map { " \($0.name)=\($0.text)" } ?? ""
    return "\(cell.series)\(x) seed \(seed)"
  }
}

/// Results as threads hand them in.
private final class Collected: @unchecked Sendable {
  private let lock = NSLock()
  private var runs: [[RunResult?]]
  private var next = 0
  private let total: Int
  private var count = 0
  private var hasGivenUp = false

  init(cells: Int, seeds: Int) {
    runs = Array(repeating: Array(repeating: nil, count: seeds), count: cells)
    total = cells * seeds
  }

  func takeNext() -> Int? {
    lock.withLock {
      guard next < total, !hasGivenUp else { return nil }
      defer { next += 1 }
      return next
    }
  }

  func store(_ result: RunResult, cell: Int, seed: Int) {
    lock.withLock {
      runs[cell][seed] = result
      count += 1
    }
  }

  /// The runs that have not begun are left out.
  func giveUp() { lock.withLock { hasGivenUp = true } }

  var isGivenUp: Bool { lock.withLock { hasGivenUp } }
  var finished: Int { lock.withLock { count } }
  var all: [[RunResult]] { lock.withLock { runs.map { $0.compactMap { $0 } } } }
}
