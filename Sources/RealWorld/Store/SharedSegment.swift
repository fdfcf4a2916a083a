import Glibc
import Primitives
import Synchronization

/// The memory of one object store: one file, mapped by its node and by every client on the machine.
///
/// Files in memory get their pages on first use, and a full file system then kills the writer with
/// SIGBUS. So the node *commits* steps of the file before anybody uses them, and a full file system
/// is an error. Committing is idempotent and open to any thread, and to clients that write. Pages
/// once handed out stay.
///
/// What is said of a step is what this process knows: to a client all steps are bare at first.
public final class SharedSegment: @unchecked Sendable {
  /// Where a segment may live, in the order in which they are tried.
  public enum Place: Sendable, Equatable {
    /// A file with huge pages in a file system of its own, mounted nowhere: fresh memory costs a
    /// fifth there. Attached through `/proc`. Not every system allows it: see `HugePageFile`.
    case hugePages
    /// A directory; `/dev/shm` is memory, others are what their file system is.
    case directory(String)
    /// Memory without a name, beyond the limit of `/dev/shm`; attached through `/proc`.
    case anonymousMemory
    /// Memory of this process alone, which nobody can attach: the kernel gives it huge pages where
    /// it does not give them to files in memory, and then fresh memory is ten times cheaper.
    case privateMemory
  }

  /// How far a step of the file is prepared.
  enum StepState {
    static let bare: UInt8 = 0
    /// The file has its pages; the mapping may still fault, softly.
    static let allocated: UInt8 = 1
    /// The mapping has its pages too.
    static let touched: UInt8 = 2
  }

  /// Memory is committed in steps of this many bytes.
  public static let stepBytes = 1 << 20
  static let stepShift = 20
  static let names = OwnedName(prefix: "heliostat")

  /// What another process on this machine passes to `attach`.
  public let path: String
  /// The first byte in this process; other processes map the segment elsewhere.
  public let base: UnsafeMutableRawPointer
  public let byteCount: Int
  public let isWritable: Bool
  let isOwner: Bool
  /// -1 where there is no file: in private memory, or when it can only be read.
  let descriptor: Int32
  /// Fresh memory costs about as much as writing it: then little is to be gained by making it ahead.
  let hasHugePages: Bool
  let stepCount: Int
  let steps: UnsafeMutablePointer<Atomic<UInt8>>
  private let prefix = Atomic<Int>(0)
  /// Held while `prefix` changes: once for each step.
  private let prefixLock = Mutex<Void>(())
  private let isNamed: Atomic<Bool>

  init(
    path: String, descriptor: Int32, base: UnsafeMutableRawPointer, byteCount: Int,
    isOwner: Bool, isNamed: Bool, isWritable: Bool, hasHugePages: Bool
  ) {
    self.path = path
    self.descriptor = descriptor
    self.base = base
    self.byteCount = byteCount
    self.isOwner = isOwner
    self.isNamed = Atomic(isNamed)
    self.isWritable = isWritable
    self.hasHugePages = hasHugePages
    stepCount = isWritable ? (byteCount + Self.stepBytes - 1) >> Self.stepShift : 0
    steps = .allocate(capacity: max(stepCount, 1))
    for i in 0..<stepCount { (steps + i).initialize(to: Atomic(StepState.bare)) }
  }

  deinit {
    removeName()
    munmap(base, byteCount)
    if descriptor >= 0 { close(descriptor) }
    steps.deallocate()
  }

  /// Whether pages are made in this process's memory and not in a file.
  var isPrivate: Bool { isOwner && descriptor < 0 }
  /// Whether this process can make pages and write through the file.
  var canCommit: Bool { isOwner || (isWritable && descriptor >= 0) }

  /// Takes the name away: nobody attaches any more, who has attached keeps the memory. The owner's
  /// `deinit` does so too.
  public func removeName() {
    if isNamed.exchange(false, ordering: .relaxed) { unlink(path) }
  }

  /// The bytes at `offset`; the range must be one that the store handed out.
  public func bytes(at offset: Int, count: Int) -> UnsafeMutableRawBufferPointer {
    precondition(
      offset >= 0 && count >= 0 && offset <= byteCount && count <= byteCount - offset,
      "bytes \(offset) + \(count) lie outside of the segment of \(byteCount)")
    return UnsafeMutableRawBufferPointer(start: base + offset, count: count)
  }

  /// Every byte below is committed.
  public var committedMark: Int {
    min(prefix.load(ordering: .acquiring) << Self.stepShift, byteCount)
  }

  /// Whether writing here can neither fail nor wait for pages from the file system.
  public func isCommitted(at offset: Int, count: Int) -> Bool {
    if offset + count <= committedMark { return true }
    if count == 0 { return true }
    for step in offset >> Self.stepShift...(offset + count - 1) >> Self.stepShift
    where state(step) == StepState.bare { return false }
    return true
  }

  /// Whether the mapping of this process has all pages of a range: writing there takes no fault.
  func isTouched(at offset: Int, count: Int) -> Bool {
    if count == 0 { return true }
    for step in offset >> Self.stepShift...(offset + count - 1) >> Self.stepShift
    where state(step) != StepState.touched { return false }
    return true
  }

  func state(_ step: Int) -> UInt8 { steps[step].load(ordering: .acquiring) }

  func mark(_ step: Int, _ state: UInt8) {
    prefixLock.withLock { _ in
      steps[step].store(state, ordering: .releasing)
      var reached = prefix.load(ordering: .relaxed)
      if state == StepState.bare {
        if step < reached { prefix.store(step, ordering: .releasing) }
        return
      }
      guard step == reached else { return }
      while reached < stepCount && self.state(reached) != StepState.bare { reached += 1 }
      prefix.store(reached, ordering: .releasing)
    }
  }
}
