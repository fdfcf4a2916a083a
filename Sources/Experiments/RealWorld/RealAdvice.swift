import Foundation
import Primitives
import RealWorld
import Workload

/// What to change so that a file runs on this machine: each of these was tried on the whole file.
struct RealAdvice {
  private let runner: ExperimentRunner
  private let options: RealWorldOptions
  private let demands: [ResourceVector]
  private let largestObject: ByteCount

  init(_ runner: ExperimentRunner, _ cells: [PreparedCell], _ options: RealWorldOptions) {
    self.runner = runner
    self.options = options
    demands = cells.flatMap { $0.demands.map(\.demand) }
    largestObject = cells.map(\.largestObject).max() ?? .zero
  }

  /// As the end of a message.
  var text: String {
    var ways: [String] = []
    func add(_ candidates: [(text: String, change: Change)]) {
      for candidate in candidates where works(candidate.change) {
        ways.append(candidate.text)
        return
      }
    }
    add(cpus.map { ("--cpus \($0) (of each node)", .options(cpus: $0)) })
    let gpus = needed(ResourceVector.gpuLane)
    if gpus > 0 {
      add([("--gpus \(gpus) (of each node)", .options(gpus: gpus))])
      if ways.isEmpty {
        add(cpus.map { ("--cpus \($0) --gpus \(gpus)", .options(cpus: $0, gpus: gpus)) })
      }
    }
    let mebibytes = (largestObject.bytes >> 20) + 1
    add([
      ("--store \(mebibytes)MiB (of each node)", .options(store: ByteCount(mebibytes << 20)))
    ])
    add(nodes.map { ("--nodes \($0)", .options(nodes: $0)) })
    add([2, 1].map { ("--set cluster.nodes=\($0)", .file("cluster.nodes", "\($0)")) })
    if ways.isEmpty {
      return
        "no option makes it fit here: leave out --world real, or give --connect with a cluster "
        + "that has enough"
    }
    return "give " + ways.joined(separator: ", or ")
  }

  private enum Change {
    case options(cpus: Int? = nil, gpus: Int? = nil, store: ByteCount? = nil, nodes: Int? = nil)
    case file(String, String)
  }

  private func works(_ change: Change) -> Bool {
    var changed = runner
    switch change {
    case .options(let cpus, let gpus, let store, let nodes):
      var options = options
      options.cpus = cpus ?? options.cpus
      options.gpus = gpus ?? options.gpus
      options.store = store ?? options.store
      if let nodes { options.place = .processes(nodes) }
      changed.world = .real(options)
    case .file(let key, let value):
      guard let file = try? runner.file.applying(overrides: [(key, value)]) else { return false }
      changed.file = file
    }
    return (try? changed.prepare(isAdvising: false)) != nil
  }

  private func needed(_ lane: Int) -> Int {
    Int((demands.map { $0.amount(lane) }.max() ?? 0).rounded(.up))
  }

  private var nodeCount: Int {
    if case .processes(let count) = options.place { return count }
    return 1
  }

  /// For each node: as many as there are cores, as a task needs, as there may be.
  private var cpus: [Int] {
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let most = min(1024, cores * RealPlan.cpusPerCore / nodeCount)
    return [cores / nodeCount, needed(ResourceVector.cpuLane), most].filter {
      1...max(1, most) ~= $0
    }
  }

  /// Fewer node processes, with the CPUs that were asked for.
  private var nodes: [Int] {
    let most = ProcessInfo.processInfo.activeProcessorCount * RealPlan.cpusPerCore
    return [most / max(1, options.cpus ?? most), 1].filter { 1..<nodeCount ~= $0 }
  }
}
