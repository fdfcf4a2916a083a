import Foundation
import Measurement
import Primitives
import Reporting
import Testing

@Suite struct ChromeTraceTests {
  private func at(_ ns: UInt64) -> Instant { Instant(nanoseconds: ns) }

  private func sample() -> TaskTimeline {
    var timeline = TaskTimeline(functions: ["rollout", "say \"hi\"\n\\ü\u{1}"])
    func add(
      _ task: UInt64, _ function: UInt32, node: Int, worker: WorkerID, _ times: [UInt64],
      _ inputs: [UInt64]
    ) {
      timeline.append(
        TaskRecord(
          function: function, task: task, node: NodeID(node), worker: worker,
          submitted: at(times[0]), placed: at(times[1]), ready: at(times[2]), started: at(times[3]),
          finished: at(times[4])), dependencies: inputs)
    }
    add(0xAB, 0, node: 3, worker: WorkerID(5), [0, 10, 20, 1_000, 2_500], [])
    add(2, 1, node: 1, worker: WorkerID(0), [0, 10, 2_600, 2_700, 1_234_567], [0xAB])
    add(3, 7, node: 1, worker: .none, [0, 10, 2_600, 1_300_000, 1_300_000], [0xAB, 2, 99])
    for (start, end) in [(2_500, 2_600), (2_550, 2_900), (2_600, 2_650)] as [(UInt64, UInt64)] {
      timeline.append(
        TransferRecord(
          object: 0xAB00, from: NodeID(3), to: NodeID(1), start: at(start), end: at(end),
          size: ByteCount(4096)))
    }
    return timeline
  }

  private func parse(_ bytes: [UInt8]) throws -> [[String: Any]] {
    try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [[String: Any]])
  }

  @Test("the trace is valid JSON with Ray's names, nodes as processes and workers as threads")
  func schema() throws {
    let events = try parse(ChromeTrace.bytes(sample()))
    let tasks = events.filter { $0["cat"] as? String == "task" }
    #expect(
      tasks.map { $0["name"] as? String } == [
        "task::rollout", "task::say \"hi\"\n\\ü\u{1}", "task::function 7",
      ])
    #expect(tasks[0]["pid"] as? Int == 3 && tasks[0]["tid"] as? Int == 5)
    #expect(tasks[0]["ts"] as? Double == 1 && tasks[0]["dur"] as? Double == 1.5)
    let details = try #require(tasks[0]["args"] as? [String: Any])
    #expect(details["task_id"] as? String == "00000000000000ab")
    #expect(details["func_or_class_name"] as? String == "rollout")
    #expect(details["queueing_us"] as? Double == 0.98)

    func names(_ kind: String) -> [String] {
      events.filter { $0["name"] as? String == kind }
        .compactMap { ($0["args"] as? [String: Any])?["name"] as? String }
    }
    #expect(names("process_name") == ["Node 1", "Node 3"])
    #expect(
      names("thread_name")
        == ["worker:0", "no worker", "transfers", "transfers (2)", "worker:5"])
  }

  @Test("times are exact to the nanosecond")
  func exactTimes() throws {
    let text = String(decoding: ChromeTrace.bytes(sample()), as: UTF8.self)
    #expect(text.contains("\"ts\":2.700,\"dur\":1231.867,"))
  }

  @Test("every data edge is a pair of flow events inside its two slices")
  func flows() throws {
    let events = try parse(ChromeTrace.bytes(sample()))
    let starts = events.filter { $0["ph"] as? String == "s" }
    let ends = events.filter { $0["ph"] as? String == "f" }
    #expect(starts.compactMap { $0["id"] as? Int } == [0, 1, 2])
    #expect(ends.compactMap { $0["id"] as? Int } == [0, 1, 2])
    #expect(ends.allSatisfy { $0["bp"] as? String == "e" })
    let slices = events.filter { $0["ph"] as? String == "X" }
    for event in starts + ends {
      let ts = try #require(event["ts"] as? Double)
      let around = slices.filter { slice in
        guard let start = slice["ts"] as? Double, let length = slice["dur"] as? Double else {
          return false
        }
        return slice["pid"] as? Int == event["pid"] as? Int
          && slice["tid"] as? Int == event["tid"] as? Int && start <= ts
          && (ts < start + length || length == 0 && ts == start)
      }
      #expect(around.count == 1)
    }
    for (start, end) in zip(starts, ends) {
      #expect((start["ts"] as? Double ?? 9e9) <= (end["ts"] as? Double ?? -1))
    }
  }

  @Test("transfers that overlap lie on threads of their own at the receiver")
  func transfers() throws {
    let events = try parse(ChromeTrace.bytes(sample())).filter {
      $0["cat"] as? String == "transfer"
    }
    #expect(events.map { $0["pid"] as? Int } == [1, 1, 1])
    let threads = events.compactMap { $0["tid"] as? Int }
    #expect(threads[0] == threads[2] && threads[0] != threads[1])
    #expect((events[0]["args"] as? [String: Any])?["bytes"] as? Int == 4096)
  }

  @Test("a trace handed over in small pieces is the same trace")
  func pieces() {
    var pieces: [[UInt8]] = []
    ChromeTrace.write(sample(), pieceSize: 64) { pieces.append($0) }
    #expect(pieces.count > 3)
    #expect(Array(pieces.joined()) == ChromeTrace.bytes(sample()))
  }

  @Test("a trace of nothing is an empty list")
  func empty() throws {
    #expect(try parse(ChromeTrace.bytes(TaskTimeline())).isEmpty)
  }

  @Test("the largest numbers are written in full")
  func extremes() throws {
    var timeline = TaskTimeline(functions: ["f"])
    timeline.append(
      TaskRecord(
        function: 0, task: .max, node: .none, worker: WorkerID(0), submitted: .zero, placed: .zero,
        ready: .zero, started: .zero, finished: .never))
    let text = String(decoding: ChromeTrace.bytes(timeline), as: UTF8.self)
    #expect(text.contains("\"dur\":18446744073709551.615"))
    #expect(text.contains("\"task_id\":\"ffffffffffffffff\""))
    #expect(try parse(Array(text.utf8)).count > 1)
  }
}
