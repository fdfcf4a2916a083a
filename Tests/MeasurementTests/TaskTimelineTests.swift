import Measurement
import Primitives
import Testing

/// A record with its moments in milliseconds.
private func record(
  _ task: UInt64, _ submitted: UInt64, _ placed: UInt64, _ ready: UInt64, _ started: UInt64,
  _ finished: UInt64, attempt: UInt32 = 0
) -> TaskRecord {
  func at(_ ms: UInt64) -> Instant { .zero + .milliseconds(ms) }
  return TaskRecord(
    function: 0, task: task, attempt: attempt, node: NodeID(0), worker: WorkerID(0),
    submitted: at(submitted), placed: at(placed), ready: at(ready), started: at(started),
    finished: at(finished))
}

@Suite struct TaskTimelineTests {
  @Test("an empty timeline has no makespan and no path")
  func empty() {
    let timeline = TaskTimeline()
    #expect(timeline.makespan == .zero)
    let path = CriticalPath(timeline)
    #expect(path.tasks.isEmpty && path.breakdown == OverheadBreakdown())
    #expect(timeline.criticalPathBound() == .zero)
  }

  @Test("a single task splits into its own phases")
  func single() {
    var timeline = TaskTimeline(functions: ["f"])
    timeline.append(record(1, 10, 13, 18, 25, 60))
    let parts = CriticalPath(timeline).breakdown
    #expect(parts.scheduling == .milliseconds(3))
    #expect(parts.transfer == .milliseconds(5))
    #expect(parts.queue == .milliseconds(7))
    #expect(parts.run == .milliseconds(35))
    #expect(parts.driver == .zero)
    #expect(parts.makespan == timeline.makespan)
  }

  @Test("the path follows the input that came last, and waiting for inputs costs nothing extra")
  func followsLatestInput() {
    var timeline = TaskTimeline(functions: ["f"])
    timeline.append(record(1, 0, 1, 1, 2, 20))
    timeline.append(record(2, 0, 2, 2, 4, 50))
    // Submitted and placed long before its inputs exist; the copy of input 2 takes 6 ms.
    timeline.append(record(3, 1, 3, 56, 58, 70), dependencies: [1, 2])
    let path = CriticalPath(timeline)
    #expect(path.tasks == [1, 2])
    #expect(path.breakdown.run == .milliseconds(46 + 12))
    #expect(path.breakdown.transfer == .milliseconds(6))
    #expect(path.breakdown.queue == .milliseconds(2 + 2))
    #expect(path.breakdown.scheduling == .milliseconds(2))
    #expect(path.breakdown.makespan == .milliseconds(70))
    #expect(timeline.criticalPathBound() == .milliseconds(46 + 12))
  }

  @Test("between a result that the driver waited for and the next submission, time is the driver's")
  func driverTime() {
    var timeline = TaskTimeline(functions: ["f"])
    timeline.append(record(1, 5, 5, 5, 5, 30))
    timeline.append(
      record(2, 42, 43, 43, 43, 50), dependencies: EmptyCollection(), control: [1])
    let path = CriticalPath(timeline)
    #expect(path.tasks == [0, 1])
    #expect(path.breakdown.driver == .milliseconds(12))
    #expect(path.breakdown.run == .milliseconds(25 + 7))
    #expect(path.breakdown.makespan == timeline.makespan)

    var unknown = TaskTimeline(functions: ["f"])
    unknown.append(record(1, 5, 5, 5, 5, 30))
    unknown.append(record(2, 42, 43, 43, 43, 50))
    #expect(CriticalPath(unknown).breakdown.driver == .milliseconds(37))
  }

  @Test("a consumer is linked to the attempt whose value it used")
  func attempts() {
    var timeline = TaskTimeline(functions: ["f"])
    timeline.append(record(1, 0, 0, 0, 0, 10))
    timeline.append(record(1, 40, 40, 40, 40, 60, attempt: 1))
    timeline.append(record(2, 0, 0, 20, 20, 30), dependencies: [1])
    timeline.append(record(3, 0, 0, 70, 70, 80), dependencies: [1])
    let lookup = TaskLookup(timeline)
    #expect(lookup.index(of: 1, finishedBy: .zero + .milliseconds(20)) == 0)
    #expect(lookup.index(of: 1, finishedBy: .zero + .milliseconds(70)) == 1)
    #expect(lookup.index(of: 1, finishedBy: .zero) == nil)
    #expect(lookup.index(of: 9, finishedBy: .never) == nil)
    #expect(CriticalPath(timeline).tasks == [1, 3])
  }

  @Test("the parts sum to the makespan for any records, even damaged ones", arguments: 0..<200)
  func sumsExactly(seed: Int) {
    var random = RandomStream(seed: UInt64(seed), stream: 3)
    var timeline = TaskTimeline(functions: ["f"])
    let isDamaged = seed % 2 == 1
    for task in 0..<UInt64(1 + random.below(60)) {
      var moments = (0..<5).map { _ in random.below(isDamaged ? 50 : 1000) }
      if !isDamaged { moments.sort() }
      let inputs = (0..<random.below(4)).map { _ in random.below(60) }
      let waited = (0..<random.below(3)).map { _ in random.below(60) }
      timeline.append(
        record(task, moments[0], moments[1], moments[2], moments[3], moments[4]),
        dependencies: inputs, control: waited)
    }
    let path = CriticalPath(timeline)
    #expect(path.breakdown.makespan == timeline.makespan)
    #expect(!path.tasks.isEmpty)
    if !isDamaged { #expect(timeline.criticalPathBound() <= timeline.makespan) }
  }

  @Test("links are kept per record, data and control apart")
  func links() {
    var timeline = TaskTimeline()
    timeline.append(record(1, 0, 0, 0, 0, 1))
    timeline.append(record(2, 0, 0, 0, 0, 1), dependencies: [1, 7], control: [8])
    timeline.append(record(3, 0, 0, 0, 0, 1), dependencies: [2])
    #expect(Array(timeline.dependencies(of: 0)) == [])
    #expect(Array(timeline.dependencies(of: 1)) == [1, 7])
    #expect(Array(timeline.control(of: 1)) == [8])
    #expect(Array(timeline.dependencies(of: 2)) == [2])
    #expect(timeline.name(of: timeline.tasks[0]) == "function 0")
  }

  @Test("phases and totals add up over all tasks")
  func phases() {
    var timeline = TaskTimeline(functions: ["f"])
    timeline.append(record(1, 0, 1, 3, 6, 10))
    timeline.append(record(2, 0, 2, 4, 8, 16))
    let phases = timeline.phaseLatencies()
    #expect(phases.scheduling.max == .milliseconds(2))
    #expect(phases.fetch.max == .milliseconds(2))
    #expect(phases.queueing.max == .milliseconds(4))
    #expect(phases.running.max == .milliseconds(8))
    #expect(phases.total.count == 2)
    #expect(timeline.totalWork == .milliseconds(12))
    var twice = phases
    twice.merge(phases)
    #expect(twice.named.allSatisfy { $0.recorder.count == 4 })
  }
}
