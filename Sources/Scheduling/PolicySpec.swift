/// A policy by name with its parameters, as results print it and files write it:
/// `PowerOfTwoChoices[d=2]`.
public struct PolicySpec: Equatable, Sendable, CustomStringConvertible {
  public var name: String
  public var parameters: [Parameter]

  public struct Parameter: Equatable, Sendable {
    public var key: String
    public var value: String
    public init(key: String, value: String) {
      self.key = key
      self.value = value
    }
  }

  public init(_ name: String, _ parameters: [Parameter] = []) {
    self.name = name
    self.parameters = parameters
  }

  public var description: String {
    if parameters.isEmpty { return name }
    return name + "[" + parameters.map { "\($0.key)=\($0.value)" }.joined(separator: ",") + "]"
  }

  /// Parses `Name` or `Name[key=value,…]`; blanks around words are ignored.
  public init(parsing text: String) throws(PolicyError) {
    func trim(_ s: Substring) -> String {
      var s = s
      while s.first == " " { s.removeFirst() }
      while s.last == " " { s.removeLast() }
      return String(s)
    }
    let whole = trim(text[...])
    guard let open = whole.firstIndex(of: "[") else {
      guard !whole.isEmpty, !whole.contains("]"), !whole.contains("=") else {
        throw PolicyError.malformed(text)
      }
      self.init(whole)
      return
    }
    guard whole.last == "]" else { throw PolicyError.malformed(text) }
    let name = trim(whole[..<open])
    guard !name.isEmpty, !name.contains("]"), !name.contains("=") else {
      throw PolicyError.malformed(text)
    }
    let inside = whole[whole.index(after: open)..<whole.index(before: whole.endIndex)]
    var parameters: [Parameter] = []
    if !trim(inside).isEmpty {
      for part in inside.split(separator: ",", omittingEmptySubsequences: false) {
        let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard sides.count == 2 else { throw PolicyError.malformed(text) }
        let key = trim(sides[0])
        let value = trim(sides[1])
        guard !key.isEmpty, !value.isEmpty else { throw PolicyError.malformed(text) }
        guard !parameters.contains(where: { $0.key == key }) else {
          throw PolicyError.repeated(parameter: key, policy: name)
        }
        parameters.append(Parameter(key: key, value: value))
      }
    }
    self.init(name, parameters)
  }
}

/// Why a policy cannot be made from its specification.
public enum PolicyError: Error, Equatable, CustomStringConvertible {
  case malformed(String)
  case repeated(parameter: String, policy: String)
  case unknownPolicy(String, kind: String, known: [String])
  case unknownParameter(String, policy: String, known: [String])
  case badValue(String, parameter: String, policy: String, expected: String)

  public var description: String {
    switch self {
    case .malformed(let text):
      return "'\(text)' is not a policy; expected Name or Name[key=value,…]"
    case .repeated(let parameter, let policy):
      return "policy \(policy) gives parameter '\(parameter)' twice; keep one"
    case .unknownPolicy(let name, let kind, let known):
      return "unknown \(kind) policy '\(name)'; known: \(known.joined(separator: ", "))"
    case .unknownParameter(let name, let policy, let known):
      let list = known.isEmpty ? "it takes none" : "it takes \(known.joined(separator: ", "))"
      return "policy \(policy) has no parameter '\(name)'; \(list)"
    case .badValue(let value, let parameter, let policy, let expected):
      return "policy \(policy): \(parameter)=\(value) is not valid; expected \(expected)"
    }
  }
}

/// Reads the parameters of one specification, then rejects those that nobody asked for.
struct ParameterReader {
  let spec: PolicySpec
  private(set) var known: [String] = []
  /// Every parameter with the value in force, in the order asked: the printable form.
  private(set) var effective: [PolicySpec.Parameter] = []

  init(_ spec: PolicySpec) { self.spec = spec }

  private func text(_ key: String) -> String? {
    spec.parameters.first { $0.key == key }?.value
  }

  mutating func int(_ key: String, default value: Int, in range: ClosedRange<Int>)
    throws(PolicyError) -> Int
  {
    known.append(key)
    var result = value
    if let text = text(key) {
      guard let parsed = Int(text), range.contains(parsed) else {
        throw .badValue(
          text, parameter: key, policy: spec.name,
          expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      result = parsed
    }
    effective.append(.init(key: key, value: "\(result)"))
    return result
  }

  mutating func double(_ key: String, default value: Double, in range: ClosedRange<Double>)
    throws(PolicyError) -> Double
  {
    known.append(key)
    var result = value
    if let text = text(key) {
      guard let parsed = Double(text), range.contains(parsed) else {
        throw .badValue(
          text, parameter: key, policy: spec.name,
          expected: "a number from \(range.lowerBound) to \(range.upperBound)")
      }
      result = parsed
    }
    effective.append(.init(key: key, value: "\(result)"))
    return result
  }

  mutating func choice<T: RawRepresentable & CaseIterable>(_ key: String, default value: T)
    throws(PolicyError) -> T where T.RawValue == String
  {
    known.append(key)
    var result = value
    if let text = text(key) {
      guard let parsed = T(rawValue: text) else {
        throw .badValue(
          text, parameter: key, policy: spec.name,
          expected: T.allCases.map(\.rawValue).joined(separator: " or "))
      }
      result = parsed
    }
    effective.append(.init(key: key, value: result.rawValue))
    return result
  }

  /// The specification with every parameter spelled out; throws for one that is not known.
  func finish() throws(PolicyError) -> PolicySpec {
    for parameter in spec.parameters where !known.contains(parameter.key) {
      throw .unknownParameter(parameter.key, policy: spec.name, known: known)
    }
    return PolicySpec(spec.name, effective)
  }
}
