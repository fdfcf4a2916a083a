import Glibc
import Synchronization

/// Commits the memory of a segment ahead of its use, on a thread of lowest priority, which sleeps
/// when it has caught up. A fresh page costs 2 µs; done ahead, a put runs at the speed of copying.
/// In the process of a client it only maps pages that the client has written through the file.
public final class PageToucher: Sendable {
  private let state: State
  private let thread: WorkerThread?

  /// Held by the thread, so that the toucher itself can go and stop it.
  private final class State: @unchecked Sendable {
    let segment: SharedSegment
    let monitor = Monitor()
    let target = Atomic<Int>(0)
    let isStopping = Atomic<Bool>(false)
    /// Steps that begin at this offset or above get their pages in the file, but are not mapped.
    let mapLimit = Atomic<Int>(.max)
    /// Whether memory above the target may be being given back.
    let isLowering = Atomic<Bool>(false)
    // Under the monitor.
    var reached = 0
    /// Above this nothing was touched.
    var top = 0
    /// Where to start again after the present pass.
    var revisit = Int.max
    var isIdle = false
    var waiting: [(mark: Int, call: @Sendable (StoreError?) -> Void)] = []

    init(_ segment: SharedSegment) { self.segment = segment }

    func run() {
      WorkerThread.lowerOwnPriority()
      while true {
        let goal: Int? = monitor.locked {
          while !isStopping.load(ordering: .relaxed) {
            let target = target.load(ordering: .relaxed)
            if target > reached { break }
            if isLowering.load(ordering: .relaxed) {
              if giveBack(downTo: target) { return 0 }
              isLowering.store(false, ordering: .relaxed)
            }
            isIdle = true
            monitor.wakeAll(.done)
            monitor.wait(.work)
          }
          isIdle = false
          return isStopping.load(ordering: .relaxed) ? nil : target.load(ordering: .relaxed)
        }
        guard let goal else { break }
        if goal == 0 { sched_yield() } else { touch(upTo: goal) }
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

    /// Takes a piece of memory away again, from the top. Under the monitor: whoever is about to use
    /// memory there waits so long, about a millisecond. False when there is nothing to take.
    private func giveBack(downTo target: Int) -> Bool {
      let first = (target + SharedSegment.stepBytes - 1) >> SharedSegment.stepShift
      let last = (top - 1) >> SharedSegment.stepShift
      reached = min(reached, target)
      if last < first || top == 0 {
        top = min(top, target)
        return false
      }
      // An even piece of the segment, so that no huge page is split.
      let piece = max(first, last & ~7)
      segment.decommit(piece...last)
      top = piece << SharedSegment.stepShift
      return true
    }

    /// One pass; on an error the target sinks to what was reached, so that the thread sleeps.
    private func touch(upTo goal: Int) {
      var error: StoreError?
      var at = reached
      do throws(StoreError) {
        while at < goal && !isStopping.load(ordering: .relaxed) {
          let step = at >> SharedSegment.stepShift
          let isMapped = step << SharedSegment.stepShift < mapLimit.load(ordering: .relaxed)
          switch segment.state(step) {
          case SharedSegment.StepState.bare where segment.isOwner:
            if isMapped {
              try segment.commit(step: step)
            } else {
              try segment.allocate(step: step)
            }
          case SharedSegment.StepState.allocated where isMapped: try segment.map(step: step)
          default: break
          }
          at = min((step + 1) << SharedSegment.stepShift, segment.byteCount)
          // Nobody wants the rest any more.
          if isLowering.load(ordering: .relaxed) { break }
        }
      } catch let failure {
        error = failure
      }
      let calls = monitor.locked { () -> [(mark: Int, call: @Sendable (StoreError?) -> Void)] in
        top = max(top, at)
        let again = isLowering.load(ordering: .relaxed) ? .max : revisit
        reached = min(at, again)
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
    precondition(segment.canCommit, "this process cannot write the segment")
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
      if mark <= state.reached {
        if mark > state.target.load(ordering: .relaxed) {
          state.target.store(mark, ordering: .relaxed)
        }
        return true
      }
      if let whenDone, thread != nil { state.waiting.append((mark, whenDone)) }
      if mark > state.target.load(ordering: .relaxed) {
        state.target.store(mark, ordering: .relaxed)
      }
      state.isLowering.store(false, ordering: .relaxed)
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

  /// From now on only memory below `limit` is mapped ahead, the rest gets its pages in the file alone.
  public func map(below limit: Int) {
    let before = state.mapLimit.exchange(limit, ordering: .relaxed)
    if before < limit { revisit(from: before) }
  }

  /// Memory from `mark` on is given back in the background; nobody may use any of it, and who is
  /// about to calls `raise` first.
  public func lower(to mark: Int) {
    guard thread != nil else { return }
    state.monitor.locked {
      state.target.store(mark, ordering: .relaxed)
      state.isLowering.store(true, ordering: .relaxed)
      state.monitor.wakeAll(.work)
    }
  }

  /// Memory below `mark` is about to be used.
  @inline(__always)
  func claim(below mark: Int) {
    if state.isLowering.load(ordering: .relaxed) { raise(to: mark) }
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
        && (!state.isIdle || state.isLowering.load(ordering: .relaxed)
          || state.target.load(ordering: .relaxed) > state.reached)
      {
        state.monitor.wait(.done)
      }
    }
  }
}
