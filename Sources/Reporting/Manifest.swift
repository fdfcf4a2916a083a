import Foundation

/// A value of an effective configuration: text, number, truth value, list or nested names.
public enum ConfigurationValue: Sendable, Hashable {
  case text(String)
  case integer(Int)
  case number(Double)
  case flag(Bool)
  case list([ConfigurationValue])
  case map([String: ConfigurationValue])

  /// Every leaf with its dotted path (`cluster.nodes`), in the order of the paths' names; lists of
  /// leaves are one leaf.
  public var leaves: [(path: String, value: String)] {
    switch self {
    case .map(let entries):
      return entries.sorted { $0.key < $1.key }.flatMap { name, value in
        value.leaves.map { leaf in
          (path: leaf.path.isEmpty ? name : "\(name).\(leaf.path)", value: leaf.value)
        }
      }
    case .list(let values) where values.contains(where: \.isNested):
      return values.enumerated().flatMap { index, value in
        value.leaves.map { leaf in
          (path: leaf.path.isEmpty ? "\(index)" : "\(index).\(leaf.path)", value: leaf.value)
        }
      }
    case .list(let values):
      return [(path: "", value: values.map(\.description).joined(separator: ", "))]
    default: return [(path: "", value: description)]
    }
  }

  private var isNested: Bool {
    switch self {
    case .map, .list: true
    default: false
    }
  }
}

extension ConfigurationValue: CustomStringConvertible {
  public var description: String {
    switch self {
    case .text(let text): text
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .flag(let value): "\(value)"
    case .list, .map:
      leaves.map { $0.path.isEmpty ? $0.value : "\($0.path): \($0.value)" }
        .joined(separator: ", ")
    }
  }
}

extension ConfigurationValue: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Bool.self) {
      self = .flag(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else if let value = try? container.decode([ConfigurationValue].self) {
      self = .list(value)
    } else {
      self = .map(try container.decode([String: ConfigurationValue].self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let text): try container.encode(text)
    case .integer(let value): try container.encode(value)
    // JSON has no infinity; its name still tells what was in force.
    case .number(let value):
      if value.isFinite {
        try container.encode(value)
      } else {
        try container.encode("\(value)")
      }
    case .flag(let value): try container.encode(value)
    case .list(let values): try container.encode(values)
    case .map(let entries): try container.encode(entries)
    }
  }
}

extension ConfigurationValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .text(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(booleanLiteral value: Bool) { self = .flag(value) }
  public init(arrayLiteral elements: ConfigurationValue...) { self = .list(elements) }
  /// Of a name that is given twice, the last value counts.
  public init(dictionaryLiteral elements: (String, ConfigurationValue)...) {
    self = .map(Dictionary(elements) { _, last in last })
  }
}

/// What produced a result, in full: enough to run it again and to see that it is the same.
public struct Manifest: Codable, Sendable, Hashable {
  /// The file that was run and what it said.
  public struct Workload: Codable, Sendable, Hashable {
    public var path: String
    public var content: String
    public init(path: String, content: String) {
      self.path = path
      self.content = content
    }
  }

  public var experiment: String
  /// Where it ran, in words; nil in results of earlier versions.
  public var world: String?
  public var workload: Workload?
  public var command: [String]
  public var seeds: [UInt64]
  /// What was in force after all defaults and overrides, written by the engine itself.
  public var configuration: ConfigurationValue
  /// By name: `heliostat`, `swift`.
  public var versions: [String: String]
  /// Of every run, as hexadecimal text.
  public var fingerprints: [String]
  /// The logical cores of the machine that ran it.
  public var cores: Int
  public var wallSeconds: Double
  /// Date and time as text, from the caller.
  public var startedAt: String
  /// What else lies beside the manifest; `ResultDirectory` fills it in.
  public var files: [String]

  public init(
    experiment: String, world: String? = nil, workload: Workload? = nil, command: [String] = [],
    seeds: [UInt64] = [],
    configuration: ConfigurationValue = .map([:]), versions: [String: String] = [:],
    fingerprints: [String] = [], cores: Int = 0, wallSeconds: Double = 0, startedAt: String = "",
    files: [String] = []
  ) {
    self.experiment = experiment
    self.world = world
    self.workload = workload
    self.command = command
    self.seeds = seeds
    self.configuration = configuration
    self.versions = versions
    self.fingerprints = fingerprints
    self.cores = cores
    self.wallSeconds = wallSeconds
    self.startedAt = startedAt
    self.files = files
  }

  /// True when both are of one deterministic run: the same file, settings, seeds and versions, and
  /// the same fingerprints. What was measured in wall time has none, and is never the same twice.
  public func isSameRun(as other: Manifest) -> Bool {
    !fingerprints.isEmpty && fingerprints == other.fingerprints && experiment == other.experiment
      && workload == other.workload && seeds == other.seeds
      && configuration == other.configuration && versions == other.versions
  }

  /// The manifest as JSON: keys sorted, indented, ending in a line feed.
  public func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
  }

  public init(json: String) throws {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    self = try decoder.decode(Manifest.self, from: Data(json.utf8))
  }
}
