import Glibc
import RealWorld

/// A directory of its own, until `remove`: what its users do must not depend on when the optimiser
/// lets go of the last reference.
struct ScratchDirectory {
  let path: String

  init() {
    var template = Array("/tmp/heliostat-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { fatalError("no directory in /tmp: \(errno)") }
    path = String(cString: made)
  }

  /// With what lies in it, and in directories in it.
  func remove() {
    for name in entries where unlink("\(path)/\(name)") != 0 {
      for inner in listing("\(path)/\(name)") { unlink("\(path)/\(name)/\(inner)") }
      rmdir("\(path)/\(name)")
    }
    rmdir(path)
  }

  var entries: [String] { listing(path) }

  /// An empty file that nobody has locked.
  func touch(_ name: String) {
    let descriptor = open("\(path)/\(name)", O_RDWR | O_CREAT, 0o600)
    close(descriptor)
  }
}

func listing(_ directory: String) -> [String] {
  guard let stream = opendir(directory) else { return [] }
  defer { closedir(stream) }
  var names: [String] = []
  while let entry = readdir(stream) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names.sorted()
}

/// A file system in memory of limited size, until `remove`; nil when this user may not mount one.
struct SmallFileSystem {
  let directory = ScratchDirectory()

  init?(byteCount: Int) {
    let code = "size=\(byteCount)".withCString { options in
      mount("tmpfs", directory.path, "tmpfs", 0, options)
    }
    if code != 0 {
      directory.remove()
      return nil
    }
  }

  static let isAllowed: Bool = {
    let trial = SmallFileSystem(byteCount: 1 << 20)
    trial?.remove()
    return trial != nil
  }()

  func remove() {
    let detach: Int32 = 2
    umount2(directory.path, detach)
    directory.remove()
  }
}

/// A program with a pipe to and from it.
final class Child {
  private var process = pid_t()
  private var input: [Int32] = [-1, -1]
  private var output: [Int32] = [-1, -1]

  init(_ command: [String]) {
    pipe(&input)
    pipe(&output)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, input[0], 0)
    posix_spawn_file_actions_adddup2(&actions, output[1], 1)
    for end in [input[1], output[0]] { posix_spawn_file_actions_addclose(&actions, end) }
    var arguments = command.map { strdup($0) } + [nil]
    posix_spawn(&process, command[0], &actions, nil, &arguments, environ)
    for argument in arguments { free(argument) }
    posix_spawn_file_actions_destroy(&actions)
    close(input[0])
    close(output[1])
  }

  deinit {
    if process > 0 { kill() }
    close(input[1])
    close(output[0])
  }

  /// Sends a byte and waits for one; 1 when it came.
  func echo() -> Int {
    var byte: UInt8 = 1
    _ = write(input[1], &byte, 1)
    return read(output[0], &byte, 1)
  }

  /// Ends the program as a crash would, and waits for its end.
  func kill() {
    _ = Glibc.kill(process, SIGKILL)
    waitpid(process, nil, 0)
    process = 0
  }
}

/// The error of a body, for calls on values that a macro cannot capture.
func failure(_ body: () throws(StoreError) -> Void) -> StoreError? {
  do throws(StoreError) {
    try body()
    return nil
  } catch {
    return error
  }
}

/// Bytes that tell `seed` and their place.
func pattern(_ seed: UInt64, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: (seed &+ UInt64($0)) &* 0x9E37_79B9_7F4A_7C15 >> 56) }
}
