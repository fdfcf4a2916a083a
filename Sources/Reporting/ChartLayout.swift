import Foundation

/// Where everything of a chart goes: ranges, ticks and margins, in pixels from the top left.
struct ChartLayout {
  /// One axis mapped to pixels.
  struct Mapping {
    var low: Double
    var high: Double
    var start: Double
    var end: Double
    var isLogarithmic: Bool

    func callAsFunction(_ value: Double) -> Double {
      let fraction =
        isLogarithmic
        ? (log(value) - log(low)) / (log(high) - log(low)) : (value - low) / (high - low)
      return start + fraction * (end - start)
    }
  }

  struct Tick {
    var position: Double
    /// In lines, from above.
    var label: [String]
  }

  struct LegendItem {
    var series: Int
    var x: Double
    var y: Double
  }

  static let textSize = 12.0
  static let titleSize = 15.0
  /// The size at which plain text is as wide as the title in bold.
  static let boldSize = 18.5
  static let lineHeight = 17.0
  /// Larger values are left out: quotients and squares of smaller ones cannot overflow.
  static let limit = 1.1e150

  /// The points that can be drawn, per series.
  let points: [[Chart.Point]]
  let title: [String]
  let subtitle: [String]
  var legend: [LegendItem] = []
  var left = 0.0
  var right = 0.0
  var top = 0.0
  var bottom = 0.0
  var x = Mapping(low: 0, high: 1, start: 0, end: 1, isLogarithmic: false)
  var y = Mapping(low: 0, high: 1, start: 1, end: 0, isLogarithmic: false)
  var xTicks: [Tick] = []
  var yTicks: [Tick] = []
  var yLabel = ""
  var slanted = false

  init(_ chart: Chart) {
    points = chart.series.map { series in
      series.points.filter {
        $0.x.isFinite && $0.y.isFinite && abs($0.x) < Self.limit && abs($0.y) < Self.limit
      }
    }
    let inner = chart.width - 32
    title = Self.wrapped(chart.title, width: inner, size: Self.boldSize)
    subtitle =
      chart.subtitle.isEmpty
      ? [] : Self.wrapped(chart.subtitle, width: inner, size: Self.textSize)

    var line = 12 + Double(title.count) * 20 + Double(subtitle.count) * Self.lineHeight
    line += placeLegend(chart, from: line)
    // The label of the y axis lies above it, level, where it needs no turning of the head.
    top = line + 32
    placeVertical(chart)
    placeHorizontal(chart)
  }

  private mutating func placeLegend(_ chart: Chart, from top: Double) -> Double {
    guard chart.series.count > 1 || chart.series.contains(where: \.isPublished) else { return 0 }
    var at = 16.0
    var row = 0.0
    for (index, series) in chart.series.enumerated() {
      let width = 34 + Self.width(of: series.name, size: Self.textSize) + 18
      if at > 16, at + width > chart.width {
        at = 16
        row += 1
      }
      legend.append(LegendItem(series: index, x: at, y: top + 14 + row * 18))
      at += width
    }
    return legend.isEmpty ? 0 : (row + 1) * 18 + 4
  }

  private mutating func placeVertical(_ chart: Chart) {
    let axis = chart.yAxis
    let all = points.joined()
    let isLog = axis.scale != .linear && all.allSatisfy { $0.y > 0 } && !all.isEmpty
    var values = all.map(\.y)
    for bound in all.flatMap({ [$0.low, $0.high] }) {
      guard let bound, bound.isFinite, abs(bound) < Self.limit else { continue }
      if !isLog || bound > 0 { values.append(bound) }
    }
    var low = values.min() ?? 0
    let high = values.max() ?? 1
    // A length that starts elsewhere than at zero misleads, unless zero is far away.
    if !isLog, low > 0, low < 0.6 * high { low = 0 }
    let count = max(3, Int((chart.height - top - 50) / 48))
    let ticks =
      !isLog
      ? Ticks.linear(low, high, count: count)
      : axis.scale == .log2
        ? Ticks.log2Ticks(low, high, count: count) : Ticks.log10Ticks(low, high, count: count)
    let form = Form(unit: axis.unit, ticks: ticks, isLogarithmic: isLog)
    yLabel = form.title(axis.label)
    let labels = ticks.map(form.label)
    left = 22 + (labels.map { Self.width(of: $0, size: Self.textSize) }.max() ?? 0)
    y = Mapping(
      low: ticks[0], high: ticks[ticks.count - 1], start: 0, end: top, isLogarithmic: isLog)
    yTicks = zip(ticks, labels).map { Tick(position: $0, label: [$1]) }
  }

  private mutating func placeHorizontal(_ chart: Chart) {
    right = chart.width - 22
    var below = 22.0
    if chart.categories.isEmpty {
      let (ticks, labels) = numericTicks(chart, points.joined().map(\.x))
      x.start = left
      x.end = right
      // Labels need their width and a gap; those that do not fit are left out, evenly.
      let widths = labels.map { Self.width(of: $0, size: Self.textSize) }
      xTicks = Self.thinned(ticks, labels, widths: widths, mapping: x)
    } else {
      below = placeCategories(chart.categories)
    }
    bottom = chart.height - below - (chart.xAxis.label.isEmpty ? 6 : 26)
    y.start = bottom
  }

  /// Names all matter, so none is left out: they are broken into lines, or slanted where a word is
  /// too wide for its place.
  /// - Returns: the height that they need.
  private mutating func placeCategories(_ names: [String]) -> Double {
    let names = names.map { Self.cut($0, to: 32) }
    let slot = (right - left) / Double(names.count) - 10
    let lines = names.map { Self.wrapped($0, width: slot, size: Self.textSize) }
    let widest = lines.joined().map { Self.width(of: $0, size: Self.textSize) }.max() ?? 0
    let depth = lines.map(\.count).max() ?? 1
    slanted = widest > slot || depth > 3
    var below = 8 + Double(max(1, depth)) * 15
    if slanted {
      let widths = names.map { Self.width(of: $0, size: Self.textSize) }
      below = 24 + (widths.max() ?? 0) * 0.5
      // At 30 degrees the first name reaches 0.87 of its length to the left of its tick.
      left = max(left, (widths.first ?? 0) * 0.87 + 12 - slot / 2)
    }
    x = Mapping(
      low: -0.5, high: Double(names.count) - 0.5, start: left, end: right, isLogarithmic: false)
    xTicks = names.indices.map {
      Tick(position: Double($0), label: slanted ? [names[$0]] : lines[$0])
    }
    return below
  }

  private mutating func numericTicks(_ chart: Chart, _ values: [Double]) -> ([Double], [String]) {
    let axis = chart.xAxis
    let isLog = axis.scale != .linear && values.allSatisfy { $0 > 0 } && !values.isEmpty
    var low = values.min() ?? 0
    var high = values.max() ?? 1
    let count = max(3, Int((chart.width - left) / 80))
    if !isLog {
      let all = Ticks.linear(low, high, count: count)
      if low == high { (low, high) = (all[0], all[all.count - 1]) }
      let margin = (high - low) * 0.03
      x = Mapping(
        low: low - margin, high: high + margin, start: 0, end: 1, isLogarithmic: false)
      let inside = all.filter { $0 >= x.low && $0 <= x.high }
      let form = Form(unit: axis.unit, ticks: inside, isLogarithmic: false, keepsUnit: true)
      return (inside, inside.map(form.label))
    }
    if low == high { (low, high) = (low / 2, high * 2) }
    let margin = axis.scale == .percentile ? 1 : pow(high / low, 0.03)
    x = Mapping(low: low / margin, high: high * margin, start: 0, end: 1, isLogarithmic: true)
    if axis.scale == .percentile {
      x.low = 1
      let nines = max(1, Int(log10(x.high) + 1e-9))
      let ticks = [1, 2, 4] + (1...nines).map { pow(10, Double($0)) }
      let inside = ticks.sorted().filter { $0 <= x.high * 1.000001 }
      return (inside, inside.map(Self.percentLabel))
    }
    let all =
      axis.scale == .log2
      ? Ticks.log2Ticks(low, high, count: 40) : Ticks.log10Ticks(low, high, count: count)
    let inside = all.filter { $0 >= x.low && $0 <= x.high }
    let ticks = inside.isEmpty ? [low, high] : inside
    let form = Form(unit: axis.unit, ticks: ticks, isLogarithmic: true, keepsUnit: true)
    return (ticks, ticks.map(form.label))
  }

  /// 1 / (1 − p) → `99.9%`.
  static func percentLabel(_ value: Double) -> String {
    let nines = max(0, Int((log10(value) + 1e-9).rounded(.down)))
    let decimals = value == 4 ? 0 : max(0, nines - 2)
    return String(format: "%.\(decimals)f", 100 * (1 - 1 / value)) + "%"
  }

  /// Every k-th tick, with the smallest k at which no two labels touch.
  static func thinned(
    _ ticks: [Double], _ labels: [String], widths: [Double], mapping: Mapping
  ) -> [Tick] {
    for every in 1...max(1, ticks.count) {
      let kept = ticks.indices.filter { $0 % every == 0 }
      let clear = zip(kept, kept.dropFirst()).allSatisfy { a, b in
        mapping(ticks[b]) - mapping(ticks[a]) >= (widths[a] + widths[b]) / 2 + 10
      }
      if clear { return kept.map { Tick(position: ticks[$0], label: [labels[$0]]) } }
    }
    return []
  }

  /// How the numbers of an axis are written.
  struct Form {
    private let unit: String
    private let scale: Quantity.Scale?
    private let note: String
    /// From where on numbers take a prefix: the same for all labels of an axis.
    private let prefixed: Double

    /// With one prefix for the whole axis on a linear scale; each label with its own on a
    /// logarithmic one.
    init(unit: String, ticks: [Double], isLogarithmic: Bool, keepsUnit: Bool = false) {
      prefixed = (ticks.map { abs($0) }.max() ?? 0) >= 1e5 ? 1e3 : .infinity
      let hasLadder = Quantity.Scale(for: 1e-3, unit: unit).divisor != 1 || unit == "B"
      if hasLadder && (isLogarithmic || keepsUnit) {
        self.unit = unit
        scale = nil
        note = isLogarithmic && !keepsUnit ? "log scale" : ""
        return
      }
      if hasLadder {
        let largest = ticks.map { abs($0) }.max() ?? 1
        let scale = Quantity.Scale(for: largest, unit: unit)
        self.scale = Quantity.Scale(divisor: scale.divisor, suffix: "")
        self.unit = ""
        note = scale.suffix.trimmingCharacters(in: .whitespaces)
        return
      }
      self.unit = ""
      scale = nil
      let named = unit == "count" ? "" : unit == "x" ? "×" : unit
      note = [named, isLogarithmic && !keepsUnit ? "log scale" : ""].filter { !$0.isEmpty }
        .joined(separator: ", ")
    }

    func label(_ value: Double) -> String {
      if let scale { return Quantity.digits(value / scale.divisor, significant: 6) }
      if unit.isEmpty {
        let prefix =
          abs(value) >= prefixed
          ? Quantity.Scale(for: max(1e5, abs(value)), unit: "")
          : Quantity.Scale(divisor: 1, suffix: "")
        return prefix.join(Quantity.digits(value / prefix.divisor, significant: 6))
      }
      return Quantity.text(value, unit: unit)
    }

    func title(_ label: String) -> String {
      if note.isEmpty { return label }
      if label.isEmpty { return note }
      return label.hasSuffix(")") ? "\(label), \(note)" : "\(label) (\(note))"
    }
  }

  /// About how wide a sans-serif font sets a text.
  static func width(of text: String, size: Double) -> Double {
    var ems = 0.0
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x2E80...0x9FFF, 0xAC00...0xD7AF, 0xF900...0xFAFF, 0xFF00...0xFF60: ems += 1
      case _ where "iljI.,:;|'!()[] ".unicodeScalars.contains(scalar): ems += 0.32
      case _ where "mwMW@%—".unicodeScalars.contains(scalar): ems += 0.88
      case 0x41...0x5A: ems += 0.68
      default: ems += 0.56
      }
    }
    return ems * size
  }

  static func cut(_ text: String, to count: Int) -> String {
    text.count <= count ? text : text.prefix(count - 1) + "…"
  }

  /// The text in lines of at most `width`, broken between words.
  static func wrapped(_ text: String, width: Double, size: Double) -> [String] {
    var lines: [String] = []
    for word in text.split(whereSeparator: \.isWhitespace) {
      if let last = lines.last, Self.width(of: last + " " + word, size: size) <= width {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }
}
