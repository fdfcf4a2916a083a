import Glibc
import Primitives

// How a worker process hears in the midst of a task what is to stop: over a link for that alone, which its
// main thread reads. The other is read by the thread that runs the tasks, when it runs none.
//
// A word for each request: the task's number (`WorkerFrame.number`), doubled, and one more for a recursive one.

/// The node's end.
final class CancellationWriter {
  private let descriptor: Int32
  /// What the link could not take yet.
  private var words: [UInt64] = []

  private init(_ descriptor: Int32) { self.descriptor = descriptor }

  /// A link: this end of it, and the descriptor for the process, which the caller closes.
  /// - Throws: `ProcessSpawn.Failure` when there are no descriptors left.
  static func open() throws(ProcessSpawn.Failure) -> (CancellationWriter, reader: Int32) {
    var ends: [Int32] = [-1, -1]
    // Of packets: they are taken whole or not at all.
    let kind = Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
      throw ProcessSpawn.Failure(
        description: "no link to a worker process: \(errorText(errno))")
    }
    return (CancellationWriter(ends[1]), ends[0])
  }

  deinit { close(descriptor) }

  func append(_ number: TaskHandle, isRecursive: Bool) {
    words.append(UInt64(number.index) << 1 | (isRecursive ? 1 : 0))
  }

  /// Writes what there is; false when some has to wait.
  func flush() -> Bool {
    while !words.isEmpty {
      let count = min(words.count, 256)
      let byteCount = count * MemoryLayout<UInt64>.size
      // The process may be stopped: its node does not wait for it.
      let sent = words.withUnsafeBytes {
        send(descriptor, $0.baseAddress!, byteCount, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if sent == byteCount {
        words.removeFirst(count)
        continue
      }
      if sent < 0 && errno == EINTR { continue }
      if sent < 0 && (errno == EAGAIN || errno == ENOBUFS) { return false }
      // Nobody is there to read them; the link says so too.
      words = []
    }
    return true
  }
}

/// The process's end.
struct CancellationReader {
  /// Negative when the node has closed its end.
  private(set) var descriptor: Int32
  private var bytes = [UInt8](repeating: 0, count: 4096)

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  /// Reads what is there, waiting for something.
  mutating func read(_ body: (_ number: TaskHandle, _ isRecursive: Bool) -> Void) {
    let count = recv(descriptor, &bytes, bytes.count, 0)
    if count < 0 && (errno == EINTR || errno == EAGAIN) { return }
    guard count > 0 else {
      descriptor = -1
      return
    }
    bytes.withUnsafeBytes { bytes in
      for place in stride(from: 0, to: count, by: MemoryLayout<UInt64>.size) {
        let word = bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        body(TaskHandle(UInt32(truncatingIfNeeded: word >> 1)), word & 1 == 1)
      }
    }
  }
}
