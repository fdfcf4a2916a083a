import NIOCore
import Primitives
import RuntimeCore
import WireFormat

/// The way out over a socket. What does not go now waits in the port until the link is writable.
final class LinkOutlet: Outlet {
  private let link: Link

  init(_ link: Link) { self.link = link }

  func send(_ frames: UnsafeRawBufferPointer) -> Int {
    guard link.isWritable else { return 0 }
    link.send(frames)
    return frames.count
  }

  func flush() { link.flush() }
}

/// One peer of a node over a socket: another node, or a client.
final class PeerLink: LinkDelegate {
  enum Kind {
    case driver(Address)
    case node(NodeID)
  }

  let kind: Kind
  let port: UInt32
  private unowned let shell: NodeShell
  private let ended: (PeerLink, LinkEnd) -> Void
  private let heard: (PeerLink, MembershipNews) -> Void

  init(
    _ kind: Kind, port: UInt32, _ shell: NodeShell,
    heard: @escaping (PeerLink, MembershipNews) -> Void,
    ended: @escaping (PeerLink, LinkEnd) -> Void
  ) {
    self.kind = kind
    self.port = port
    self.shell = shell
    self.heard = heard
    self.ended = ended
  }

  func linkReceived(_ link: Link, frames: UnsafeRawBufferPointer) {
    shell.core.pointee.now = MonotonicClock.now
    do {
      try shell.core.pointee.receive(frames, from: port)
      if !shell.core.pointee.membershipNews.isEmpty { try hearNews() }
    } catch {
      link.close(reason: "\(link.peer) sent what it may not: \(error)")
    }
  }

  /// News are rare, and what the machines were told before them in the same run is older.
  private func hearNews() throws {
    let news = shell.core.pointee.membershipNews
    shell.core.pointee.membershipNews.removeAll()
    for body in news { heard(self, try MembershipNews(encodedBytes: body)) }
  }

  func linkReadCompleted(_ link: Link) { shell.endTurn() }
  func linkBecameWritable(_ link: Link) { shell.endTurn() }
  func linkClosed(_ link: Link, reason: LinkEnd) { ended(self, reason) }
}
