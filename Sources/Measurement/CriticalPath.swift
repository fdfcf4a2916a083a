import Primitives

/// How a makespan splits along the chain of waits that ended in the last finish.
///
/// The five parts are disjoint intervals that cover the makespan: they sum to it exactly.
public struct OverheadBreakdown: Sendable, Hashable {
  /// Tasks on the path were running.
  public var run: TimeSpan = .zero
  /// Their inputs were local and they waited for a worker.
  public var queue: TimeSpan = .zero
  /// They were placed and their inputs existed, but were not local yet.
  public var transfer: TimeSpan = .zero
  /// They could have been placed, but were not yet.
  public var scheduling: TimeSpan = .zero
  /// Nothing on the path had been submitted yet: the submitting program was at work or waiting for
  /// something that the timeline does not hold.
  public var driver: TimeSpan = .zero

  public init() {}

  public var makespan: TimeSpan { run + queue + transfer + scheduling + driver }

  /// The parts with their names, in order of a task's life.
  public var named: [(name: String, time: TimeSpan)] {
    [
      ("driver", driver), ("scheduling", scheduling), ("transfer", transfer), ("queue", queue),
      ("run", run),
    ]
  }
}

/// The chain of tasks that determined when a run ended.
public struct CriticalPath: Sendable {
  public let breakdown: OverheadBreakdown
  /// Indices into `TaskTimeline.tasks`, first to last.
  public let tasks: [Int]

  /// Walks back from the last finisher: from each task to the input that came last (or, when the
  /// task was submitted after all its inputs, to the task that the submitter had waited for last).
  /// Of equal finishes the first recorded wins.
  public init(_ timeline: TaskTimeline) {
    self.init(timeline, lookup: TaskLookup(timeline))
  }

  public init(_ timeline: TaskTimeline, lookup: TaskLookup) {
    let tasks = timeline.tasks
    var parts = OverheadBreakdown()
    var path: [Int] = []
    guard let origin = tasks.lazy.map(\.submitted).min(),
      var current = tasks.indices.max(by: {
        (tasks[$0].finished, $1) < (tasks[$1].finished, $0)
      })
    else {
      breakdown = parts
      self.tasks = path
      return
    }

    var cursor = tasks[current].finished
    // Everything between `moment` and the cursor belongs to one part; the cursor only moves back,
    // so that parts never overlap even where a record's moments are out of order.
    func charge(_ part: WritableKeyPath<OverheadBreakdown, TimeSpan>, from moment: Instant) {
      let moment = max(moment, origin)
      if moment < cursor {
        parts[keyPath: part] += cursor.since(moment)
        cursor = moment
      }
    }

    walk: while true {
      path.append(current)
      let task = tasks[current]
      charge(\.run, from: task.started)
      charge(\.queue, from: task.ready)

      func latest(_ numbers: ArraySlice<UInt64>, by moment: Instant) -> Int? {
        var found: Int?
        for number in numbers {
          guard let index = lookup.index(of: number, finishedBy: moment), index != current else {
            continue
          }
          if let best = found, tasks[best].finished >= tasks[index].finished { continue }
          found = index
        }
        return found
      }

      let input = latest(timeline.dependencies(of: current), by: min(task.started, cursor))
      let arrived = input.map { tasks[$0].finished } ?? .zero
      let possible = max(task.submitted, arrived)
      charge(\.transfer, from: max(possible, task.placed))
      charge(\.scheduling, from: possible)

      if let input, arrived >= task.submitted {
        current = input
      } else if let waited = latest(timeline.control(of: current), by: min(task.submitted, cursor))
      {
        charge(\.driver, from: tasks[waited].finished)
        current = waited
      } else {
        break walk
      }
      // Tasks without duration may form a ring in damaged records; the path is then cut here.
      if path.count > tasks.count { break walk }
    }
    charge(\.driver, from: origin)
    breakdown = parts
    self.tasks = path.reversed()
  }
}

extension TaskTimeline {
  /// The longest chain of running times along data dependencies: no schedule can be shorter, even
  /// with unlimited workers and bandwidth.
  public func criticalPathBound(lookup: TaskLookup) -> TimeSpan {
    // A producer finishes before its consumer starts, so in order of finish producers come first.
    let order = tasks.indices.sorted {
      (tasks[$0].finished, tasks[$0].started, $0) < (tasks[$1].finished, tasks[$1].started, $1)
    }
    var longest = [TimeSpan](repeating: .zero, count: tasks.count)
    var bound = TimeSpan.zero
    for index in order {
      let task = tasks[index]
      var before = TimeSpan.zero
      for number in dependencies(of: index) {
        if let producer = lookup.index(of: number, finishedBy: task.started) {
          before = max(before, longest[producer])
        }
      }
      longest[index] = before + task.finished.since(task.started)
      bound = max(bound, longest[index])
    }
    return bound
  }

  public func criticalPathBound() -> TimeSpan { criticalPathBound(lookup: TaskLookup(self)) }
}
