import Primitives

/// The hold model: `pending` events at random times; then `events` times the earliest is popped and
/// one pushed up to 2 ms later, uniformly. The caller measures the time.
///
/// - Returns: a checksum over the times popped, so that the work cannot be left out.
public func runHoldModel(pending: Int, events: Int, seed: UInt64) -> UInt64 {
  precondition(pending > 0, "the hold model needs a pending event, got \(pending)")
  let span: UInt64 = 2_000_000
  var random = RandomStream(seed: seed, stream: 0)
  var queue = EventQueue<UInt64>(capacity: pending)
  for number in 0..<pending {
    queue.push(UInt64(number), at: Instant(nanoseconds: random.below(span)))
  }
  var checksum: UInt64 = 0
  for _ in 0..<events {
    guard let (time, number) = queue.pop() else { break }
    checksum = checksum &* 31 &+ (time.nanoseconds ^ number)
    queue.push(number, at: time + .nanoseconds(random.below(span)))
  }
  return checksum
}

/// A master hands `tasks` tasks to `hosts` workers that each hold two at a time, and sends the next
/// one when a completion comes back. The caller measures the time.
///
/// The model is the master and worker loop on which simulators are commonly compared: a task
/// message of 1 kB, uniform work of 1 to 10 ms, a completion of 100 B. A message takes 50 µs
/// plus its size ÷ 1.25 GB/s; the master's network card sends, and receives, one message after
/// the other. A task costs three events: task arrived, work finished, completion arrived.
///
/// - Returns: when the master has received the last completion, and how many it received.
public func runMasterWorker(
  hosts: Int, tasks: Int, seed: UInt64
) -> (makespan: Instant, completed: Int) {
  precondition(hosts > 0 && tasks >= 0, "\(tasks) tasks on \(hosts) hosts")
  var simulation = MasterWorkerSimulation(hosts: hosts, tasks: tasks, seed: seed)
  return simulation.run()
}

private struct MasterWorkerSimulation: ~Copyable {
  private enum Kind: UInt8, BitwiseCopyable {
    case taskArrived, workFinished, completionArrived
  }

  private struct Message: BitwiseCopyable {
    var host: UInt32
    var kind: Kind
    /// How long the task computes.
    var work: TimeSpan
  }

  private struct Worker: BitwiseCopyable {
    var isBusy = false
    /// The work of the task that waits behind the running one.
    var waiting: TimeSpan?
  }

  private static let window = 2
  private static let latency = TimeSpan.microseconds(50)
  private static let bandwidth = Bandwidth(bytesPerSecond: 1.25e9)

  private let hosts: Int
  private let workers: UnsafeMutablePointer<Worker>
  private var queue: EventQueue<Message>
  private var random: RandomStream
  private var unsent: Int
  private var completed = 0
  /// When the master's network card has sent, and received, everything so far.
  private var sendsUntil = Instant.zero
  private var receivesUntil = Instant.zero
  private let taskTransfer = bandwidth.time(for: ByteCount(1_000))
  private let completionTransfer = bandwidth.time(for: ByteCount(100))

  init(hosts: Int, tasks: Int, seed: UInt64) {
    self.hosts = hosts
    workers = .allocate(capacity: hosts)
    workers.initialize(repeating: Worker(), count: hosts)
    queue = EventQueue(capacity: hosts * Self.window)
    random = RandomStream(seed: seed, stream: 0)
    unsent = tasks
  }

  deinit { workers.deallocate() }

  mutating func run() -> (makespan: Instant, completed: Int) {
    for _ in 0..<Self.window {
      for host in 0..<hosts { sendTask(to: UInt32(host), at: .zero) }
    }
    while let (now, message) = queue.pop() {
      switch message.kind {
      case .taskArrived: taskArrived(message, at: now)
      case .workFinished: workFinished(message, at: now)
      case .completionArrived: completionArrived(message, at: now)
      }
    }
    return (receivesUntil, completed)
  }

  private mutating func sendTask(to host: UInt32, at now: Instant) {
    if unsent == 0 { return }
    unsent -= 1
    let work = TimeSpan.nanoseconds(1_000_000 + random.below(9_000_001))
    sendsUntil = max(now, sendsUntil) + taskTransfer
    queue.push(Message(host: host, kind: .taskArrived, work: work), at: sendsUntil + Self.latency)
  }

  private mutating func taskArrived(_ message: Message, at now: Instant) {
    let worker = workers + Int(message.host)
    if worker.pointee.isBusy {
      worker.pointee.waiting = message.work
    } else {
      worker.pointee.isBusy = true
      start(message.work, on: message.host, at: now)
    }
  }

  private mutating func start(_ work: TimeSpan, on host: UInt32, at now: Instant) {
    queue.push(Message(host: host, kind: .workFinished, work: work), at: now + work)
  }

  private mutating func workFinished(_ message: Message, at now: Instant) {
    // A worker's own card never has to wait: its completions are milliseconds apart.
    var completion = message
    completion.kind = .completionArrived
    queue.push(completion, at: now + Self.latency)
    let worker = workers + Int(message.host)
    if let next = worker.pointee.waiting {
      worker.pointee.waiting = nil
      start(next, on: message.host, at: now)
    } else {
      worker.pointee.isBusy = false
    }
  }

  /// The first bit of a completion is there; it has been received when the card has read it all.
  private mutating func completionArrived(_ message: Message, at now: Instant) {
    receivesUntil = max(now, receivesUntil) + completionTransfer
    completed += 1
    sendTask(to: message.host, at: receivesUntil)
  }
}
