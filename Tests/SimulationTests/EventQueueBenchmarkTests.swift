import Primitives
import Simulation
import Testing

@Suite("Event queue: benchmark models")
struct EventQueueBenchmarkTests {
  @Test("A single task takes both messages and its work")
  func singleTask() {
    for seed in 0..<20 as Range<UInt64> {
      let (makespan, completed) = runMasterWorker(hosts: 1, tasks: 1, seed: seed)
      #expect(completed == 1)
      // 1 kB and 100 B at 1.25 GB/s are 800 and 80 ns; two latencies of 50 µs.
      let messages: UInt64 = 100_880
      #expect(makespan.nanoseconds >= messages + 1_000_000)
      #expect(makespan.nanoseconds <= messages + 10_000_000)
    }
  }

  @Test("Every task completes, hardly later than the work divided over the hosts allows")
  func manyTasks() {
    let (makespan, completed) = runMasterWorker(hosts: 100, tasks: 100_000, seed: 1)
    #expect(completed == 100_000)
    // The mean work is 5.5 ms, a window of two hides the network, and the last tasks end unevenly.
    let bound = 100_000 / 100 * 5_500_000 as UInt64
    #expect(makespan.nanoseconds > bound * 99 / 100)
    #expect(makespan.nanoseconds < bound * 102 / 100)
  }

  @Test("Fewer tasks than places leave hosts idle, and none at all ends at once")
  func fewTasks() {
    #expect(runMasterWorker(hosts: 100, tasks: 7, seed: 3).completed == 7)
    let none = runMasterWorker(hosts: 100, tasks: 0, seed: 3)
    #expect(none.completed == 0)
    #expect(none.makespan == .zero)
  }

  @Test("The same seed gives the same makespan, another seed another")
  func deterministic() {
    let first = runMasterWorker(hosts: 10, tasks: 1_000, seed: 4)
    #expect(first == runMasterWorker(hosts: 10, tasks: 1_000, seed: 4))
    #expect(first.makespan != runMasterWorker(hosts: 10, tasks: 1_000, seed: 5).makespan)
  }

  @Test("The hold model's checksum depends on its seed and on nothing else")
  func holdModelIsDeterministic() {
    let first = runHoldModel(pending: 500, events: 5_000, seed: 1)
    #expect(first == runHoldModel(pending: 500, events: 5_000, seed: 1))
    #expect(first != runHoldModel(pending: 500, events: 5_000, seed: 2))
  }
}
