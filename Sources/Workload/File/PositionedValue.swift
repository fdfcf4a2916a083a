/// A value of a workload file or cluster profile that knows its file, line, column and key path.
///
/// Typed getters check it; each error says what was found, what was expected and what to do.
public struct PositionedValue: Sendable, Equatable {
  let node: SourceNode
  /// The keys that lead here, as `workload.with.tasks`; empty at the root.
  public let path: String

  init(_ node: SourceNode, path: String) {
    self.node = node
    self.path = path
  }

  /// An open mapping that was left out: no keys, at the place of its owner.
  public static func emptyMapping(path: String, at position: SourcePosition) -> PositionedValue {
    PositionedValue(SourceNode(position: position, content: .mapping([])), path: path)
  }

  public var position: SourcePosition { node.position }
  /// Nothing was written after the key.
  public var isNull: Bool { node.isNull }
  public var isMapping: Bool {
    if case .mapping = node.content { return true }
    return false
  }
  public var isList: Bool {
    if case .list = node.content { return true }
    return false
  }
  /// The text of a scalar, as written; nil for lists, mappings and empty values.
  public var text: String? {
    guard case .scalar(let text, _) = node.content, !node.isNull else { return nil }
    return text
  }
  /// The whole value on one line, for labels.
  public var inlineText: String { node.inlineText }

  /// How messages name this value.
  var label: String { path.isEmpty ? "the file" : "'\(path)'" }

  /// An error at this value.
  public func error(_ message: String, expected: String? = nil, hint: String? = nil)
    -> WorkloadError
  {
    WorkloadError(message, at: position, expected: expected, hint: hint)
  }

  /// "'a.b' is 'ten'; expected …".
  func wrong(expected: String, hint: String? = nil) -> WorkloadError {
    let found: String
    switch node.content {
    case _ where isNull: found = "empty"
    case .scalar(let text, _): found = "'\(clip(text))'"
    case .list: found = "a list"
    case .mapping: found = "a mapping"
    }
    return error("\(label) is \(found)", expected: expected, hint: hint)
  }

  /// The text of a scalar, or an error that says what was expected.
  func scalarText(expected: String) throws(WorkloadError) -> String {
    guard let text else { throw wrong(expected: expected) }
    return text
  }

  /// A text that is not empty.
  public func string() throws(WorkloadError) -> String {
    let text = try scalarText(expected: "a text")
    if text.isEmpty { throw wrong(expected: "a text that is not empty") }
    return text
  }

  /// The text with its place.
  public func positionedString() throws(WorkloadError) -> Positioned<String> {
    Positioned(try string(), at: position)
  }

  /// A whole number; `1_000` and `1e6` are allowed.
  public func int(in range: ClosedRange<Int> = Int.min...Int.max) throws(WorkloadError) -> Int {
    let expected = "a whole number" + describe(range.lowerBound, range.upperBound, .min, .max)
    let text = try scalarText(expected: expected)
    try rejectQuotes(expected)
    guard let (digits, unit) = splitNumber(text), unit.isEmpty else {
      throw wrong(expected: expected)
    }
    let value: Int
    if let whole = Int(digits) {
      value = whole
    } else if let number = Double(digits), number == number.rounded(), abs(number) <= 0x1p53 {
      value = Int(number)
    } else {
      throw wrong(expected: expected)
    }
    guard range.contains(value) else { throw wrong(expected: expected) }
    return value
  }

  /// A finite number.
  public func double(
    in range: ClosedRange<Double> = -Double
      .greatestFiniteMagnitude...Double
      .greatestFiniteMagnitude
  ) throws(WorkloadError) -> Double {
    let limit = Double.greatestFiniteMagnitude
    let expected = "a number" + describe(range.lowerBound, range.upperBound, -limit, limit)
    let text = try scalarText(expected: expected)
    try rejectQuotes(expected)
    guard let (digits, unit) = splitNumber(text), unit.isEmpty, let value = Double(digits),
      range.contains(value)
    else { throw wrong(expected: expected) }
    return value
  }

  /// `true` or `false`.
  public func bool() throws(WorkloadError) -> Bool {
    switch text {
    case "true": return true
    case "false": return false
    default: throw wrong(expected: "true or false")
    }
  }

  /// One of the raw values of an enumeration.
  public func choice<T>(_ type: T.Type) throws(WorkloadError) -> T
  where T: RawRepresentable & CaseIterable, T.RawValue == String {
    let known = T.allCases.map(\.rawValue)
    let expected = known.joined(separator: ", ")
    let text = try scalarText(expected: "one of \(expected)")
    if let value = T(rawValue: text) { return value }
    let nearest = WorkloadError.nearest(to: text, in: known)
    throw wrong(expected: "one of \(expected)", hint: nearest.map { "did you mean '\($0)'?" })
  }

  /// The elements of a list.
  public func list() throws(WorkloadError) -> [PositionedValue] {
    guard case .list(let items) = node.content else {
      throw wrong(expected: "a list", hint: text.map { "write [\(clip($0))]" })
    }
    return items.enumerated().map { PositionedValue($0.element, path: "\(path)[\($0.offset)]") }
  }

  /// The keys of a mapping, to be asked for one by one.
  public func mapping() throws(WorkloadError) -> MappingReader { try MappingReader(self) }

  private func rejectQuotes(_ expected: String) throws(WorkloadError) {
    if case .scalar(_, plain: false) = node.content {
      throw wrong(expected: expected, hint: "remove the quotes")
    }
  }

  private func describe<T: Comparable>(_ low: T, _ high: T, _ least: T, _ most: T) -> String {
    switch (low > least, high < most) {
    case (true, true): return " from \(low) to \(high)"
    case (true, false): return " of at least \(low)"
    case (false, true): return " of at most \(high)"
    case (false, false): return ""
    }
  }
}

/// Splits a decimal number from the unit behind it; underscores between digits are dropped. Nil
/// when the text does not begin with a number.
func splitNumber(_ text: String) -> (digits: String, unit: String)? {
  let bytes = Array(text.utf8)
  var at = 0
  var digits: [UInt8] = []
  func isDigit(_ index: Int) -> Bool { index < bytes.count && (48...57).contains(bytes[index]) }
  func takeDigits() -> Bool {
    let start = at
    while isDigit(at) || at > start && at < bytes.count && bytes[at] == 95 && isDigit(at + 1) {
      if bytes[at] != 95 { digits.append(bytes[at]) }
      at += 1
    }
    return at > start
  }
  if at < bytes.count, bytes[at] == 43 || bytes[at] == 45 {
    digits.append(bytes[at])
    at += 1
  }
  let whole = takeDigits()
  if !whole { digits.append(48) }
  if at < bytes.count, bytes[at] == 46 {
    guard isDigit(at + 1) else { return nil }
    digits.append(46)
    at += 1
    _ = takeDigits()
  } else if !whole {
    return nil
  }
  if at < bytes.count, bytes[at] == 101 || bytes[at] == 69 {
    let sign = at + 1 < bytes.count && (bytes[at + 1] == 43 || bytes[at + 1] == 45) ? 1 : 0
    if isDigit(at + 1 + sign) {
      digits += bytes[at...(at + sign)]
      at += 1 + sign
      _ = takeDigits()
    }
  }
  while at < bytes.count, bytes[at] == 32 { at += 1 }
  return (String(decoding: digits, as: UTF8.self), String(decoding: bytes[at...], as: UTF8.self))
}
