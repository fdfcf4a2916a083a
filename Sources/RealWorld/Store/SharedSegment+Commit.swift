import Glibc
import Primitives
import Synchronization

/// Advice to the kernel that the Glibc module does not name: linux/mman.h.
enum Advice {
  static let remove: Int32 = 9
  static let hugePages: Int32 = 14
  static let populateRead: Int32 = 22
  static let populateWrite: Int32 = 23
}

/// A GNU extension, which the Glibc module does not show. `posix_fallocate` would write a byte per
/// page where the file system cannot do it, over bytes of others.
enum Fallocate {
  private typealias Function = @convention(c) (Int32, Int32, Int, Int) -> Int32
  private static let function = dlsym(nil, "fallocate").map {
    unsafeBitCast($0, to: Function.self)
  }

  /// The error number, or nil when the file has its pages.
  static func run(_ descriptor: Int32, _ offset: Int, _ length: Int) -> Int32? {
    guard let function else { return ENOSYS }
    while function(descriptor, 0, offset, length) != 0 {
      if errno != EINTR { return errno }
    }
    return nil
  }
}

extension SharedSegment {
  /// From this many bytes on a write through the file costs less than the faults of the mapping.
  private static let throughBytes = 64 << 10

  /// Makes sure that the range has its pages, in the file and in the mapping of this process.
  /// Blocks for about 0.5 ms per fresh MiB; any thread may call it.
  /// - Throws: `sharedMemoryFull`; what was committed before stays so.
  public func commit(at offset: Int, count: Int) throws(StoreError) {
    precondition(canCommit, "this process cannot write the segment")
    if count <= 0 || offset + count <= committedMark { return }
    for step in offset >> Self.stepShift...(offset + count - 1) >> Self.stepShift
    where state(step) == StepState.bare {
      try commit(step: step)
    }
  }

  /// Copies into the segment, committing what is not yet: where the mapping has no pages, bytes are
  /// written through the file, which saves the clearing of fresh pages and a fault for each.
  /// - Throws: `sharedMemoryFull`, `system`.
  public func write(
    _ source: UnsafeRawPointer, count: Int, at offset: Int
  ) throws(StoreError) {
    precondition(canCommit && offset >= 0 && count >= 0 && offset + count <= byteCount)
    var done = 0
    while done < count {
      let at = offset + done
      let step = at >> Self.stepShift
      let stepEnd = min((step + 1) << Self.stepShift, byteCount)
      let length = min(stepEnd - at, count - done)
      let isWhole = at & (Self.stepBytes - 1) == 0 && at + length == stepEnd
      switch state(step) {
      case StepState.bare where isWhole && hasHugePages && !isPrivate:
        // In one call, as a whole page needs no clearing.
        let steps = bareSteps(from: step, within: count - done)
        let bytes = min(steps * Self.stepBytes, count - done)
        try writeThrough(source + done, bytes, at: at)
        // At once, as it is one fault for each huge page.
        try touch(at, bytes)
        for written in step..<step + steps { mark(written, StepState.touched) }
        done += bytes
        continue
      case StepState.bare where isWhole && isPrivate:
        memcpy(base + at, source + done, length)
        mark(step, StepState.touched)
      case StepState.bare where isWhole:
        try writeThrough(source + done, length, at: at)
        mark(step, StepState.allocated)
      case StepState.bare where length >= Self.throughBytes && descriptor >= 0,
        StepState.allocated where length >= Self.throughBytes && descriptor >= 0:
        // A part of a bare step: the rest of it stays as it is, and so does what is said of it.
        try writeThrough(source + done, length, at: at)
      case StepState.bare:
        try commit(step: step)
        memcpy(base + at, source + done, length)
      default: memcpy(base + at, source + done, length)
      }
      done += length
    }
  }

  /// How many steps from `step` on are bare and lie in `count` bytes: at least one.
  private func bareSteps(from step: Int, within count: Int) -> Int {
    var steps = 1
    while (steps + 1) * Self.stepBytes <= count && state(step + steps) == StepState.bare {
      steps += 1
    }
    return steps
  }

  /// Maps the pages of a range in one go instead of by a fault each: worth it from about 256 KiB,
  /// before an attached segment is read or written there. Only a hint: errors do not matter.
  public func populate(at offset: Int, count: Int) {
    guard count > 0, offset >= 0, offset <= byteCount, count <= byteCount - offset else { return }
    let page = sysconf(Int32(_SC_PAGESIZE))
    let start = offset / page * page
    madvise(
      base + start, offset + count - start,
      isWritable ? Advice.populateWrite : Advice.populateRead)
  }

  /// Gives a step its pages and maps them; does nothing to their contents, so several threads
  /// and writers of the same step do not disturb each other.
  func commit(step: Int) throws(StoreError) {
    let offset = step << Self.stepShift
    try touch(offset, try allocatePages(offset))
    mark(step, StepState.touched)
  }

  /// Gives a step its pages in the file alone: cheaper by half than `commit`, and enough for those
  /// who write through the file, or in another process.
  func allocate(step: Int) throws(StoreError) {
    if isPrivate { return try commit(step: step) }
    _ = try allocatePages(step << Self.stepShift)
    mark(step, StepState.allocated)
  }

  /// Takes the pages of steps away again; nobody may use them.
  func decommit(_ steps: ClosedRange<Int>) {
    for step in steps { mark(step, StepState.bare) }
    let start = steps.lowerBound << Self.stepShift
    let end = min((steps.upperBound + 1) << Self.stepShift, byteCount)
    let dontNeed = Int32(MADV_DONTNEED)
    madvise(base + start, end - start, isPrivate ? dontNeed : Advice.remove)
  }

  /// The length of the step.
  private func allocatePages(_ offset: Int) throws(StoreError) -> Int {
    let length = min(Self.stepBytes, byteCount - offset)
    if descriptor >= 0, let code = Fallocate.run(descriptor, offset, length) {
      throw failure("fallocate", code)
    }
    return length
  }

  /// Maps the pages of a step that has them.
  func map(step: Int) throws(StoreError) {
    let offset = step << Self.stepShift
    try touch(offset, min(Self.stepBytes, byteCount - offset))
    mark(step, StepState.touched)
  }

  private func touch(_ offset: Int, _ length: Int) throws(StoreError) {
    while madvise(base + offset, length, Advice.populateWrite) != 0 {
      switch errno {
      case EINTR, EAGAIN: continue
      case EINVAL:
        // A kernel before 5.14. An atomic no-op dirties a page and loses no write of another.
        for page in stride(from: offset, to: offset + length, by: 4096) {
          (base + page).assumingMemoryBound(to: Atomic<UInt8>.self).pointee
            .bitwiseOr(0, ordering: .relaxed)
        }
        return
      default: throw failure("madvise", errno == EFAULT ? ENOSPC : errno)
      }
    }
  }

  private func writeThrough(
    _ source: UnsafeRawPointer, _ count: Int, at offset: Int
  ) throws(StoreError) {
    var done = 0
    while done < count {
      let written = pwrite(descriptor, source + done, count - done, offset + done)
      if written > 0 {
        done += written
      } else if written == 0 || errno != EINTR {
        throw failure("pwrite", written == 0 ? ENOSPC : errno)
      }
    }
  }

  private func failure(_ call: String, _ code: Int32) -> StoreError {
    guard code == ENOSPC || code == ENOMEM || code == EDQUOT else {
      return .system(call: call, path: path, code: code)
    }
    return .sharedMemoryFull(
      path: path, asked: ByteCount(Self.stepBytes), free: freeBytes(at: path) ?? .zero)
  }
}
