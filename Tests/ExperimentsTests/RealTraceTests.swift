import Foundation
import Measurement
import Primitives
import Recording
import RuntimeCore
import Testing
import Workload

@testable import Experiments

/// Timelines that are made from recordings.
@Suite(.serialized, .timeLimit(.minutes(5))) struct RealTraceTests {
  private static let graph = """
    experiment: graph
    title: "Graph"
    cluster: {profile: small.yaml, nodes: 2}
    workload:
      graph:
        - {id: split, duration: 10ms, output: 1KB}
        - {id: work, duration: 20ms, needs: [split], count: 6, output: 200KB}
        - {id: join, duration: 10ms, needs: [work]}
    measures: [makespan]
    seeds: 2

    """

  @Test(
    "a simulated run's recording, which holds no steps, gives the timeline that was gathered live",
    arguments: ["tree-reduce", "train-policy", "parameter-server", "diamond", "word-count"])
  func sameAsLive(name: String) throws {
    let path = "\(CommandLineRunTests.workloads)/\(name).yaml"
    let cell = try PreparedCell(try WorkloadFile.load(path).cells()[0])
    var options = RunOptions()
    options.traceLimit = 100_000
    let live = try #require(cell.run(seed: 1, options).trace?.timeline)

    let sandbox = try Sandbox([:])
    options.traceLimit = 0
    let folder = sandbox.folder.appendingPathComponent("recording").path
    options.recordings = folder
    #expect(cell.run(seed: 1, options).failure == nil)
    let recorded = try RecordedTimeline.trace(
      of: ["\(folder)/simulated.heliorec"], functions: live.functions, cpus: 1, limit: 100_000
    ).timeline

    #expect(recorded.tasks.count == live.tasks.count && live.tasks.count > 3)
    #expect(recorded.transfers.count == live.transfers.count)
    // One counts from the run's beginning, the other from its first submission.
    let begin = try #require(live.tasks.map(\.placed).min())
    let recordedBegin = try #require(recorded.tasks.map(\.placed).min())
    func describe(_ timeline: TaskTimeline, _ begin: Instant) -> [String] {
      timeline.tasks.indices.map { index in
        let task = timeline.tasks[index]
        return
          "\(task.task) \(timeline.name(of: task)) on \(task.node.index).\(task.worker.index), "
          + "placed \(task.placed.since(begin)), ready \(task.ready.since(begin)), takes "
          + "\(Array(timeline.dependencies(of: index))), after \(Array(timeline.control(of: index)))"
      }.sorted()
    }
    #expect(describe(recorded, recordedBegin) == describe(live, begin))
    // The node hears of an end after it, and orders a beginning before it.
    let lives = Dictionary(uniqueKeysWithValues: live.tasks.map { ($0.task, $0) })
    for task in recorded.tasks {
      let same = try #require(lives[task.task])
      #expect(task.started.since(recordedBegin) <= same.started.since(begin))
      #expect(task.finished.since(recordedBegin) >= same.finished.since(begin))
    }
  }

  @Test(
    "a traced run for real has a timeline of its first seed: tasks on workers, edges, its makespan",
    arguments: [[], ["--nodes", "2"], ["--workers", "processes"]])
  func real(_ place: [String]) throws {
    let sandbox = try Sandbox(["w.yaml": Self.graph])
    let outcome = try sandbox.run(
      ["run", "w.yaml", "--world", "real", "--out", "r", "--trace", "100"] + place)
    #expect(outcome.code == 0, Comment(rawValue: outcome.output + outcome.errors))
    #expect(outcome.output.contains("Where the makespan went (real, in seconds)"))
    #expect(sandbox.files(in: "r").filter { $0.hasPrefix("trace") } == ["trace.json"])
    #expect(sandbox.files(in: ".") == ["r", "small.yaml", "w.yaml"], "the recording has gone")

    let events = try #require(try sandbox.json("r/trace.json") as? [[String: Any]])
    let tasks = events.filter { $0["cat"] as? String == "task" && $0["ph"] as? String == "X" }
    #expect(tasks.count == 8)
    var spans: [String: [(begin: Double, end: Double)]] = [:]
    for task in tasks {
      let begin = try #require(task["ts"] as? Double)
      let length = try #require(task["dur"] as? Double)
      #expect(length >= (task["name"] as? String == "task::work" ? 20_000 : 10_000))
      let row = "\(task["pid"] ?? "") \(task["tid"] ?? "")"
      spans[row, default: []].append((begin, begin + length))
    }
    for row in spans.values {
      let row = row.sorted { $0.begin < $1.begin }
      for (task, next) in zip(row, row.dropFirst()) { #expect(task.end <= next.begin + 0.001) }
    }
    #expect(events.count { $0["ph"] as? String == "s" } == 12)
  }

  @Test("without --trace a real run has none; what is recorded anyway is traced and kept")
  func asked() throws {
    let sandbox = try Sandbox(["w.yaml": Self.graph])
    let run = ["run", "w.yaml", "--world", "real", "--seed", "1"]
    #expect(try sandbox.run(run + ["--out", "plain"]).code == 0)
    #expect(!sandbox.files(in: "plain").contains("trace.json"))
    let both = try sandbox.run(run + ["--out", "both", "--trace", "3", "--record", "rec"])
    #expect(both.code == 0, Comment(rawValue: both.output + both.errors))
    #expect(both.output.contains("Only the first 3 tasks were recorded"))
    #expect(sandbox.files(in: "both").contains("trace.json"))
    #expect(sandbox.files(in: "rec") == ["node-0.heliorec"])
  }

  @Test("a trace of a cluster that runs already is refused")
  func connected() throws {
    let outcome = try Sandbox(["w.yaml": Self.graph]).run(
      "run", "w.yaml", "--world", "real", "--connect", "127.0.0.1:1", "--trace", "10")
    #expect(outcome.code == 2)
    #expect(outcome.errors.contains("--trace does not go with --connect"))
  }

  @Test(
    "a task that one node hands on is where it ran, whichever node's recording comes first",
    arguments: [[0, 1], [1, 0]])
  func handedOn(order: [Int]) throws {
    let specs = TaskSpecTable.allocate()
    defer { specs.deallocate() }
    let id = TaskID(high: 1, low: 2)
    let shape = specs.shape(ResourceVector(cpus: 1))
    let task = specs.insert(TaskSpec(id: id, function: FunctionID(0), shape: shape))
    func time(_ milliseconds: UInt64) -> Instant { Instant.zero + .milliseconds(milliseconds) }
    let (first, second) = (NodeID(0), NodeID(1))
    let files: [[(Transition, Instant)]] = [
      [(.queued(task, first), time(10)), (.inputsReady(task, first), time(11))],
      [
        (.queued(task, second), time(20)), (.inputsReady(task, second), time(21)),
        (.started(task, second, WorkerID(3)), time(22)),
        (.finished(task, second, WorkerID(3), .value), time(30)),
      ],
    ]
    let recorded = RecordedTimeline()
    recorded.submitted(id, at: time(5), awaited: nil)
    for number in order {
      for (step, now) in files[number] { recorded.took(step, in: specs, at: now) }
    }
    let record = try #require(recorded.trace(["f"], 2, 10).timeline.tasks.first)
    #expect(record.node == second && record.worker == WorkerID(3))
    // From the submission.
    #expect(record.submitted == .zero && record.placed == time(15) && record.ready == time(16))
    #expect(record.started == time(17) && record.finished == time(25))
  }

  @Test("of what is no recording there is no timeline")
  func damaged() throws {
    let sandbox = try Sandbox(["bad.heliorec": "no recording"])
    let file = sandbox.folder.appendingPathComponent("bad.heliorec").path
    #expect(throws: RecordingError.self) {
      try RecordedTimeline.trace(of: [file], functions: [], cpus: 1, limit: 10)
    }
  }
}
