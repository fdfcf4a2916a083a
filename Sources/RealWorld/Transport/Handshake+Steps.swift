extension Handshake {
  enum Advance {
    case more, next, established
    case failed(HandshakeFailure, tellsPeer: Bool)
  }

  /// Takes the next message, if it is there as a whole.
  mutating func advance(_ accept: (Hello) -> Acceptance) -> Advance {
    if step == .greeting { return advanceGreeting() }
    let available = input.count - consumed
    guard available >= 8 else { return .more }
    var header = HelloReader(rest: input[consumed..<consumed + 8])
    let length = Int(header.word()!)
    let kind = header.byte()!
    let reserved = header.byte()!
    let theirVersion = UInt16(header.byte()!) | UInt16(header.byte()!) << 8
    if theirVersion != version, kind != Message.refusal.rawValue {
      return .failed(
        HandshakeFailure(
          .version,
          "\(local.process) speaks version \(version), the peer speaks version \(theirVersion): "
            + "use the same release on all machines"),
        tellsPeer: true)
    }
    let limit = step == .hello || step == .confirmation ? Self.maximumHello : Self.maximumUnproven
    guard length <= limit, reserved == 0, let message = Message(rawValue: kind) else {
      return failed(.malformed, "the peer broke the rules of the handshake", tells: true)
    }
    guard available >= 8 + length else { return .more }
    let body = input[consumed + 8..<consumed + 8 + length]
    consumed += 8 + length
    peerVersion = theirVersion
    return advance(message, body, accept)
  }

  private mutating func advanceGreeting() -> Advance {
    for (seen, expected) in zip(input, Handshake.greeting) where seen != expected {
      // A record of TLS: what a client says first, or an alert, which is what a TLS listener answers.
      let isTLS =
        (0x15...0x16).contains(input[0]) && input.dropFirst().prefix(1).allSatisfy { $0 == 3 }
      let hint =
        isTLS
        ? "it speaks TLS, and this side has no TLS configured: configure TLS on both sides or on "
          + "neither (--tls-roots; nodes also --tls-certificate and --tls-key)"
        : "its first bytes are no greeting of a Heliostat process"
      return failed(.notHeliostat, "not a Heliostat peer: \(hint)", tells: false)
    }
    guard input.count >= Handshake.greeting.count else { return .more }
    consumed = Handshake.greeting.count
    step = side == .initiator ? .challenge : .opening
    if side == .responder { output += Handshake.greeting }
    return .next
  }

  private mutating func advance(
    _ message: Message, _ body: ArraySlice<UInt8>, _ accept: (Hello) -> Acceptance
  ) -> Advance {
    switch (step, message) {
    case (_, .refusal), (_, .notYet):
      let text = printable(String(decoding: body, as: UTF8.self), limit: Self.maximumUnproven)
      return failed(
        message == .notYet ? .postponedByPeer : .refusedByPeer, "the peer refused: \(text)",
        tells: false)
    case (.opening, .opening), (.challenge, .challenge):
      return advanceNonce(body)
    case (.proof, .proof):
      guard isProof(body, of: .initiatorKnows, content: []) else {
        return failed(.wrongSecret, "wrong secret", tells: true)
      }
      step = .hello
      return .next
    case (.hello, .hello):
      return advanceHello(body, accept)
    case (.confirmation, .confirmation) where body.isEmpty:
      return .established
    default:
      return failed(.malformed, "the peer broke the order of the handshake", tells: true)
    }
  }

  private mutating func advanceNonce(_ body: ArraySlice<UInt8>) -> Advance {
    guard body.count == 1 + Handshake.nonceBytes, let flag = body.first, flag <= 1 else {
      return failed(.malformed, "the peer broke the form of the handshake", tells: true)
    }
    peerHasSecret = flag == 1
    peerNonce = Array(body.dropFirst())
    if peerHasSecret != (secret != nil) {
      // Going on without a proof would let a false listener switch the proof off.
      let asked = side == .responder
      let text =
        secret == nil
        ? "a secret was given to \(asked ? "the connecting" : "the listening") process only: "
          + "give the same secret to both"
        : "a secret is required and the \(asked ? "connecting" : "listening") process gave none: "
          + "start it with the cluster's secret"
      return failed(.secretMissing, text, tells: true)
    }
    if side == .responder {
      write(.challenge, [secret == nil ? 0 : 1] + localNonce)
      step = .proof
    } else {
      write(.proof, proof(of: .initiatorKnows, content: []))
      write(.hello, proof(of: .initiatorHello, content: localHello) + localHello)
      step = .hello
    }
    return .next
  }

  private mutating func advanceHello(
    _ body: ArraySlice<UInt8>, _ accept: (Hello) -> Acceptance
  ) -> Advance {
    let proofBytes = secret == nil ? 0 : 32
    guard body.count >= proofBytes else {
      return failed(.malformed, "the peer broke the form of the handshake", tells: true)
    }
    let (given, content) = (body.prefix(proofBytes), body.dropFirst(proofBytes))
    peerHello = Array(content)
    let isInitiator = side == .initiator
    guard
      isProof(
        given, of: isInitiator ? .responderHello : .initiatorHello,
        content: isInitiator ? localHello + peerHello : peerHello)
    else { return failed(.wrongSecret, "wrong secret", tells: true) }
    guard let hello = Hello(decoding: content) else {
      return failed(.malformed, "the peer introduced itself in a malformed way", tells: true)
    }
    peer = hello
    if isInitiator {
      write(.confirmation, [])
      return .established
    }
    return answer(hello, accept)
  }

  private mutating func answer(_ hello: Hello, _ accept: (Hello) -> Acceptance) -> Advance {
    if !hello.cluster.isEmpty, !local.cluster.isEmpty, hello.cluster != local.cluster {
      return failed(
        .otherCluster,
        "this is cluster '\(local.cluster)', '\(hello.process)' wants '\(hello.cluster)'",
        tells: true)
    }
    if let difference = Hello.difference(of: hello, from: local) {
      return failed(.functionsDiffer, difference, tells: true)
    }
    switch accept(hello) {
    case .refuse(let text):
      return failed(.notAccepted, text, tells: true)
    case .postpone(let text):
      return failed(.notYet, text, tells: true)
    case .accept(let payload):
      var answer = local
      answer.payload = payload
      // The initiator has just shown the same names; sending them back would say nothing new.
      answer.functions = nil
      guard let bytes = try? answer.encoded() else {
        return failed(
          .notAccepted, "the answer to '\(hello.process)' is too long to send", tells: true)
      }
      localHello = bytes
      write(.hello, proof(of: .responderHello, content: peerHello + localHello) + localHello)
      step = .confirmation
      return .next
    }
  }

  private func failed(
    _ reason: HandshakeFailure.Reason, _ text: String, tells: Bool
  ) -> Advance {
    .failed(HandshakeFailure(reason, text), tellsPeer: tells)
  }
}
