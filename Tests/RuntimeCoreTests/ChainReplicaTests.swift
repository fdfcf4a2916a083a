import Primitives
import Testing

@testable import RuntimeCore

@Suite("a replication chain, wired by hand")
struct ChainReplicaTests {
  @Test(
    "under every interleaving histories are prefixes, numbers have no gaps, reads are committed",
    arguments: 1...5)
  func interleavings(length: Int) {
    for seed in UInt64(0)..<30 {
      let chain = ChainHarness(length: length, seed: seed)
      let eagerness = 1 + chain.below(6)
      for _ in 0..<300 {
        if chain.below(eagerness + 1) == 0 { _ = chain.deliver() } else { chain.act() }
        if chain.below(4) == 0 { for _ in 0..<chain.below(30) where !chain.deliver() { break } }
      }
      while chain.deliver() {}
      #expect(chain.problems == [], "seed \(seed)")
      #expect(chain.commits == chain.completions, "seed \(seed)")
      for i in 0..<length {
        #expect(chain.replicas[i].history == chain.replicas[0].history, "seed \(seed)")
        #expect(chain.replicas[i].sentCount == 0, "seed \(seed)")
      }
      // No update was lost between reading and subscribing.
      for key in chain.live {
        let object = chain.objects[key]!
        if object.isFollowed { #expect(object.told == object.committed, "seed \(seed)") }
        if !object.committed.isEmpty {
          #expect(object.asked.isSubset(of: object.answered), "seed \(seed)")
        }
        #expect(object.holders == object.committed, "seed \(seed)")
      }
      for object in chain.objects.values where object.isFreed {
        #expect(object.holders.isEmpty, "seed \(seed)")
        #expect(object.isToldFreed == object.isFollowed, "seed \(seed)")
        #expect(object.asked.isSubset(of: object.answered), "seed \(seed)")
      }
    }
  }

  @Test("when all is completed and freed, no member keeps an entry", arguments: 1...5)
  func emptyAtTheEnd(length: Int) {
    for seed in UInt64(100)..<110 {
      let chain = ChainHarness(length: length, seed: seed)
      for _ in 0..<200 { if chain.below(2) == 0 { chain.act() } else { _ = chain.deliver() } }
      while chain.deliver() {}
      let raylet = Address.raylet(NodeID(0))
      for key in chain.live where !chain.objects[key]!.isCompleted {
        chain.complete(key)
      }
      // Freed at once: some of it reaches the chain before the completion's commitment.
      chain.free(chain.live, by: raylet)
      while chain.deliver() {}
      #expect(chain.problems == [], "seed \(seed)")
      #expect(chain.live.isEmpty)
      #expect(chain.specs.count == 0, "seed \(seed)")
      for i in 0..<length {
        #expect(chain.replicas[i].taskCount == 0, "seed \(seed) member \(i)")
        #expect(chain.replicas[i].objectCount == 0, "seed \(seed) member \(i)")
      }
    }
  }

  @Test("a write that reaches a member other than the head ends the run with a reason")
  func wrongMember() async {
    await #expect(processExitsWith: .failure) {
      let chain = ChainHarness(length: 2, seed: 1)
      var effects = EffectBuffer<Effect>()
      chain.replicas[1].receive(
        .nodeRegistered(NodeID(0)), from: .raylet(NodeID(0)), at: .zero, into: &effects)
    }
  }
}
