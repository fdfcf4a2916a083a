/// Memory for one object that is about to be written.
///
/// In a shared segment its pages are made while it fills: a large block of bytes goes there by
/// several threads, straight into the file where the mapping has no pages yet. So before bytes are
/// written in any other way than `copy`, `prepare` has to reach beyond them; else a full file system
/// would end the process.
public struct ObjectRoom: @unchecked Sendable {
  // Used by its writer alone, who holds the segment as long as it writes.

  /// All of it; see `prepare`.
  public let memory: UnsafeMutableRawBufferPointer
  /// Nil for memory that is there.
  unowned(unsafe) private let segment: SharedSegment?

  /// Memory that is there: of the heap, or of a frame.
  public init(_ memory: UnsafeMutableRawBufferPointer) {
    self.memory = memory
    segment = nil
  }

  /// Room that a store has handed out. The segment must outlive the writing.
  init(_ memory: UnsafeMutableRawBufferPointer, of segment: SharedSegment?) {
    self.memory = memory
    self.segment = segment
  }

  public var count: Int { memory.count }
  /// Bytes at the front that can be written at once.
  public var prepared: Int { segment == nil ? memory.count : 0 }

  /// Makes sure that the bytes from `start` up to `end` can be written; how far they can from there,
  /// which may be more than was asked for.
  /// - Throws: `sharedMemoryFull`.
  public func prepare(_ start: Int, _ end: Int) throws(StoreError) -> Int {
    guard let segment, let base = memory.baseAddress, end > start else { return memory.count }
    let offset = base - segment.base
    let step = SharedSegment.stepBytes
    let reach = min((offset + end + step - 1) / step * step - offset, memory.count)
    try segment.commit(at: offset + start, count: reach - start)
    return reach
  }

  /// Copies a block of bytes to `offset`, with several threads when it is large.
  /// - Throws: `sharedMemoryFull`, `system`.
  public func copy(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StoreError) {
    precondition(
      offset >= 0 && offset <= memory.count && bytes.count <= memory.count - offset,
      "\(bytes.count) bytes at \(offset) of room for \(memory.count)")
    guard let source = bytes.baseAddress, let base = memory.baseAddress else { return }
    if let segment {
      try ParallelCopy.shared.write(
        source, count: bytes.count, at: base + offset - segment.base, of: segment)
    } else {
      ParallelCopy.shared.copy(source, to: base + offset, count: bytes.count)
    }
  }

  /// Makes all pages that are not there yet: what nobody wrote can be read then, too.
  /// - Throws: `sharedMemoryFull`.
  public func prepareAll() throws(StoreError) { _ = try prepare(0, memory.count) }
}
