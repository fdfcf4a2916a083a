import Primitives
import RuntimeCore
import Testing

@Suite("all machines, wired by hand, under random interleavings")
struct HandWiredTests {
  @Test(
    "every task runs once or carries an error, every request ends, and nothing is left",
    arguments: 0..<8)
  func interleavings(block: Int) throws {
    for seed in UInt64(block * 50)..<UInt64(block * 50 + 50) {
      let cluster = try HandWiredCluster(seed: seed)
      var live: [(object: ObjectHandle, isError: Bool)] = []
      var tasks = 0
      var failing = 0
      var requests: [RequestID] = []
      for _ in 0..<(10 + cluster.below(60)) {
        for _ in 0..<cluster.below(25) where !cluster.step() { break }
        switch cluster.below(8) {
        case 0: live.append((cluster.put(size: UInt64(cluster.below(50))), false))
        case 1...4:
          let inputs = (0..<(live.isEmpty ? 0 : cluster.below(4))).map { _ in
            live[cluster.below(live.count)]
          }
          let fails = cluster.below(10) == 0
          let inputFails = inputs.contains { $0.isError }
          let returns = 1 + cluster.below(2)
          let task = cluster.submit(
            inputs.map(\.object), size: UInt64(cluster.below(50)), returns: returns, fails: fails,
            wanted: cluster.below(2) == 0)
          if inputFails { failing += 1 } else { tasks += 1 }
          for index in 0..<returns {
            live.append(
              (ObjectHandle(producer: task, index: Int32(index)), fails || inputFails))
          }
        case 5, 6:
          guard !live.isEmpty else { continue }
          let some = (0..<1 + cluster.below(3)).map { _ in live[cluster.below(live.count)].object }
          let isGet = cluster.below(2) == 0
          requests.append(
            cluster.request(
              some, needed: isGet ? some.count : 1, isGet: isGet, fetch: cluster.below(3) > 0,
              timeout: [nil, .zero, .milliseconds(1)][cluster.below(3)]))
        default:
          // A barrier, after which nothing pending needs the freed ones; stragglers of requests
          // with a timeout may still be on their way.
          let all = live.map(\.object)
          if all.isEmpty { continue }
          let barrier = cluster.request(
            all, needed: all.count, isGet: false, fetch: cluster.below(2) == 0, timeout: nil)
          while cluster.ended[barrier.number] == nil && cluster.step() {}
          #expect(cluster.ended[barrier.number] == .satisfied, "seed \(seed)")
          let count = cluster.below(live.count + 1)
          cluster.free(live[..<count].map(\.object))
          live.removeFirst(count)
        }
      }
      let all = live.map(\.object)
      for one in live {
        requests.append(
          cluster.request([one.object], needed: 1, isGet: true, fetch: true, timeout: nil))
        while cluster.ended[requests.last!.number] == nil && cluster.step() {}
        #expect(
          cluster.ended[requests.last!.number] == (one.isError ? .failed : .satisfied),
          "seed \(seed)")
      }
      while cluster.step() {}
      for request in requests { #expect(cluster.ended[request.number] != nil, "seed \(seed)") }
      #expect(cluster.executed.count == tasks, "seed \(seed)")
      cluster.free(all)
      while cluster.step() {}
      // What the schedulers have placed they hold until a heartbeat has counted it.
      cluster.beat()
      for i in 0..<cluster.nodes {
        #expect(cluster.raylets[i].isQuiescent == true, "seed \(seed)")
        #expect(cluster.raylets[i].availableResources == cluster.resources, "seed \(seed)")
        #expect(cluster.raylets[i].storedObjects == 0, "seed \(seed) node \(i)")
      }
      #expect(cluster.specs.count == 1, "seed \(seed)")
      for i in 0..<cluster.parameters.gcsShards * cluster.parameters.chainLength {
        #expect(cluster.replicas[i].taskCount == 0, "seed \(seed)")
        #expect(cluster.replicas[i].objectCount == 0, "seed \(seed)")
      }
    }
  }
}
