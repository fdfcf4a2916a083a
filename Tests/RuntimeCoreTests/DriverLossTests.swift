import Primitives
import RuntimeCore
import Testing

@Suite("A driver that dies, all machines wired by hand")
struct DriverLossTests {
  @Test("whatever it had under way, nothing of it is left anywhere", arguments: 0..<8)
  func interleavings(block: Int) throws {
    for seed in UInt64(20_000 + block * 50)..<UInt64(20_000 + block * 50 + 50) {
      let cluster = try HandWiredCluster(seed: seed)
      var live: [ObjectHandle] = []
      for _ in 0..<(5 + cluster.below(60)) {
        for _ in 0..<cluster.below(20) where !cluster.step() { break }
        switch cluster.below(12) {
        case 0: live.append(cluster.put(size: UInt64(cluster.below(50))))
        case 1...9:
          let inputs = (0..<(live.isEmpty ? 0 : cluster.below(4))).map { _ in
            live[cluster.below(live.count)]
          }
          let returns = 1 + cluster.below(2)
          let task = cluster.submit(
            inputs, size: UInt64(cluster.below(50)), returns: returns,
            fails: cluster.below(10) == 0, wanted: cluster.below(2) == 0)
          for index in 0..<returns {
            live.append(ObjectHandle(producer: task, index: Int32(index)))
          }
        case 10:
          guard !live.isEmpty else { continue }
          _ = cluster.request(
            [live[cluster.below(live.count)]], needed: 1, isGet: true,
            fetch: cluster.below(3) > 0, timeout: nil)
        default:
          let barrier = cluster.request(
            live, needed: live.count, isGet: false, fetch: false, timeout: nil)
          while cluster.ended[barrier.number] == nil && cluster.step() {}
          let count = cluster.below(live.count + 1)
          cluster.free(Array(live[..<count]))
          live.removeFirst(count)
        }
      }
      let before = cluster.executed.count
      let queued = (0..<cluster.nodes).map { cluster.raylets[$0].queueLength }.reduce(0, +)
      cluster.killDriver()
      while cluster.step() {}
      cluster.beat()
      for object in live { cluster.specs.release(object.producer) }
      #expect(cluster.executed.count <= before + queued + live.count, "seed \(seed)")
      for i in 0..<cluster.nodes {
        #expect(cluster.raylets[i].isQuiescent == true, "seed \(seed)")
        #expect(cluster.raylets[i].taskCount == 0, "seed \(seed)")
        #expect(cluster.raylets[i].availableResources == cluster.resources, "seed \(seed)")
        #expect(cluster.raylets[i].storedObjects == 0, "seed \(seed) node \(i)")
      }
      #expect(cluster.specs.count == 1, "seed \(seed): \(cluster.specs.count) names are left")
      for i in 0..<cluster.parameters.gcsShards * cluster.parameters.chainLength {
        #expect(cluster.replicas[i].taskCount == 0, "seed \(seed)")
        #expect(cluster.replicas[i].objectCount == 0, "seed \(seed)")
      }
    }
  }
}
