import Testing

@testable import RealWorld

/// Both sides of a handshake without anything between them.
struct HandshakeTests {
  enum Outcome {
    case established(initiatorSees: Hello, responderSees: Hello)
    case failed(initiator: HandshakeFailure?, responder: HandshakeFailure?)

    var initiatorFailure: HandshakeFailure? {
      if case .failed(let failure, _) = self { failure } else { nil }
    }
    var responderFailure: HandshakeFailure? {
      if case .failed(_, let failure) = self { failure } else { nil }
    }
  }

  static func run(
    _ initiator: consuming Handshake, _ responder: consuming Handshake, pieces: Int = .max,
    accept: (Hello) -> Acceptance = { _ in .accept(payload: []) },
    tamper: (Bool, [UInt8]) -> [UInt8] = { $1 }
  ) -> Outcome {
    var results: [Handshake.Progress?] = [nil, nil]
    while true {
      let toResponder = tamper(true, initiator.takeOutput())
      feed(&responder, toResponder, pieces, accept, &results[1])
      let toInitiator = tamper(false, responder.takeOutput())
      feed(&initiator, toInitiator, pieces, accept, &results[0])
      if toResponder.isEmpty && toInitiator.isEmpty { break }
    }
    if case .established(let a, _)? = results[0], case .established(let b, _)? = results[1] {
      return .established(initiatorSees: a, responderSees: b)
    }
    let failures = results.map { result -> HandshakeFailure? in
      if case .failed(let failure)? = result { failure } else { nil }
    }
    return .failed(initiator: failures[0], responder: failures[1])
  }

  static func feed(
    _ side: inout Handshake, _ bytes: [UInt8], _ pieces: Int, _ accept: (Hello) -> Acceptance,
    _ result: inout Handshake.Progress?
  ) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = Array(rest.prefix(pieces))
      rest = rest.dropFirst(pieces)
      let progress = piece.withUnsafeBytes { side.receive($0, accept: accept) }
      if case .waiting = progress { continue }
      result = progress
      return
    }
  }

  @Test(
    "two sides with the same secret, or none, get to know each other, in pieces of any size",
    arguments: [1, 7, 64, Int.max], [nil, testSecret()])
  func establishes(pieces: Int, secret: Secret?) throws {
    var asking = driver
    asking.payload = Array(repeating: 5, count: 3000)
    let outcome = Self.run(
      try Handshake(.initiator, local: asking, secret: secret),
      try Handshake(.responder, local: node, secret: secret), pieces: pieces,
      accept: { .accept(payload: [UInt8($0.process.utf8.count)]) })
    guard case .established(let answer, let asked) = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(asked == asking)
    #expect(answer.process == "node-1" && answer.payload == [6] && answer.functions == nil)
  }

  @Test("bytes behind the last message of the handshake are handed on")
  func leftover() throws {
    var initiator = try Handshake(.initiator, local: driver, secret: nil)
    var responder = try Handshake(.responder, local: node, secret: nil)
    func pass(_ bytes: [UInt8], to side: inout Handshake) -> Handshake.Progress {
      bytes.withUnsafeBytes { side.receive($0) { _ in .accept(payload: []) } }
    }
    _ = pass(initiator.takeOutput(), to: &responder)
    _ = pass(responder.takeOutput(), to: &initiator)
    _ = pass(initiator.takeOutput(), to: &responder)
    _ = pass(responder.takeOutput(), to: &initiator)
    let progress = pass(initiator.takeOutput() + [9, 8, 7], to: &responder)
    guard case .established(_, let leftover) = progress else {
      Issue.record("\(progress)")
      return
    }
    #expect(leftover == [9, 8, 7])
  }

  @Test("a responder that gives up after its hello sends nothing that could pass for a frame")
  func lateRefusal() throws {
    var initiator = try Handshake(.initiator, local: driver, secret: nil)
    var responder = try Handshake(.responder, local: node, secret: nil)
    func pass(_ bytes: [UInt8], to side: inout Handshake) {
      _ = bytes.withUnsafeBytes { side.receive($0) { _ in .accept(payload: []) } }
    }
    pass(initiator.takeOutput(), to: &responder)
    pass(responder.takeOutput(), to: &initiator)
    pass(initiator.takeOutput(), to: &responder)
    #expect(!responder.takeOutput().isEmpty)
    responder.refuse(HandshakeFailure(.timeout, "too late"))
    #expect(responder.takeOutput().isEmpty)
  }

  @Test("different secrets: the responder says so before it has proved anything itself")
  func differentSecrets() throws {
    var responderBytes: [UInt8] = []
    let outcome = Self.run(
      try Handshake(.initiator, local: driver, secret: testSecret(1)),
      try Handshake(.responder, local: node, secret: testSecret(2)),
      tamper: { toResponder, bytes in
        if !toResponder { responderBytes += bytes }
        return bytes
      })
    #expect(outcome.responderFailure?.reason == .wrongSecret)
    #expect(outcome.responderFailure?.text == "wrong secret")
    #expect(outcome.initiatorFailure?.reason == .refusedByPeer)
    // Greeting, challenge and refusal, and no proof between them.
    #expect(responderBytes.count == 8 + (8 + 33) + (8 + "wrong secret".utf8.count))
  }

  @Test(
    "one changed bit in any message with a proof fails the handshake, always in the same words",
    arguments: [true, false])
  func tampering(toResponder: Bool) throws {
    let nonces = ([UInt8](repeating: 1, count: 32), [UInt8](repeating: 2, count: 32))
    // The second message of each side holds its proofs; its positions are tried one by one.
    var changes = 0
    for position in stride(from: 8, to: 120, by: 3) {
      var message = 0
      var isChanged = false
      let outcome = Self.run(
        try Handshake(.initiator, local: driver, secret: testSecret(), nonce: nonces.0),
        try Handshake(.responder, local: node, secret: testSecret(), nonce: nonces.1),
        tamper: { direction, bytes in
          guard direction == toResponder, !bytes.isEmpty else { return bytes }
          message += 1
          // The initiator's holds two messages; the header of the second, at 40, has no proof.
          guard message == 2, bytes.count > position,
            !(toResponder && (40..<48).contains(position))
          else { return bytes }
          isChanged = true
          var changed = bytes
          changed[position] ^= 0x10
          return changed
        })
      if !isChanged { continue }
      changes += 1
      let failure = toResponder ? outcome.responderFailure : outcome.initiatorFailure
      #expect(failure == HandshakeFailure(.wrongSecret, "wrong secret"), "position \(position)")
    }
    #expect(changes >= 16)
  }

  @Test("a listener that reflects the initiator's own messages proves nothing")
  func reflection() throws {
    var initiator = try Handshake(.initiator, local: driver, secret: testSecret())
    let opening = initiator.takeOutput()
    var reflected = opening
    reflected[12] = Handshake.Message.challenge.rawValue
    _ = reflected.withUnsafeBytes { initiator.receive($0) { _ in .accept(payload: []) } }
    // Its proof, then its hello: 40 bytes of the former dropped, the rest sent back.
    let hello = Array(initiator.takeOutput().dropFirst(40))
    let progress = hello.withUnsafeBytes { initiator.receive($0) { _ in .accept(payload: []) } }
    guard case .failed(let failure) = progress else {
      Issue.record("\(progress)")
      return
    }
    #expect(failure.reason == .wrongSecret)
  }

  @Test("a listener without a secret cannot talk an initiator out of proving its own")
  func downgrade() throws {
    let outcome = Self.run(
      try Handshake(.initiator, local: driver, secret: testSecret()),
      try Handshake(.responder, local: node, secret: nil),
      // The initiator's flag is hidden from the responder, as a liar would ignore it.
      tamper: { toResponder, bytes in
        var bytes = bytes
        if toResponder, bytes.count > 16 { bytes[16] = 0 }
        return bytes
      })
    #expect(outcome.initiatorFailure?.reason == .secretMissing)
  }

  @Test("versions differ: both sides name both versions and say what to do", arguments: [0, 2, 9])
  func versions(_ version: UInt16) throws {
    let outcome = Self.run(
      try Handshake(.initiator, local: driver, secret: nil, version: version),
      try Handshake(.responder, local: node, secret: nil))
    let text =
      "node-1 speaks version 1, the peer speaks version \(version): "
      + "use the same release on all machines"
    #expect(outcome.responderFailure == HandshakeFailure(.version, text))
    #expect(
      outcome.initiatorFailure
        == HandshakeFailure(.refusedByPeer, "the peer refused: " + text))
  }

  @Test(
    "function tables that differ are refused with the first differences",
    arguments: [
      (["a", "x"], ["a"], "node 'node-1' has no function 'x'"),
      (["a"], ["a", "y"], "driver 'driver' has no function 'y'"),
      (
        ["p", "q", "r", "s", "a"], ["a"],
        "node 'node-1' has no function 'p', 'q', 'r' and 1 more"
      ),
      (["a", "b"], ["b", "a"], "function 0 is 'a' in 'driver' and 'b' in 'node-1'"),
      (["a", "a"], ["a"], "'driver' has 2 functions, ours are 1"),
    ])
  func functions(_ theirs: [String], _ ours: [String], _ expected: String) throws {
    var (asking, answering) = (driver, node)
    asking.functions = theirs
    answering.functions = ours
    let outcome = Self.run(
      try Handshake(.initiator, local: asking, secret: nil),
      try Handshake(.responder, local: answering, secret: nil))
    #expect(outcome.responderFailure?.reason == .functionsDiffer)
    #expect(
      outcome.responderFailure?.text == "the function tables differ: " + expected
        + "; register the same functions in the same order in every process")
  }

  @Test("a peer of another cluster is refused; an unnamed one may come in")
  func clusters() throws {
    var (asking, answering) = (driver, node)
    answering.cluster = "blue"
    asking.cluster = "red"
    let outcome = Self.run(
      try Handshake(.initiator, local: asking, secret: nil),
      try Handshake(.responder, local: answering, secret: nil))
    #expect(outcome.responderFailure?.text == "this is cluster 'blue', 'driver' wants 'red'")
    asking.cluster = ""
    let open = Self.run(
      try Handshake(.initiator, local: asking, secret: nil),
      try Handshake(.responder, local: answering, secret: nil))
    guard case .established = open else {
      Issue.record("\(open)")
      return
    }
  }

  @Test("the layer above refuses in its own words, cleaned of control characters")
  func refusedAbove() throws {
    let outcome = Self.run(
      try Handshake(.initiator, local: driver, secret: nil),
      try Handshake(.responder, local: node, secret: nil),
      accept: { _ in .refuse("full\nwarning: forged") })
    #expect(outcome.initiatorFailure?.text == "the peer refused: full?warning: forged")
  }

  @Test("a hello survives coding, and no prefix or random change of it crashes the reader")
  func helloCoding() throws {
    var hello = node
    hello.cluster = "b"
    hello.payload = [1, 2, 3]
    let bytes = try hello.encoded()
    #expect(Hello(decoding: bytes[...]) == hello)
    for count in 0..<bytes.count { #expect(Hello(decoding: bytes[..<count]) == nil) }
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<2000 {
      var changed = bytes
      for _ in 0..<3 {
        changed[Int.random(in: 0..<bytes.count)] = .random(in: 0...255, using: &generator)
      }
      if let read = Hello(decoding: changed[...]) {
        #expect(try read.encoded().count <= bytes.count)
      }
    }
  }

  @Test("random bytes after the greeting never crash a side")
  func randomBytes() throws {
    for round in 0..<300 {
      var responder = try Handshake(
        .responder, local: node, secret: round % 2 == 0 ? testSecret() : nil)
      var bytes = Handshake.greeting
      for _ in 0..<200 { bytes.append(.random(in: 0...(round % 3 == 0 ? 5 : 255))) }
      let progress = bytes.withUnsafeBytes { responder.receive($0) { _ in .accept(payload: []) } }
      if case .established = progress { Issue.record("got in with \(bytes)") }
    }
  }

  @Test("a secret shows nothing of itself, and a short one is refused with advice")
  func secrets() {
    let secret = testSecret(65)
    #expect("\(secret)" == "Secret(hidden)")
    #expect(!String(reflecting: secret).contains("65"))
    var dumped = ""
    dump(TransportConfiguration(secret: secret), to: &dumped)
    #expect(!dumped.contains("AAAA") && !dumped.contains("SymmetricKey"))
    #expect {
      try Secret("short".utf8)
    } throws: { "\($0)".contains("openssl rand -hex 32") }
  }
}
