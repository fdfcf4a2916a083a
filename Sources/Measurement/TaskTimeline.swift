import Primitives

/// What happened to one attempt of a task. Moments that a world does not know repeat the one before.
public struct TaskRecord: Sendable, Hashable, BitwiseCopyable {
  /// Which function, as an index into `TaskTimeline.functions`.
  public var function: UInt32
  /// From 0; counts re-executions of the same task.
  public var attempt: UInt32
  /// The task's number, unique in the run; the same for all its attempts.
  public var task: UInt64
  public var node: NodeID
  public var worker: WorkerID
  /// The submitter handed it over.
  public var submitted: Instant
  /// A scheduler settled on the node.
  public var placed: Instant
  /// Its inputs were local to that node.
  public var ready: Instant
  public var started: Instant
  public var finished: Instant

  public init(
    function: UInt32, task: UInt64, attempt: UInt32 = 0, node: NodeID, worker: WorkerID,
    submitted: Instant, placed: Instant, ready: Instant, started: Instant, finished: Instant
  ) {
    self.function = function
    self.attempt = attempt
    self.task = task
    self.node = node
    self.worker = worker
    self.submitted = submitted
    self.placed = placed
    self.ready = ready
    self.started = started
    self.finished = finished
  }
}

/// One copy of an object from node to node.
public struct TransferRecord: Sendable, Hashable, BitwiseCopyable {
  public var object: UInt64
  public var from: NodeID
  public var to: NodeID
  public var start: Instant
  public var end: Instant
  public var size: ByteCount

  public init(
    object: UInt64, from: NodeID, to: NodeID, start: Instant, end: Instant, size: ByteCount
  ) {
    self.object = object
    self.from = from
    self.to = to
    self.start = start
    self.end = end
    self.size = size
  }
}

/// The finished tasks and transfers of a run, in the order in which they were recorded.
///
/// Records are plain words, and what a task waited for lies in one flat array, so that recording
/// allocates only when an array grows.
public struct TaskTimeline: Sendable {
  /// The names that `TaskRecord.function` points to.
  public var functions: [String]
  public internal(set) var tasks: [TaskRecord] = []
  public internal(set) var transfers: [TransferRecord] = []

  // What record i waited for is linked[linkStarts[i] ..< controlStarts[i]] (data) and
  // linked[controlStarts[i] ..< linkStarts[i + 1]] (control), as task numbers.
  @usableFromInline var linked: [UInt64] = []
  @usableFromInline var linkStarts: [Int] = [0]
  @usableFromInline var controlStarts: [Int] = []

  public init(functions: [String] = []) { self.functions = functions }

  public mutating func reserve(tasks count: Int) {
    tasks.reserveCapacity(count)
    linkStarts.reserveCapacity(count + 1)
    controlStarts.reserveCapacity(count)
  }

  /// Adds a finished attempt.
  /// - Parameters:
  ///   - dependencies: the numbers of the tasks whose values are its arguments.
  ///   - control: the numbers of the tasks that its submitter had waited for (`get`, `wait`)
  ///     before it submitted this one.
  @inlinable
  public mutating func append(
    _ record: TaskRecord, dependencies: some Sequence<UInt64>,
    control: some Sequence<UInt64> = EmptyCollection<UInt64>()
  ) {
    // One by one: appending a sequence reserves for its exact length each time.
    for number in dependencies { linked.append(number) }
    controlStarts.append(linked.count)
    for number in control { linked.append(number) }
    linkStarts.append(linked.count)
    add(record)
  }

  @inlinable
  public mutating func append(_ record: TaskRecord) {
    append(record, dependencies: EmptyCollection<UInt64>())
  }

  @usableFromInline mutating func add(_ record: TaskRecord) { tasks.append(record) }

  public mutating func append(_ transfer: TransferRecord) { transfers.append(transfer) }

  /// The numbers of the tasks whose values record `index` takes.
  public func dependencies(of index: Int) -> ArraySlice<UInt64> {
    linked[linkStarts[index]..<controlStarts[index]]
  }

  /// The numbers of the tasks that the submitter of record `index` had waited for.
  public func control(of index: Int) -> ArraySlice<UInt64> {
    linked[controlStarts[index]..<linkStarts[index + 1]]
  }

  public func name(of record: TaskRecord) -> String {
    Int(record.function) < functions.count
      ? functions[Int(record.function)] : "function \(record.function)"
  }

  /// From the first submission to the last finish; zero without tasks.
  public var makespan: TimeSpan {
    guard let first = tasks.lazy.map(\.submitted).min(), let last = tasks.lazy.map(\.finished).max()
    else { return .zero }
    return last.since(first)
  }

  /// The running time of all attempts together; over the number of workers, a lower bound of the
  /// makespan.
  public var totalWork: TimeSpan {
    tasks.reduce(.zero) { $0 + $1.finished.since($1.started) }
  }

  /// The latencies of each phase over all tasks; see `PhaseLatencies`.
  public func phaseLatencies() -> PhaseLatencies {
    var result = PhaseLatencies()
    for task in tasks {
      result.scheduling.record(task.placed.since(task.submitted))
      result.fetch.record(task.ready.since(task.placed))
      result.queueing.record(task.started.since(task.ready))
      result.running.record(task.finished.since(task.started))
      result.total.record(task.finished.since(task.submitted))
    }
    return result
  }
}

/// How long tasks spent in each phase, as histograms.
public struct PhaseLatencies: Sendable {
  /// Submitted → placed on a node.
  public var scheduling = LatencyRecorder()
  /// Placed → all inputs local.
  public var fetch = LatencyRecorder()
  /// Inputs local → running.
  public var queueing = LatencyRecorder()
  /// Running → finished.
  public var running = LatencyRecorder()
  /// Submitted → finished.
  public var total = LatencyRecorder()

  public init() {}

  public mutating func merge(_ other: PhaseLatencies) {
    scheduling.merge(other.scheduling)
    fetch.merge(other.fetch)
    queueing.merge(other.queueing)
    running.merge(other.running)
    total.merge(other.total)
  }

  /// The phases with their names, in order of time.
  public var named: [(name: String, recorder: LatencyRecorder)] {
    [
      ("scheduling", scheduling), ("fetch", fetch), ("queueing", queueing), ("running", running),
      ("total", total),
    ]
  }
}

/// Which record a task number means.
public struct TaskLookup: Sendable {
  // Record indices by (task, finished, index): attempts of a task lie side by side, in time.
  private let order: [Int]
  private let tasks: [TaskRecord]

  public init(_ timeline: TaskTimeline) {
    let tasks = timeline.tasks
    self.tasks = tasks
    order = tasks.indices.sorted {
      (tasks[$0].task, tasks[$0].finished, $0) < (tasks[$1].task, tasks[$1].finished, $1)
    }
  }

  /// The attempt of `task` whose value was there at `moment`: the last that had finished by then;
  /// nil when none had.
  public func index(of task: UInt64, finishedBy moment: Instant) -> Int? {
    var low = 0
    var high = order.count
    while low < high {
      let middle = (low + high) / 2
      let record = tasks[order[middle]]
      if (record.task, record.finished) <= (task, moment) {
        low = middle + 1
      } else {
        high = middle
      }
    }
    guard low > 0, tasks[order[low - 1]].task == task else { return nil }
    return order[low - 1]
  }
}
