import Foundation
import Glibc
import Synchronization
import Testing

@testable import Experiments

/// Serialized: the benchmarks start processes and take all cores.
@Suite(.serialized) struct BenchTests {
  private static let node = [Sandbox.program.path, "bench-node"]

  /// Collects results from whatever thread they come on.
  private final class Results: Sendable {
    private let list = Mutex<[BenchmarkResult]>([])
    var all: [BenchmarkResult] { list.withLock { $0 } }
    func add(_ result: BenchmarkResult) { list.withLock { $0.append(result) } }
  }

  @Test(
    "every benchmark of the real world gives its results by name, with plausible figures",
    arguments: RealBench.Subject.allCases)
  func figures(_ subject: RealBench.Subject) async throws {
    let results = Results()
    let bench = RealBench(runs: 1, scale: 0.001, nodeCommand: Self.node)
    try await bench.run(subject) { results.add($0) }
    #expect(results.all.map(\.name) == RealBench.names(of: subject))
    for result in results.all {
      // An idle process may use no time at all, and a short queue no new page.
      let least = ["cluster.idle_cpu", "queue.bytes_per_task"].contains(result.name) ? 0 : 1e-9
      #expect(result.value.isFinite && result.value >= least, "\(result)")
      #expect(!result.unit.isEmpty)
      if let limit = result.limit { #expect(limit.isFinite && limit > 0, "\(result)") }
    }
  }

  @Test("names are unique, and begin with what they are about")
  func names() {
    #expect(Set(RealBench.names).count == RealBench.names.count)
    #expect(Set(RealBench.names).isDisjoint(with: SimulatorBench.names))
    for name in RealBench.names { #expect(name.split(separator: ".").count == 2) }
  }

  @Test("a result's JSON has exactly name, value, unit and limit, also without a limit")
  func document() throws {
    for limit in [nil, 2.5] {
      let result = BenchmarkResult(
        name: "a.b", value: 1.5, unit: "s", limit: limit, limitMeaning: "what may be")
      let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(result))
      let fields = try #require(object as? [String: Any])
      #expect(Set(fields.keys) == ["name", "value", "unit", "limit"])
      #expect(fields["limit"] as? Double == limit)
    }
  }

  @Test("what is told of a process is of that one, and nothing of one that is gone")
  func processFacts() throws {
    #expect(ProcessFacts.own.processorSeconds > 0)
    #expect(ProcessFacts.own.residentBytes > 1e6)
    let process = try BenchProcess(["/bin/sh", "-c", "read line"])
    let facts = ProcessFacts(identifier: process.identifier)
    #expect(facts.residentBytes > 0 && facts.residentBytes < ProcessFacts.own.residentBytes)
    process.stop()
    #expect(facts.residentBytes == 0 && facts.processorSeconds == 0)
  }

  @Test("a queue measurement survives the way between two processes, and other text is refused")
  func measurementLine() throws {
    let measured = QueueMeasurement(short: 1.25e-7, long: 1.5e-7, bytesPerTask: 321.5)
    #expect(try QueueMeasurement(line: measured.line) == measured)
    for text in ["", "1 2", "one two three", "1 2 3 4"] {
      #expect(throws: BenchError.self) { try QueueMeasurement(line: text) }
    }
  }

  @Test("a started node answers with its endpoint and is gone after stop")
  func processEnds() throws {
    let process = try BenchProcess(Self.node)
    let identifier = process.identifier
    let line = try process.readLine()
    #expect(line.hasPrefix("127.0.0.1:"))
    #expect(process.residentBytes > 1e6)
    process.stop()
    #expect(kill(identifier, 0) == -1 && errno == ESRCH)
  }

  @Test("a process that ends without a word, or is no program, is an error that says so")
  func processFails() throws {
    let silent = try BenchProcess(["/bin/true"])
    #expect(throws: BenchError.self) { try silent.readLine() }
    silent.stop()
    #expect(throws: BenchError.self) { try BenchProcess(["/nonexistent/heliostat"]) }
  }
}
