import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Messages through frames")
struct RoundTripTests {
  @Test(
    "Every kind comes out as it went in, with nothing leaked on either side",
    arguments: MessageKind.allCases)
  func roundTrip(kind: MessageKind) throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: UInt64(kind.rawValue) + 1)
    for _ in 0..<200 {
      let (message, own) = messages.next(kind)
      let before = describe(message, link.near, link.nearPayloads)
      let charged = message.wireSize(link.near, link.nearPayloads)
      #expect(link.encoder.encodedSize(message) == charged)
      let bytes = try link.encode(message)
      let announced = bytes[5] & FrameFlags.announcesShape != 0 ? 32 : 0
      #expect(bytes.count == charged + announced)
      for task in own { link.near.release(task) }
      #expect(link.near.count == 0)

      let received = try link.decode(bytes)
      #expect(describe(received.message, link.far, link.farPayloads) == before)
      #expect(received.source == .raylet(NodeID(1)) && received.target == .raylet(NodeID(2)))
      link.consume(received)
      #expect(link.far.count == 0)
    }
  }

  @Test("A demand is announced once for each link and keeps its meaning under another number")
  func demands() throws {
    var link = Link()
    let demand = ResourceVector(cpus: 2, gpus: 1)
    let shape = link.near.shape(demand)
    var sizes: [Int] = []
    for number in 0..<3 {
      let id = TaskID(high: 1, low: UInt64(number))
      let task = link.near.insert(TaskSpec(id: id, function: FunctionID(0), shape: shape))
      let bytes = try link.encode(.taskPlaced(task))
      sizes.append(bytes.count)
      let received = try link.decode(bytes)
      guard case .taskPlaced(let far) = received.message else {
        Issue.record("\(received.message.kind)")
        return
      }
      #expect(link.far.demand(far) == demand)
      #expect(link.far[far].shape != shape)
      link.consume(received)
    }
    #expect(sizes == [116, 36, 36])
  }

  @Test("A specification like the last one says what differs, and any other goes whole")
  func differences() throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 11)
    let parent = TaskID.root(driver: 0, seed: 2)
    let actors = [link.near.intern(messages.id()), link.near.intern(messages.id())]
    let shapes = [1, 2].map { link.near.shape(ResourceVector(cpus: $0)) }
    var saved = 0
    for number in UInt64(0)..<3000 {
      // Mostly siblings of one kind; now and then one field is another one.
      func one<Value>(_ usual: Value, _ other: Value) -> Value {
        messages.below(20) == 0 ? other : usual
      }
      let kind = one(TaskKind.task, .actorMethod)
      var spec = TaskSpec(
        id: one(parent, parent.child(1)).child(number), function: FunctionID(one(0, 1)),
        shape: one(shapes[0], shapes[1]), work: TimeSpan(nanoseconds: one(0, 5)),
        outputSize: ByteCount(one(0, 9)), returns: one(1, 2), kind: kind,
        body: one(.function, .program), submitter: Address.driver(one(0, 1)).raw,
        actor: kind == .task ? .none : actors[messages.below(2)], sequence: messages.word())
      spec.attempt = one(0, 1)
      spec.caller = one(7, 8)
      let producers = (0..<messages.below(3)).map { _ in messages.stub() }
      let inputs = producers.map { ObjectHandle(producer: $0, index: 0) }
      let task = inputs.withUnsafeBufferPointer { link.near.insert(spec, arguments: $0) }
      if messages.bit() {
        let bytes = [UInt8](repeating: 5, count: 1 + messages.below(9))
        bytes.withUnsafeBytes { link.near.setValueArguments($0, of: task) }
      }
      for producer in producers { link.near.release(producer) }
      let message = Message.taskSubmitted(task, notice: one(.none, .ifKept))
      let before = describe(message, link.near, link.nearPayloads)
      let whole = link.encoder.encodedSize(message)
      let bytes = try link.encode(message)
      if bytes.count < whole { saved += 1 }
      let received = try link.decode(bytes)
      #expect(describe(received.message, link.far, link.farPayloads) == before)
      link.consume(received)
    }
    #expect(saved > 300 && saved < 2700)
    for actor in actors { link.near.release(actor) }
    #expect(link.near.count == 0 && link.far.count == 0)
  }

  @Test("A difference to a specification that never came is refused")
  func differenceToNothing() throws {
    var link = Link()
    let shape = link.near.shape(ResourceVector(cpus: 1))
    var frames: [[UInt8]] = []
    for number in UInt64(0)..<2 {
      let id = TaskID(high: 1, low: number)
      let task = link.near.insert(TaskSpec(id: id, function: FunctionID(0), shape: shape))
      frames.append(try link.encode(.taskPlaced(task)))
    }
    #expect(frames[1][5] & FrameFlags.isLikeLast != 0)
    #expect(throws: FrameError.self) { _ = try link.decode(frames[1]) }
    for frame in frames { link.consume(try link.decode(frame)) }
    // A method is no difference to a task without an actor.
    frames[1][5] |= FrameFlags.hasActor
    #expect(throws: FrameError.self) { _ = try link.decode(frames[1]) }
  }

  @Test("A specification completes a stub, and a second copy of it changes nothing")
  func stubs() throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 5)
    let task = messages.task()
    let id = link.near[task].id
    let known = link.far.intern(id)
    #expect(link.far[known].isStub)
    link.near.retain(task)
    let first = try link.encode(.taskPlaced(task))
    let second = try link.encode(.taskPlaced(task))
    for bytes in [first, second] {
      let received = try link.decode(bytes)
      guard case .taskPlaced(known) = received.message else {
        Issue.record("another handle for a known task")
        return
      }
      #expect(!link.far[known].isStub)
      // The test's own, the message's, and the borrowed one.
      #expect(link.far.references(known) == 3)
      link.consume(received)
      #expect(link.far.references(known) == 1)
    }
    link.far.release(known)
    #expect(link.far.count == 0)
  }

  @Test("A completion carries the true sizes of the return values")
  func trueSizes() throws {
    for returns in 1...3 {
      var link = Link()
      let shape = link.near.shape(ResourceVector(cpus: 1))
      let task = link.near.insert(
        TaskSpec(
          id: TaskID(high: 3, low: 4), function: FunctionID(0), shape: shape,
          outputSize: ByteCount(10), returns: returns))
      link.near.retain(task)
      let logged = try link.decode(try link.encode(.taskLogged(task, NodeID(0))))
      guard case .taskLogged(let far, _) = logged.message else {
        Issue.record("\(logged.message.kind)")
        return
      }
      for i in 0..<returns {
        link.near.setOutputSize(
          ByteCount(UInt64(1000 + i)), of: ObjectHandle(producer: task, index: Int32(i)))
      }
      _ = try link.decode(try link.encode(.taskCompleted(task, NodeID(0), .value)))
      for i in 0..<returns {
        #expect(
          link.far.outputSize(ObjectHandle(producer: far, index: Int32(i)))
            == ByteCount(UInt64(1000 + i)))
      }
      link.consume(logged)
      #expect(link.far.count == 0)
    }
  }

  @Test("The notice of a freed object brings a reference to a raylet, none to a scheduler")
  func freedObject() throws {
    var link = Link()
    let task = link.near.intern(TaskID(high: 9, low: 9))
    let object = ObjectHandle(producer: task, index: 0)
    for (target, moved) in [
      (Address.raylet(NodeID(0)), 1), (.globalScheduler(0), 0),
    ] {
      link.near.retain(task)
      let bytes = try link.encode(.objectFreed(object), from: .replica(0), to: target)
      #expect(link.near.references(task) == 2 - moved)
      if moved == 0 { link.near.release(task) }
      let received = try link.decode(bytes)
      guard case .objectFreed(let far) = received.message else {
        Issue.record("\(received.message.kind)")
        return
      }
      #expect(link.far.references(far.producer) == 1 + moved)
      link.consume(received)
      #expect(link.far.count == 0)
    }
    link.near.release(task)
  }

  @Test("Modelled arguments by value keep their number, with filler and without")
  func modelledBytes() throws {
    for fills in [true, false] {
      var link = Link(fills: fills)
      let shape = link.near.shape(ResourceVector(cpus: 1))
      let task = link.near.insert(
        TaskSpec(
          id: TaskID(high: 1, low: 2), function: FunctionID(0), shape: shape, valueBytes: 500))
      let bytes = try link.encode(.taskPlaced(task))
      #expect(bytes.count == 116 + (fills ? 500 : 0))
      let received = try link.decode(bytes)
      guard case .taskPlaced(let far) = received.message else {
        Issue.record("\(received.message.kind)")
        return
      }
      #expect(link.far[far].valueBytes == 500)
      #expect(link.far.valueArguments(far).isEmpty)
      link.consume(received)
    }
  }

  @Test("Memory of fixed size that is full refuses a frame and leaves the message whole")
  func noRoom() throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 11)
    let (message, _) = messages.next(.objectsFreed)
    let before = describe(message, link.near, link.nearPayloads)
    let count = link.encoder.encodedSize(message)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 1)
    defer { memory.deallocate() }
    var small = FrameWriter(into: memory, capacity: count - 1)
    do throws(FrameError) {
      try link.encoder.encode(message, from: .driver(0), to: .replica(0), into: &small)
      Issue.record("\(count) bytes fit into \(count - 1)")
    } catch {
      let expected = FrameError(
        .noRoom, "frame", found: UInt64(count), expected: UInt64(count - 1))
      #expect(error == expected)
    }
    let written = small.count
    #expect(written == 0)
    #expect(describe(message, link.near, link.nearPayloads) == before)
    var exact = FrameWriter(into: memory, capacity: count)
    try link.encoder.encode(message, from: .driver(0), to: .replica(0), into: &exact)
    let filled = exact.count
    #expect(filled == count && link.near.count == 0)
  }

  @Test("Many frames in one buffer are found one after another")
  func scan() throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 21)
    var expected: [String] = []
    link.writer.removeAll()
    for kind in MessageKind.allCases {
      let (message, own) = messages.next(kind)
      expected.append(describe(message, link.near, link.nearPayloads))
      try link.encoder.encode(
        message, from: .raylet(NodeID(1)), to: .raylet(NodeID(2)), into: &link.writer)
      for task in own { link.near.release(task) }
    }
    let bytes = [UInt8](link.writer.bytes)
    var found: [String] = []
    var offset = 0
    while offset < bytes.count {
      let length = try bytes.withUnsafeBytes {
        try FrameHeader.frameLength(
          in: UnsafeRawBufferPointer(rebasing: $0[offset...]), limit: 1 << 20)
      }
      let received = try link.decode(Array(bytes[offset..<(offset + length!)]))
      found.append(describe(received.message, link.far, link.farPayloads))
      link.consume(received)
      offset += length!
    }
    #expect(found == expected)
    #expect(link.far.count == 0)
  }
}
