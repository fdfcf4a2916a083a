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
      // News are rare and come alone in their turn; everything else is for the machines.
      var rest = frames
      while rest.count >= FrameHeader.byteCount {
        let header = try FrameHeader(reading: rest)
        guard header.kind == MembershipNews.frameKind, case .node = kind else { break }
        let body = rest[FrameHeader.byteCount..<Int(header.length)]
        heard(self, try MembershipNews(encodedBytes: body))
        rest = UnsafeRawBufferPointer(rebasing: rest[Int(header.length)...])
      }
      try shell.core.pointee.receive(rest, from: port)
    } catch {
      link.close(reason: "\(link.peer) sent what it may not: \(error)")
    }
  }

  func linkReadCompleted(_ link: Link) { shell.endTurn() }
  func linkBecameWritable(_ link: Link) { shell.endTurn() }
  func linkClosed(_ link: Link, reason: LinkEnd) { ended(self, reason) }
}
