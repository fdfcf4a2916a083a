import Foundation
import Glibc
import RealWorld

/// A process that this one has started. It is told to go by the end of its standard input, which also
/// comes when this process dies, however it dies.
final class ChildProcess: @unchecked Sendable {
  let identifier: pid_t
  private let input: Int32
  private let output: Int32
  private let condition = NSCondition()
  /// What `waitpid` said; nil as long as it runs.
  private var status: Int32?
  private var isInputOpen = true
  private var ended: (@Sendable (Int32) -> Void)?

  /// Starts `command`, the path of a program and its arguments, in a process group of its own, so that
  /// Ctrl-C in a terminal reaches this process alone. Standard error is shared.
  ///
  /// - Throws: `LocalClusterError` when it cannot be started.
  init(_ command: [String]) throws(LocalClusterError) {
    // Closed in later children: one that held another's input would keep it from its end.
    var toChild: [Int32] = [0, 0]
    var fromChild: [Int32] = [0, 0]
    guard pipe(&toChild) == 0 else { throw LocalClusterError("no pipe", errno) }
    guard pipe(&fromChild) == 0 else {
      let code = errno
      for descriptor in toChild { close(descriptor) }
      throw LocalClusterError("no pipe", code)
    }
    for descriptor in toChild + fromChild { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var defaults = sigset_t()
    sigemptyset(&defaults)
    for signal in [SIGINT, SIGTERM, SIGPIPE, SIGHUP] { sigaddset(&defaults, signal) }
    posix_spawnattr_setsigdefault(&attributes, &defaults)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGDEF))
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var identifier = pid_t()
    let code = posix_spawn(&identifier, command[0], &actions, &attributes, arguments, environ)
    close(toChild[0])
    close(fromChild[1])
    guard code == 0 else {
      close(toChild[1])
      close(fromChild[0])
      throw LocalClusterError("'\(command[0])' cannot be started", code)
    }
    self.identifier = identifier
    input = toChild[1]
    output = fromChild[0]
    Thread.detachNewThread { [self] in watch() }
  }

  deinit {
    closeInput()
    close(output)
  }

  /// Waits for the end. The number stays the process's own until `status` is set.
  private func watch() {
    var information = siginfo_t()
    while waitid(P_PID, id_t(identifier), &information, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
    condition.lock()
    var status: Int32 = 0
    while waitpid(identifier, &status, 0) < 0 && errno == EINTR {}
    self.status = status
    let heard = ended
    ended = nil
    condition.broadcast()
    condition.unlock()
    heard?(status)
  }

  /// Has `body` called with its status when it ends; at once when it has.
  func whenEnded(_ body: @escaping @Sendable (Int32) -> Void) {
    condition.lock()
    let status = self.status
    if status == nil { ended = body }
    condition.unlock()
    if let status { body(status) }
  }

  /// The next line of its standard output; nil when there is none within `seconds`, or it has ended.
  func readLine(seconds: Int) -> String? {
    var bytes: [UInt8] = []
    let deadline = DispatchTime.now().uptimeNanoseconds + UInt64(seconds) * 1_000_000_000
    while true {
      let now = DispatchTime.now().uptimeNanoseconds
      let left = deadline > now ? (deadline - now) / 1_000_000 : 0
      var descriptor = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
      let ready = poll(&descriptor, 1, Int32(clamping: left))
      if ready < 0 && errno == EINTR { continue }
      var byte: UInt8 = 0
      guard ready > 0, read(output, &byte, 1) == 1 else { return nil }
      if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
    }
  }

  /// Tells it to go.
  func closeInput() {
    condition.lock()
    if isInputOpen { close(input) }
    isInputOpen = false
    condition.unlock()
  }

  /// Its status when it has ended within `seconds`.
  func wait(seconds: Double) -> Int32? {
    let deadline = Date(timeIntervalSinceNow: seconds)
    condition.lock()
    defer { condition.unlock() }
    while status == nil && condition.wait(until: deadline) {}
    return status
  }

  /// Sends it a signal, if it is still there.
  func send(_ signal: Int32) {
    condition.lock()
    if status == nil { kill(identifier, signal) }
    condition.unlock()
  }

  /// Ends it, and waits for that: by force after `seconds`.
  func stop(seconds: Double = 5) {
    closeInput()
    if wait(seconds: seconds) != nil { return }
    send(SIGKILL)
    _ = wait(seconds: 60)
  }

  /// A status in words: `ended with code 1`, `was killed by SIGKILL`.
  static func describe(_ status: Int32) -> String { "\(ExitStatus(status))" }
}

/// Why a local cluster could not be started.
public struct LocalClusterError: Error, Sendable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
  init(_ what: String, _ code: Int32) {
    description = "\(what): \(String(cString: strerror(code)))"
  }
}
