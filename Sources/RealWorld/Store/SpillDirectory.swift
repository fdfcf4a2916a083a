import Glibc
import Primitives
import Synchronization

/// One file of spilled objects.
final class SpillFile: Sendable {
  let path: String
  private let handle: Atomic<Int32>

  init(path: String) throws(StoreError) {
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if descriptor < 0 { throw StoreError.system(call: "open", path: path, code: errno) }
    self.path = path
    handle = Atomic(descriptor)
  }

  deinit { end() }

  private var descriptor: Int32 { handle.load(ordering: .relaxed) }

  /// Closes the file; after the last job on it. For one that was removed this gives the disk space
  /// back, which takes about 50 ms per GB.
  func end() {
    let descriptor = handle.exchange(-1, ordering: .relaxed)
    if descriptor >= 0 { close(descriptor) }
  }

  func write(_ source: UnsafeRawPointer, count: Int, at offset: Int) throws(StoreError) {
    var done = 0
    while done < count {
      let written = pwrite(descriptor, source + done, min(count - done, 64 << 20), offset + done)
      if written > 0 {
        done += written
        continue
      }
      let code = written == 0 ? ENOSPC : errno
      switch code {
      case EINTR: continue
      case ENOSPC, EDQUOT, EFBIG:
        throw .diskFull(path: path, asked: ByteCount(count), free: freeBytes(at: path) ?? .zero)
      default: throw .system(call: "pwrite", path: path, code: code)
      }
    }
  }

  func read(
    into destination: UnsafeMutableRawPointer, count: Int, at offset: Int
  ) throws(StoreError) {
    var done = 0
    while done < count {
      let read = pread(descriptor, destination + done, min(count - done, 64 << 20), offset + done)
      if read > 0 {
        done += read
      } else if read == 0 {
        throw .truncated(path: path)
      } else if errno != EINTR {
        throw .system(call: "pread", path: path, code: errno)
      }
    }
  }

  /// Gives the disk space back; only when nobody reads or writes the file.
  func empty() { _ = ftruncate(descriptor, 0) }
}

/// Where spilled bytes lie.
struct SpillLocation: BitwiseCopyable, Equatable {
  var file: UInt32
  var offset: Int
}

/// The disk space of the spilled objects of one node: a few files, each filled from its start and
/// removed when none of its objects is left. Owned by one event loop; only the files are touched by
/// other threads. Everything is removed when the owner goes, or by `removeAbandoned` if it died.
public struct SpillDirectory: ~Copyable {
  static let names = OwnedName(prefix: "heliostat_spill")
  static let lockName = "owner.lock"

  struct File {
    var file: SpillFile
    var end: Int
    var live: Int
  }

  /// The directory of this owner, below the one that was named.
  public let path: String
  /// A file that has reached this size takes no more objects.
  public let fileLimit: Int
  private let lock: Int32
  private var files: [File?] = []
  private var current: Int?
  private var sequence = 0

  /// Makes a directory for this process below `parent`, which must exist.
  /// - Throws: `system` when `parent` cannot be written.
  public init(in parent: String, fileLimit: Int = 64 << 20) throws(StoreError) {
    precondition(fileLimit > 0, "spill files of \(fileLimit) bytes")
    self.fileLimit = fileLimit
    while true {
      let path = "\(parent)/\(Self.names.fresh())"
      if mkdir(path, 0o700) != 0 {
        if errno == EEXIST { continue }
        throw .system(call: "mkdir", path: path, code: errno)
      }
      do throws(StoreError) {
        if let lock = try OwnedName.lock("\(path)/\(Self.lockName)", create: true) {
          self.path = path
          self.lock = lock
          return
        }
      } catch {
        // Gone: somebody who cleans up saw the directory before its lock.
        if case .system("open", _, ENOENT) = error { continue }
        rmdir(path)
        throw error
      }
    }
  }

  deinit {
    Self.removeContents(of: path)
    close(lock)
  }

  /// Removes the spill directories of this user below `parent` whose owner is dead; returns their
  /// names.
  public static func removeAbandoned(in parent: String) -> [String] {
    var removed: [String] = []
    for name in names.entries(of: parent) {
      let path = "\(parent)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0, status.st_uid == getuid(),
        status.st_mode & S_IFMT == S_IFDIR
      else { continue }
      // Its owner may have died before it made the lock.
      let lockPath = "\(path)/\(lockName)"
      let existing = (try? OwnedName.lock(lockPath, create: false)) ?? nil
      guard let lock = existing ?? (try? OwnedName.lock(lockPath, create: true)) ?? nil else {
        continue
      }
      if removeContents(of: path) { removed.append(name) }
      close(lock)
    }
    return removed
  }

  /// Removes a directory without directories in it; the lock last.
  @discardableResult
  static func removeContents(of path: String) -> Bool {
    guard let stream = opendir(path) else { return false }
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) {
          String(cString: $0)
        }
      }
      if name.hasSuffix(".spill") { unlink("\(path)/\(name)") }
    }
    closedir(stream)
    unlink("\(path)/\(lockName)")
    return rmdir(path) == 0
  }

  /// Files that hold objects, or the rest of the one being filled.
  public var fileCount: Int { files.count { $0 != nil } }
  /// Bytes of files, holes included.
  public var byteCount: Int { files.reduce(0) { $0 + ($1?.end ?? 0) } }

  /// Sets aside room for `count` bytes; nothing is written yet.
  mutating func allocate(_ count: Int) throws(StoreError) -> SpillLocation {
    if let current, let file = files[current], file.end > 0, file.end + count > fileLimit {
      self.current = nil
    }
    let index: Int
    if let current {
      index = current
    } else {
      let file = File(file: try SpillFile(path: "\(path)/\(sequence).spill"), end: 0, live: 0)
      sequence += 1
      if let vacant = files.firstIndex(where: { $0 == nil }) {
        files[vacant] = file
        index = vacant
      } else {
        files.append(file)
        index = files.count - 1
      }
      current = index
    }
    let offset = files[index]!.end
    files[index]!.end += count
    files[index]!.live += 1
    return SpillLocation(file: UInt32(index), offset: offset)
  }

  func file(_ location: SpillLocation) -> SpillFile { files[Int(location.file)]!.file }

  /// Gives room back.
  /// - Returns: the file when that was its last object: it is removed, and its space returns with
  ///   `end`, on whichever thread has the time.
  mutating func free(_ location: SpillLocation) -> SpillFile? {
    let index = Int(location.file)
    files[index]!.live -= 1
    guard files[index]!.live == 0 else { return nil }
    // A small one is as soon emptied as replaced.
    if index == current && files[index]!.end < 1 << 20 {
      files[index]!.file.empty()
      files[index]!.end = 0
      return nil
    }
    let file = files[index]!.file
    unlink(file.path)
    files[index] = nil
    if index == current { current = nil }
    return file
  }
}
