import Measurement
import Primitives

/// A timeline in the Chrome trace format (a JSON array of events), which Perfetto and
/// chrome://tracing open. Names and fields are those of `ray timeline`; flow events for data edges
/// and a thread of transfers per node come on top.
///
/// Bytes are appended by hand: an encoder costs thirty times as much per event.
public enum ChromeTrace {
  /// Where transfers stand among a node's threads: after its workers.
  static let transferThread: UInt64 = 1_000_000
  /// Where tasks without a worker stand.
  static let unassignedThread: UInt64 = 999_999

  /// The whole trace.
  public static func bytes(_ timeline: TaskTimeline) -> [UInt8] {
    var all: [UInt8] = []
    all.reserveCapacity(64 + 320 * timeline.tasks.count + 220 * timeline.transfers.count)
    write(timeline) { all.append(contentsOf: $0) }
    return all
  }

  /// Hands the trace over in pieces of about `pieceSize` bytes, so that a long trace need not lie
  /// in memory as a whole.
  public static func write<Failure: Error>(
    _ timeline: TaskTimeline, pieceSize: Int = 1 << 20,
    to sink: ([UInt8]) throws(Failure) -> Void
  ) throws(Failure) {
    var json = JSONBuffer()
    json.open()

    let lookup = TaskLookup(timeline)
    let lanes = TransferLanes(timeline.transfers)
    threads(timeline, lanes: lanes, into: &json)

    let names = timeline.functions.map { JSONBuffer.quoted($0) }
    let titles = timeline.functions.map { JSONBuffer.quoted("task::" + $0) }
    var flow: UInt64 = 0
    for (index, task) in timeline.tasks.enumerated() {
      let function = Int(task.function)
      let known = function < names.count
      json.event(
        phase: "X", category: "task",
        quotedName: known
          ? titles[function] : JSONBuffer.quoted("task::" + timeline.name(of: task)))
      json.place(task)
      json.moment(task.started)
      json.duration(task.finished.since(task.started))
      json.raw(",\"args\":{\"task_id\":\"")
      json.hex(task.task)
      json.raw("\",\"attempt_number\":")
      json.number(UInt64(task.attempt))
      json.raw(",\"func_or_class_name\":")
      json.raw(bytes: known ? names[function] : JSONBuffer.quoted(timeline.name(of: task)))
      json.raw(",\"scheduling_us\":")
      json.microseconds(task.placed.since(task.submitted).nanoseconds)
      json.raw(",\"fetch_us\":")
      json.microseconds(task.ready.since(task.placed).nanoseconds)
      json.raw(",\"queueing_us\":")
      json.microseconds(task.started.since(task.ready).nanoseconds)
      json.raw("}}")

      for number in timeline.dependencies(of: index) {
        guard let producer = lookup.index(of: number, finishedBy: task.started) else { continue }
        json.edge(from: timeline.tasks[producer], to: task, id: flow)
        flow += 1
      }
      if json.count >= pieceSize {
        try sink(json.bytes)
        json.removeAll()
      }
    }

    for (index, transfer) in timeline.transfers.enumerated() {
      json.event(phase: "X", category: "transfer", name: "transfer")
      json.place(process: UInt64(transfer.to.index), thread: transferThread + lanes.lane[index])
      json.moment(transfer.start)
      json.duration(transfer.end.since(transfer.start))
      json.raw(",\"args\":{\"object_id\":\"")
      json.hex(transfer.object)
      json.raw("\",\"from_node\":")
      json.number(UInt64(transfer.from.index))
      json.raw(",\"bytes\":")
      json.number(transfer.size.bytes)
      json.raw("}}")
      if json.count >= pieceSize {
        try sink(json.bytes)
        json.removeAll()
      }
    }
    json.close()
    try sink(json.bytes)
  }

  /// Names and order of processes (nodes) and threads (workers, transfers).
  private static func threads(
    _ timeline: TaskTimeline, lanes: TransferLanes, into json: inout JSONBuffer
  ) {
    // Node and thread in one word, which sorts by node first.
    var used = Set<UInt64>()
    for task in timeline.tasks { used.insert(UInt64(task.node.index) << 32 | thread(of: task)) }
    for (index, transfer) in timeline.transfers.enumerated() {
      used.insert(UInt64(transfer.to.index) << 32 | (transferThread + lanes.lane[index]))
    }
    var last: UInt64?
    for key in used.sorted() {
      let node = key >> 32
      let thread = key & 0xFFFF_FFFF
      if node != last {
        json.label("process_name", process: node, thread: 0, "Node \(node)")
        json.order("process_sort_index", process: node, thread: 0, node)
        last = node
      }
      let name: String
      switch thread {
      case unassignedThread: name = "no worker"
      case transferThread: name = "transfers"
      case let lane where lane > transferThread: name = "transfers (\(lane - transferThread + 1))"
      case let worker: name = "worker:\(worker)"
      }
      json.label("thread_name", process: node, thread: thread, name)
      json.order("thread_sort_index", process: node, thread: thread, thread)
    }
  }

  static func thread(of task: TaskRecord) -> UInt64 {
    task.worker == .none ? unassignedThread : UInt64(task.worker.index)
  }
}

/// Transfers that overlap in time need threads of their own, as events of one thread must nest.
struct TransferLanes {
  /// Per transfer, its lane at the receiving node: the first that is free when it starts.
  let lane: [UInt64]

  init(_ transfers: [TransferRecord]) {
    var lane = [UInt64](repeating: 0, count: transfers.count)
    let order = transfers.indices.sorted {
      (transfers[$0].to, transfers[$0].start, $0) < (transfers[$1].to, transfers[$1].start, $1)
    }
    var node: NodeID?
    var free: [Instant] = []
    for index in order {
      let transfer = transfers[index]
      if transfer.to != node {
        node = transfer.to
        free = []
      }
      let end = max(transfer.start, transfer.end)
      if let found = free.firstIndex(where: { $0 <= transfer.start }) {
        lane[index] = UInt64(found)
        free[found] = end
      } else {
        lane[index] = UInt64(free.count)
        free.append(end)
      }
    }
    self.lane = lane
  }
}
