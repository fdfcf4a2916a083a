import Heliostat
import Primitives
import Simulation
import Testing

@Suite("swarm of random programs on random clusters")
struct ProgramSwarmTests {
  @Test(
    "every program finds its values, leaves nothing behind and repeats itself", arguments: 0..<10)
  func swarm(block: Int) throws {
    var fingerprints: Set<UInt64> = []
    for seed in UInt64(block * 20)..<UInt64(block * 20 + 20) {
      let swarm = try ProgramSwarm(seed: seed)
      let (run, problems) = swarm.run()
      #expect(problems == [], "seed \(seed)")
      #expect(run.end == .finished, "seed \(seed)")
      #expect(run.runtime.error == nil, "seed \(seed)")
      for (i, node) in swarm.configuration.nodes.enumerated() {
        let available = run.cluster.available(of: NodeID(i))
        #expect(available == node.description.resources, "seed \(seed)")
        #expect(run.cluster.isQuiescent(NodeID(i)), "seed \(seed)")
        #expect(run.cluster.storedBytes(of: NodeID(i)) == .zero, "seed \(seed)")
      }
      // The driver's root, three actors, and the two tasks that made inputs of theirs.
      #expect(run.cluster.specs.count == 6, "seed \(seed)")
      let parameters = swarm.configuration.parameters
      for shard in 0..<parameters.gcsShards {
        for member in 0..<parameters.chainLength {
          let state = run.cluster.chainState(shard: shard, member: member)
          #expect(
            state.tasks == 0 && state.objects == 0 && state.sent == 0, "seed \(seed): \(state)")
        }
      }
      let again = swarm.run()
      #expect(again.run.cluster.fingerprint == run.cluster.fingerprint, "seed \(seed)")
      #expect(fingerprints.insert(run.cluster.fingerprint).inserted, "seed \(seed)")
    }
  }
}
