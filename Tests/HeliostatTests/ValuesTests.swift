import Testing

@testable import Heliostat

private struct Trajectory: Codable, RemoteValue, Equatable {
  var name: String
  var rewards: [Double]
  var length: Int
}

/// A value with a form of its own that can be told to lie about its size.
private struct Odd: RemoteValue {
  var declared: Int
  var written: Int

  static var fingerprint: UInt32 { Fingerprint.of(name: "Odd") }
  var encodedByteCount: Int { declared }
  func encode(into writer: inout ValueWriter) {
    for _ in 0..<written { writer.write(UInt8(7)) }
  }
  static func decode(from reader: inout ValueReader) throws -> Odd {
    let count = reader.remaining
    _ = try reader.read(bytes: count, for: Odd.self)
    return Odd(declared: count, written: count)
  }
}

private final class Owner {
  let memory: UnsafeMutableRawBufferPointer
  let ended: () -> Void

  init(_ bytes: [UInt8], ended: @escaping () -> Void = {}) {
    memory = .allocate(byteCount: bytes.count, alignment: 16)
    memory.copyBytes(from: bytes)
    self.ended = ended
  }

  deinit {
    memory.deallocate()
    ended()
  }
}

/// Encodes, decodes, compares; every shorter form is refused with an error of ours.
private func check<Value: RemoteValue & Equatable>(
  _ value: Value, bytes expected: Int? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let bytes = try EncodedValue.bytes(of: value)
  #expect(bytes.count == EncodedValue.byteCount(of: value), sourceLocation: sourceLocation)
  if let expected { #expect(bytes.count == 8 + expected, sourceLocation: sourceLocation) }
  let back = try EncodedValue.read(Value.self, from: bytes)
  #expect(back == value, sourceLocation: sourceLocation)
  for length in 0..<min(bytes.count, 200) {
    #expect(throws: ValueError.self, "\(length) bytes", sourceLocation: sourceLocation) {
      try EncodedValue.read(Value.self, from: Array(bytes[..<length]))
    }
  }
  #expect(
    throws: ValueError.trailingBytes(type: "\(Value.self)", count: 1),
    sourceLocation: sourceLocation
  ) { try EncodedValue.read(Value.self, from: bytes + [0]) }
}

@Suite("Values between processes")
struct ValuesTests {
  @Test("Numbers, texts and truth values come back as they were")
  func scalars() throws {
    try check(Int.min, bytes: 8)
    try check(Int8(-3), bytes: 1)
    try check(Int16.min, bytes: 2)
    try check(Int32.max, bytes: 4)
    try check(Int64(-1), bytes: 8)
    try check(UInt.max, bytes: 8)
    try check(UInt8.max, bytes: 1)
    try check(UInt16(77), bytes: 2)
    try check(UInt32.max, bytes: 4)
    try check(UInt64(1) << 63, bytes: 8)
    try check(-0.1, bytes: 8)
    try check(Float.infinity, bytes: 4)
    let nan = try EncodedValue.bytes(of: Double(bitPattern: 0x7FF8_0000_0000_1234))
    #expect(try EncodedValue.read(Double.self, from: nan).bitPattern == 0x7FF8_0000_0000_1234)
    try check(true, bytes: 1)
    try check(false, bytes: 1)
    try check("", bytes: 8)
    try check("zwölf Boxkämpfer 🥊", bytes: 8 + "zwölf Boxkämpfer 🥊".utf8.count)
  }

  @Test("Optionals, arrays, sets and dictionaries come back as they were")
  func collections() throws {
    try check(Int?.none, bytes: 1)
    try check(Int?.some(5), bytes: 9)
    try check(Int??.some(nil), bytes: 2)
    try check([Int](), bytes: 8)
    try check([1.5, -2.5, .infinity], bytes: 32)
    try check([UInt8](0...255), bytes: 264)
    try check([Int32](-5..<5), bytes: 48)
    try check([true, false])
    try check(["one", "", "three"])
    try check([[1.0], [], [2.0, 3.0]])
    try check([Int?.some(1), nil])
    try check(Set(["b", "a"]))
    try check(["a": [1, 2], "b": []])
    try check([3: "three", 1: "one"])
    try check(["outer": ["inner": 1.0]])
  }

  @Test("Equal sets and dictionaries give equal bytes, however they grew")
  func determinism() throws {
    var up: [String: Int] = [:]
    var down: [String: Int] = [:]
    for i in 0..<500 { up["key \(i)"] = i }
    down.reserveCapacity(4096)
    for i in (0..<500).reversed() { down["key \(i)"] = i }
    #expect(try EncodedValue.bytes(of: up) == EncodedValue.bytes(of: down))
    #expect(
      try EncodedValue.bytes(of: Set(up.keys)) == EncodedValue.bytes(of: Set(down.keys)))
    // Fixed for ever: other versions and machines must read it.
    #expect(
      try EncodedValue.bytes(of: ["b": Int8(2), "a": 1]) == [
        224, 112, 196, 10, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0, 97, 1, 1, 0, 0, 0, 0, 0, 0, 0, 98, 2,
      ])
  }

  @Test("The fingerprints written as numbers are those of the names")
  func fingerprints() {
    #expect(Int.fingerprint == Fingerprint.of(name: "Int"))
    #expect(Int8.fingerprint == Fingerprint.of(name: "Int8"))
    #expect(Int16.fingerprint == Fingerprint.of(name: "Int16"))
    #expect(Int32.fingerprint == Fingerprint.of(name: "Int32"))
    #expect(Int64.fingerprint == Fingerprint.of(name: "Int64"))
    #expect(UInt.fingerprint == Fingerprint.of(name: "UInt"))
    #expect(UInt8.fingerprint == Fingerprint.of(name: "UInt8"))
    #expect(UInt16.fingerprint == Fingerprint.of(name: "UInt16"))
    #expect(UInt32.fingerprint == Fingerprint.of(name: "UInt32"))
    #expect(UInt64.fingerprint == Fingerprint.of(name: "UInt64"))
    #expect(Float.fingerprint == Fingerprint.of(name: "Float"))
    #expect(Double.fingerprint == Fingerprint.of(name: "Double"))
    #expect(Bool.fingerprint == Fingerprint.of(name: "Bool"))
    #expect(String.fingerprint == Fingerprint.of(name: "String"))
  }

  @Test("Reading another type names what was expected and what was found")
  func wrongType() throws {
    let bytes = try EncodedValue.bytes(of: [1, 2, 3])
    #expect(throws: ValueError.wrongType(expected: "String", found: "Array<Int>")) {
      try EncodedValue.read(String.self, from: bytes)
    }
    #expect(throws: ValueError.wrongType(expected: "Double", found: "Void")) {
      try EncodedValue.read(Double.self, from: EncodedValue.void)
    }
    let own = try EncodedValue.bytes(of: Trajectory(name: "", rewards: [], length: 0))
    #expect {
      try EncodedValue.read(Int.self, from: own)
    } throws: {
      "\($0)".hasPrefix("expected a value of type Int, found one of type with fingerprint 0x")
    }
  }

  @Test("Nothing has a form too")
  func void() throws {
    let bytes = EncodedValue.void
    try bytes.withUnsafeBytes { try EncodedValue.readVoid(from: $0) }
    let number = try EncodedValue.bytes(of: 5)
    #expect(throws: ValueError.wrongType(expected: "Void", found: "Int")) {
      try number.withUnsafeBytes { try EncodedValue.readVoid(from: $0) }
    }
    #expect(throws: ValueError.trailingBytes(type: "Void", count: 1)) {
      try (bytes + [0]).withUnsafeBytes { try EncodedValue.readVoid(from: $0) }
    }
  }

  @Test("A value that fills more or less than it declared is refused, and memory stays whole")
  func declaredSize() throws {
    for (declared, written, words) in [(4, 5, "more"), (4, 3, "fewer")] {
      var memory = [UInt8](repeating: 0xEE, count: 8 + declared + 8)
      #expect {
        try memory.withUnsafeMutableBytes {
          try EncodedValue.write(
            Odd(declared: declared, written: written),
            into: UnsafeMutableRawBufferPointer(rebasing: $0[..<(8 + declared)]))
        }
      } throws: {
        "\($0)".contains(words) && "\($0)".contains("Odd")
      }
      #expect(memory[(8 + declared)...].allSatisfy { $0 == 0xEE })
    }
  }

  @Test("A decoded vector is a view that keeps its memory alive, until the last copy is gone")
  func views() throws {
    var isAlive = true
    let bytes = try EncodedValue.bytes(of: [1.0, 2.0, 3.0])
    var vector: Vector<Double>?
    do {
      let owner = Owner(bytes) { isAlive = false }
      vector = try EncodedValue.read(
        Vector<Double>.self, from: UnsafeRawBufferPointer(owner.memory), owner: owner)
      let start = owner.memory.baseAddress! + 16
      vector?.withUnsafeBytes { #expect($0.baseAddress == UnsafeRawPointer(start)) }
    }
    #expect(isAlive)
    #expect(vector.map { Array($0) } == [1, 2, 3])
    vector = nil
    #expect(!isAlive)
  }

  @Test("Without an owner, or where it lies askew, a vector is copied")
  func copies() throws {
    let bytes = try EncodedValue.bytes(of: [[5.0], [7.0, 8.0]])
    let lent = try EncodedValue.read([Vector<Double>].self, from: bytes)
    #expect(lent == [[5.0], [7.0, 8.0]])
    let text = try EncodedValue.bytes(of: [Bytes([1, 2, 3]), Bytes([4])])
    let owner = Owner(text)
    let views = try EncodedValue.read(
      [Bytes].self, from: UnsafeRawBufferPointer(owner.memory), owner: owner)
    #expect(views == [[1, 2, 3], [4]])
    // Four bytes off: whole numbers of eight bytes cannot be read in place.
    let number = try EncodedValue.bytes(of: Vector([1, 2]))
    let askew = Owner([0, 0, 0, 0] + number)
    let copy = try EncodedValue.read(
      Vector<Int>.self, from: UnsafeRawBufferPointer(rebasing: askew.memory[4...]), owner: askew)
    #expect(copy == [1, 2])
    let place = UnsafeRawPointer(askew.memory.baseAddress! + 20)
    copy.withUnsafeBytes { #expect($0.baseAddress != place) }
  }

  @Test("A vector and an array of the same elements are one type between processes")
  func vectorsAndArrays() throws {
    try check(Vector([1.5, 2.5]), bytes: 24)
    try check(Bytes())
    let bytes = try EncodedValue.bytes(of: [UInt8](0..<9))
    #expect(try EncodedValue.read(Bytes.self, from: bytes) == Bytes(0..<9))
    let doubles = try EncodedValue.bytes(of: Vector([1.5]))
    #expect(try EncodedValue.read([Double].self, from: doubles) == [1.5])
  }

  @Test("Counts beyond the bytes are refused before memory is taken for them")
  func hugeCounts() throws {
    for count in [UInt64.max, 1 << 62, 1 << 40, 9] {
      func coded(_ fingerprint: UInt32) -> [UInt8] {
        (0..<16).map {
          let word = $0 < 8 ? UInt64(fingerprint) : count
          return UInt8(truncatingIfNeeded: word >> UInt64(8 * ($0 % 8)))
        } + [0]
      }
      func refused<Value: RemoteValue>(_ type: Value.Type) {
        #expect(throws: ValueError.self, "\(type)") {
          try EncodedValue.read(type, from: coded(type.fingerprint))
        }
      }
      refused([UInt8].self)
      refused([Double].self)
      refused([String].self)
      refused([[Int]].self)
      refused([String: Int].self)
      refused(Set<Int>.self)
      refused(Vector<Float>.self)
      refused(String.self)
    }
  }

  @Test("Bytes that break a rule of their type are refused")
  func rules() throws {
    func refused<Value: RemoteValue>(_ type: Value.Type, _ body: [UInt8]) {
      let head = (0..<8).map {
        UInt8(truncatingIfNeeded: UInt64(type.fingerprint) >> UInt64(8 * $0))
      }
      #expect {
        try EncodedValue.read(type, from: head + body)
      } throws: {
        if case ValueError.malformed = $0 { true } else { false }
      }
    }
    refused(Bool.self, [2])
    refused(Int8?.self, [2, 0])
    refused(String.self, [1, 0, 0, 0, 0, 0, 0, 0, 0xFF])
    let two: [UInt8] = [2, 0, 0, 0, 0, 0, 0, 0]
    refused(Set<Int8>.self, two + [5, 5])
    refused(Set<Int8>.self, two + [6, 5])
    refused([Int8: Int8].self, two + [6, 1, 5, 1])
    var bytes = try EncodedValue.bytes(of: 1)
    bytes[5] = 1
    #expect(throws: ValueError.self) { try EncodedValue.read(Int.self, from: bytes) }
  }
}
