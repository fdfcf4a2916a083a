import Crypto

extension Handshake {
  /// A message: length of the body (u32), kind (u8), zero (u8), version (u16), body. This header
  /// and the refusal keep their form in every version, so that any two can say why they part.
  enum Message: UInt8 {
    case opening = 1
    case challenge = 2
    case proof = 3
    case hello = 4
    case confirmation = 5
    /// A refusal that does not hold for long.
    case notYet = 254
    case refusal = 255
  }

  enum Label: String {
    case initiatorKnows = "heliostat initiator knows"
    case initiatorHello = "heliostat initiator hello"
    case responderHello = "heliostat responder hello"
  }

  static var maximumHello: Int { Hello.maximumEncoded + 32 }

  mutating func write(_ message: Message, _ body: [UInt8]) {
    output.append(word: UInt32(body.count))
    output.append(message.rawValue)
    output.append(0)
    output.append(half: version)
    output += body
  }

  mutating func write(refusal text: String, _ kind: Message = .refusal) {
    // After the responder's hello the initiator reads frames: it would take this for one.
    if side == .responder && step == .confirmation { return }
    // Cut between characters, so that the peer shows no broken ones.
    var short = printable(text, limit: Self.maximumUnproven)
    while short.utf8.count > Self.maximumUnproven { short.unicodeScalars.removeLast() }
    write(kind, Array(short.utf8))
  }

  /// What a proof covers before its content: who proves what, and this very exchange.
  private func transcript(_ label: Label) -> [UInt8] {
    let isInitiator = side == .initiator
    var bytes = Array(label.rawValue.utf8)
    bytes.append(0)
    bytes.append(half: isInitiator ? version : peerVersion)
    bytes.append(half: isInitiator ? peerVersion : version)
    let flag: UInt8 = secret == nil ? 0 : 1
    bytes.append(isInitiator ? flag : peerHasSecret ? 1 : 0)
    bytes.append(isInitiator ? peerHasSecret ? 1 : 0 : flag)
    bytes += isInitiator ? localNonce : peerNonce
    bytes += isInitiator ? peerNonce : localNonce
    return bytes
  }

  /// Empty when there is no secret.
  func proof(of label: Label, content: [UInt8]) -> [UInt8] {
    guard let secret else { return [] }
    var code = HMAC<SHA256>(key: secret.key)
    code.update(data: transcript(label))
    code.update(data: content)
    return Array(code.finalize())
  }

  /// Compares in constant time.
  func isProof(_ given: ArraySlice<UInt8>, of label: Label, content: [UInt8]) -> Bool {
    guard let secret else { return given.isEmpty }
    return HMAC<SHA256>.isValidAuthenticationCode(
      Array(given), authenticating: transcript(label) + content, using: secret.key)
  }
}
