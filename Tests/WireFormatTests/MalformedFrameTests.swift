import Primitives
import RuntimeCore
import Testing

@testable import WireFormat

@Suite("Frames from a peer that cannot be trusted")
struct MalformedFrameTests {
  /// Decodes bytes of any kind; the table is afterwards as it was.
  private func feed(_ bytes: [UInt8], to link: inout Link) -> FrameError? {
    let count = link.far.count
    defer { #expect(link.far.count == count) }
    do throws(FrameError) {
      for received in try link.decodeAll(bytes) {
        release(received.message, received.target.role, link.far, link.farPayloads)
      }
      link.endTurn()
      return nil
    } catch {
      link.endTurn()
      #expect(!error.description.isEmpty)
      return error
    }
  }

  @Test(
    "A frame cut at any length is refused, and so is one with bytes behind it",
    arguments: MessageKind.allCases)
  func truncation(kind: MessageKind) throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 3)
    for _ in 0..<4 {
      let (message, own) = messages.next(kind)
      let bytes = try link.encode(message)
      for task in own { link.near.release(task) }
      for length in 0..<bytes.count {
        // Once with the length that the header states, once with one that fits.
        #expect(feed(Array(bytes[..<length]), to: &link)?.problem == .truncated)
        if length >= 16 {
          var cut = Array(bytes[..<length])
          setLength(length, of: &cut)
          #expect(feed(cut, to: &link) != nil, "\(kind) cut at \(length) of \(bytes.count)")
        }
      }
      var longer = bytes + [0]
      #expect(feed(longer, to: &link)?.problem == .trailingBytes)
      setLength(longer.count, of: &longer)
      #expect(feed(longer, to: &link) != nil)
      #expect(feed(bytes, to: &link) == nil)
    }
  }

  private func setLength(_ length: Int, of bytes: inout [UInt8]) {
    for i in 0..<4 { bytes[i] = UInt8(truncatingIfNeeded: length >> (8 * i)) }
  }

  @Test("Valid frames with changed bytes decode to something or throw, and leak nothing")
  func mutations() throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 77)
    var random = SplitMix(state: 78)
    var (refused, taken) = (0, 0)
    for round in 0..<6000 {
      let kinds = MessageKind.allCases
      let (message, own) = messages.next(kinds[round % kinds.count])
      var bytes = try link.encode(message)
      for task in own { link.near.release(task) }
      // A fresh announcement is taken in unchanged, so that later frames find their demand.
      if bytes[5] & 1 == 1, MessageKind(rawValue: bytes[4])!.carriesSpecification {
        #expect(feed(bytes, to: &link) == nil)
        continue
      }
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let place = Int.random(in: 4..<bytes.count, using: &random)
        switch random.next() % 3 {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[place] ^= 1 << UInt8(random.next() % 8)
        default: bytes[place] = random.next() % 2 == 0 ? 0xFF : 0
        }
      }
      if feed(bytes, to: &link) == nil { taken += 1 } else { refused += 1 }
    }
    #expect(refused > 500 && taken > 500)
    #expect(link.far.count == 0)
  }

  @Test("Random bytes behind any header throw or decode, and leak nothing")
  func garbage() {
    var link = Link()
    var random = SplitMix(state: 123)
    var refused = 0
    for _ in 0..<50_000 {
      var bytes = (0..<Int.random(in: 0...140, using: &random)).map { _ in
        UInt8(truncatingIfNeeded: random.next())
      }
      if bytes.count >= 16, random.next() % 8 != 0 {
        setLength(bytes.count, of: &bytes)
        bytes[4] %= 48
        bytes[5] &= UInt8(truncatingIfNeeded: random.next() & random.next())
        bytes[6] = 0
        bytes[7] = 0
        bytes[11] &= 0x7F
        bytes[15] &= 0x7F
      }
      if feed(bytes, to: &link) != nil { refused += 1 }
    }
    #expect(refused > 10_000)
    #expect(link.far.count == 0)
  }

  @Test("From peers only messages between machines that exchange them are taken")
  func routes() throws {
    let roles: [Address] = [
      .driver(0), .raylet(NodeID(0)), .globalScheduler(0), .replica(0),
    ]
    for kind in MessageKind.allCases {
      var accepted = 0
      for source in roles {
        for target in roles {
          // A link each: the demand that a refused frame announces is not sent again.
          var link = Link(accepting: .fromPeers)
          var messages = RandomMessages(link.near, link.nearPayloads, seed: 4)
          let (message, own) = messages.next(kind)
          let bytes = try link.encode(message, from: source, to: target)
          if case .objectFreed(let object) = message, target.role != .raylet {
            link.near.release(object.producer)
          }
          for task in own { link.near.release(task) }
          let error = feed(bytes, to: &link)
          let allowed = kind.crossesProcesses && kind.travels(from: source.role, to: target.role)
          // The client inside an update is a raylet, which registers no functions.
          if allowed && kind != .updatePropagated { #expect(error == nil, "\(kind)") }
          if !allowed { #expect(error?.problem == .notAllowed, "\(kind)") }
          if allowed { accepted += 1 }
          #expect(link.near.count == 0)
        }
      }
      #expect((accepted > 0) == kind.crossesProcesses, "\(kind)")
    }
  }

  @Test("Numbers beyond the cluster's bounds are refused by name")
  func bounds() throws {
    var link = Link(
      bounds: ClusterBounds(
        nodes: 4, drivers: 1, globalSchedulers: 1, replicas: 2, functions: 3, workers: 5),
      accepting: .fromPeers)
    let cases: [(Message, Address, Address, String)] = [
      (.nodeRegistered(NodeID(4)), .raylet(NodeID(0)), .replica(0), "node is 4"),
      (.nodeRegistered(NodeID(1)), .raylet(NodeID(4)), .replica(0), "source address is 4"),
      (.nodeRegistered(NodeID(1)), .raylet(NodeID(3)), .replica(2), "target address is 2"),
      (.functionRegistered(FunctionID(3)), .driver(0), .replica(0), "function is 3"),
      (.workerBlocked(WorkerID(5)), .driver(0), .raylet(NodeID(0)), "worker is 5"),
      (.workerBlocked(WorkerID(4)), .driver(1), .raylet(NodeID(0)), "source address is 1"),
    ]
    for (message, source, target, words) in cases {
      let error = feed(try link.encode(message, from: source, to: target), to: &link)
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
    let good = try link.encode(
      .nodeRegistered(NodeID(3)), from: .raylet(NodeID(3)), to: .replica(1))
    #expect(feed(good, to: &link) == nil)
  }

  @Test("A task that is its own input is refused: it would hold itself alive")
  func ownInput() throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 31)
    let shape = link.near.shape(.zero)
    let stub = messages.stub()
    let object = ObjectHandle(producer: stub, index: 0)
    let task = withUnsafePointer(to: object) {
      link.near.insert(
        TaskSpec(id: TaskID(high: 5, low: 6), function: FunctionID(0), shape: shape),
        arguments: UnsafeBufferPointer(start: $0, count: 1))
    }
    var bytes = try link.encode(.taskPlaced(task))
    let start = 16 + 32
    let input = start + 68
    for i in 0..<16 { bytes[input + i] = bytes[start + i] }
    #expect(feed(bytes, to: &link)?.problem == .unknownValue)
    link.near.release(stub)
  }

  @Test("An update holds no update along a chain, and no other kind of message")
  func nestedKinds() throws {
    var link = Link()
    var messages = RandomMessages(link.near, link.nearPayloads, seed: 41)
    let record = UpdateRecord(
      update: .nodeRegistered(NodeID(0)), client: .raylet(NodeID(0)),
      sequence: SequenceNumber(1), epoch: 1)
    let handle = link.nearPayloads.insert(record)
    let bytes = try link.encode(.updatePropagated(handle, SequenceNumber(1)))
    _ = messages.word()
    for kind in MessageKind.allCases where !kind.isUpdate {
      var changed = bytes
      changed[16] = kind.rawValue
      #expect(feed(changed, to: &link)?.problem == .notAllowed)
    }
    #expect(feed(bytes, to: &link) == nil)
  }
}

@Suite("Parts of frames")
struct FramePartTests {
  @Test("A header keeps its fields, and its length is known from four bytes on")
  func header() throws {
    let header = FrameHeader(
      length: 77, kind: 200, flags: 3, source: .driver(5), target: .replica(9))
    var bytes = [UInt8](repeating: 0xAA, count: 20)
    bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
    #expect(Array(bytes[..<8]) == [77, 0, 0, 0, 200, 3, 0, 0])
    let read = try bytes.withUnsafeBytes { try FrameHeader(reading: $0) }
    #expect(read == header)
    func length(_ count: Int, limit: Int) throws -> Int? {
      try bytes.withUnsafeBytes {
        try FrameHeader.frameLength(
          in: UnsafeRawBufferPointer(rebasing: $0[..<count]), limit: limit)
      }
    }
    for count in 0..<4 {
      let unknown = try length(count, limit: 100)
      #expect(unknown == nil)
    }
    let known = try length(4, limit: 77)
    #expect(known == 77)
    #expect(throws: FrameError(.tooLong, "frame", found: 77, expected: 76)) {
      try length(20, limit: 76)
    }
  }

  @Test("A chunk's head comes out as it went in; one that cannot be is refused")
  func chunks() throws {
    let object = ObjectID(producer: TaskID(high: 1, low: 2), index: -3)
    let chunk = ChunkFrame(
      object: object, index: 2, count: 3, size: ByteCount(1000), offset: ByteCount(800))
    func coded(_ chunk: ChunkFrame, _ payload: Int) throws -> [UInt8] {
      var writer = FrameWriter()
      try chunk.encode(
        payloadCount: payload, from: .raylet(NodeID(1)), to: .raylet(NodeID(2)), into: &writer)
      return [UInt8](writer.bytes)
    }
    let bytes = try coded(chunk, 200)
    #expect(bytes.count == ChunkFrame.headByteCount)
    try bytes.withUnsafeBytes { memory in
      let (header, found, payload) = try ChunkFrame.decode(memory)
      #expect(found == chunk && payload == 200 && header.length == 260)
    }
    var wrong = chunk
    wrong.index = 3
    var beyond = chunk
    beyond.offset = ByteCount(1001)
    for bad in [
      try coded(wrong, 1), try coded(beyond, 0), try coded(chunk, 201),
    ] {
      #expect(throws: FrameError.self) { try bad.withUnsafeBytes { try ChunkFrame.decode($0) } }
    }
    var random = SplitMix(state: 9)
    for _ in 0..<20_000 {
      var mutated = bytes
      mutated[Int.random(in: 0..<60, using: &random)] = UInt8(truncatingIfNeeded: random.next())
      mutated.removeLast(Int.random(in: 0...2, using: &random))
      mutated.withUnsafeBytes {
        if let (_, c, n) = try? ChunkFrame.decode($0) {
          #expect(c.offset.bytes + UInt64(n) <= c.size.bytes)
        }
      }
    }
  }

  @Test("A receipt comes out as it went in; one that takes back or invents chunks is refused")
  func receipts() throws {
    func coded(_ taken: UInt64) throws -> [UInt8] {
      var writer = FrameWriter()
      try ChunkReceipt(taken: taken).encode(
        from: .raylet(NodeID(1)), to: .raylet(NodeID(2)), into: &writer)
      return [UInt8](writer.bytes)
    }
    func decoded(_ bytes: [UInt8], _ last: UInt64?, _ sent: UInt64) -> UInt64? {
      bytes.withUnsafeBytes { try? ChunkReceipt.decode($0, after: last, sent: sent).taken }
    }
    #expect(try coded(5).count == ChunkReceipt.byteCount)
    for (taken, last, sent, isGood) in [
      (0, nil, 0, true), (1, nil, 1, false), (1, 0, 1, true), (7, 2, 9, true), (2, 2, 9, false),
      (1, 2, 9, false), (10, 2, 9, false), (.max, 0, 1, false),
    ] as [(UInt64, UInt64?, UInt64, Bool)] {
      #expect(decoded(try coded(taken), last, sent) == (isGood ? taken : nil), "\(taken)")
    }
    let bytes = try coded(5)
    for length in 0..<bytes.count { #expect(decoded(Array(bytes[..<length]), 0, 9) == nil) }
    for place in 0..<8 {
      var other = bytes
      other[place] ^= 1
      #expect(decoded(other, 0, 9) == nil, "byte \(place)")
    }
  }

  @Test("A reader stops at the end of its bytes")
  func reader() throws {
    let bytes: [UInt8] = [1, 0, 2, 0, 0, 0]
    try bytes.withUnsafeBytes { memory in
      var reader = FrameReader(memory)
      let first = try reader.integer(UInt16.self, "first")
      #expect(first == 1)
      #expect(throws: FrameError(.truncated, "second", found: 4, expected: 8)) {
        try reader.integer(UInt64.self, "second")
      }
      let third = try reader.integer(UInt32.self, "third")
      #expect(third == 2)
      #expect(throws: FrameError.self) { try reader.bytes(1, "rest") }
      #expect(throws: FrameError.self) { try reader.bytes(-1, "rest") }
      #expect(reader.remaining == 0)
    }
    var empty = FrameReader(UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(throws: FrameError.self) { try empty.integer(UInt8.self, "nothing") }
  }
}
