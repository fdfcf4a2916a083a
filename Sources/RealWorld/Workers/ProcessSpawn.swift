import Glibc

/// How a process ended, in words.
public struct ExitStatus: Sendable, Equatable, CustomStringConvertible {
  /// As `waitpid` gives it.
  public let raw: Int32

  public init(_ raw: Int32) { self.raw = raw }

  /// The exit code; nil for a process that a signal has killed.
  public var code: Int32? { raw & 0x7f == 0 ? raw >> 8 & 0xff : nil }

  /// `ended with code 1`, `was killed by SIGKILL`.
  public var description: String {
    let signal = raw & 0x7f
    if signal == 0 { return "ended with code \(raw >> 8 & 0xff)" }
    let names: [Int32: String] = [
      SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL",
      SIGTRAP: "SIGTRAP", SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE",
      SIGKILL: "SIGKILL", SIGSEGV: "SIGSEGV", SIGPIPE: "SIGPIPE", SIGTERM: "SIGTERM",
    ]
    return "was killed by \(names[signal] ?? "signal \(signal)")"
  }
}

/// Starts worker processes.
enum ProcessSpawn {
  /// The descriptors of a worker process: the first three are as usual, the others for it alone.
  static let linkDescriptor: Int32 = 3
  static let progressDescriptor: Int32 = 4
  static let cancellationDescriptor: Int32 = 5

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Starts a program that has `link`, `progress` and `cancellations` at the descriptors above and
  /// nothing else of this process but its output. Its input is empty. It gets a process group of its own, so that Ctrl-C in
  /// a terminal is for the node alone, and usual signals.
  static func start(
    _ command: [String], environment: [String: String], link: Int32, progress: Int32,
    cancellations: Int32
  ) throws(Failure) -> pid_t {
    // Out of the way first: one might have the other's place.
    let ends = [link, progress, cancellations].map { fcntl($0, F_DUPFD_CLOEXEC, 16) }
    defer { for end in ends where end >= 0 { close(end) } }
    guard !ends.contains(-1) else {
      throw Failure(description: "no descriptors for a worker process: \(errorText(errno))")
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[0], linkDescriptor)
    posix_spawn_file_actions_adddup2(&actions, ends[1], progressDescriptor)
    posix_spawn_file_actions_adddup2(&actions, ends[2], cancellationDescriptor)
    closeOthers(&actions)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK))
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    var variables: [UnsafeMutablePointer<CChar>?] = inherited(without: environment)
    variables += environment.map { strdup("\($0.key)=\($0.value)") }
    variables.append(nil)
    defer { for text in arguments + variables { free(text) } }
    var identifier = pid_t()
    let code = posix_spawn(
      &identifier, command[0], &actions, &attributes, arguments, variables)
    guard code == 0 else {
      throw Failure(description: "'\(command[0])' cannot be started: \(errorText(code))")
    }
    return identifier
  }

  /// The environment of this process but for some variables.
  private static func inherited(
    without names: [String: String]
  ) -> [UnsafeMutablePointer<CChar>?] {
    var kept: [UnsafeMutablePointer<CChar>?] = []
    var next = environ
    while let entry = next.pointee {
      let name = String(String(cString: entry).prefix { $0 != "=" })
      if names[name] == nil { kept.append(strdup(entry)) }
      next += 1
    }
    return kept
  }

  /// A GNU extension, which the Glibc module does not show. Without it descriptors of this process that
  /// are not closed on `exec` would be open there.
  private static func closeOthers(_ actions: inout posix_spawn_file_actions_t) {
    typealias Function =
      @convention(c) (
        UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32
      ) -> Int32
    guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
    _ = unsafeBitCast(symbol, to: Function.self)(&actions, cancellationDescriptor + 1)
  }
}

/// A page that a worker process and its node share: how many tasks the worker has begun. It survives the
/// worker, so the node can tell which task it was at when it ended.
final class ProgressPage: @unchecked Sendable {
  /// For the process that is given the page.
  let descriptor: Int32
  private let words: UnsafeMutablePointer<UInt64>
  private static let byteCount = 4096

  /// A page of its own.
  /// - Throws: `ProcessSpawn.Failure`.
  init() throws(ProcessSpawn.Failure) {
    typealias Create = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
    guard let symbol = dlsym(nil, "memfd_create") else {
      throw ProcessSpawn.Failure(description: "this system has no memfd_create")
    }
    let closeOnExec: UInt32 = 1
    descriptor = unsafeBitCast(symbol, to: Create.self)("heliostat-worker", closeOnExec)
    guard descriptor >= 0, ftruncate(descriptor, Self.byteCount) == 0,
      let base = mmap(
        nil, Self.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else {
      let text = errorText(errno)
      if descriptor >= 0 { close(descriptor) }
      throw ProcessSpawn.Failure(description: "no page to share with a worker process: \(text)")
    }
    words = base.bindMemory(to: UInt64.self, capacity: Self.byteCount / 8)
  }

  /// The page that this process was given; nil when there is none.
  init?(inherited descriptor: Int32) {
    self.descriptor = descriptor
    guard
      let base = mmap(
        nil, Self.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      base != MAP_FAILED
    else { return nil }
    words = base.bindMemory(to: UInt64.self, capacity: Self.byteCount / 8)
  }

  deinit {
    munmap(words, Self.byteCount)
    close(descriptor)
  }

  /// Tasks begun so far. Written by one process; read by the other after its end.
  var begun: UInt64 {
    get { words.pointee }
    set { words.pointee = newValue }
  }
}
