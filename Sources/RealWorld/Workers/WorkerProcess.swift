import Foundation
import Glibc
import Primitives
import RuntimeCore
import WireFormat

/// This process as a worker of a node.
public enum WorkerProcess {
  /// Set in the environment of a process that a node has started as its worker.
  static let variable = "HELIOSTAT_WORKER"

  /// Whether a node has started this process as its worker.
  public static var isAsked: Bool { getenv(variable) != nil }

  /// Serves the node that has started this process as its worker, and does not return then; does nothing
  /// in any other process. Call it first of all, once the functions are registered: what comes before
  /// happens in every worker too.
  public static func runIfStarted(functions: FunctionTable) {
    guard isAsked else { return }
    // Not for processes that the functions start.
    unsetenv(variable)
    do {
      try serve(functions)
    } catch {
      // What the node refuses it logs itself, as it does the end of this process.
      if !(error is Refused) {
        FileHandle.standardError.write(Data("error: worker process: \(error)\n".utf8))
      }
      _exit(1)
    }
  }

  private struct Refused: Error {}

  private static func serve(_ functions: FunctionTable) throws -> Never {
    let link = ProcessSpawn.linkDescriptor
    _ = fcntl(link, F_SETFD, FD_CLOEXEC)
    _ = fcntl(ProcessSpawn.progressDescriptor, F_SETFD, FD_CLOEXEC)
    _ = fcntl(ProcessSpawn.cancellationDescriptor, F_SETFD, FD_CLOEXEC)
    guard let progress = ProgressPage(inherited: ProcessSpawn.progressDescriptor) else {
      throw WorkerProcessError("started without a node: do not set \(variable)")
    }
    let (peer, leftover) = try shakeHands(link, functions)
    let welcome = try WorkerWelcome(encodedBytes: peer.payload)
    let connection = try NodeConnection(link, welcome, functions, progress, leftover)
    try connection.start()
    // The node's end of the link closes when it stops the worker, and when it dies.
    let peerHasClosed: Int16 = 0x2000
    var cancellations = CancellationReader(ProcessSpawn.cancellationDescriptor)
    while true {
      var polled = [
        pollfd(fd: link, events: peerHasClosed, revents: 0),
        pollfd(fd: cancellations.descriptor, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&polled, 2, -1) > 0 else { continue }
      if polled[0].revents != 0 { _exit(0) }
      if polled[1].revents == 0 { continue }
      cancellations.read { connection.cancel($0, isRecursive: $1) }
    }
  }

  private static func shakeHands(
    _ link: Int32, _ functions: FunctionTable
  ) throws -> (Hello, [UInt8]) {
    let hello = Hello(
      role: .worker, process: "worker", processID: getpid(), functions: functions.names)
    // The two ends of the link are all there is of it: nobody else can have come by it.
    var handshake = try Handshake(.initiator, local: hello, secret: nil)
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let output = handshake.takeOutput()
      try output.withUnsafeBytes { try NodeConnection.send($0, to: link) }
      let count = recv(link, &bytes, bytes.count, 0)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Refused() }
      let progress = bytes.withUnsafeBytes {
        handshake.receive(.init(rebasing: $0[..<count])) { _ in .accept(payload: []) }
      }
      switch progress {
      case .waiting: continue
      case .established(let peer, let leftover):
        let last = handshake.takeOutput()
        try last.withUnsafeBytes { try NodeConnection.send($0, to: link) }
        return (peer, leftover)
      case .failed(let failure):
        if failure.reason == .refusedByPeer { throw Refused() }
        throw WorkerProcessError("the handshake with its node failed: \(failure)")
      }
    }
  }
}
