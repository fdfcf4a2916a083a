import Benchmark
import Primitives
import RuntimeCore
import Simulation

/// The hold model with a queue that stays: each operation pops the earliest event and pushes one up
/// to 2 ms later.
struct PendingEvents: ~Copyable {
  var queue: EventQueue<UInt64>
  var random = RandomStream(seed: 1, stream: 3)
  static let span: UInt64 = 2_000_000

  init(_ pending: Int) {
    queue = EventQueue(capacity: pending)
    for i in 0..<pending {
      queue.push(UInt64(i), at: Instant(nanoseconds: random.below(Self.span)))
    }
  }

  mutating func hold() -> UInt64 {
    var sum: UInt64 = 0
    for _ in 0..<operations {
      guard let (time, payload) = queue.pop() else { break }
      sum &+= payload
      queue.push(payload, at: time + .nanoseconds(random.below(Self.span)))
    }
    return sum
  }
}

func queues() -> BenchmarkSuite {
  let suite = BenchmarkSuite(name: "queues")
  for (name, pending) in [("1k", 1_000), ("100k", 100_000), ("1m", 1_000_000)] {
    suite.measure("EventQueue pop and push, \(name) pending", PendingEvents(pending)) { $0.hold() }
  }
  var ring = RingQueue<UInt64>()
  for i in 0..<64 { ring.append(UInt64(i)) }
  suite.measure("RingQueue append and pop, 64 waiting", ring) { ring in
    var sum: UInt64 = 0
    for i in 0..<operations {
      ring.append(UInt64(i))
      sum &+= ring.popFirst() ?? 0
    }
    return sum
  }
  // A machine writes a few effects for each input, and the world reads them: four here.
  suite.measure("EffectBuffer append and read", EffectBuffer<Effect>()) { buffer in
    var sum: UInt64 = 0
    for i in 0..<operations / 4 {
      let task = TaskHandle(UInt32(i))
      buffer.append(.execute(task, on: WorkerID(i & 63)))
      buffer.append(.send(.taskEscalated(task), to: .raylet(NodeID(i & 63))))
      buffer.append(.startTimer(TimerToken(purpose: UInt32(i)), after: .milliseconds(1)))
      buffer.append(.resultArrived(ObjectHandle(producer: task, index: 0), .value))
      for index in 0..<buffer.count {
        if case .execute(let task, _) = buffer[index] { sum &+= UInt64(task.index) }
      }
      buffer.removeAll()
    }
    return sum
  }
  return suite
}
