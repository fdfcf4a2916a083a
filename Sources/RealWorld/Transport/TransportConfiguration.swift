import Crypto
import NIOCore
import Primitives

/// How links are made, and the limits that a peer cannot exceed.
public struct TransportConfiguration: Sendable {
  /// What both sides must know. Needed as soon as a listener's address is not loopback.
  public var secret: Secret?
  /// Encrypts links; both sides must agree.
  public var tls: TLSSettings?
  /// The longest frame accepted from a peer, header included, in bytes.
  public var maximumFrame = 64 << 20
  /// The time from the first connection to the end of the handshake, TLS included.
  public var handshakeTimeout = TimeSpan.seconds(5)
  /// How long a connector waits for one connection attempt.
  public var connectTimeout = TimeSpan.seconds(5)
  /// How long a closing link tries to deliver what was sent before.
  public var closeTimeout = TimeSpan.seconds(1)
  /// Unsent bytes above which a link is not writable.
  public var highWaterMark = 4 << 20
  /// Unsent bytes below which it is writable again.
  public var lowWaterMark = 1 << 20
  /// Connections whose handshake has not ended; beyond, the oldest silent one must go.
  public var maximumPendingHandshakes = 256
  /// Established links of one listener; beyond, peers are refused.
  public var maximumLinks = 4096
  /// The size of one read from a link that carries control messages, in bytes.
  public var controlRead = 256 << 10
  /// The size of one read from a link whose role is `data`, in bytes.
  public var bulkRead = 1 << 20
  /// `SO_SNDBUF` and `SO_RCVBUF` of bulk links in bytes; nil leaves the kernel's own tuning, which
  /// for TCP grows past what an unprivileged process may ask for.
  public var bulkSocketBuffer: Int?
  /// Frames of data links longer than this are handed on in pieces as they arrive, without being
  /// assembled first; nil assembles every frame. See `LinkDelegate.linkReceivedPart`.
  public var partsAbove: Int?
  /// Connections that a node makes to another one for the bytes of objects alone, when it first
  /// sends it an object of 64 KiB or more; with 0 they go with everything else.
  public var bulkConnections = 2
  /// The number of bytes that the first piece of such a frame has at least.
  public var partHead = 256

  public init(secret: Secret? = nil, tls: TLSSettings? = nil) {
    self.secret = secret
    self.tls = tls
  }

  /// Checks that the settings make sense together.
  func validate() throws(TransportError) {
    func check(_ condition: Bool, _ message: String) throws(TransportError) {
      if !condition { throw TransportError(.configuration, message) }
    }
    try check(
      maximumFrame >= 1024 && maximumFrame <= Int(Int32.max),
      "maximumFrame is \(maximumFrame): it must be from 1024 to \(Int32.max) bytes")
    try check(
      0 < lowWaterMark && lowWaterMark < highWaterMark,
      "water marks are \(lowWaterMark) and \(highWaterMark): the low one must be the lower")
    try check(maximumPendingHandshakes > 0, "maximumPendingHandshakes must be positive")
    try check(
      (0...64).contains(bulkConnections),
      "bulkConnections is \(bulkConnections): it must be from 0 to 64")
    try check(maximumLinks > 0, "maximumLinks must be positive")
    try check(
      (4096...(64 << 20)).contains(controlRead) && (4096...(64 << 20)).contains(bulkRead),
      "the size of a read must be from 4096 bytes to 64 MiB")
    try check(partHead >= 16, "partHead is \(partHead): a header alone has 16 bytes")
  }
}

/// A shared secret. Its bytes appear in no description and no log.
public struct Secret: Sendable {
  let key: SymmetricKey

  /// - Throws: `TransportError` of kind `configuration` when there are fewer than 16 bytes.
  public init(_ bytes: some Sequence<UInt8>) throws(TransportError) {
    let bytes = Array(bytes)
    guard bytes.count >= 16 else {
      throw TransportError(
        .configuration,
        "a secret needs at least 16 bytes, this one has \(bytes.count): "
          + "make one with 'openssl rand -hex 32'")
    }
    key = SymmetricKey(data: bytes)
  }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "Secret(hidden)" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The files of TLS, in PEM form.
public struct TLSSettings: Sendable, Hashable {
  /// The chain that a listener shows; its own certificate first.
  public var certificateChainFile: String?
  /// The private key of the first certificate of the chain.
  public var privateKeyFile: String?
  /// What a connector trusts; nil means the roots of the system.
  public var trustRootsFile: String?
  /// The name that the listener's certificate must carry, when it differs from the host.
  public var serverName: String?
  /// Whether a connector compares the certificate's names with the host.
  public var verifiesHostName = true

  public init(
    certificateChainFile: String? = nil, privateKeyFile: String? = nil,
    trustRootsFile: String? = nil, serverName: String? = nil
  ) {
    self.certificateChainFile = certificateChainFile
    self.privateKeyFile = privateKeyFile
    self.trustRootsFile = trustRootsFile
    self.serverName = serverName
  }
}

extension TimeAmount {
  init(_ span: TimeSpan) {
    self = .nanoseconds(Int64(clamping: min(span.nanoseconds, UInt64(1) << 62)))
  }
}
