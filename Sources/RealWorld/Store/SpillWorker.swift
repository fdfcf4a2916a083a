import Glibc

/// The reading or writing of one object, apart from the event loop: `run` it on any thread, then
/// hand the outcome to `ObjectMemory.finish`. Keeps memory and file alive.
public struct SpillJob: Sendable {
  public enum Direction: Sendable { case spill, restore }

  public let key: UInt64
  public let direction: Direction
  let segment: SharedSegment
  let offset: Int
  let block: UInt32
  let count: Int
  let file: SpillFile
  let location: SpillLocation

  /// Does the input and output; blocks for as long as the disk takes.
  public func run() -> SpillOutcome {
    do throws(StoreError) {
      switch direction {
      case .spill: try file.write(segment.base + offset, count: count, at: location.offset)
      case .restore:
        try segment.commit(at: offset, count: count)
        try file.read(into: segment.base + offset, count: count, at: location.offset)
      }
      return SpillOutcome(job: self, error: nil)
    } catch {
      return SpillOutcome(job: self, error: error)
    }
  }
}

/// What became of a job.
public struct SpillOutcome: Sendable {
  public let job: SpillJob
  public let error: StoreError?
}

/// A thread for spilling and restoring, so that the event loop does not wait for the disk. Jobs run
/// in their order. `deinit` finishes the jobs that were handed in.
public final class SpillWorker: Sendable {
  private let queue: Queue
  private let thread: WorkerThread

  private enum Item {
    case run(SpillJob, completion: @Sendable (SpillOutcome) -> Void)
    case end(SpillFile)
  }

  private final class Queue: @unchecked Sendable {
    let monitor = Monitor()
    // Under the monitor.
    var items: [Item] = []
    var isStopping = false

    func run() {
      while true {
        let batch: [Item] = monitor.locked {
          while items.isEmpty && !isStopping { monitor.wait(.work) }
          defer { items = [] }
          return items
        }
        if batch.isEmpty { return }
        for item in batch {
          switch item {
          case .run(let job, let completion): completion(job.run())
          case .end(let file): file.end()
          }
        }
      }
    }
  }

  /// - Throws: `system` when the system gives no thread.
  public init() throws(StoreError) {
    let queue = Queue()
    guard let thread = WorkerThread({ queue.run() }) else {
      throw .system(call: "pthread_create", path: "the spill worker", code: EAGAIN)
    }
    self.queue = queue
    self.thread = thread
  }

  deinit {
    queue.monitor.locked {
      queue.isStopping = true
      queue.monitor.wakeAll(.work)
    }
    thread.join()
  }

  /// Queues a job; `completion` is called on the worker's thread.
  public func submit(_ job: SpillJob, completion: @escaping @Sendable (SpillOutcome) -> Void) {
    enqueue(.run(job, completion: completion))
  }

  /// Gives the disk space of a removed file back.
  func end(_ file: SpillFile) { enqueue(.end(file)) }

  private func enqueue(_ item: Item) {
    queue.monitor.locked {
      queue.items.append(item)
      queue.monitor.wakeAll(.work)
    }
  }
}
