/// One benchmark's result, as `bench --json` prints it.
public struct BenchmarkResult: Codable, Sendable {
  public var name: String
  public var value: Double
  public var unit: String
  /// The raw limit measured in the same run, or nil.
  public var limit: Double?
  /// What the limit is.
  public var limitMeaning: String?

  public init(
    name: String, value: Double, unit: String, limit: Double? = nil, limitMeaning: String? = nil
  ) {
    self.name = name
    self.value = value
    self.unit = unit
    self.limit = limit
    self.limitMeaning = limitMeaning
  }

  enum CodingKeys: String, CodingKey { case name, value, unit, limit }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(value, forKey: .value)
    try container.encode(unit, forKey: .unit)
    // `null` when there is none: the key is always there.
    try container.encode(limit, forKey: .limit)
  }
}
