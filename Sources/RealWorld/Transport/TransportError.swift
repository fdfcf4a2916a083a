/// What went wrong in the transport, in words for a person: what was expected and what to do.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Hashable, Sendable {
    /// The settings contradict each other or break a rule.
    case configuration
    /// The address is taken by another listener.
    case addressInUse
    /// The address cannot be bound, resolved or reached.
    case unreachable
    /// No answer in time.
    case timeout
    /// The other side was no Heliostat process, spoke another version, or broke the handshake.
    case handshake
    /// The other side refused, and said why; or this side refused the other.
    case refused
    /// The other side is not ready for this one, and was not for as long as this one tried again.
    case notReady
    /// The transport is closed.
    case closed
  }

  public var kind: Kind
  public var message: String

  public init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  public var description: String { message }
}
