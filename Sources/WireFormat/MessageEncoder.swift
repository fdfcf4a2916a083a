import Primitives
import RuntimeCore

/// Writes the messages of one link as frames.
///
/// Identities travel whole, handles stay at home. What depends on the link: a demand of resources
/// is sent once, with the first specification of its shape, and a specification like the one before it
/// says only what differs. So every frame has to go out, in the order of the calls: a link that
/// drops one is done for, and its successor starts with a new encoder.
///
/// References: where one belongs to the message (see `Message.movesReferences`), it leaves this
/// process with the frame, so the encoder releases it. Bodies (batches, heartbeats, updates) are
/// taken out of `payloads`.
public struct MessageEncoder: ~Copyable {
  let specs: TaskSpecTable
  let payloads: MessagePayloads
  let fillsModelledBytes: Bool
  let frameLimit: Int
  /// One byte for each shape: whether its demand has been sent.
  private var announced: UnsafeMutablePointer<Bool>
  private var announcedCapacity: Int
  /// The last specification that went out whole. Apart, so that nobody copies it with the encoder.
  let model: UnsafeMutablePointer<SpecificationModel>
  /// The last frame, when it may come to stand for more.
  let last: UnsafeMutablePointer<RepeatableFrame>

  /// - Parameters:
  ///   - fillsModelledBytes: send as many zeros as the arguments by value are modelled to take,
  ///   where
  ///     a task has none of its own, so that a modelled run loads the network as a real one would.
  ///   - frameLimit: the longest frame in bytes that the other side takes.
  public init(
    specs: TaskSpecTable, payloads: MessagePayloads, fillsModelledBytes: Bool = true,
    frameLimit: Int = Int(UInt32.max)
  ) {
    self.specs = specs
    self.payloads = payloads
    self.fillsModelledBytes = fillsModelledBytes
    self.frameLimit = min(frameLimit, Int(UInt32.max))
    announcedCapacity = 64
    announced = .allocate(capacity: announcedCapacity)
    announced.initialize(repeating: false, count: announcedCapacity)
    model = .allocate(capacity: 1)
    model.initialize(to: SpecificationModel())
    last = .allocate(capacity: 1)
    last.initialize(to: RepeatableFrame())
  }

  deinit {
    announced.deallocate()
    model.deallocate()
    last.deallocate()
  }

  /// Appends one frame to `writer`.
  ///
  /// - Throws: `FrameError` when the frame is longer than `frameLimit` (`tooLong`) or does not fit
  ///   into memory of fixed size (`noRoom`); then nothing has been written, taken or released.
  public mutating func encode(
    _ message: Message, from source: Address, to target: Address, into writer: inout FrameWriter
  ) throws(FrameError) {
    let repetition = repetition(message)
    if repetition.isPossible, extends(repetition, source, target, &writer) {
      takeAway(message, target)
      return
    }
    var plan = plan(message)
    if let shape = plan.shape, !isAnnounced(shape) {
      plan.size += FrameFlags.announcementByteCount
      plan.flags |= FrameFlags.announcesShape
    }
    if plan.task != .none && isLikeLast(plan.task) {
      plan.size -= FrameFlags.savedByteCount(plan.flags)
      plan.flags |= FrameFlags.isLikeLast
    }
    let length = FrameHeader.byteCount + plan.size
    guard length <= frameLimit else { throw .make(.tooLong, "message", length, frameLimit) }
    let place = try writer.take(length)
    FrameHeader(
      length: length, kind: message.kind.rawValue, flags: plan.flags, source: source,
      target: target
    ).write(to: place)
    var output = FrameOutput(place + FrameHeader.byteCount)
    if plan.flags & FrameFlags.announcesShape != 0, let shape = plan.shape {
      output.put(specs.demand(shape: shape))
      markAnnounced(shape)
    }
    write(message, flags: plan.flags, into: &output)
    if plan.task != .none && plan.flags & FrameFlags.isLikeLast == 0 { remember(plan.task) }
    assert(output.cursor == place + length, "\(message.kind) does not fill its frame")
    if repetition.isPossible { remember(repetition, source, target, length, writer) }
    takeAway(message, target)
  }

  /// Bytes of the frame that `encode` would write for a specification unlike the one before it,
  /// without an announcement of a new demand.
  public func encodedSize(_ message: Message) -> Int {
    FrameHeader.byteCount + plan(message).size
  }

  // MARK: Demands

  @inline(__always) private func isAnnounced(_ shape: UInt16) -> Bool {
    Int(shape) < announcedCapacity && announced[Int(shape)]
  }

  private mutating func markAnnounced(_ shape: UInt16) {
    if Int(shape) >= announcedCapacity {
      let capacity = max(Int(shape) + 1, announcedCapacity * 2)
      let larger = UnsafeMutablePointer<Bool>.allocate(capacity: capacity)
      larger.initialize(repeating: false, count: capacity)
      larger.update(from: announced, count: announcedCapacity)
      announced.deallocate()
      announced = larger
      announcedCapacity = capacity
    }
    announced[Int(shape)] = true
  }

  // MARK: What leaves with the message

  /// A heartbeat has been taken out when it was written.
  @inline(__always) private func takeAway(_ message: Message, _ target: Address) {
    switch message {
    case .taskSubmitted(let task, _), .taskEscalated(let task), .taskPlaced(let task),
      .taskLogged(let task, _):
      specs.release(task)
    case .objectFreed(let object):
      if target.role == .raylet { specs.release(object.producer) }
    case .referencesFreed(let batch), .objectsFreed(let batch):
      let body = payloads.batch(batch)
      for i in 0..<body.pointee.count { specs.release(body.pointee[i].producer) }
      payloads.remove(batch)
    case .updatePropagated(let handle, _):
      takeAway(update: payloads.take(handle).update)
    default: break
    }
  }

  private func takeAway(update: Message) {
    guard case .objectsFreed(let batch) = update else { return }
    let body = payloads.batch(batch)
    for i in 0..<body.pointee.count { specs.release(body.pointee[i].producer) }
    payloads.remove(batch)
  }
}

/// The specification that the next ones on a link may be like, with the identity of its actor.
struct SpecificationModel: BitwiseCopyable {
  var isThere = false
  var hasActor = false
  var spec = TaskSpec(id: TaskID(high: 0, low: 0), function: FunctionID(0), shape: 0)
  var actor = TaskID(high: 0, low: 0)
  /// Size of the result that was reported last.
  var size = ByteCount.zero
}

/// Bits of a frame's flags for messages.
enum FrameFlags {
  /// The demand of the specification's shape comes first: eight 32-bit lanes.
  static var announcesShape: UInt8 { 1 }
  /// The two highest bits: what the submitter wants to hear of the result.
  static var noticeShift: UInt8 { 6 }
  static var notice: UInt8 { 3 << noticeShift }
  /// The specification names an actor.
  static var hasActor: UInt8 { 4 }
  /// The arguments by value follow.
  static var hasValues: UInt8 { 8 }
  /// Zeros in place of arguments by value that are only modelled.
  static var hasFiller: UInt8 { 16 }

  /// The specification is like the last one on this link, but for its number among its siblings, its
  /// sequence number and its arguments.
  static var isLikeLast: UInt8 { 32 }

  static var ofSpecification: UInt8 { hasActor | hasValues | hasFiller | isLikeLast }
  static var announcementByteCount: Int { 32 }
  static var specificationByteCount: Int { 68 }
  /// What is left of it when it is like the last one.
  static var differenceByteCount: Int { 20 }

  static func savedByteCount(_ flags: UInt8) -> Int {
    specificationByteCount - differenceByteCount + (flags & hasActor != 0 ? 16 : 0)
  }
}

extension Message {
  /// Whether references belong to the message itself when a machine of role `target` receives it:
  /// they leave the sender's table with it and enter the receiver's.
  public func movesReferences(to target: Address.Role) -> Bool {
    switch self {
    case .taskSubmitted, .taskEscalated, .taskPlaced, .taskLogged, .referencesFreed, .objectsFreed:
      true
    case .objectFreed: target == .raylet
    // What an update moves depends on the update inside: only freed objects do.
    default: false
    }
  }
}
