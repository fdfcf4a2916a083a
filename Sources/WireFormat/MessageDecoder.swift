import Primitives
import RuntimeCore

/// A message out of a frame, and the machines it goes between.
@frozen
public struct ReceivedMessage: Sendable, BitwiseCopyable {
  public var message: Message
  public var source: Address
  public var target: Address

  @inlinable public init(_ message: Message, from source: Address, to target: Address) {
    self.message = message
    self.source = source
    self.target = target
  }
}

/// Reads the frames of one link into messages of this process; the counterpart of `MessageEncoder`.
///
/// Whatever the bytes, it throws or returns a message that is safe to hand to a machine as far as
/// the message alone can tell: values that mean something, numbers below `bounds`, roles that
/// exchange such messages.
public struct MessageDecoder: ~Copyable {
  /// Which messages are taken.
  public enum Acceptance: Sendable, BitwiseCopyable {
    /// What a peer may send, between machines that exchange such messages.
    case fromPeers
    /// Every kind between any machines: recordings.
    case everything
  }

  /// The largest object in bytes, 8 TiB: sums of sizes then stay far from overflow.
  public static var largestObject: UInt64 { 1 << 43 }
  /// The most arguments by future of one task.
  public static var mostArguments: Int { 1 << 20 }
  /// The most different demands that one link may announce.
  public static var mostShapes: Int { 16_384 }

  let specs: TaskSpecTable
  let payloads: MessagePayloads
  /// May be changed when the cluster grows.
  public var bounds: ClusterBounds
  let acceptance: Acceptance
  /// The local number of each shape of the sender, `unknown` before it has been announced.
  var shapes: UnsafeMutablePointer<UInt16>
  var shapeCapacity: Int
  var shapeCount = 0
  var arguments: UnsafeMutablePointer<ObjectHandle>
  var argumentCapacity: Int
  /// The last specification that came whole.
  let model: UnsafeMutablePointer<SpecificationModel>

  static var unknownShape: UInt16 { .max }

  /// - Parameter specs: must intern (`TaskSpecTable.allocate(interning: true)`).
  public init(
    specs: TaskSpecTable, payloads: MessagePayloads, bounds: ClusterBounds = .none,
    accepting acceptance: Acceptance = .fromPeers
  ) {
    self.specs = specs
    self.payloads = payloads
    self.bounds = bounds
    self.acceptance = acceptance
    shapeCapacity = 64
    shapes = .allocate(capacity: shapeCapacity)
    shapes.initialize(repeating: Self.unknownShape, count: shapeCapacity)
    argumentCapacity = 16
    arguments = .allocate(capacity: argumentCapacity)
    model = .allocate(capacity: 1)
    model.initialize(to: SpecificationModel())
  }

  deinit {
    shapes.deallocate()
    arguments.deallocate()
    model.deallocate()
  }

  /// Reads one frame that is one message.
  ///
  /// Every handle in the message is interned, with one reference that is appended to `borrowed`:
  /// the owner releases those after the turn, once all effects are carried out, and also after an
  /// error. References that the message itself brings (`Message.movesReferences`) come on top.
  ///
  /// - Parameter frame: exactly one frame, header included.
  public mutating func decode(
    _ frame: UnsafeRawBufferPointer, borrowing borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> ReceivedMessage {
    let header = try FrameHeader(reading: frame)
    guard header.repeats == 0 else {
      throw .make(.mismatch, "repeats of a frame", header.repeats, 0)
    }
    let message = try message(header, frame, borrowing: &borrowed)
    return ReceivedMessage(message, from: header.source, to: header.target)
  }

  /// `decode` where the header has been read: the first of the messages that the frame stands for; the
  /// others, as many as the header's `repeats`, come by `successor`. They come back in registers: a
  /// message that is put together in memory waits there for each of its small parts.
  public mutating func message(
    _ header: FrameHeader, _ frame: UnsafeRawBufferPointer,
    borrowing borrowed: inout EffectBuffer<TaskHandle>
  ) throws(FrameError) -> Message {
    guard Int(header.length) == frame.count else {
      throw .make(
        frame.count < Int(header.length) ? .truncated : .trailingBytes, "frame", frame.count,
        Int(header.length))
    }
    guard let kind = MessageKind(rawValue: header.kind) else {
      throw .make(.unknownValue, "kind of message", header.kind)
    }
    let source = try bounds.role(header.source, "source address")
    let target = try bounds.role(header.target, "target address")
    if acceptance == .fromPeers {
      guard kind.crossesProcesses, kind.travels(from: source, to: target) else {
        throw .make(.notAllowed, "message", header.kind)
      }
    }
    var reader = FrameReader(frame)
    _ = reader.loadBytes(FrameHeader.byteCount)
    return try body(kind, header.flags, target, &reader, &borrowed)
  }

  // MARK: Parts

  /// Interns a task; the reference goes to `borrowed`.
  @inline(__always)
  func task(_ id: TaskID, _ borrowed: inout EffectBuffer<TaskHandle>) -> TaskHandle {
    let handle = specs.intern(id)
    borrowed.append(handle)
    return handle
  }

  @inline(__always)
  func object(
    _ reader: inout FrameReader, _ borrowed: inout EffectBuffer<TaskHandle>
  ) -> ObjectHandle {
    let id = reader.loadObject()
    return ObjectHandle(producer: task(id.producer, &borrowed), index: id.index)
  }

  @inline(__always)
  func status(_ reader: inout FrameReader) throws(FrameError) -> ObjectStatus {
    let raw = reader.load(UInt8.self)
    guard let status = ObjectStatus(rawValue: raw) else {
      throw .make(.unknownValue, "object status", raw)
    }
    return status
  }

  @inline(__always)
  func size(_ reader: inout FrameReader) throws(FrameError) -> ByteCount {
    let bytes = reader.load(UInt64.self)
    guard bytes <= Self.largestObject else {
      throw .make(.aboveLimit, "object size", bytes, Self.largestObject)
    }
    return ByteCount(bytes)
  }

  @inline(__always)
  func node(_ reader: inout FrameReader) throws(FrameError) -> NodeID {
    let index = reader.load(UInt32.self)
    try bounds.check(index, below: bounds.nodes, "node")
    return NodeID(Int(index))
  }

  /// A node, or none.
  @inline(__always)
  func nodeIfAny(_ reader: inout FrameReader) throws(FrameError) -> NodeID {
    var ahead = reader
    guard NodeID(Int(ahead.load(UInt32.self))) == .none else { return try node(&reader) }
    reader = ahead
    return .none
  }

  @inline(__always)
  func function(_ reader: inout FrameReader) throws(FrameError) -> FunctionID {
    let index = reader.load(UInt32.self)
    try bounds.check(index, below: bounds.functions, "function")
    return FunctionID(Int(index))
  }

  @inline(__always)
  func worker(_ reader: inout FrameReader) throws(FrameError) -> WorkerID {
    let index = reader.load(UInt32.self)
    try bounds.check(index, below: bounds.workers, "worker")
    return WorkerID(Int(index))
  }
}

/// Gives back what a turn has borrowed, and empties the list.
public func releaseBorrowed(
  _ borrowed: inout EffectBuffer<TaskHandle>, in specs: TaskSpecTable
) {
  for i in 0..<borrowed.count { specs.release(borrowed[i]) }
  borrowed.removeAll()
}
