import Glibc

/// A file in memory whose pages are huge: it lies in a file system (tmpfs) of its own, mounted
/// nowhere, which goes with the last process that has the file open.
///
/// The kernel decides by file system whether files in memory get huge pages. `/dev/shm` and
/// anonymous files rarely do, and their fresh pages cost ten times more than the bytes written there.
/// Making a file system takes the right to mount; who lacks it makes it in a user namespace, where
/// everybody has that right unless the administrator or the container forbids such namespaces.
enum HugePageFile {
  /// The size of huge pages for which this is meant: elsewhere they are so large that a store would
  /// waste memory on them.
  static let pageBytes = 2 << 20

  /// Opens a new file that takes up to `byteCount` bytes; a rest at its end has small pages.
  /// - Parameter mayMount: false to make it in a namespace in any case.
  /// - Throws: `system` where the kernel or the administrator does not allow it.
  static func open(byteCount: Int, mayMount: Bool = true) throws(StoreError) -> Int32 {
    var request = Request(byteCount: byteCount)
    if mayMount { request.make() } else { request.failure = ("fsopen", EPERM) }
    if request.failure?.code == EPERM { request.makeInNamespace() }
    if let failure = request.failure {
      throw .system(call: failure.call, path: "a file system for huge pages", code: failure.code)
    }
    return request.descriptor
  }
}

/// What a child in a namespace does for its parent, in the memory of both.
private struct Request {
  var descriptor: Int32 = -1
  var failure: (call: String, code: Int32)?
  private let byteCount: String
  /// This user is the same inside of the namespace.
  private let user = "\(geteuid()) \(geteuid()) 1"
  private let group = "\(getegid()) \(getegid()) 1"

  init(byteCount: Int) { self.byteCount = "\(byteCount)" }

  // MARK: The file

  /// Glibc's `syscall`, which the module does not show.
  private typealias SystemCall = @convention(c) (Int, Int, Int, Int, Int, Int) -> Int
  private static let systemCall = dlsym(nil, "syscall").map {
    unsafeBitCast($0, to: SystemCall.self)
  }
  /// Numbers of `fsopen`, `fsconfig` and `fsmount`, the same on all architectures; linux/mount.h.
  private enum Call {
    static let open = 430
    static let configure = 431
    static let mount = 432
    static let closeOnExec = 1
    static let setString = 1
    static let create = 6
    /// No set-user-ID files, no devices, no programs.
    static let attributes = 0x2 | 0x4 | 0x8
  }

  /// Makes the file system, unmounted, and the file.
  mutating func make() {
    failure = nil
    guard let call = Self.systemCall else { return fail("syscall", ENOSYS) }
    let context = "tmpfs".withCString {
      call(Call.open, Int(bitPattern: $0), Call.closeOnExec, 0, 0, 0)
    }
    guard context >= 0 else { return fail("fsopen") }
    defer { close(Int32(context)) }
    // Not "always": a page beyond the end of the file is never huge.
    for (key, value) in [("huge", "within_size"), ("mode", "0700"), ("size", byteCount)] {
      let result = key.withCString { key in
        value.withCString { value in
          call(
            Call.configure, context, Call.setString, Int(bitPattern: key), Int(bitPattern: value), 0
          )
        }
      }
      guard result == 0 else { return fail("fsconfig") }
    }
    guard call(Call.configure, context, Call.create, 0, 0, 0) == 0 else { return fail("fsconfig") }
    let mount = call(Call.mount, context, Call.closeOnExec, Call.attributes, 0, 0)
    guard mount >= 0 else { return fail("fsmount") }
    defer { close(Int32(mount)) }
    descriptor = openat(Int32(mount), "store", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if descriptor < 0 { return fail("openat") }
    unlinkat(Int32(mount), "store", 0)
  }

  private mutating func fail(_ call: String, _ code: Int32 = errno) { failure = (call, code) }

  // MARK: In a namespace

  private typealias Body = @convention(c) (UnsafeMutableRawPointer?) -> Int32
  private typealias Clone =
    @convention(c) (
      Body, UnsafeMutableRawPointer, Int32, UnsafeMutableRawPointer?
    ) -> Int32

  /// As `make`, by a child in a user namespace, where it may mount. The child has the memory and the
  /// descriptors of this process, as that of `posix_spawn` has the memory: the caller waits, other
  /// threads go on.
  mutating func makeInNamespace() {
    guard let symbol = dlsym(nil, "clone") else { return }
    let clone = unsafeBitCast(symbol, to: Clone.self)
    let stackBytes = 256 << 10
    let stack = UnsafeMutableRawPointer.allocate(byteCount: stackBytes, alignment: 64)
    defer { stack.deallocate() }
    // No handler of the program runs in the child.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let memory = 0x100
    let files = 0x400
    let parentWaits = 0x4000
    let mounts = 0x20000
    let users = 0x1000_0000
    let flags = Int32(memory | files | parentWaits | mounts | users)
    let child = withUnsafeMutablePointer(to: &self) {
      clone(
        { $0?.assumingMemoryBound(to: Request.self).pointee.runAsChild() ?? 1 },
        stack + stackBytes, flags, $0)
    }
    guard child > 0 else { return }
    // It sends no signal when it ends, and `waitpid` of others does not find it.
    let cloned: Int32 = Int32(bitPattern: 0x8000_0000)
    var status: Int32 = 0
    while waitpid(child, &status, cloned) < 0 && errno == EINTR {}
  }

  private mutating func runAsChild() -> Int32 {
    Self.write("deny", to: "/proc/self/setgroups")
    Self.write(user, to: "/proc/self/uid_map")
    Self.write(group, to: "/proc/self/gid_map")
    make()
    return 0
  }

  private static func write(_ text: String, to path: String) {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    var text = text
    _ = text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    close(descriptor)
  }
}
