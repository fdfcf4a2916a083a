import Glibc

/// Names of files that live as long as the process that made them:
/// `<prefix>-<user>-<process>-<random>`. The owner holds an `flock` for its life, so that a free
/// lock tells a dead owner, whatever became of its process number.
struct OwnedName {
  let prefix: String

  /// One word of letters, so that no two prefixes match the same names.
  init(prefix: String) { self.prefix = prefix }

  private var start: String { "\(prefix)-\(getuid())-" }

  func fresh() -> String {
    start + "\(getpid())-" + String(UInt64.random(in: .min ... .max), radix: 16)
  }

  /// True for names as `fresh` makes them, of this user.
  func matches(_ name: String) -> Bool {
    guard name.hasPrefix(start) else { return false }
    let fields = name.utf8.dropFirst(start.utf8.count).split(
      separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    return fields.count == 2 && Int(Substring(fields[0])) != nil
      && UInt64(Substring(fields[1]), radix: 16) != nil
  }

  /// The matching entries of a directory, sorted; none when it cannot be read.
  func entries(of directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var found: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: $0.pointee)) {
          String(cString: $0)
        }
      }
      if matches(name) { found.append(name) }
    }
    return found.sorted()
  }

  /// Opens `path`, takes its lock, and makes sure that the name still means this file: between
  /// opening and locking somebody may have removed it. Nil when it is locked or gone.
  static func lock(_ path: String, create: Bool) throws(StoreError) -> Int32? {
    let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT | O_EXCL : 0)
    let descriptor = open(path, flags, 0o600)
    if descriptor < 0 {
      if errno == (create ? EEXIST : ENOENT) { return nil }
      throw StoreError.system(call: "open", path: path, code: errno)
    }
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      close(descriptor)
      if code == EWOULDBLOCK { return nil }
      throw StoreError.system(call: "flock", path: path, code: code)
    }
    var opened = stat()
    var named = stat()
    if fstat(descriptor, &opened) == 0, lstat(path, &named) == 0,
      opened.st_ino == named.st_ino, opened.st_dev == named.st_dev
    {
      return descriptor
    }
    close(descriptor)
    return nil
  }

  /// Removes the files of this user in `directory` whose owner is dead; returns their names.
  /// A file that is not ours to open or lock is left alone.
  func removeAbandonedFiles(in directory: String) -> [String] {
    var removed: [String] = []
    for name in entries(of: directory) {
      let path = "\(directory)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0, status.st_uid == getuid(),
        status.st_mode & S_IFMT == S_IFREG,
        let descriptor = (try? Self.lock(path, create: false)) ?? nil
      else { continue }
      if unlink(path) == 0 { removed.append(name) }
      close(descriptor)
    }
    return removed
  }
}
