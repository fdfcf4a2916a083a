import Primitives

extension PositionedValue {
  /// A constant (`100ms`) or a call such as `uniform(10ms, 1s)` or `exponential(mean: 5ms)`.
  ///
  /// Calls: `constant(value)`, `uniform(low, high)`, `exponential(mean)`,
  /// `normal(mean, deviation)`, `lognormal(median, sigma)`, `gamma(shape, mean)`,
  /// `pareto(minimum, alpha)`, `bimodal(share, first, second)`, `sample(value, …)`. Arguments go by
  /// place, or by name with `:` or `=`. Values come out in seconds, bytes or plain numbers.
  public func distribution(of kind: QuantityKind) throws(WorkloadError) -> Distribution {
    let expected = kind.expectation + ", or a distribution such as \(Self.example(kind))"
    let text = try scalarText(expected: expected)
    guard let open = text.firstIndex(of: "(") else {
      // A constant; the longer expectation names the calls as well.
      return .constant(try quantity(text, kind, expected: expected))
    }
    guard text.last == ")" else {
      throw wrong(
        expected: expected,
        hint: "close the bracket; inside { } a value with commas needs quotes: "
          + "\"\(Self.example(kind))\"")
    }
    let name = text[..<open].trimmed
    let inside = text[text.index(after: open)...].dropLast()
    guard let form = Self.forms.first(where: { $0.name == name }) else {
      throw .unknown("distribution", name, known: Self.forms.map(\.name), at: position, in: path)
    }
    let arguments = try arguments(inside, of: form, expected: expected)
    var values: [Double] = []
    for (index, argument) in arguments.enumerated() {
      let plain = form.plain.contains(form.isSample ? "" : form.parameters[index])
      values.append(
        try quantity(argument, plain ? .number : kind, expected: plain ? nil : kind.expectation))
    }
    let distribution = form.make(values)
    if case .uniform(let low, let high) = distribution, low > high {
      throw error(
        "\(label) is '\(clip(text))': low (\(arguments[0])) exceeds high (\(arguments[1]))",
        expected: "uniform(low, high)", hint: "swap them")
    }
    if let problem = distribution.problem {
      throw error("\(label) is '\(clip(text))': \(problem)", expected: form.signature)
    }
    return distribution
  }

  private static func example(_ kind: QuantityKind) -> String {
    switch kind {
    case .duration: return "uniform(10ms, 1s)"
    case .size: return "uniform(1KB, 1MB)"
    case .number: return "uniform(1, 10)"
    }
  }

  private func quantity(_ text: String, _ kind: QuantityKind, expected: String?)
    throws(WorkloadError) -> Double
  {
    let amount = try quantity(
      text, units: kind.units, expected: expected ?? kind.expectation, suffixes: kind.suffixes)
    if case .duration = kind { return amount / 1e9 }
    return amount
  }

  /// The arguments in the order of the parameters.
  private func arguments(_ inside: Substring, of form: Form, expected: String)
    throws(WorkloadError) -> [String]
  {
    let parts =
      inside.trimmed.isEmpty
      ? [] : inside.split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed)
    func fail(_ problem: String) -> WorkloadError {
      error("\(label) is '\(clip(self.text ?? ""))': \(problem)", expected: form.signature)
    }
    if parts.contains("") { throw fail("an argument is empty") }
    if form.isSample {
      if parts.isEmpty { throw fail("a sample needs at least one value") }
      return parts
    }
    var found = [String?](repeating: nil, count: form.parameters.count)
    for (index, part) in parts.enumerated() {
      var slot = index
      var value = part
      if let sign = part.firstIndex(where: { $0 == ":" || $0 == "=" }) {
        let key = part[..<sign].trimmed
        value = part[part.index(after: sign)...].trimmed
        guard let known = form.parameters.firstIndex(of: key) else {
          throw .unknown(
            "parameter", key, known: form.parameters, at: position, in: form.name)
        }
        slot = known
      }
      guard slot < found.count else { throw fail("too many arguments") }
      guard found[slot] == nil else { throw fail("'\(form.parameters[slot])' is given twice") }
      found[slot] = value
    }
    var arguments: [String] = []
    for (slot, value) in found.enumerated() {
      guard let value else { throw fail("'\(form.parameters[slot])' is missing") }
      arguments.append(value)
    }
    return arguments
  }

  /// One distribution as it is written.
  struct Form: Sendable {
    var name: String
    var parameters: [String]
    /// Parameters without a unit.
    var plain: Set<String> = []
    var make: @Sendable ([Double]) -> Distribution

    var isSample: Bool { parameters.isEmpty }
    var signature: String {
      "\(name)(\(isSample ? "value, …" : parameters.joined(separator: ", ")))"
    }
  }

  static let forms = [
    Form(name: "constant", parameters: ["value"]) { .constant($0[0]) },
    Form(name: "uniform", parameters: ["low", "high"]) { .uniform(low: $0[0], high: $0[1]) },
    Form(name: "exponential", parameters: ["mean"]) { .exponential(mean: $0[0]) },
    Form(name: "normal", parameters: ["mean", "deviation"]) {
      .normal(mean: $0[0], deviation: $0[1])
    },
    Form(name: "lognormal", parameters: ["median", "sigma"], plain: ["sigma"]) {
      .logNormal(median: $0[0], sigma: $0[1])
    },
    Form(name: "gamma", parameters: ["shape", "mean"], plain: ["shape"]) {
      .gamma(shape: $0[0], mean: $0[1])
    },
    Form(name: "pareto", parameters: ["minimum", "alpha"], plain: ["alpha"]) {
      .pareto(minimum: $0[0], alpha: $0[1])
    },
    Form(name: "bimodal", parameters: ["share", "first", "second"], plain: ["share"]) {
      .bimodal(share: $0[0], first: $0[1], second: $0[2])
    },
    Form(name: "sample", parameters: []) { .sample($0) },
  ]
}

extension StringProtocol {
  /// Without blanks at both ends.
  var trimmed: String {
    String(drop(while: { $0 == " " }).reversed().drop(while: { $0 == " " }).reversed())
  }
}
