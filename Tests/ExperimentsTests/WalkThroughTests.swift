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
      // 7a, step 0: the function is registered and sent to the nodes' workers.
      "driver 0 → GCS replica 0: function-registered",
    ]
    let walk = try Self.walk()
    #expect(walk == expected, Comment(rawValue: walk.joined(separator: "\n")))
  }
}
