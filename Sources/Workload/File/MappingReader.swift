import Primitives

/// Reads a mapping key by key, and at the end rejects the keys that nobody asked for.
///
/// ```swift
/// var with = try file.with.mapping()
/// let tasks = try with.int("tasks", in: 1...1_000_000)
/// let duration = try with.duration("duration", default: .zero)
/// try with.finish()
/// ```
public struct MappingReader: Sendable {
  /// The mapping itself.
  public let value: PositionedValue
  let entries: [SourceEntry]
  private var asked: [String] = []
  private var askedForAll = false

  public init(_ value: PositionedValue) throws(WorkloadError) {
    guard case .mapping(let entries) = value.node.content else {
      throw value.wrong(expected: "a mapping of keys to values")
    }
    self.value = value
    self.entries = entries
  }

  public var position: SourcePosition { value.position }
  /// The keys in the order written.
  public var keys: [Positioned<String>] {
    entries.map { Positioned($0.key, at: $0.keyPosition) }
  }

  func path(of key: String) -> String { value.path.isEmpty ? key : "\(value.path).\(key)" }

  /// The value of `key`; nil when it is absent or empty.
  public mutating func optional(_ key: String) -> PositionedValue? {
    asked.append(key)
    guard let entry = entries.first(where: { $0.key == key }), !entry.value.isNull else {
      return nil
    }
    return PositionedValue(entry.value, path: path(of: key))
  }

  /// The value of `key`; an error that says what is expected when it is absent or empty.
  public mutating func required(_ key: String, _ expected: String) throws(WorkloadError)
    -> PositionedValue
  {
    if let found = optional(key) { return found }
    if let entry = entries.first(where: { $0.key == key }) {
      throw WorkloadError(
        "'\(path(of: key))' is empty", at: entry.value.position, expected: expected)
    }
    // A misspelt key is the likelier reason for a missing one.
    let others = entries.filter { !asked.contains($0.key) }
    if let slip = WorkloadError.nearest(to: key, in: others.map(\.key)),
      let entry = others.first(where: { $0.key == slip })
    {
      throw .unknown("key", slip, known: [key], at: entry.keyPosition, in: value.path)
    }
    let place = value.path.isEmpty ? "the file" : "'\(value.path)'"
    throw WorkloadError(
      "\(place) has no key '\(key)'", at: position, expected: expected,
      hint: "add '\(key): …'")
  }

  /// All values, in the order written, for mappings whose keys are free names.
  public mutating func all() -> [(key: Positioned<String>, value: PositionedValue)] {
    askedForAll = true
    return entries.map {
      (Positioned($0.key, at: $0.keyPosition), PositionedValue($0.value, path: path(of: $0.key)))
    }
  }

  /// Rejects the first key that was not asked for, and suggests the nearest that was.
  public func finish() throws(WorkloadError) {
    if askedForAll { return }
    for entry in entries where !asked.contains(entry.key) {
      var known: [String] = []
      for key in asked where !known.contains(key) { known.append(key) }
      throw .unknown("key", entry.key, known: known, at: entry.keyPosition, in: value.path)
    }
  }
}

// MARK: - Typed getters: with a default the key may be left out.

extension MappingReader {
  public mutating func string(_ key: String) throws(WorkloadError) -> String {
    try required(key, "a text").string()
  }
  public mutating func string(_ key: String, default value: String) throws(WorkloadError) -> String
  {
    try optional(key)?.string() ?? value
  }
  public mutating func int(_ key: String, in range: ClosedRange<Int> = Int.min...Int.max)
    throws(WorkloadError) -> Int
  {
    try required(key, "a whole number").int(in: range)
  }
  public mutating func int(
    _ key: String, default value: Int, in range: ClosedRange<Int> = Int.min...Int.max
  ) throws(WorkloadError) -> Int {
    try optional(key)?.int(in: range) ?? value
  }
  public mutating func double(_ key: String, in range: ClosedRange<Double>)
    throws(WorkloadError) -> Double
  {
    try required(key, "a number").double(in: range)
  }
  public mutating func double(
    _ key: String, default value: Double, in range: ClosedRange<Double>
  ) throws(WorkloadError) -> Double {
    try optional(key)?.double(in: range) ?? value
  }
  public mutating func bool(_ key: String, default value: Bool) throws(WorkloadError) -> Bool {
    try optional(key)?.bool() ?? value
  }
  public mutating func duration(_ key: String) throws(WorkloadError) -> TimeSpan {
    try required(key, QuantityKind.duration.expectation).duration()
  }
  public mutating func duration(_ key: String, default value: TimeSpan)
    throws(WorkloadError) -> TimeSpan
  {
    try optional(key)?.duration() ?? value
  }
  public mutating func size(_ key: String) throws(WorkloadError) -> ByteCount {
    try required(key, QuantityKind.size.expectation).size()
  }
  public mutating func size(_ key: String, default value: ByteCount)
    throws(WorkloadError) -> ByteCount
  {
    try optional(key)?.size() ?? value
  }
  public mutating func bandwidth(_ key: String) throws(WorkloadError) -> Bandwidth {
    try required(key, "a rate, such as 25Gbps, 1.42GB/s or unlimited").bandwidth()
  }
  public mutating func bandwidth(_ key: String, default value: Bandwidth)
    throws(WorkloadError) -> Bandwidth
  {
    try optional(key)?.bandwidth() ?? value
  }
  public mutating func distribution(_ key: String, of kind: QuantityKind)
    throws(WorkloadError) -> Distribution
  {
    try required(key, kind.expectation + ", or a distribution").distribution(of: kind)
  }
  public mutating func distribution(
    _ key: String, of kind: QuantityKind, default value: Distribution
  ) throws(WorkloadError) -> Distribution {
    try optional(key)?.distribution(of: kind) ?? value
  }
  public mutating func choice<T>(_ key: String, default value: T) throws(WorkloadError) -> T
  where T: RawRepresentable & CaseIterable, T.RawValue == String {
    try optional(key)?.choice(T.self) ?? value
  }
}
