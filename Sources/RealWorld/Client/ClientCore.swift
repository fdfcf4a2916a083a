import Primitives
import Recording
import RuntimeCore
import WireFormat

/// What the machine of a client tells the program.
struct ClientEvent: BitwiseCopyable {
  enum Kind: BitwiseCopyable {
    case requestEnded(RequestID, RequestOutcome)
  }
  var kind: Kind
}

/// The driver machine of one program, with the table of its tasks and its way to the node.
struct ClientCore: ~Copyable {
  let address: Address
  let specs: TaskSpecTable
  let payloads: MessagePayloads
  let raylet: Address
  let root: TaskHandle
  var driver: Driver
  private var effects = EffectBuffer<Effect>()
  private var borrowed = EffectBuffer<TaskHandle>()
  var port: Port
  var events = EffectBuffer<ClientEvent>()
  /// Timers that the machine asked for: token and delay.
  var timers = RingQueue<PendingTimer>()
  /// Values that have come, by object.
  var values = WordMap<StoredValue>()
  /// The node's segment, when this process maps it.
  let segment: SharedSegment?
  /// Answers to wishes for room, by ticket.
  var rooms = EffectBuffer<RoomGrant>()
  /// Objects whose bytes were asked for, and those whose bytes came.
  private var fetching = WordMap<Bool>()
  var fetched = EffectBuffer<ObjectHandle>()
  /// Values that came to be read in place.
  var lent = EffectBuffer<ObjectHandle>()
  var now = MonotonicClock.now
  /// Hears each call and each message with their effects; nil when nothing is recorded.
  private var recorder: UnsafeMutablePointer<StreamRecorder>?

  struct RoomGrant: BitwiseCopyable {
    var ticket: UInt64
    var key: UInt64
    var offset: Int
  }

  struct PendingTimer: BitwiseCopyable {
    var token: TimerToken
    var delay: TimeSpan
  }

  /// - Parameter root: the identity of the program: that of its driver, or of the task that it is.
  init(
    address: Address, node: NodeID, worker: WorkerID, root id: TaskID, incarnation: UInt32,
    parameters: Parameters, bounds: ClusterBounds, segment: SharedSegment?, outlet: any Outlet,
    recording: (any RecordingOutput)? = nil
  ) {
    self.segment = segment
    self.address = address
    raylet = .raylet(node)
    let specs = TaskSpecTable.allocate(interning: true)
    let payloads = MessagePayloads.allocate()
    self.specs = specs
    self.payloads = payloads
    let root = specs.insert(
      TaskSpec(
        id: id, function: FunctionID(0), shape: specs.shape(.zero), returns: 0, kind: .driver))
    self.root = root
    driver = Driver(
      address: address, node: node, worker: worker, root: root, incarnation: incarnation,
      freeDelay: parameters.freeDelay, specs: specs, payloads: payloads)
    port = Port(
      MessageEncoder(specs: specs, payloads: payloads, fillsModelledBytes: false),
      MessageDecoder(specs: specs, payloads: payloads, bounds: bounds), outlet)
    guard let recording else { return }
    let recorder = UnsafeMutablePointer<StreamRecorder>.allocate(capacity: 1)
    recorder.initialize(
      to: StreamRecorder(
        specs: specs, payloads: payloads, parameters: parameters, to: recording))
    recorder.pointee.addDriver(
      address, node: node, worker: worker, root: root, incarnation: incarnation,
      freeDelay: parameters.freeDelay)
    self.recorder = recorder
  }

  deinit {
    recorder?.pointee.finish()
    recorder?.deinitialize(count: 1).deallocate()
    specs.deallocate()
    payloads.deallocate()
  }

  /// The program has ended: what it did is handed on.
  mutating func endRecording() {
    recorder?.pointee.finish()
    recorder?.deinitialize(count: 1).deallocate()
    recorder = nil
  }

  // MARK: Calls

  /// What the tasks of this program have in common.
  mutating func model(function: FunctionID, shape: UInt16, kind: TaskKind) -> TaskSpec {
    var spec = TaskSpec(
      id: TaskID(high: 0, low: 0), function: function, shape: shape, kind: kind,
      submitter: address.raw)
    spec.caller = driver.rootID.word
    return spec
  }

  mutating func submit(
    like model: UnsafePointer<TaskSpec>, sequence: UInt32,
    arguments: UnsafeBufferPointer<ObjectHandle>, values: UnsafeRawBufferPointer,
    notice: ResultNotice
  ) -> TaskHandle {
    let task = specs.insert(
      like: model, id: driver.nextTaskID(), sequence: sequence, actor: model.pointee.actor,
      arguments: arguments)
    if !values.isEmpty { specs.setValueArguments(values, of: task) }
    if let recorder {
      recorder.pointee.submitted(task, notice: notice, by: address, at: MonotonicClock.now)
    }
    driver.submit(task, notice: notice, into: &effects)
    perform()
    return task
  }

  // MARK: Large values

  /// Asks the node for room; the answer comes with the ticket.
  mutating func askForRoom(_ byteCount: Int, ticket: UInt64) {
    try? StoreFrame.encode(
      StoreFrame.roomWanted, ticket, UInt64(byteCount), from: address, to: raylet,
      into: &port.writer)
  }

  /// The room is filled: it becomes an object.
  mutating func putRoom(_ key: UInt64, _ byteCount: Int) -> ObjectHandle {
    let object = driver.nextPut
    try? ValueFrame.encode(
      ObjectID(producer: specs[root].id, index: object.index),
      .segment(offset: Int(key), count: byteCount), from: address, to: raylet,
      into: &port.writer)
    putIntoDriver(byteCount)
    return object
  }

  /// Room that was given and is not used after all.
  mutating func returnRoom(_ key: UInt64) {
    try? StoreFrame.encode(
      StoreFrame.roomReturned, key, from: address, to: raylet, into: &port.writer)
  }

  private mutating func putIntoDriver(_ byteCount: Int) {
    let size = ByteCount(UInt64(byteCount))
    if let recorder { recorder.pointee.put(size, by: address, at: MonotonicClock.now) }
    _ = driver.put(size, into: &effects)
    perform()
  }

  mutating func returnLoan(_ loan: UInt64) {
    try? StoreFrame.encode(
      StoreFrame.loanReturned, loan, from: address, to: raylet, into: &port.writer)
  }

  /// The value goes straight into the frame, and a copy stays here: whoever puts often gets.
  mutating func put(
    _ byteCount: Int, _ write: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws -> ObjectHandle {
    let mark = port.writer.count
    let object = driver.nextPut
    if byteCount > 0 {
      let place = try ValueFrame.reserve(
        ObjectID(producer: specs[root].id, index: object.index), byteCount: byteCount,
        from: address, to: raylet, in: &port.writer)
      do {
        try write(UnsafeMutableRawBufferPointer(start: place, count: byteCount))
      } catch {
        port.writer.removeAll(keeping: mark)
        throw error
      }
    }
    putIntoDriver(byteCount)
    return object
  }

  /// Asks for bytes that the node keeps: of an own put, or of a value too large to come unasked; false
  /// when they are here, or there are none.
  mutating func fetch(_ object: ObjectHandle) -> Bool {
    if let value = values.pointer(object.key) {
      guard value.pointee.form == .onDisk else { return false }
    } else {
      guard object.index < 0, object.producer == root, driver.status(object) == .value
      else { return false }
    }
    if !fetching.contains(object.key) {
      fetching.set(object.key, true)
      try? ValueFrame.encode(
        ObjectID(producer: specs[object.producer].id, index: object.index),
        .bytes(UnsafeRawBufferPointer(start: nil, count: 0)), kind: ValueFrame.wantedKind,
        from: address, to: raylet, into: &port.writer)
    }
    return true
  }

  func isFetching(_ object: ObjectHandle) -> Bool { fetching.contains(object.key) }

  mutating func request(
    _ objects: UnsafeBufferPointer<ObjectHandle>, needed: Int, isGet: Bool, fetch: Bool,
    timeout: TimeSpan?
  ) -> RequestID {
    now = MonotonicClock.now
    if let recorder {
      recorder.pointee.requested(
        objects, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout, by: address,
        at: now)
    }
    let request = driver.request(
      objects, needed: needed, isGet: isGet, fetch: fetch, timeout: timeout, at: now,
      into: &effects)
    perform()
    return request
  }

  mutating func free(_ object: ObjectHandle) {
    if let value = values.remove(object.key) { value.deallocate() }
    if let recorder { recorder.pointee.freed(object, by: address, at: MonotonicClock.now) }
    driver.free(object, into: &effects)
    if !effects.isEmpty { perform() }
  }

  mutating func flushFreed() {
    if let recorder { recorder.pointee.flushed(by: address, at: MonotonicClock.now) }
    driver.flush(into: &effects)
    perform()
  }

  // MARK: Facts

  mutating func timerFired(_ token: TimerToken) {
    let now = MonotonicClock.now
    if let recorder {
      recorder.pointee.heard(.timerFired(token), from: address, to: address, at: now)
    }
    driver.receive(.timerFired(token), from: address, at: now, into: &effects)
    perform()
  }

  /// Handles one run of frames from the node.
  mutating func receive(_ frames: UnsafeRawBufferPointer) throws(FrameError) {
    // The driver does not look at the time of what it hears; who reads a recording does.
    if recorder != nil { now = MonotonicClock.now }
    var frames = FrameRun(frames)
    while let frame = try frames.next() {
      if frame[4] == ValueFrame.kind {
        try receiveValue(frame)
        continue
      }
      if frame[4] == StoreFrame.roomGranted {
        let (ticket, key, offset) = try StoreFrame.decode(frame)
        rooms.append(RoomGrant(ticket: ticket, key: key, offset: Int(clamping: offset)))
        continue
      }
      let header = try FrameHeader(reading: frame)
      var message = try port.decoder.message(header, frame, borrowing: &borrowed)
      // Meant for an earlier program that ran here.
      guard header.target == address else { continue }
      var repeats = header.repeats
      while true {
        if let recorder {
          recorder.pointee.heard(message, from: header.source, to: address, at: now)
        }
        driver.receive(message, from: header.source, at: now, into: &effects)
        if !effects.isEmpty { perform() }
        if repeats == 0 { break }
        repeats -= 1
        message = try port.decoder.successor(of: message, borrowing: &borrowed)
      }
    }
    for i in 0..<borrowed.count { specs.release(borrowed[i]) }
    borrowed.removeAll()
  }

  private mutating func receiveValue(_ frame: UnsafeRawBufferPointer) throws(FrameError) {
    let (id, content) = try ValueFrame.decode(frame)
    // Freed meanwhile: nobody will ask for it.
    guard let producer = specs.find(id.producer) else {
      if case .segment = content { returnLoan(ValueFrame.loan(frame)) }
      return
    }
    let object = ObjectHandle(producer: producer, index: id.index)
    if fetching.remove(object.key) != nil { fetched.append(object) }
    guard driver.knows(object) else {
      // Freed, but its name still lives in a batch: a value kept now would be taken for that of
      // another task at this place.
      if case .segment = content { returnLoan(ValueFrame.loan(frame)) }
      return
    }
    if let known = values.pointer(object.key), known.pointee.form != .onDisk {
      if case .segment = content { returnLoan(ValueFrame.loan(frame)) }
      return
    }
    switch content {
    case .kept(let count):
      // On the node, not here: read when the program does.
      values.set(object.key, StoredValue(.onDisk, at: nil, count: count))
    case .bytes(let bytes):
      if !bytes.isEmpty { values.set(object.key, StoredValue(copying: bytes)) }
    case .segment(let offset, let count):
      guard let segment, offset >= 0, count >= 0, offset <= segment.byteCount - count else {
        throw FrameError(.aboveLimit, "place of a value", found: UInt64(offset), expected: 0)
      }
      let loan = ValueFrame.loan(frame)
      lent.append(object)
      values.set(
        object.key,
        StoredValue(.segment, at: segment.base + offset, count: count, key: loan))
    }
  }

  mutating func cancel(_ task: TaskHandle, isRecursive: Bool) {
    if let recorder {
      recorder.pointee.cancelled(
        task, isRecursive: isRecursive, by: address, at: MonotonicClock.now)
    }
    driver.cancel(task, isRecursive: isRecursive, into: &effects)
    perform()
  }

  mutating func cancelChildren() {
    for task in driver.openChildren { cancel(task, isRecursive: true) }
  }

  private mutating func perform() {
    if let recorder { recorder.pointee.caused(effects) }
    for i in 0..<effects.count {
      switch effects[i] {
      case .send(let message, let target):
        // Its own table is the only one that names what a client sends: it cannot fail but by size.
        try? port.encoder.encode(message, from: address, to: target, into: &port.writer)
      case .startTimer(let token, let delay):
        timers.append(PendingTimer(token: token, delay: delay))
      case .resultArrived:
        // Nobody asked: the result is there when the program does.
        break
      case .requestEnded(let request, let outcome):
        events.append(ClientEvent(kind: .requestEnded(request, outcome)))
      default:
        preconditionFailure("a client was ordered \(effects[i])")
      }
    }
    effects.removeAll()
  }
}
