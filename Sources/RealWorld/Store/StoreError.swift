import Glibc
import Primitives

/// What may go wrong with the bytes of objects: each case says what was asked and what to do.
public enum StoreError: Error, Equatable, Sendable {
  /// The key is taken, also while a deleted object is still pinned.
  case alreadyExists(key: UInt64)
  /// The key is not known here.
  case unknown(key: UInt64)
  /// `WordMap.emptyKey` cannot name an object.
  case reservedKey
  /// The object is still being written.
  case notSealed(key: UInt64)
  /// The object was sealed before: it can be deleted, neither sealed nor aborted.
  case alreadySealed(key: UInt64)
  /// Somebody reads the object.
  case pinned(key: UInt64, pins: UInt32)
  /// The bytes are on disk and have to be restored first.
  case notInMemory(key: UInt64)
  /// Asked to restore what is in memory.
  case notSpilled(key: UInt64)
  /// A spill or restore of the object is under way.
  case busy(key: UInt64)
  /// No hole of `asked` bytes within the capacity.
  case doesNotFit(asked: ByteCount, free: ByteCount, largestHole: ByteCount, capacity: ByteCount)
  /// The region was never leased or is gone.
  case unknownRegion(UInt64)
  /// An object lies outside of its region, or over bytes of an earlier one.
  case badRange(region: UInt64, offset: Int, count: Int, allowed: Range<Int>)
  /// The file system behind the segment ran full although the capacity was not used up.
  case sharedMemoryFull(path: String, asked: ByteCount, free: ByteCount)
  /// No place took a segment of `asked` bytes; each entry says why one did not.
  case noRoomForSegment(asked: ByteCount, tried: [String])
  /// The store was made without a spill directory.
  case noSpillDirectory
  /// The object stays in memory.
  case diskFull(path: String, asked: ByteCount, free: ByteCount)
  /// A file ended before the object did: somebody changed it.
  case truncated(path: String)
  /// What is at `path` cannot be attached.
  case notASegment(path: String, why: String)
  /// A system call failed.
  case system(call: String, path: String, code: Int32)
}

extension StoreError: CustomStringConvertible {
  public var description: String {
    func name(_ key: UInt64) -> String { "object 0x\(String(key, radix: 16))" }
    switch self {
    case .alreadyExists(let key): return "\(name(key)) exists already"
    case .unknown(let key): return "\(name(key)) is not known to this store"
    case .reservedKey: return "the key 0x\(String(UInt64.max, radix: 16)) is reserved"
    case .notSealed(let key): return "\(name(key)) is not sealed: seal or abort it first"
    case .alreadySealed(let key): return "\(name(key)) is sealed already: delete it instead"
    case .pinned(let key, let pins):
      return "\(name(key)) is pinned \(pins) times: release it first"
    case .notInMemory(let key): return "\(name(key)) is on disk: restore it first"
    case .notSpilled(let key): return "\(name(key)) is not on disk"
    case .busy(let key): return "\(name(key)) is just being spilled or restored: wait for the end"
    case .doesNotFit(let asked, let free, let hole, let capacity):
      return """
        \(asked) do not fit: \(free) of \(capacity) free, largest hole \(hole); \
        spill or delete objects, or give the store more memory
        """
    case .unknownRegion(let region): return "region \(region) is not leased: lease a new one"
    case .badRange(let region, let offset, let count, let allowed):
      return """
        an object at \(offset) of \(count) bytes does not lie in the unused rest \
        \(allowed) of region \(region)
        """
    case .sharedMemoryFull(let path, let asked, let free):
      return """
        \(asked) more of \(path) could not be had, \(free) are free there: remove files, enlarge \
        the file system (docker run --shm-size, mount -o remount,size=), or start with a smaller \
        store
        """
    case .noRoomForSegment(let asked, let tried):
      return """
        no room for an object store of \(asked): \(tried.joined(separator: "; ")). Enlarge \
        /dev/shm (docker run --shm-size), ask for a smaller store, or name a directory with room
        """
    case .noSpillDirectory: return "the store has no spill directory: name one at the start"
    case .diskFull(let path, let asked, let free):
      return """
        \(asked) could not be spilled to \(path), \(free) are free there: make room or name \
        another spill directory
        """
    case .truncated(let path): return "\(path) is shorter than what was written to it"
    case .notASegment(let path, let why): return "\(path) is no segment to attach: \(why)"
    case .system(let call, let path, let code):
      return "\(call) of \(path) failed: \(errorText(code))"
    }
  }
}

/// Bytes that an unprivileged user may still write to the file system of `path`; nil when unknown.
func freeBytes(at path: String) -> ByteCount? {
  var status = statvfs()
  guard statvfs(path, &status) == 0 else { return nil }
  let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(
    by: UInt64(status.f_frsize))
  return ByteCount(overflow ? .max : bytes)
}

extension ByteCount {
  init(_ bytes: Int) { self.init(UInt64(max(bytes, 0))) }
}
