import Foundation
import Heliostat
import Primitives
import RuntimeCore
import Simulation
import Testing
import Workload

@testable import Experiments

/// The golden scenario of the paper's Fig 7: the ordered messages of both walk-throughs.
@Suite struct WalkThroughTests {
  static let workloads = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Workloads")

  /// Messages and steps of the walk-through, in words; heartbeats and earlier traffic left out.
  static func walk() throws -> [String] {
    let path = workloads.appendingPathComponent("paper/fig7-end-to-end.yaml").path
    let cell = try PreparedCell(try WorkloadFile.load(path).cells()[0])
    var configuration = cell.configuration
    configuration.parameters.recordsTransitions = true
    let sink = MeasureSink()
    let started = cell.begin(seed: 1, sink)
    let cluster = SimulatedCluster(configuration, isChecked: true)
    var lines: [(Instant, String)] = []
    cluster.observe { time, source, target, message in
      guard !Raylet.isBackground(message), source != target else { return }
      lines.append((time, "\(source) → \(target): \(message.kind.name)"))
    }
    cluster.onTransition = { transition, time in
      switch transition {
      case .storeLookedUp(_, let node, let found):
        lines.append((time, "store \(node.index): looked up, \(found ? "found" : "missing")"))
      case .placed(_, let node): lines.append((time, "placed on node \(node.index)"))
      case .started(_, let node, _): lines.append((time, "worker of node \(node.index) starts"))
      case .argumentsRead(_, let node): lines.append((time, "arguments read on node \(node.index)"))
      case .sealed(_, let node, _): lines.append((time, "sealed in store \(node.index)"))
      default: break
      }
    }
    #expect(cluster.run(started.application) == .finished)
    let begin = try #require(sink.figure("walk begins"))
    return lines.filter { $0.0.seconds >= begin }.map(\.1)
  }

  @Test("Fig 7a and 7b come out as the paper's ordered lists of messages")
  func golden() throws {
    let expected = [
      // Step 0: the function is registered in the GCS and sent to every node.
      "driver 0 → GCS replica 0: function-registered",
      "GCS replica 0 → raylet 2: function-published",
      "GCS replica 0 → raylet 0: function-published",
      "GCS replica 0 → raylet 1: function-published",
      // 7a, 1: the driver submits to the local scheduler of its node …
      "driver 0 → raylet 0: task-submitted",
      // … 2: which forwards to the global scheduler.
      "raylet 0 → global scheduler 0: task-escalated",
      // 3: the global scheduler looks up the locations of a and b.
      "global scheduler 0 → GCS replica 0: object-looked-up",
      "global scheduler 0 → GCS replica 0: object-looked-up",
      "GCS replica 0 → global scheduler 0: object-located",
      "GCS replica 0 → global scheduler 0: locations-listed",
      "GCS replica 0 → global scheduler 0: object-located",
      "GCS replica 0 → global scheduler 0: locations-listed",
      // 4: it chooses node 1, which holds b.
      "placed on node 1",
      "global scheduler 0 → raylet 1: task-placed",
      // 5: the local scheduler of node 1 looks into its store: a is missing, b is there.
      "store 1: looked up, missing",
      "store 1: looked up, found",
      "raylet 1 → GCS replica 0: task-logged",
      // 6: it looks a up in the GCS …
      "raylet 1 → GCS replica 0: object-looked-up",
      "GCS replica 0 → raylet 1: object-located",
      // … 7: and copies it.
      "raylet 1 → raylet 0: object-requested",
      "raylet 0 → raylet 1: chunk-arrived",
      "sealed in store 1",
      // 8: add is dispatched to a worker, 9: which reads its arguments from shared memory.
      "worker of node 1 starts",
      "arguments read on node 1",
      "raylet 1 → GCS replica 0: location-added",
      "GCS replica 0 → global scheduler 0: object-located",
      // 7b, 1: get(c) looks into the store of node 0 …
      "driver 0 → raylet 0: object-wanted",
      "store 0: looked up, missing",
      // … 2: and, the GCS having no entry, registers a callback.
      "raylet 0 → GCS replica 0: object-looked-up",
      // 3: node 1 finishes and stores c, 4: and adds the entry to the GCS …
      "sealed in store 1",
      "raylet 1 → GCS replica 0: task-completed",
      // … 5: which fires the callback.
      "GCS replica 0 → raylet 0: object-located",
      "GCS replica 0 → raylet 1: writes-committed",
      // 6: node 0 copies c.
      "raylet 0 → raylet 1: object-requested",
      "raylet 1 → raylet 0: chunk-arrived",
      "sealed in store 0",
      // 7: get returns.
      "raylet 0 → driver 0: object-ready",
    ]
    let walk = try Self.walk()
    #expect(walk == expected, Comment(rawValue: walk.joined(separator: "\n")))
  }

  @Test("the trace knows the size of what was put and of what a task made")
  func transferSizes() throws {
    let path = Self.workloads.appendingPathComponent("paper/fig7-end-to-end.yaml").path
    let cell = try PreparedCell(try WorkloadFile.load(path).cells()[0])
    var options = RunOptions()
    options.traceLimit = 100
    let trace = try #require(cell.run(seed: 1, options).trace)
    // a, put by the driver, to node 1; then c, the sum, to node 0.
    #expect(trace.timeline.transfers.map(\.size) == [ByteCount(1_000), ByteCount(8)])
  }

  @Test("a task that stays on its node reaches its result in four messages")
  func localTask() {
    let node = SimulatedNode(
      NodeDescription(resources: ResourceVector(cpus: 4), store: ByteCount(1_000_000)))
    var configuration = SimulatorBench.cluster(nodes: 1)
    configuration.nodes[0] = node
    configuration.parameters.gcsShards = 1
    let cluster = SimulatedCluster(configuration, isChecked: true)
    var kinds: [String] = []
    cluster.observe { _, _, _, message in
      let joining: [MessageKind] = [.nodeRegistered, .functionsFollowed]
      if !Raylet.isBackground(message) && !joining.contains(message.kind) {
        kinds.append(message.kind.name)
      }
    }
    var options = IndependentTasks.Options()
    options.tasks = 1
    options.submittersPerNode = 1
    _ = cluster.run(IndependentTasks(options, seed: 1, MeasureSink()))
    #expect(
      kinds == [
        "task-submitted", "task-logged", "task-finished", "object-ready",
      ])
  }
}
