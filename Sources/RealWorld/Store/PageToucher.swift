import Glibc
import Synchronization

/// Commits the memory of a segment ahead of its use, on a thread of lowest priority, which sleeps
/// when it has caught up. A fresh page costs 2 µs; done ahead, a put runs at the speed of copying.
public final class PageToucher: Sendable {
  private let state: State
  private let thread: WorkerThread?

  /// Held by the thread, so that the toucher itself can go and stop it.
  private final class State: @unchecked Sendable {
    let segment: SharedSegment
    let monitor = Monitor()
    let target = Atomic<Int>(0)
    let isStopping = Atomic<Bool>(false)
    // Under the monitor.
    var reached = 0
    /// Where to start again after the present pass.
    var revisit = Int.max
    var isIdle = false
    var waiting: [(mark: Int, call: @Sendable (StoreError?) -> Void)] = []

    init(_ segment: SharedSegment) { self.segment = segment }

    func run() {
      WorkerThread.lowerOwnPriority()
      while true {
        let goal: Int? = monitor.locked {
          while target.load(ordering: .relaxed) <= reached
            && !isStopping.load(ordering: .relaxed)
          {
            isIdle = true
            monitor.wakeAll(.done)
            monitor.wait(.work)
          }
          isIdle = false
          return isStopping.load(ordering: .relaxed) ? nil : target.load(ordering: .relaxed)
        }
        guard let goal else { break }
        touch(upTo: goal)
      }
      let left = monitor.locked { () -> [(mark: Int, call: @Sendable (StoreError?) -> Void)] in
        defer { waiting = [] }
        isIdle = true
        monitor.wakeAll(.done)
        return waiting
      }
      let stopped = StoreError.system(call: "touch", path: segment.path, code: ECANCELED)
      for waiter in left { waiter.call(stopped) }
    }

    /// One pass; on an error the target sinks to what was reached, so that the thread sleeps.
    private func touch(upTo goal: Int) {
      var error: StoreError?
      var at = reached
      do throws(StoreError) {
        while at < goal && !isStopping.load(ordering: .relaxed) {
          let step = at >> SharedSegment.stepShift
          switch segment.state(step) {
          case SharedSegment.StepState.bare: try segment.commit(step: step)
          case SharedSegment.StepState.allocated: try segment.map(step: step)
          default: break
          }
          at = min((step + 1) << SharedSegment.stepShift, segment.byteCount)
        }
      } catch let failure {
        error = failure
      }
      let calls = monitor.locked { () -> [(mark: Int, call: @Sendable (StoreError?) -> Void)] in
        reached = min(at, revisit)
        revisit = .max
        if error != nil {
          target.store(reached, ordering: .relaxed)
        } else if reached < at {
          target.max(at, ordering: .relaxed)
        }
        let due = waiting.filter { $0.mark <= at || error != nil }
        waiting.removeAll { $0.mark <= at || error != nil }
        return due
      }
      for due in calls { due.call(due.mark <= at ? nil : error) }
    }
  }

  /// Starts the thread; without one nothing is touched ahead and puts commit what they need.
  public init(_ segment: SharedSegment) {
    precondition(segment.isOwner, "only the owner of a segment commits its memory")
    let state = State(segment)
    self.state = state
    thread = WorkerThread { state.run() }
  }

  deinit {
    state.monitor.locked {
      state.isStopping.store(true, ordering: .relaxed)
      state.monitor.wakeAll(.work)
    }
    thread?.join()
  }

  /// Everything below `mark` is to be touched; lower marks than before change nothing.
  /// `whenDone` is called once, on the toucher's thread (here, when the mark is reached already),
  /// with the error when the memory cannot be had.
  public func raise(to mark: Int, whenDone: (@Sendable (StoreError?) -> Void)? = nil) {
    let mark = min(mark, state.segment.byteCount)
    let isReached = state.monitor.locked { () -> Bool in
      if mark <= state.reached { return true }
      if let whenDone, thread != nil { state.waiting.append((mark, whenDone)) }
      if mark > state.target.load(ordering: .relaxed) {
        state.target.store(mark, ordering: .relaxed)
      }
      state.monitor.wakeAll(.work)
      return false
    }
    guard let whenDone else { return }
    if isReached {
      whenDone(nil)
    } else if thread == nil {
      whenDone(.system(call: "pthread_create", path: state.segment.path, code: EAGAIN))
    }
  }

  /// Memory below `mark` may have pages that the mapping lacks: they are mapped in the background.
  func revisit(from mark: Int) {
    let step = (mark >> SharedSegment.stepShift) << SharedSegment.stepShift
    state.monitor.locked {
      if !state.isIdle {
        state.revisit = min(state.revisit, step)
      } else if step < state.reached {
        state.target.max(state.reached, ordering: .relaxed)
        state.reached = step
        state.monitor.wakeAll(.work)
      }
    }
  }

  /// Waits until the thread has caught up or given up.
  public func waitUntilIdle() {
    guard thread != nil else { return }
    state.monitor.locked {
      while !state.isStopping.load(ordering: .relaxed)
        && (!state.isIdle || state.target.load(ordering: .relaxed) > state.reached)
      {
        state.monitor.wait(.done)
      }
    }
  }
}
