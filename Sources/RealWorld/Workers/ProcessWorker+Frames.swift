import NIOCore
import Primitives
import RuntimeCore
import WireFormat

extension ProcessWorker {
  // MARK: To the process

  var hasWork: Bool {
    switch state {
    case .running:
      return worker.hasGrant || worker.cancellation.hasNews
        || (link?.isWritable ?? false) && (!worker.commands.isEmpty || !toClient.isEmpty)
    case .broken: return !worker.commands.isEmpty
    case .starting, .over: return false
    }
  }

  /// Sends what the node has for the process; true when there was anything.
  func pump() -> Bool {
    switch state {
    case .running: return sendAll()
    case .broken(let text, let since): return fail(text, since)
    case .starting, .over: return false
    }
  }

  private func sendAll() -> Bool {
    guard let link else { return false }
    var worked = false
    if let answer = worker.takeGrant() {
      send(room: answer, link)
      worked = true
    }
    if worker.cancellation.hasNews {
      passOnCancellations()
      worked = true
    }
    var count = 0
    while link.isWritable, let command = worker.commands.popFirst() {
      send(command, link)
      count += 1
    }
    if count > 0 { worker.commands.release() }
    while link.isWritable, let run = toClient.next() {
      if run.count == 32, run[4] == RingOutlet.referenceKind {
        let frame = RingOutlet.frame(of: run)
        link.send(UnsafeRawBufferPointer(frame))
        frame.deallocate()
      } else {
        link.send(run)
      }
      toClient.release()
      worked = true
    }
    if worked || count > 0 { link.flush() }
    return worked || count > 0
  }

  private func send(_ command: WorkerCommand, _ link: SocketLink) {
    var command = command
    var isCancelled = false
    // The end of an actor is no task: nothing is reported of it.
    if command.task != .none {
      isCancelled = worker.cancellation.concerns(command.task)
      let number = WorkerFrame.number(finishedCount &+ UInt64(underWay.count))
      underWay.append(
        TaskUnderWay(task: command.task, function: command.function, returns: command.returns))
      command.task = number
    }
    let byteCount = WorkerFrame.byteCount(command, home.segment)
    let place = link.reserve(byteCount)
    WorkerFrame.encode(
      command, home.segment, isCancelled: isCancelled, byteCount: byteCount, to: place)
    link.commit(byteCount)
  }

  /// Tells the process which of its tasks are to stop; those that it has not been sent yet take the
  /// request with them.
  private func passOnCancellations() {
    for request in worker.cancellation.news() {
      guard let place = (0..<underWay.count).first(where: { underWay[$0].task == request.task })
      else { continue }
      let number = WorkerFrame.number(finishedCount &+ UInt64(place))
      cancel(number, isRecursive: request.isRecursive)
    }
  }

  private func cancel(_ number: TaskHandle, isRecursive: Bool) {
    cancellations?.append(number, isRecursive: isRecursive)
    if cancellations?.flush() == false { home.retrySoon() }
  }

  private func send(room: StoredValue?, _ link: SocketLink) {
    var key = StoreFrame.denied
    var offset: UInt64 = 0
    if let room, let address = room.address {
      rooms.append(room)
      key = room.key
      offset = UInt64(UnsafeRawPointer(address) - UnsafeRawPointer(home.segment.base))
    }
    var writer = FrameWriter(capacity: 64)
    try? StoreFrame.encode(
      WorkerFrame.roomGranted, key, offset, from: WorkerFrame.nobody, to: WorkerFrame.nobody,
      into: &writer)
    link.send(writer.bytes)
  }

  /// Ends the tasks of a worker that cannot be started.
  private func fail(_ text: String, _ since: Instant) -> Bool {
    guard !worker.commands.isEmpty else { return false }
    if shouldTryAgain(since) {
      start()
      return true
    }
    while let command = worker.commands.popFirst() {
      if command.task == .none { continue }
      let task = TaskUnderWay(
        task: command.task, function: command.function, returns: command.returns)
      reportError(text, of: task, isEnd: true)
    }
    worker.commands.release()
    publish()
    return true
  }

  // MARK: To the node

  func report(
    _ kind: WorkerReport.Kind, _ task: TaskHandle = .none, index: Int32 = 0,
    _ status: ObjectStatus = .value, value: StoredValue? = nil
  ) {
    let report = WorkerReport(
      task: task, index: index, kind: kind, status: status, hasValue: value != nil,
      value: value ?? StoredValue(.inline, at: nil, count: 0))
    if backlog.isEmpty && backlogFrames.isEmpty && worker.reports.append(report) { return }
    backlog.append(report)
    home.retrySoon()
  }

  /// Lets the node see the reports.
  func publish() { if worker.reports.publish() { home.wakeNode() } }

  private func forward(_ frame: UnsafeRawBufferPointer) throws(FrameError) {
    if backlogFrames.isEmpty && outlet.send(frame) == frame.count { return }
    try backlogFrames.append(contentsOf: frame)
    home.retrySoon()
  }

  /// The node's rings may have room again.
  func sendBacklog() {
    if cancellations?.flush() == false { home.retrySoon() }
    if !backlogFrames.isEmpty {
      let rest = UnsafeRawBufferPointer(rebasing: backlogFrames.bytes[backlogFramesSent...])
      backlogFramesSent += outlet.send(rest)
      outlet.flush()
      guard backlogFramesSent == backlogFrames.count else { return home.retrySoon() }
      backlogFrames.removeAll()
      backlogFramesSent = 0
    }
    if backlog.isEmpty { return }
    while let report = backlog.first, worker.reports.append(report) { _ = backlog.popFirst() }
    publish()
    backlog.isEmpty ? home.removeEnded() : home.retrySoon()
  }
}

extension ProcessWorker: LinkDelegate {
  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    guard complaint == nil else { return }
    var run = FrameRun(frames)
    do throws(FrameError) {
      while let frame = try run.next() { try take(frame) }
    } catch {
      condemn("it sent what it may not: \(error)")
    }
  }

  func linkReadCompleted(_ link: Link) {
    outlet.flush()
    publish()
  }

  func linkBecameWritable(_ link: Link) { _ = pump() }

  /// The connection's end follows.
  func linkClosed(_ link: Link, reason: LinkEnd) {
    switch reason.kind {
    case .badFrame: if complaint == nil { complaint = "it sent what it may not: \(reason)" }
    case .truncated, .connectionError: linkFailure = reason
    case .closedHere, .closedByPeer: break
    }
  }

  private func take(_ frame: UnsafeRawBufferPointer) throws(FrameError) {
    switch frame[4] {
    case WorkerFrame.result, WorkerFrame.finished: try takeReport(frame)
    case WorkerFrame.roomWanted:
      let (count, _, _) = try StoreFrame.decode(frame)
      guard count <= UInt64(Int.max) else {
        throw FrameError(.aboveLimit, "room", found: count, expected: UInt64(Int.max))
      }
      worker.clearGrant()
      report(.roomWanted, value: StoredValue(.segment, at: nil, count: Int(count)))
    case WorkerFrame.roomReturned:
      let (key, _, _) = try StoreFrame.decode(frame)
      report(.roomReturned, value: try takeRoom(key))
    default: try forward(frame)
    }
  }

  private func takeRoom(_ key: UInt64) throws(FrameError) -> StoredValue {
    guard let place = rooms.firstIndex(where: { $0.key == key }) else {
      throw FrameError(.notAllowed, "room of another", found: key, expected: 0)
    }
    return rooms.remove(at: place)
  }

  private func takeReport(_ frame: UnsafeRawBufferPointer) throws(FrameError) {
    let isEnd = frame[4] == WorkerFrame.finished
    let found = try WorkerFrame.decode(report: frame)
    let expected = WorkerFrame.number(finishedCount)
    guard let task = underWay.first, found.task == expected else {
      throw FrameError(
        .notAllowed, "task of a result", found: UInt64(found.task.index),
        expected: UInt64(expected.index))
    }
    guard found.index >= (isEnd ? 0 : 1), found.index < max(1, Int32(task.returns)) else {
      throw FrameError(
        .aboveLimit, "result", found: UInt64(bitPattern: Int64(found.index)),
        expected: UInt64(task.returns))
    }
    var value: StoredValue?
    switch found.content {
    case .nothing: break
    case .bytes(let bytes): value = bytes.isEmpty ? nil : StoredValue(copying: bytes)
    case .room(let key): value = try takeRoom(key)
    }
    if value != nil && task.returns == 0 {
      throw FrameError(.notAllowed, "result of a task without any", found: 1, expected: 0)
    }
    if isEnd {
      _ = underWay.popFirst()
      finishedCount += 1
      report(.finished, task.task, found.status, value: value)
    } else if let value {
      report(.result, task.task, index: found.index, found.status, value: value)
    }
  }
}
