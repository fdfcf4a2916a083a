import Primitives
import Testing

@testable import Workload

@Suite("Task graphs in workload files")
struct FileGraphTests {
  @Test(
    "a bad graph names the task and its place",
    arguments: [
      ("[]", "5:10: 'workload.graph' has no tasks; expected at least one task"),
      (
        "[{id: a}]",
        "5:11: 'workload.graph[0]' has no key 'duration'; expected a duration with a "
          + "unit, such as 57.5us, 100ms or 2min, or a distribution; add 'duration: …'"
      ),
      (
        "[{id: a, duration: -1s}]",
        "5:29: 'workload.graph[0].duration' is '-1s'; expected a duration with a unit, such as "
          + "57.5us, 100ms or 2min, or a distribution such as uniform(10ms, 1s); it cannot be "
          + "negative"
      ),
      (
        "[{id: a, duration: uniform(10ms, 1s)}]",
        "5:29: 'workload.graph[0].duration' is 'uniform(10ms'; expected a duration with a unit, "
          + "such as 57.5us, 100ms or 2min, or a distribution such as uniform(10ms, 1s); close "
          + "the bracket; inside { } a value with commas needs quotes: \"uniform(10ms, 1s)\""
      ),
      (
        "[{id: a, duration: 1s}, {id: a, duration: 1s}]",
        "5:39: task 'a' is listed twice (first in line 5); rename one"
      ),
      (
        "[{id: left, duration: 1s}, {id: b, duration: 1s, needs: [lefd]}]",
        "5:67: unknown task 'lefd'; did you mean 'left'?"
      ),
      (
        "[{id: a, duration: 1s, needs: [a]}]",
        "5:41: task 'a' needs itself; remove it from 'needs'"
      ),
      (
        "[{id: a, duration: 1s, needs: [b]}, {id: b, duration: 1s, needs: [a]}]",
        "5:11: tasks need each other in a cycle: a → b → a; expected no cycles; remove one of "
          + "these needs"
      ),
      (
        "[{id: x, duration: 1s, needs: [c]}, {id: a, duration: 1s, needs: [c]}, "
          + "{id: b, duration: 1s, needs: [a]}, {id: c, duration: 1s, needs: [b]}]",
        "5:46: tasks need each other in a cycle: a → c → b → a; expected no cycles; remove one "
          + "of these needs"
      ),
      (
        "[{id: a, duration: 1s, count: 0}]",
        "5:40: 'workload.graph[0].count' is '0'; expected a whole number from 1 to 100000000"
      ),
      (
        "[{id: a, duration: 1s, cpus: 300000}]",
        "5:39: 'workload.graph[0].cpus' is '300000'; expected a number from 0.0 to 200000.0"
      ),
    ])
  func badGraph(text: String, expected: String) {
    let yaml =
      "experiment: a\ntitle: t\ncluster: {profile: ../clusters/tiny.yaml, nodes: 4}\nworkload:\n"
    #expect(
      message { () throws(WorkloadError) in _ = try workload(yaml + "  graph: " + text) }
        == "paper/w.yaml:" + expected)
  }

  @Test("a chain of 20 000 tasks in reverse order is sorted, and as a ring is refused")
  func longChain() throws {
    let count = 20_000
    func graph(closed: Bool) throws(WorkloadError) -> TaskGraph {
      let position = SourcePosition(file: "g", line: 1, column: 1)
      func scalar(_ text: String) -> SourceNode {
        SourceNode(position: position, content: .scalar(text, plain: true))
      }
      func entry(_ key: String, _ value: SourceNode) -> SourceEntry {
        SourceEntry(key: key, keyPosition: position, value: value)
      }
      let tasks = (0..<count).map { index in
        var entries = [entry("id", scalar("t\(index)")), entry("duration", scalar("1ms"))]
        if closed || index + 1 < count {
          let needs = [scalar("t\((index + 1) % count)")]
          entries.append(
            entry("needs", SourceNode(position: position, content: .list(needs))))
        }
        return SourceNode(position: position, content: .mapping(entries))
      }
      return try TaskGraph(
        PositionedValue(SourceNode(position: position, content: .list(tasks)), path: "graph"))
    }
    #expect(try graph(closed: false).order == Array((0..<count).reversed()))
    let error = message { () throws(WorkloadError) in _ = try graph(closed: true) }
    #expect(error?.contains("t5 → … 19990 more … → t19996") == true, "\(error ?? "")")
  }

  @Test("one resource kind too many is an error at the kind")
  func resourceKinds() throws {
    var names = ResourceNames()
    let kinds = (0..<7).map { "k\($0): 1" }.joined(separator: ", ")
    let yaml = minimal.split(separator: "\n").prefix(3).joined(separator: "\n")
    let file = try workload(
      yaml + "\nworkload:\n  graph: [{id: a, duration: 1s, resources: {\(kinds)}}]")
    guard case .graph(let graph) = file.workload else { return }
    #expect(
      message { () throws(WorkloadError) in _ = try graph.tasks[0].demand(in: &names) }
        == "paper/w.yaml:5:87: resource 'k6' is one kind too many; expected at most 8 kinds, CPU "
        + "and GPU among them; known: CPU, GPU, k0, k1, k2, k3, k4, k5")
  }
}
