import Primitives
import RuntimeCore
import WireFormat

/// What a node and its worker process say to each other besides the frames of the worker's programs.
///
/// A task, node to worker:
///
///     16 task       UInt32   its number on this link: those before it, in 31 bits
///     20 function   UInt32
///     24 returns    UInt16
///     26 cancelled  UInt8: 1 if it is not to begin, 1 byte 0
///     28 objects    UInt32   how many arguments by future
///     32 work       UInt64   nanoseconds, of modelled tasks
///     40 output     UInt64   bytes of each result, of modelled tasks
///     48 identity   TaskID
///     64 values     UInt64   bytes of the arguments by value
///     72 for each object: its place in the segment or `inFrame`, and its size, UInt64 each
///        the values, then the objects that are in the frame; each padded to 16 bytes
///
/// A result, worker to node; `finished` brings result 0 too:
///
///     16 task   UInt32    20 index  Int32
///     24 status UInt8     25 form   UInt8, 6 bytes 0
///     32 the bytes; or the key of the room that they were written to, UInt64
///
/// Wishes for room and their answers are words as in `StoreFrame`.
enum WorkerFrame {
  static let task: UInt8 = 180
  static let result: UInt8 = 181
  static let finished: UInt8 = 182
  /// Worker to node: bytes.
  static let roomWanted: UInt8 = 183
  /// Node to worker: the memory's key (`StoreFrame.denied` for none), offset in the segment, bytes.
  static let roomGranted: UInt8 = 184
  /// Worker to node: the key of room that is not needed after all.
  static let roomReturned: UInt8 = 185

  /// In the place of an object's offset: its bytes are in the frame.
  private static let inFrame = UInt64.max
  private static let headCount = 72
  private static let reportHeadCount = 32

  /// The number of a task that so many were sent before. Unlike a node's handles it is not another's
  /// before two milliards of tasks: a late word about it does no harm.
  @inline(__always)
  static func number(_ before: UInt64) -> TaskHandle {
    TaskHandle(UInt32(truncatingIfNeeded: before) & 0x7fff_ffff)
  }

  /// Whether a task was sent after another one.
  @inline(__always)
  static func isLater(_ task: TaskHandle, than other: TaskHandle) -> Bool {
    Int32(bitPattern: (task.index &- other.index) << 1) > 0
  }

  static func isOwn(_ kind: UInt8) -> Bool { (task...roomReturned).contains(kind) }

  /// Tasks have no addresses: the link has two ends.
  static let nobody = Address(raw: 0)

  @inline(__always) private static func padded(_ count: Int) -> Int { (count + 15) & ~15 }

  // MARK: Tasks

  /// The size of the frame of a task.
  static func byteCount(_ command: WorkerCommand, _ segment: SharedSegment) -> Int {
    guard let block = command.arguments else { return headCount }
    var count = padded(headCount + 16 * block.pointee.objects.count)
    count += padded(block.pointee.values.count)
    for object in block.pointee.objects where offset(object, segment) == inFrame {
      count += padded(object.count)
    }
    return count
  }

  private static func offset(_ bytes: UnsafeRawBufferPointer, _ segment: SharedSegment) -> UInt64 {
    guard let start = bytes.baseAddress else { return inFrame }
    let distance = start - UnsafeRawPointer(segment.base)
    return distance >= 0 && distance < segment.byteCount ? UInt64(distance) : inFrame
  }

  /// Writes the frame of a task to `place`, which has `byteCount` bytes.
  ///
  /// - Parameter isCancelled: Whether it was asked to stop before it was sent. Later requests go over a
  ///   link of their own (`CancellationWriter`), which a task could overtake.
  static func encode(
    _ command: WorkerCommand, _ segment: SharedSegment, isCancelled: Bool, byteCount: Int,
    to place: UnsafeMutableRawPointer
  ) {
    FrameHeader(length: byteCount, kind: task, source: nobody, target: nobody).write(to: place)
    let none = UnsafeBufferPointer<UnsafeRawBufferPointer>(start: nil, count: 0)
    let objects = command.arguments?.pointee.objects ?? none
    let values = command.arguments?.pointee.values ?? .init(start: nil, count: 0)
    func store<Word: FixedWidthInteger & BitwiseCopyable>(_ word: Word, _ offset: Int) {
      place.storeBytes(of: word.littleEndian, toByteOffset: offset, as: Word.self)
    }
    store(command.task.index, 16)
    store(command.function.index, 20)
    store(UInt32(command.returns) | (isCancelled ? 1 << 16 : 0), 24)
    store(UInt32(objects.count), 28)
    store(command.work.nanoseconds, 32)
    store(command.outputSize.bytes, 40)
    store(command.id.high, 48)
    store(command.id.low, 56)
    store(UInt64(values.count), 64)
    if byteCount == headCount { return }
    var end = padded(headCount + 16 * objects.count)
    if let base = values.baseAddress {
      (place + end).copyMemory(from: base, byteCount: values.count)
      end += padded(values.count)
    }
    for (index, object) in objects.enumerated() {
      let offset = offset(object, segment)
      store(offset, headCount + 16 * index)
      store(UInt64(object.count), headCount + 16 * index + 8)
      if offset == inFrame, let base = object.baseAddress {
        (place + end).copyMemory(from: base, byteCount: object.count)
        end += padded(object.count)
      }
    }
  }

  /// Reads a task, and whether it is not to begin; its arguments lie in a block of the heap that the
  /// caller deallocates.
  static func decode(
    task frame: UnsafeRawBufferPointer, _ segment: SharedSegment
  ) throws(FrameError) -> (command: WorkerCommand, isCancelled: Bool) {
    var reader = FrameReader(UnsafeRawBufferPointer(rebasing: frame[FrameHeader.byteCount...]))
    let task = try reader.integer(UInt32.self, "task")
    let function = try reader.integer(UInt32.self, "function")
    let returns = try reader.integer(UInt16.self, "returns")
    let cancelled = try reader.integer(UInt16.self, "cancelled")
    let objectCount = Int(try reader.integer(UInt32.self, "objects"))
    let work = try reader.integer(UInt64.self, "work")
    let output = try reader.integer(UInt64.self, "output")
    let high = try reader.integer(UInt64.self, "identity")
    let low = try reader.integer(UInt64.self, "identity")
    let valueCount = Int(clamping: try reader.integer(UInt64.self, "values"))
    guard cancelled <= 1 else {
      throw FrameError(.aboveLimit, "cancelled", found: UInt64(cancelled), expected: 1)
    }
    try reader.require(objectCount * 16, "objects")
    var command = WorkerCommand(
      task: TaskHandle(task), function: FunctionID(Int(function)), returns: returns,
      work: TimeSpan(nanoseconds: work), outputSize: ByteCount(output), arguments: nil,
      id: TaskID(high: high, low: low))
    if objectCount > 0 || valueCount > 0 {
      command.arguments = try arguments(frame, objectCount, valueCount, segment)
    }
    return (command, cancelled == 1)
  }

  private static func arguments(
    _ frame: UnsafeRawBufferPointer, _ objectCount: Int, _ valueCount: Int,
    _ segment: SharedSegment
  ) throws(FrameError) -> UnsafeMutablePointer<ArgumentBlock> {
    let start = padded(headCount + 16 * objectCount)
    guard frame.count >= start, valueCount <= frame.count - start else {
      throw FrameError(
        .truncated, "arguments", found: UInt64(frame.count), expected: UInt64(start))
    }
    let stride = MemoryLayout<UnsafeRawBufferPointer>.stride
    let head = padded(MemoryLayout<ArgumentBlock>.stride + objectCount * stride)
    let memory = UnsafeMutableRawPointer.allocate(
      byteCount: head + frame.count - start, alignment: 16)
    let bytes = memory + head
    bytes.copyMemory(from: frame.baseAddress! + start, byteCount: frame.count - start)
    let block = memory.bindMemory(to: ArgumentBlock.self, capacity: 1)
    let spans = (memory + MemoryLayout<ArgumentBlock>.stride)
      .bindMemory(to: UnsafeRawBufferPointer.self, capacity: objectCount)
    var end = padded(valueCount)
    for index in 0..<objectCount {
      let place = headCount + 16 * index
      let offset = UInt64(
        littleEndian: frame.loadUnaligned(fromByteOffset: place, as: UInt64.self))
      let count = Int(
        clamping: UInt64(
          littleEndian: frame.loadUnaligned(fromByteOffset: place + 8, as: UInt64.self)))
      let span: UnsafeRawBufferPointer
      if offset == inFrame {
        guard end <= frame.count - start, count <= frame.count - start - end else {
          memory.deallocate()
          throw FrameError(
            .truncated, "object", found: UInt64(frame.count), expected: UInt64(clamping: count))
        }
        span = UnsafeRawBufferPointer(start: count > 0 ? bytes + end : nil, count: count)
        end += padded(count)
      } else {
        guard count <= segment.byteCount, offset <= UInt64(segment.byteCount - count) else {
          memory.deallocate()
          throw FrameError(.aboveLimit, "place of an object", found: offset, expected: 0)
        }
        span = UnsafeRawBufferPointer(start: segment.base + Int(offset), count: count)
      }
      (spans + index).initialize(to: span)
    }
    block.initialize(
      to: ArgumentBlock(
        values: UnsafeRawBufferPointer(start: valueCount > 0 ? bytes : nil, count: valueCount),
        objects: UnsafeBufferPointer(start: spans, count: objectCount),
        loans: UnsafeBufferPointer(start: nil, count: 0)))
    return block
  }

  // MARK: Reports

  enum Content {
    case nothing
    case bytes(UnsafeRawBufferPointer)
    /// Room that the worker was given, by its key.
    case room(UInt64)
  }

  struct Report {
    var task: TaskHandle
    var index: Int32
    var status: ObjectStatus
    var content: Content
  }

  /// - Parameter report: of kind `result` or `finished`.
  static func encode(
    _ report: WorkerReport, into writer: inout FrameWriter
  ) throws(FrameError) {
    let isRoom = report.hasValue && report.value.form == .segment
    let count = !report.hasValue ? 0 : isRoom ? 8 : report.value.count
    let place = try writer.takeFrame(
      kind: report.kind == .finished ? finished : result, source: nobody, target: nobody,
      bodyCount: 16 + count)
    let form: UInt64 = !report.hasValue ? 0 : isRoom ? 2 : 1
    place.storeBytes(of: report.task.index.littleEndian, as: UInt32.self)
    place.storeBytes(of: report.index.littleEndian, toByteOffset: 4, as: Int32.self)
    place.storeBytes(
      of: (UInt64(report.status.rawValue) | form << 8).littleEndian, toByteOffset: 8,
      as: UInt64.self)
    if isRoom {
      place.storeBytes(of: report.value.key.littleEndian, toByteOffset: 16, as: UInt64.self)
    } else if report.hasValue {
      var value = report.value
      withUnsafeMutablePointer(to: &value) { value in
        guard let base = value.bytes.baseAddress else { return }
        (place + 16).copyMemory(from: base, byteCount: value.bytes.count)
      }
    }
  }

  static func decode(report frame: UnsafeRawBufferPointer) throws(FrameError) -> Report {
    var reader = FrameReader(UnsafeRawBufferPointer(rebasing: frame[FrameHeader.byteCount...]))
    let task = try reader.integer(UInt32.self, "task")
    let index = try reader.integer(Int32.self, "result")
    let word = try reader.integer(UInt64.self, "status")
    guard let status = ObjectStatus(rawValue: UInt8(truncatingIfNeeded: word)),
      [.value, .taskFailed, .storeFull, .taskCancelled].contains(status)
    else { throw FrameError(.unknownValue, "status", found: word & 0xff, expected: 0) }
    let content: Content
    switch word >> 8 {
    case 0:
      try reader.requireExactly(0, "result")
      content = .nothing
    case 1: content = .bytes(try reader.bytes(reader.remaining, "result"))
    case 2: content = .room(try reader.integer(UInt64.self, "room"))
    default: throw FrameError(.unknownValue, "form of a result", found: word >> 8, expected: 0)
    }
    return Report(task: TaskHandle(task), index: index, status: status, content: content)
  }
}
