import Primitives
import RuntimeCore
import WireFormat

/// Tasks on their way to workers, and what workers report.
extension NodeCore {
  mutating func setWorker(_ worker: Worker) {
    let index = Int(worker.number.index)
    if index >= workerCapacity {
      let capacity = max(index + 1, workerCapacity * 2)
      let larger = UnsafeMutablePointer<Unmanaged<Worker>?>.allocate(capacity: capacity)
      larger.initialize(repeating: nil, count: capacity)
      larger.update(from: workers, count: workerCapacity)
      workers.deallocate()
      workers = larger
      let rings = UnsafeMutablePointer<RecordRing<WorkerCommand>?>.allocate(capacity: capacity)
      rings.initialize(repeating: nil, count: capacity)
      rings.update(from: commands, count: workerCapacity)
      commands.deallocate()
      commands = rings
      workerCapacity = capacity
    }
    workers[index]?.release()
    workers[index] = .passRetained(worker)
    commands[index] = worker.commands
  }

  @inline(__always)
  mutating func execute(_ task: TaskHandle, on worker: WorkerID) {
    if disk.isUsed, !canStart(task, on: worker) { return }
    start(task, on: worker)
  }

  mutating func start(_ task: TaskHandle, on worker: WorkerID) {
    let spec = specs[task]
    var command = WorkerCommand(
      task: task, function: spec.function, returns: spec.returns, work: spec.work,
      outputSize: spec.outputSize, arguments: nil, id: spec.id)
    if spec.argumentCount > 0 || spec.valueBytes > 0 {
      command.arguments = gather(task, for: worker)
    }
    if !commands[Int(worker.index)]!.append(command) {
      preconditionFailure("worker \(worker.index) was sent more tasks than it takes")
    }
    touchedWorkers.append(worker.index)
    if spec.body == .program {
      beginProgram(
        spec.id, at: workers[Int(worker.index)]!._withUnsafeGuaranteedRef { $0.port })
    }
  }

  mutating func cancel(_ task: TaskHandle, on worker: WorkerID, isRecursive: Bool) {
    let isNew = workers[Int(worker.index)]?._withUnsafeGuaranteedRef {
      $0.cancellation.request(task, isRecursive: isRecursive)
    }
    if isNew == true { cancellations += 1 }
  }

  /// Tasks have come that no node can run, or have gone. The shell hears of each kind once.
  mutating func noteInfeasible(_ number: Int) {
    guard let scheduler = schedulers?.advanced(by: number) else { return }
    let tasks = scheduler.pointee.infeasibleTasks
    while infeasibleCounts.count <= number { infeasibleCounts.append(0) }
    for task in tasks.dropFirst(infeasibleCounts[number]) {
      // Nobody waits for a node for these.
      if specs.demand(task) == .refused { continue }
      let spec = specs[task]
      let key = UInt64(spec.function.index) << 16 | UInt64(spec.shape)
      if knownInfeasible.insert(key).inserted {
        news.append(.infeasible(spec.function, demand: specs.demand(task)))
      }
    }
    infeasibleCounts[number] = tasks.count
  }

  /// The worker lets its actor go, in the order of its commands.
  mutating func endActor(on worker: WorkerID) {
    guard let ring = commands[Int(worker.index)] else { return }
    precondition(
      ring.append(.endActor), "worker \(worker.index) was sent more tasks than it takes")
    touchedWorkers.append(worker.index)
  }

  /// Another program speaks at this port from now on, with demands numbered anew.
  func beginProgram(_ root: TaskID, at number: UInt32) {
    let port = port(number)
    port.pointee.root = root
    port.pointee.decoder = MessageDecoder(
      specs: specs, payloads: payloads, bounds: port.pointee.decoder.bounds)
  }

  /// Puts the arguments of a task where its worker reads them.
  mutating func gather(
    _ task: TaskHandle, for worker: WorkerID
  ) -> UnsafeMutablePointer<ArgumentBlock>? {
    let count = specs[task].argumentCount
    let stride = MemoryLayout<UnsafeRawBufferPointer>.stride
    let head = MemoryLayout<ArgumentBlock>.stride
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: head + count * (stride + StoredValue.inlineLimit + 8), alignment: 16)
    let block = memory.bindMemory(to: ArgumentBlock.self, capacity: 1)
    let spans = (memory + head).bindMemory(to: UnsafeRawBufferPointer.self, capacity: count)
    var copies = memory + head + count * stride
    let numbers = (memory + head + count * (stride + StoredValue.inlineLimit)).bindMemory(
      to: UInt64.self, capacity: count)
    numbers.initialize(repeating: 0, count: count)
    var hasLoans = false
    for i in 0..<count {
      let object = specs.argument(task, i)
      guard let value = values.pointer(object.key) else {
        (spans + i).initialize(to: UnsafeRawBufferPointer(start: nil, count: 0))
        continue
      }
      var bytes = value.bytes
      if value.pointee.form == .inline, let base = bytes.baseAddress {
        // The record may move: a small value is copied.
        copies.copyMemory(from: base, byteCount: bytes.count)
        bytes = UnsafeRawBufferPointer(start: copies, count: bytes.count)
        copies += StoredValue.inlineLimit
      } else if value.pointee.form == .segment,
        let reader = workers[Int(worker.index)]?._withUnsafeGuaranteedRef({ $0.port }),
        port(reader).pointee.isThread
      {
        // A worker process copies what it reads: its raylet keeps the inputs in place while it runs.
        numbers[i] = lend(value.pointee.key, of: object, to: reader)
        hasLoans = true
      }
      (spans + i).initialize(to: bytes)
    }
    block.initialize(
      to: ArgumentBlock(
        values: specs.valueArguments(task),
        objects: UnsafeBufferPointer(start: spans, count: count),
        loans: UnsafeBufferPointer(start: numbers, count: hasLoans ? count : 0)))
    arguments.set(UInt64(task.index), block)
    return block
  }

  /// Hears what a worker did; true when there was anything.
  mutating func readReports(of worker: Worker) -> Bool {
    var hasRead = false
    while true {
      let known = worker.reports.look()
      if known == 0 { break }
      prefetch(reports: known, of: worker)
      for _ in 0..<known {
        prefetchReport(of: worker)
        guard let report = worker.reports.popFirst() else { break }
        hear(report, of: worker)
      }
      hasRead = true
    }
    if hasRead { worker.reports.release() }
    return hasRead
  }

  @inline(__always)
  private mutating func hear(_ report: WorkerReport, of worker: Worker) {
    switch report.kind {
    case .finished:
      if specs[report.task].body == .program { drainClient(of: worker) }
      if report.hasValue { keep(report.value, of: report.task, index: 0, report.status) }
      if specs[report.task].argumentCount > 0 || specs[report.task].valueBytes > 0,
        let block = arguments.remove(UInt64(report.task.index))
      {
        block.deallocate()
      }
      if cancellations > 0 && worker.cancellation.forget(report.task) { cancellations -= 1 }
      tell(.taskFinished(report.task, worker.number, report.status))
    case .result:
      keep(report.value, of: report.task, index: report.index, report.status)
    case .roomWanted: roomWanted(report.value.count, by: worker)
    case .roomReturned: giveBack(report.value)
    case .started, .abandoned, .lost: processReported(report, of: worker)
    case .loanReturned: loanReturned(report.value.key, by: worker.port)
    }
  }

  /// What a program said last comes before the news that it has ended.
  mutating func drainClient(of worker: Worker) {
    while let run = worker.clientRing.next() {
      do throws(FrameError) {
        try receive(ringRun: run, from: worker.port)
      } catch {
        faulted(worker.port, error)
      }
      worker.clientRing.release()
    }
  }

  mutating func roomWanted(_ count: Int, by worker: Worker) {
    wish(DiskWork.Wish(asker: .worker(worker.number.index), count: count))
  }

  /// A worker reads an argument in place: the task's time, or as long as something of it lives on.
  mutating func lend(
    _ key: UInt64, of object: ObjectHandle, to port: UInt32
  ) -> UInt64 {
    guard (try? memory.get(key)) != nil else { return 0 }
    nextLoan += 1
    loans.set(nextLoan, Loan(port: port, object: object, memoryKey: key))
    specs.retain(object.producer)
    queue.append(
      Envelope(message: .objectPinned(object), source: rayletAddress, target: rayletAddress))
    return nextLoan
  }

  func grant(_ value: StoredValue?, toWorker index: UInt32) {
    workers[Int(index)]?._withUnsafeGuaranteedRef { $0.granted(value) }
  }

  mutating func keep(
    _ value: StoredValue, of task: TaskHandle, index: Int32, _ status: ObjectStatus
  ) {
    let object = ObjectHandle(producer: task, index: index)
    values.set(object.key, value)
    if value.form == .segment { _ = sealed(value.key) }
    if status == .value { specs.setOutputSize(ByteCount(UInt64(value.count)), of: object) }
  }

  mutating func drop(_ object: ObjectHandle) {
    guard values.count > 0, let value = values.remove(object.key) else { return }
    if !disk.unspilled.isEmpty { disk.unspilled[object.key] = nil }
    letGo(value)
  }
}
