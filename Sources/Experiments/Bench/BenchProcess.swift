import Glibc

/// A process that a benchmark has started. It lives until `stop`: the end of its standard input,
/// which also comes when this process dies, tells it to go, so none is left behind.
final class BenchProcess: @unchecked Sendable {
  let identifier: pid_t
  /// The last line that it has printed.
  private(set) var line = ""
  private let input: Int32
  private let output: Int32
  private var isRunning = true

  /// - Throws: `BenchError` when the program cannot be started.
  init(_ command: [String]) throws {
    let toChild = try Self.pipe()
    let fromChild = try Self.pipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var identifier = pid_t()
    let code = posix_spawn(&identifier, command[0], &actions, nil, arguments, environ)
    close(toChild[0])
    close(fromChild[1])
    guard code == 0 else {
      close(toChild[1])
      close(fromChild[0])
      throw BenchError("'\(command[0])' cannot be started: \(String(cString: strerror(code)))")
    }
    self.identifier = identifier
    input = toChild[1]
    output = fromChild[0]
  }

  deinit { stop() }

  /// Closed in later children: one that held another's input would keep it from its end.
  private static func pipe() throws -> [Int32] {
    var ends: [Int32] = [0, 0]
    guard Glibc.pipe(&ends) == 0 else { throw BenchError("no pipe: error \(errno)") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return ends
  }

  /// The next line of its standard output, which becomes `line`.
  ///
  /// - Throws: `BenchError` when it ends without one, or says nothing for two minutes.
  @discardableResult func readLine() throws -> String {
    var bytes: [UInt8] = []
    while true {
      var descriptor = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      guard poll(&descriptor, 1, 120_000) > 0 else {
        throw BenchError("process \(identifier) of the benchmark says nothing")
      }
      var byte: UInt8 = 0
      guard read(output, &byte, 1) == 1 else {
        throw BenchError("process \(identifier) of the benchmark ended: see its message above")
      }
      if byte == UInt8(ascii: "\n") { break }
      bytes.append(byte)
    }
    line = String(decoding: bytes, as: UTF8.self)
    return line
  }

  /// Ends it, and waits for that: five seconds, then by force.
  func stop() {
    guard isRunning else { return }
    isRunning = false
    close(input)
    var status: Int32 = 0
    var patience = 5000
    while waitpid(identifier, &status, WNOHANG) == 0 {
      patience -= 1
      if patience == 0 { kill(identifier, SIGKILL) }
      usleep(1000)
    }
    close(output)
  }

  /// Seconds of processor time that all its threads have used.
  var processorSeconds: Double { ProcessFacts(identifier: identifier).processorSeconds }
  /// Its resident memory in bytes, shared memory included.
  var residentBytes: Double { ProcessFacts(identifier: identifier).residentBytes }
}

/// What the system tells of a process; zero of one that is gone.
struct ProcessFacts {
  let identifier: pid_t

  /// Of this process.
  static var own: ProcessFacts { ProcessFacts(identifier: getpid()) }

  /// Of all threads, those that have ended too.
  var processorSeconds: Double {
    var clock = clockid_t()
    guard clock_getcpuclockid(identifier, &clock) == 0 else { return 0 }
    var time = timespec()
    guard clock_gettime(clock, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// Memory that lies in RAM, shared memory included.
  var residentBytes: Double {
    guard let file = fopen("/proc/\(identifier)/status", "r") else { return 0 }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 14)
    let count = fread(&bytes, 1, bytes.count, file)
    let text = String(decoding: bytes[..<count], as: UTF8.self)
    for line in text.split(separator: "\n") where line.hasPrefix("VmRSS:") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
      return words.count > 1 ? (Double(words[1]) ?? 0) * 1024 : 0
    }
    return 0
  }
}
