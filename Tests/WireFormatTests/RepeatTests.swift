import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Frames that stand for several messages")
struct RepeatTests {
  /// Siblings in a row, without arguments; the caller holds one reference to each.
  private func siblings(
    _ count: Int, from first: UInt64 = 7, in link: borrowing Link, kind: TaskKind = .task,
    actor: TaskHandle = .none, returns: Int = 1
  ) -> [TaskHandle] {
    let shape = link.near.shape(ResourceVector(cpus: 1))
    return (0..<UInt64(count)).map { i in
      link.near.insert(
        TaskSpec(
          id: TaskID(high: 5, low: 3 << 32 | (first + i)), function: FunctionID(2), shape: shape,
          returns: returns, kind: kind, body: .function, submitter: Address.driver(0).raw,
          actor: actor, sequence: kind == .actorMethod ? UInt32(40 + i) : 0))
    }
  }

  /// The frames that the messages become, one behind the other.
  private func frames(_ messages: [Message], _ link: inout Link) throws -> [[UInt8]] {
    link.writer.removeAll()
    for message in messages {
      try link.encoder.encode(
        message, from: .raylet(NodeID(1)), to: .raylet(NodeID(2)), into: &link.writer)
    }
    var run = FrameRun(link.writer.bytes)
    var frames: [[UInt8]] = []
    while let frame = try run.next() { frames.append([UInt8](frame)) }
    return frames
  }

  /// Sends messages and compares what comes out; how many frames they took.
  private func travel(_ messages: [Message], _ link: inout Link) throws -> Int {
    let expected = messages.map { describe($0, link.near, link.nearPayloads) }
    let frames = try frames(messages, &link)
    var found: [String] = []
    for frame in frames {
      for received in try link.decodeAll(frame) {
        found.append(describe(received.message, link.far, link.farPayloads))
        release(received.message, received.target.role, link.far, link.farPayloads)
      }
    }
    link.endTurn()
    #expect(found == expected)
    return frames.count
  }

  /// One message of each kind that repeats.
  private static let kinds: [@Sendable (TaskHandle) -> Message] = [
    { .taskSubmitted($0, notice: .ifKept) },
    { .taskLogged($0, NodeID(3)) },
    { .objectReady(ObjectHandle(producer: $0, index: 0), .value) },
    { .taskCompleted($0, NodeID(3), .value) },
    { .writesCommitted($0) },
  ]

  @Test(
    "Messages about siblings in a row go as one frame and come out one by one",
    arguments: kinds.indices)
  func rows(kind: Int) throws {
    var link = Link()
    let tasks = siblings(300, in: link)
    for task in tasks { link.near.retain(task) }
    let count = try travel(tasks.map(Self.kinds[kind]), &link)
    // The first specification announces its demand; its successors follow in its frame all the same.
    #expect(count == 1)
    #expect(link.far.count == 0)
    for task in tasks where Self.kinds[kind](task).movesReferences(to: .raylet) == false {
      link.near.release(task)
    }
    for task in tasks { link.near.release(task) }
    #expect(link.near.count == 0)
  }

  @Test("A row ends at whatever differs: status, node, order, a gap, a message between")
  func ends() throws {
    var link = Link()
    let tasks = siblings(8, in: link)
    func ready(_ i: Int, _ status: ObjectStatus = .value, index: Int32 = 0) -> Message {
      .objectReady(ObjectHandle(producer: tasks[i], index: index), status)
    }
    #expect(try travel([ready(0), ready(1), ready(2, .taskFailed), ready(3)], &link) == 3)
    #expect(try travel([ready(0), ready(2), ready(3)], &link) == 2)
    #expect(try travel([ready(1), ready(0)], &link) == 2)
    #expect(try travel([ready(0), ready(1, index: 1)], &link) == 2)
    #expect(try travel([ready(0), .writesCommitted(tasks[1]), ready(1)], &link) == 3)
    let nodes = [1, 1, 2].enumerated().map {
      Message.taskCompleted(tasks[$0.offset], NodeID($0.element), .value)
    }
    #expect(try travel(nodes, &link) == 2)
    for task in tasks { link.near.release(task) }
    #expect(link.near.count == 0 && link.far.count == 0)
  }

  @Test("Calls of an actor keep their order, and results their sizes")
  func methodsAndSizes() throws {
    var link = Link()
    let actor = siblings(1, from: 1, in: link, kind: .actorCreation)[0]
    let calls = siblings(20, in: link, kind: .actorMethod, actor: actor)
    for call in calls { link.near.retain(call) }
    #expect(try travel(calls.map { .taskSubmitted($0, notice: .none) }, &link) == 1)
    for call in calls { link.near.retain(call) }
    let logged = try frames(calls.map { .taskLogged($0, NodeID(0)) }, &link)
    let known = try logged.flatMap { try link.decodeAll($0) }
    for (i, call) in calls.enumerated() {
      link.near.setOutputSize(
        ByteCount(i < 10 ? 100 : 200), of: ObjectHandle(producer: call, index: 0))
    }
    let completed = try frames(calls.map { .taskCompleted($0, NodeID(0), .value) }, &link)
    #expect(logged.count == 1 && completed.count == 2)
    for frame in completed { _ = try link.decodeAll(frame) }
    let sizes = known.map { received in
      guard case .taskLogged(let task, _) = received.message else { return ByteCount.zero }
      return link.far.outputSize(ObjectHandle(producer: task, index: 0))
    }
    #expect(sizes == (0..<20).map { ByteCount($0 < 10 ? 100 : 200) })
    for received in known {
      release(received.message, received.target.role, link.far, link.farPayloads)
    }
    link.endTurn()
    for call in calls { link.near.release(call) }
    link.near.release(actor)
    #expect(link.near.count == 0 && link.far.count == 0)
  }

  @Test("What is on its way is not altered, nor is a frame that was taken back")
  func seals() throws {
    var link = Link()
    let tasks = siblings(4, in: link)
    func encode(_ i: Int, _ link: inout Link) throws {
      try link.encoder.encode(
        .writesCommitted(tasks[i]), from: .raylet(NodeID(1)), to: .raylet(NodeID(2)),
        into: &link.writer)
    }
    try encode(0, &link)
    let one = link.writer.count
    link.writer.seal()
    try encode(1, &link)
    #expect(link.writer.count == 2 * one)
    try encode(2, &link)
    #expect(link.writer.count == 2 * one && link.writer.weight == 3 * one)
    link.writer.removeAll(keeping: one)
    try encode(3, &link)
    #expect(link.writer.count == 2 * one)
    // As long as before, but with something else in it.
    link.writer.removeAll()
    #expect(link.writer.weight == 0)
    try encode(0, &link)
    link.writer.removeAll()
    try link.writer.append(contentsOf: UnsafeRawBufferPointer(start: nil, count: 0))
    _ = try link.writer.take(one)
    try encode(1, &link)
    #expect(link.writer.count == 2 * one)
    for task in tasks { link.near.release(task) }
  }

  @Test("Repeats of what cannot be repeated are refused, and hold nothing")
  func refusals() throws {
    for kind in MessageKind.allCases {
      var link = Link()
      var messages = RandomMessages(link.near, link.nearPayloads, seed: UInt64(kind.rawValue))
      for _ in 0..<20 {
        let (message, own) = messages.next(kind)
        var bytes = try link.encode(message)
        for task in own { link.near.release(task) }
        bytes[6] = UInt8(messages.below(256))
        bytes[7] = 3
        var problem: FrameError?
        do throws(FrameError) {
          for received in try link.decodeAll(bytes) {
            release(received.message, received.target.role, link.far, link.farPayloads)
          }
        } catch {
          problem = error
        }
        link.endTurn()
        #expect(link.far.count == 0)
        switch kind {
        case .objectReady, .writesCommitted, .taskCompleted, .taskSubmitted, .taskLogged: break
        default: #expect(problem != nil)
        }
        #expect(throws: FrameError.self) { _ = try link.decode(bytes) }
      }
    }
  }

  @Test("The last number of a family has no successor")
  func lastNumber() throws {
    var link = Link()
    let tasks = siblings(2, from: 0xFFFF_FFFE, in: link)
    var bytes = try frames(tasks.map { .writesCommitted($0) }, &link)
    #expect(bytes.count == 1 && bytes[0][6] == 1)
    bytes[0][6] = 2
    #expect(throws: FrameError.self) { _ = try link.decodeAll(bytes[0]) }
    link.endTurn()
    #expect(link.far.count == 0)
    for task in tasks { link.near.release(task) }
  }
}
