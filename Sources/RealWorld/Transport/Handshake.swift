/// Why a handshake failed. `text` is for people on both sides and holds no secret material.
public struct HandshakeFailure: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Reason: UInt8, Sendable, Hashable {
    /// The peer's first bytes are no greeting.
    case notHeliostat
    case version
    case wrongSecret
    /// This side needs a secret and the peer gave none, or the reverse.
    case secretMissing
    /// The peer broke the form or a limit of the handshake.
    case malformed
    case functionsDiffer
    case otherCluster
    /// The layer above said no.
    case notAccepted
    case tooManyConnections
    case timeout
    case connectionLost
    /// The layer above cannot say yes now, but may soon: the peer tries again.
    case notYet
    /// The peer refused this side; the text is the peer's.
    case refusedByPeer
    /// The peer cannot take this side now, but may soon; the text is the peer's.
    case postponedByPeer
  }

  public var reason: Reason
  public var text: String

  public init(_ reason: Reason, _ text: String) {
    self.reason = reason
    self.text = text
  }

  public var description: String { text }
}

/// What the layer above says to a peer that has authenticated itself and said who it is.
public enum Acceptance: Sendable {
  /// Take the link; the bytes become the payload of the answering `Hello`.
  case accept(payload: [UInt8])
  /// The text reaches the peer.
  case refuse(String)
  /// Not now, but perhaps soon: a `Connector` tries again for as long as its patience lasts.
  case postpone(String)
}

/// The first exchange on a connection: greeting, version, mutual proof of the secret, introductions.
///
/// Bytes in, bytes and a verdict out; no input or output of its own.
///
/// ```
/// initiator                            responder
/// greeting, opening(nonce)      ──►
///                               ◄──    greeting, challenge(nonce)
/// proof, hello + proof          ──►                                  (large messages from here on)
///                               ◄──    hello + proof
/// confirmation                  ──►
/// ```
///
/// A proof is HMAC-SHA256 with the secret over a label of the sender's role and step, both
/// versions, flags and nonces, and the hellos so far. The initiator proves first, so that a
/// stranger who connects obtains nothing to guess the secret with. Labels keep a proof from being
/// reflected; nonces keep a recording from being replayed. Either side may refuse with a text.
public struct Handshake: ~Copyable {
  public enum Side: Sendable { case initiator, responder }

  public enum Progress: Sendable {
    /// Needs more bytes from the peer.
    case waiting
    /// Done. `leftover` came after the handshake and belongs to the frames.
    case established(peer: Hello, leftover: [UInt8])
    case failed(HandshakeFailure)
  }

  /// The version of this protocol and of every frame on the link after it.
  public static let version: UInt16 = 1
  /// The number of bytes of a nonce.
  public static let nonceBytes = 32
  /// The longest message that is read from a peer before it has proved the secret.
  public static let maximumUnproven = 512
  static let greeting: [UInt8] = Array("HELIOST\n".utf8)

  enum Step { case greeting, opening, challenge, proof, hello, confirmation, over }

  let side: Side
  let secret: Secret?
  let version: UInt16
  var local: Hello
  var localHello: [UInt8]
  let localNonce: [UInt8]
  var peerNonce: [UInt8] = []
  var peerVersion: UInt16 = 0
  var peerHasSecret = false
  var peerHello: [UInt8] = []
  var peer: Hello?
  var step: Step
  var input: [UInt8] = []
  var consumed = 0
  var output: [UInt8]

  /// - Parameters:
  ///   - local: who this side is.
  ///   - nonce: 32 fresh random bytes; never use one twice.
  ///   - version: another one than this release's only in tests.
  /// - Throws: `TransportError` of kind `configuration` when a part of `local` is too long.
  public init(
    _ side: Side, local: Hello, secret: Secret?, nonce: [UInt8] = Handshake.randomNonce(),
    version: UInt16 = Handshake.version
  ) throws(TransportError) {
    precondition(nonce.count == Handshake.nonceBytes, "a nonce has 32 bytes")
    self.side = side
    self.local = local
    self.secret = secret
    self.version = version
    localHello = try local.encoded()
    localNonce = nonce
    step = .greeting
    output = Handshake.greeting
    if side == .initiator { write(.opening, [secret == nil ? 0 : 1] + localNonce) }
    // A responder says nothing before it has seen a greeting.
    if side == .responder { output = [] }
  }

  /// Bytes from the system's secure generator.
  public static func randomNonce() -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<nonceBytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  /// The bytes to send now; they are handed out once.
  public mutating func takeOutput() -> [UInt8] {
    let bytes = output
    output = []
    return bytes
  }

  /// True when the peer has sent anything at all.
  public var hasHeard: Bool { step != .greeting || !input.isEmpty }

  /// Ends the handshake from outside (a limit, a time-out) and tells the peer why, if it has shown
  /// that it would understand.
  public mutating func refuse(_ failure: HandshakeFailure) {
    if step == .over { return }
    if side == .responder && step == .greeting { output += Handshake.greeting }
    write(refusal: failure.text)
    step = .over
  }

  /// Takes bytes of the peer, in pieces of any size.
  ///
  /// - Parameter accept: asked once, on the responder's side, for a peer that may come in.
  public mutating func receive(
    _ bytes: UnsafeRawBufferPointer, accept: (Hello) -> Acceptance
  ) -> Progress {
    guard step != .over else { return .waiting }
    input.append(contentsOf: bytes)
    while true {
      switch advance(accept) {
      case .more:
        if consumed > 0 {
          input.removeFirst(consumed)
          consumed = 0
        }
        return .waiting
      case .next:
        continue
      case .established:
        let leftover = Array(input[consumed...])
        input = []
        step = .over
        guard let peer else { preconditionFailure("established without a peer") }
        return .established(peer: peer, leftover: leftover)
      case .failed(let failure, let tells):
        if tells { write(refusal: failure.text, failure.reason == .notYet ? .notYet : .refusal) }
        input = []
        step = .over
        return .failed(failure)
      }
    }
  }
}
