import Glibc
import Primitives

extension SharedSegment {
  /// Where other processes can attach.
  public static let sharedPlaces: [Place] = [
    .hugePages, .directory("/dev/shm"), .anonymousMemory,
  ]

  /// Makes a segment of `byteCount` bytes, rounded up to whole pages, in the first place with room.
  ///
  /// The file gets its size at once and its pages by `commit`. The lock on it is held until the
  /// segment goes, so a later start can tell a live owner from a dead one.
  /// - Throws: `noRoomForSegment` with the reason of each place.
  public static func create(
    byteCount: Int, in places: [Place] = sharedPlaces
  ) throws(StoreError) -> SharedSegment {
    let page = sysconf(Int32(_SC_PAGESIZE))
    guard byteCount > 0, byteCount <= 1 << 46 else {
      throw .noRoomForSegment(
        asked: ByteCount(byteCount), tried: ["a store has between 1 B and 64 TiB"])
    }
    let size = (byteCount + page - 1) / page * page
    var tried: [String] = []
    for place in places {
      do throws(StoreError) {
        switch place {
        case .directory(let directory):
          if let why = lack(of: size, in: directory) {
            tried.append(why)
          } else {
            return try create(size, in: directory)
          }
        case .hugePages, .anonymousMemory, .privateMemory:
          if let why = lackOfMemory(size) {
            tried.append("memory has \(why)")
            continue
          }
          switch place {
          case .hugePages: return try createHuge(size)
          case .privateMemory: return try createPrivate(size)
          default: return try createAnonymous(size)
          }
        }
      } catch {
        tried.append("\(error)")
      }
    }
    throw .noRoomForSegment(asked: ByteCount(byteCount), tried: tried)
  }

  /// Maps the segment of another process. Without `writable` the memory can only be read.
  /// - Throws: `system`, or `notASegment` for a file of no or odd size.
  public static func attach(path: String, writable: Bool) throws(StoreError) -> SharedSegment {
    let descriptor = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK)
    if descriptor < 0 { throw .system(call: "open", path: path, code: errno) }
    do throws(StoreError) {
      let (size, hasHugePages) = try size(of: descriptor, path)
      let base = try map(descriptor, size, writable: writable, path: path)
      // The mapping keeps the file; only those who write need the descriptor.
      if !writable { close(descriptor) }
      return SharedSegment(
        path: path, descriptor: writable ? descriptor : -1, base: base, byteCount: size,
        isOwner: false, isNamed: false, isWritable: writable, hasHugePages: hasHugePages)
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// A file system that gives huge pages says so by the size of its blocks.
  private static func size(
    of descriptor: Int32, _ path: String
  ) throws(StoreError) -> (Int, hasHugePages: Bool) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .system(call: "fstat", path: path, code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .notASegment(path: path, why: "it is no regular file")
    }
    let size = Int(status.st_size)
    guard size > 0, size % sysconf(Int32(_SC_PAGESIZE)) == 0 else {
      throw .notASegment(path: path, why: "its size, \(size), is not a number of pages")
    }
    return (size, Int(status.st_blksize) == HugePageFile.pageBytes)
  }

  /// Removes segments of this user in `directory` whose owner is dead; returns their names.
  public static func removeAbandoned(in directory: String = "/dev/shm") -> [String] {
    names.removeAbandonedFiles(in: directory)
  }

  private static func create(
    _ size: Int, in directory: String
  ) throws(StoreError) -> SharedSegment {
    while true {
      let path = "\(directory)/\(names.fresh())"
      // Nil: somebody who cleans up saw the file before its lock. Another name, then.
      guard let descriptor = try OwnedName.lock(path, create: true) else { continue }
      do throws(StoreError) {
        return try finish(descriptor, size, path: path, isNamed: true)
      } catch {
        unlink(path)
        close(descriptor)
        throw error
      }
    }
  }

  private static func createPrivate(_ size: Int) throws(StoreError) -> SharedSegment {
    let hugePage = HugePageFile.pageBytes
    let whole = size + hugePage
    let start = mmap(
      nil, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let start, start != MAP_FAILED else {
      throw .system(call: "mmap", path: "memory", code: errno)
    }
    let ahead = (hugePage - Int(UInt(bitPattern: start) % UInt(hugePage))) % hugePage
    if ahead > 0 { munmap(start, ahead) }
    let base = start + ahead
    munmap(base + size, whole - ahead - size)
    // Only a wish: where the administrator forbids it, pages are small.
    madvise(base, size, Advice.hugePages)
    return SharedSegment(
      path: "memory of process \(getpid()) alone", descriptor: -1, base: base, byteCount: size,
      isOwner: true, isNamed: false, isWritable: true, hasHugePages: true)
  }

  private static func createAnonymous(_ size: Int) throws(StoreError) -> SharedSegment {
    // A GNU extension, which the Glibc module does not show.
    typealias Create = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
    guard let symbol = dlsym(nil, "memfd_create") else {
      throw .system(call: "memfd_create", path: "memory", code: ENOSYS)
    }
    let closeOnExec: UInt32 = 1
    let descriptor = unsafeBitCast(symbol, to: Create.self)("heliostat", closeOnExec)
    if descriptor < 0 { throw .system(call: "memfd_create", path: "memory", code: errno) }
    return try finishUnnamed(descriptor, size)
  }

  private static func createHuge(_ size: Int) throws(StoreError) -> SharedSegment {
    let segment = try finishUnnamed(try HugePageFile.open(byteCount: size), size)
    // Too small for one, or `shmem_enabled` is "deny", or the system knows only larger ones.
    guard segment.hasHugePages else {
      throw .system(call: "huge=", path: "a file system for huge pages", code: ENOTSUP)
    }
    return segment
  }

  private static func finishUnnamed(
    _ descriptor: Int32, _ size: Int
  ) throws(StoreError) -> SharedSegment {
    do throws(StoreError) {
      let path = "/proc/\(getpid())/fd/\(descriptor)"
      return try finish(descriptor, size, path: path, isNamed: false)
    } catch {
      close(descriptor)
      throw error
    }
  }

  private static func finish(
    _ descriptor: Int32, _ size: Int, path: String, isNamed: Bool
  ) throws(StoreError) -> SharedSegment {
    guard ftruncate(descriptor, size) == 0 else {
      throw .system(call: "ftruncate", path: path, code: errno)
    }
    let (_, hasHugePages) = try Self.size(of: descriptor, path)
    // Now rather than with the first object: a file system may not know how to reserve.
    if let code = Fallocate.run(descriptor, 0, 1) {
      throw .system(call: "fallocate", path: path, code: code)
    }
    let base = try map(descriptor, size, writable: true, path: path)
    // Ten times cheaper faults where the administrator lets shared memory have huge pages.
    madvise(base, size, Advice.hugePages)
    return SharedSegment(
      path: path, descriptor: descriptor, base: base, byteCount: size, isOwner: true,
      isNamed: isNamed, isWritable: true, hasHugePages: hasHugePages)
  }

  private static func map(
    _ descriptor: Int32, _ size: Int, writable: Bool, path: String
  ) throws(StoreError) -> UnsafeMutableRawPointer {
    let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
    let base = mmap(nil, size, protection, MAP_SHARED, descriptor, 0)
    guard let base, base != MAP_FAILED else {
      throw .system(call: "mmap", path: path, code: errno)
    }
    return base
  }

  /// Why `directory` cannot take `size` bytes; nil when it can.
  private static func lack(of size: Int, in directory: String) -> String? {
    guard let free = freeBytes(at: directory) else {
      return "\(directory): \(errorText(errno))"
    }
    return free < ByteCount(size) ? "\(directory) has \(free) free, \(ByteCount(size)) asked" : nil
  }

  private static func lackOfMemory(_ size: Int) -> String? {
    guard let available = availableMemory(), available < ByteCount(size) else { return nil }
    return "\(available) available, \(ByteCount(size)) asked"
  }
}

/// What the kernel says it can give without swapping, `MemAvailable`, within the limit of the
/// control group; nil where neither is told.
func availableMemory() -> ByteCount? {
  var available: UInt64?
  if let text = smallFile("/proc/meminfo") {
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      let words = line.split(separator: " ")
      if words.count > 1, let kibibytes = UInt64(words[1]) { available = kibibytes * 1024 }
    }
  }
  func number(_ path: String) -> UInt64? {
    smallFile(path).flatMap { UInt64($0.prefix { $0.isNumber }) }
  }
  if let limit = number("/sys/fs/cgroup/memory.max"),
    let used = number("/sys/fs/cgroup/memory.current")
  {
    available = min(available ?? .max, limit > used ? limit - used : 0)
  }
  return available.map { ByteCount($0) }
}

/// The first 4 KiB of a file of the kernel.
private func smallFile(_ path: String) -> String? {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  var bytes = [UInt8](repeating: 0, count: 4096)
  let count = read(descriptor, &bytes, bytes.count)
  return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
}
