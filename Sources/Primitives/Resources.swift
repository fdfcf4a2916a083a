/// Amounts of each kind of resource, in fixed point with a precision of 0.0001 (Ray's).
///
/// Lane 0 is CPU, lane 1 GPU; custom kinds follow as `ResourceNames` numbers them. A lane holds at
/// most 214 748, so sizes in bytes do not belong here.
@frozen
public struct ResourceVector: Hashable, Sendable, BitwiseCopyable, Codable {
  // In halves: a value that asks for more than 16 bytes of alignment must not live in the frame of an
  // `async` function, for the compiler (Swift 6.3) makes that too small, and programs keep demands there.
  @usableFromInline var low: SIMD4<Int32>
  @usableFromInline var high: SIMD4<Int32>

  /// Ten-thousandths of each kind.
  @inlinable public var lanes: SIMD8<Int32> {
    // As a whole: the optimiser makes less of halves that are put together.
    get { unsafeBitCast(self, to: SIMD8<Int32>.self) }
    set { self = unsafeBitCast(newValue, to: ResourceVector.self) }
  }

  public static let kindCount = 8
  @inlinable public static var unitsPerOne: Int32 { 10_000 }
  @inlinable public static var cpuLane: Int { 0 }
  @inlinable public static var gpuLane: Int { 1 }

  @inlinable public init(lanes: SIMD8<Int32>) {
    self = unsafeBitCast(lanes, to: ResourceVector.self)
  }

  @inlinable public static var zero: ResourceVector { ResourceVector(lanes: .zero) }

  @inlinable public init(cpus: Int = 0, gpus: Int = 0) {
    var lanes = SIMD8<Int32>.zero
    lanes[0] = Int32(cpus) * Self.unitsPerOne
    lanes[1] = Int32(gpus) * Self.unitsPerOne
    self.init(lanes: lanes)
  }

  /// Ten-thousandths of one, nearest to `amount`.
  @inlinable public static func units(_ amount: Double) -> Int32 {
    Int32((amount * Double(unitsPerOne)).rounded())
  }

  /// The amount of kind `lane`, in ones.
  @inlinable public func amount(_ lane: Int) -> Double {
    Double(lanes[lane]) / Double(Self.unitsPerOne)
  }

  /// True when every kind of `self` is covered by `supply`.
  @inlinable public func fits(in supply: ResourceVector) -> Bool {
    // No lane is below zero: `min()` would be a call for each task.
    let left = unsafeBitCast(supply.lanes &- lanes, to: SIMD4<UInt64>.self)
    return (left[0] | left[1] | left[2] | left[3]) & 0x8000_0000_8000_0000 == 0
  }

  /// How many holders of `self` fit side by side in `supply`, as a real number; infinite for a demand
  /// of nothing.
  @inlinable public func copies(in supply: ResourceVector) -> Double {
    var least = Double.infinity
    for lane in 0..<Self.kindCount where lanes[lane] > 0 {
      least = min(least, max(0, Double(supply.lanes[lane])) / Double(lanes[lane]))
    }
    return least
  }

  @inlinable public static func + (a: ResourceVector, b: ResourceVector) -> ResourceVector {
    ResourceVector(lanes: a.lanes &+ b.lanes)
  }
  @inlinable public static func - (a: ResourceVector, b: ResourceVector) -> ResourceVector {
    ResourceVector(lanes: a.lanes &- b.lanes)
  }
  @inlinable public static func += (a: inout ResourceVector, b: ResourceVector) { a = a + b }
  @inlinable public static func -= (a: inout ResourceVector, b: ResourceVector) { a = a - b }

  @inlinable public var isZero: Bool {
    // As words: the comparison of vectors goes lane by lane.
    let words = unsafeBitCast(lanes, to: SIMD4<UInt64>.self)
    return words[0] | words[1] | words[2] | words[3] == 0
  }
  @inlinable public var cpuUnits: Int32 { lanes[0] }
  @inlinable public var gpuUnits: Int32 { lanes[1] }

  /// Only the CPU share: what a worker blocked in `get` gives back.
  @inlinable public var cpuOnly: ResourceVector {
    var only = SIMD8<Int32>.zero
    only[0] = lanes[0]
    return ResourceVector(lanes: only)
  }
}

extension ResourceVector {
  private enum CodingKeys: String, CodingKey { case lanes }

  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(lanes: try values.decode(SIMD8<Int32>.self, forKey: .lanes))
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(lanes, forKey: .lanes)
  }
}

/// The names of the resource kinds of one cluster, in lane order.
public struct ResourceNames: Sendable, Equatable, Codable {
  public private(set) var names: [String] = ["CPU", "GPU"]

  public init() {}

  /// The lane of `name`, adding it when new; nil when all lanes are taken.
  public mutating func lane(of name: String) -> Int? {
    if let known = names.firstIndex(of: name) { return known }
    guard names.count < ResourceVector.kindCount else { return nil }
    names.append(name)
    return names.count - 1
  }

  /// The lane of a known kind.
  public func knownLane(of name: String) -> Int? { names.firstIndex(of: name) }

  /// `{CPU: 1, GPU: 0.5}`, leaving out what is zero.
  public func describe(_ vector: ResourceVector) -> String {
    var parts: [String] = []
    for (lane, name) in names.enumerated() where vector.lanes[lane] != 0 {
      let amount = vector.amount(lane)
      parts.append("\(name): " + (amount == amount.rounded() ? "\(Int(amount))" : "\(amount)"))
    }
    return "{" + parts.joined(separator: ", ") + "}"
  }
}
