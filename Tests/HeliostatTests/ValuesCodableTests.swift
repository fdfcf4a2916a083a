import Testing

@testable import Heliostat

private enum Shape: Codable, Equatable, Sendable {
  case point
  case circle(radius: Double)
  indirect case pair(Shape, Shape)
}

private enum Colour: String, Codable, RemoteValue { case red, blue }

private struct Everything: Codable, RemoteValue, Equatable {
  var truth = true
  var small: Int8 = -5
  var word: UInt64 = .max
  var lowest = Int.min
  var ratio: Float = 0.5
  var number = 1e300
  var text = "naïve"
  var missing: Int?
  var present: String? = "here"
  var colour = Colour.blue
  var shapes: [Shape] = [.point, .circle(radius: 2), .pair(.point, .circle(radius: 1))]
  var bytes: [UInt8] = [1, 2, 255]
  var integers: [Int] = [-1, 0, 1]
  var doubles: [Double] = [0.1, .infinity]
  var floats: [Float] = [1.5]
  var words: [Int32] = [.min, .max]
  var shorts: [Int16] = [1, -1]
  var nested: [[String]] = [["a"], []]
  var table: [String: Int] = ["x": 1, "y": 2]
  var byNumber: [Int: String] = [7: "seven"]
  var gaps: [Int?] = [1, nil]
  var empty = Empty()
}

private struct Empty: Codable, Equatable, RemoteValue {}

private class Base: Codable {
  var base: Int
  init(_ base: Int) { self.base = base }
}

private final class Derived: Base, RemoteValue, @unchecked Sendable {
  var more: String

  init(_ base: Int, _ more: String) {
    self.more = more
    super.init(base)
  }

  enum Key: CodingKey { case more, list }

  required init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    var list = try container.nestedUnkeyedContainer(forKey: .list)
    more = try container.decode(String.self, forKey: .more) + (try list.decode(String.self))
    try super.init(from: container.superDecoder())
  }

  override func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(more, forKey: .more)
    var list = container.nestedUnkeyedContainer(forKey: .list)
    try list.encode("!")
    try super.encode(to: container.superEncoder())
  }
}

private struct Refusing: Codable, RemoteValue {
  struct Reason: Error {}
  func encode(to encoder: any Encoder) throws { throw Reason() }
}

private struct Chain: Codable, RemoteValue {
  final class Link: Codable, Sendable {
    let next: Link?
    init(_ next: Link?) { self.next = next }
  }
  var first: Link?
}

/// The same fields in another type.
private struct Narrow: Codable, RemoteValue { var value: Int8 }

@Suite("Codable values between processes")
struct ValuesCodableTests {
  @Test("A Codable type of one line comes back as it was")
  func roundTrip() throws {
    var value = Everything()
    for _ in 0..<2 {
      let bytes = try EncodedValue.bytes(of: value)
      #expect(bytes.count == EncodedValue.byteCount(of: value))
      #expect(try EncodedValue.read(Everything.self, from: bytes) == value)
      value.missing = 3
      value.present = nil
    }
    let list = [Everything(), value]
    #expect(try EncodedValue.read([Everything].self, from: EncodedValue.bytes(of: list)) == list)
    #expect(try EncodedValue.read(Colour.self, from: EncodedValue.bytes(of: Colour.red)) == .red)
    #expect(
      try EncodedValue.read(Empty?.self, from: EncodedValue.bytes(of: Empty?(Empty()))) != nil)
  }

  @Test("Superclasses and nested containers are kept")
  func classes() throws {
    let bytes = try EncodedValue.bytes(of: Derived(7, "more"))
    let back = try EncodedValue.read(Derived.self, from: bytes)
    #expect(back.base == 7 && back.more == "more!")
  }

  @Test("Equal values give equal bytes, dictionaries inside included")
  func determinism() throws {
    var up = Everything()
    var down = Everything()
    up.table = [:]
    down.table = Dictionary(minimumCapacity: 4096)
    for i in 0..<300 { up.table["\(i)"] = i }
    for i in (0..<300).reversed() { down.table["\(i)"] = i }
    #expect(try EncodedValue.bytes(of: up) == EncodedValue.bytes(of: down))
  }

  @Test("Arrays of numbers inside take their own size and little more")
  func plainArrays() throws {
    struct Weights: Codable, RemoteValue { var layer: [Double] }
    let count = EncodedValue.byteCount(of: Weights(layer: [Double](repeating: 1, count: 1000)))
    #expect(count < 8000 + 40)
  }

  @Test("What a type's own encoding throws is reported with the type's name")
  func refusal() {
    #expect(throws: ValueError.notEncodable(type: "Refusing", reason: "Reason()")) {
      try EncodedValue.bytes(of: Refusing())
    }
  }

  @Test("Nesting beyond the limit is refused on both sides")
  func depth() throws {
    func chain(_ length: Int) -> Chain {
      Chain(first: (0..<length).reduce(nil) { link, _ in Chain.Link(link) })
    }
    let bytes = try EncodedValue.bytes(of: chain(100))
    _ = try EncodedValue.read(Chain.self, from: bytes)
    #expect {
      try EncodedValue.bytes(of: chain(10_000))
    } throws: {
      "\($0)".contains("nested more than 256 deep")
    }
    // By hand, as no encoder of ours would write it: { first: { next: { next: … } } }
    var body: [UInt8] = [0]
    for level in 0..<10_000 {
      let key: [UInt8] = Array((level == 9_999 ? "first" : "next").utf8)
      let content = [UInt8(key.count)] + key + body
      body = [8] + (0..<4).map { UInt8(truncatingIfNeeded: content.count >> (8 * $0)) } + content
    }
    let head = Array(bytes[..<8])
    #expect {
      try EncodedValue.read(Chain.self, from: head + body)
    } throws: {
      "\($0)".contains("nested more than 256 deep")
    }
  }

  @Test("Errors say where and what: a number that does not fit, a field of another type or missing")
  func errors() throws {
    func body(_ node: [UInt8], key: String = "value") -> [UInt8] {
      let head = (0..<8).map {
        UInt8(truncatingIfNeeded: UInt64(Narrow.fingerprint) >> UInt64(8 * $0))
      }
      let content = [UInt8(key.utf8.count)] + Array(key.utf8) + node
      return head + [8, UInt8(content.count), 0, 0, 0] + content
    }
    let cases: [([UInt8], String)] = [
      (body([3, 0x80, 0x02]), "128 does not fit into Int8 at value"),
      (body([7, 1, 65]), "expected Int8, found a String at value"),
      (body([3, 2], key: "other"), "it has no value"),
      (body([99]), "unknown tag 99"),
      (body([3] + [UInt8](repeating: 0xFF, count: 11)), "more than 64 bits"),
    ]
    #expect(try EncodedValue.read(Narrow.self, from: body([3, 2])).value == 1)
    for (bytes, words) in cases {
      #expect {
        try EncodedValue.read(Narrow.self, from: bytes)
      } throws: { error in
        "\(error)".contains(words) && error is ValueError
      }
    }
  }

  @Test("Changed, cut and random bytes give a value or a ValueError, never a trap")
  func fuzz() throws {
    var random = SystemIndependent(state: 1)
    var (read, refused) = (0, 0)
    func feed<Value: RemoteValue>(_ type: Value.Type, _ bytes: [UInt8]) {
      do throws(ValueError) {
        _ = try EncodedValue.read(type, from: bytes)
        read += 1
      } catch {
        refused += 1
      }
    }
    func mutate<Value: RemoteValue>(_ value: Value) throws {
      let bytes = try EncodedValue.bytes(of: value)
      for length in 0..<bytes.count { feed(Value.self, Array(bytes[..<length])) }
      for _ in 0..<3000 {
        var changed = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let place = Int.random(in: 8..<bytes.count, using: &random)
          let choices: [UInt8] = [
            0, 0xFF, UInt8.random(in: 0...255, using: &random), changed[place] ^ 1,
          ]
          changed[place] = choices.randomElement(using: &random)!
        }
        feed(Value.self, changed)
      }
      for _ in 0..<2000 {
        let tail = (0..<Int.random(in: 0...60, using: &random)).map { _ in
          UInt8.random(in: 0...20, using: &random)
        }
        feed(Value.self, Array(bytes[..<8]) + tail)
      }
    }
    try mutate(Everything())
    try mutate(Derived(7, "more"))
    try mutate([["a": 1, "b": 2], [:]])
    try mutate([[1.0, 2.0], [3.0]])
    try mutate(["one", "two"] as [String?])
    try mutate(Set([1, 2, 3]))
    try mutate([Bytes([1, 2]), Bytes([3])])
    try mutate(Chain(first: Chain.Link(Chain.Link(nil))))
    #expect(read > 500 && refused > 500)
  }
}

private struct SystemIndependent: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9
  }
}
