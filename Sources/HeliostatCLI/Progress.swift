import Atomics
import Dispatch
import Foundation
import Reporting

/// Progress of a long run on standard error: one line that is rewritten on a terminal, elsewhere a line
/// every few seconds, and none for a run that is over before the first.
final class Progress: @unchecked Sendable {
  private let lock = NSLock()
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let begin = DispatchTime.now().uptimeNanoseconds
  private var lastShown: UInt64
  private var isShown = false

  init() { lastShown = isTerminal ? 0 : begin }

  func show(_ finished: Int, _ total: Int, _ text: String) {
    lock.lock()
    defer { lock.unlock() }
    let now = DispatchTime.now().uptimeNanoseconds
    let pause: UInt64 = isTerminal ? 100_000_000 : 5_000_000_000
    if now - lastShown < pause && (isTerminal ? finished < total : !isShown || finished < total) {
      return
    }
    lastShown = now
    isShown = true
    let elapsed = Double(now - begin) * 1e-9
    var left = ""
    if finished > 0 && finished < total {
      let rest = elapsed / Double(finished) * Double(total - finished)
      left = ", about \(Quantity.wait(seconds: rest)) left"
    }
    let line = "[\(finished)/\(total)] \(text) (\(Quantity.wait(seconds: elapsed))\(left))"
    let shown = isTerminal ? "\r\u{1B}[2K" + String(line.prefix(110)) : line + "\n"
    FileHandle.standardError.write(Data(shown.utf8))
  }

  /// Clears the line that is rewritten.
  func end() {
    if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[2K".utf8)) }
  }
}

/// Ctrl-C, SIGTERM or SIGHUP once: finish the runs under way and keep what there is; twice: stop at once.
final class Interruption: @unchecked Sendable {
  /// The first signal; 0 for none yet.
  private let first = ManagedAtomic<Int32>(0)
  private var sources: [any DispatchSourceSignal] = []

  init() {
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [unowned self] in
        let (isFirst, _) = first.compareExchange(
          expected: 0, desired: number, ordering: .relaxed)
        // On a busy machine one event stands for several signals.
        if !isFirst || source.data > 1 { _exit(128 + number) }
        let text =
          "\nInterrupted: finishing the runs under way; press Ctrl-C again to stop at once, which "
          + "keeps nothing.\n"
        FileHandle.standardError.write(Data(text.utf8))
      }
      source.resume()
      sources.append(source)
    }
  }

  var requested: Bool { exitCode != 0 }

  /// As shells have it: 128 and the signal's number; 0 without one.
  var exitCode: Int32 {
    let number = first.load(ordering: .relaxed)
    return number == 0 ? 0 : 128 + number
  }
}
