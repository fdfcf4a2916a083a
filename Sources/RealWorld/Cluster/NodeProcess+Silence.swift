import NIOCore
import Primitives
import RuntimeCore

/// A node that is connected but says nothing, because it is stopped, hangs, or its machine is gone
/// without a farewell. Heartbeats go to the global schedulers anyway: the head looks when the last one
/// came, and closes the link of a node that has been silent for too long. All else follows from that.
extension NodeProcess {
  /// What the head needs to tell silence from its own absence.
  struct Silence {
    let limit: TimeSpan
    var lastLook = Instant.zero
    /// Silence counts from here: since then this process has looked in time.
    var awakeSince = Instant.zero
    /// When each node's link was made: the first heartbeat takes its time.
    var connectedAt: [NodeID: Instant] = [:]
    var look: RepeatedTask?

    init(limit: TimeSpan) { self.limit = limit }
  }

  /// On the loop of the head.
  func watchForSilence() {
    let now = MonotonicClock.now
    silence.lastLook = now
    silence.awakeSince = now
    let pause = TimeAmount(TimeSpan(nanoseconds: silence.limit.nanoseconds / 4))
    silence.look = loop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { [weak self] _ in
      self?.lookForSilence()
    }
  }

  private func lookForSilence() {
    let now = MonotonicClock.now
    // A head that was stopped itself finds the heartbeats of that time in its sockets only now.
    if now.since(silence.lastLook) * 2 > silence.limit { silence.awakeSince = now }
    silence.lastLook = now
    for (number, link) in links.sorted(by: { $0.key < $1.key }) {
      let heard = max(
        shell.core.pointee.lastHeartbeat(of: number), silence.connectedAt[number] ?? .zero,
        silence.awakeSince)
      if now.since(heard) > silence.limit {
        link.close(reason: "no heartbeat for \(silence.limit)")
      }
    }
  }
}
