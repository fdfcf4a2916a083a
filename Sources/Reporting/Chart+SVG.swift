import Foundation

extension Chart {
  /// The chart as an SVG image: no scripts, nothing external, light or dark with the reader's
  /// preference. Every point tells its values when pointed at.
  public var svg: String {
    let layout = ChartLayout(self)
    let name = Markup.escaped(title)
    var svg = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.px(width)) \(Self.px(height))" \
      width="\(Self.px(width))" height="\(Self.px(height))" role="img" aria-label="\(name)" \
      class="hs-chart">
      <title>\(name)</title>
      <style>\(ChartStyle.css)</style>
      <rect class="hs-bg" width="100%" height="100%" rx="6"/>

      """
    heading(layout, into: &svg)
    frame(layout, into: &svg)
    // Error bars first, then lines, then markers, so that no series hides another's points.
    for (index, series) in series.enumerated() { bars(series, layout, index, into: &svg) }
    for (index, series) in series.enumerated() { line(series, layout, index, into: &svg) }
    for (index, series) in series.enumerated() { markers(series, layout, index, into: &svg) }
    for item in layout.legend { legend(item, into: &svg) }
    return svg + "</svg>\n"
  }

  private func heading(_ layout: ChartLayout, into svg: inout String) {
    var y = 12.0
    for line in layout.title {
      y += 20
      svg += Self.text(line, x: 16, y: y - 4, "hs-title")
    }
    for line in layout.subtitle {
      y += ChartLayout.lineHeight
      svg += Self.text(line, x: 16, y: y - 4, "hs-muted")
    }
  }

  private func frame(_ layout: ChartLayout, into svg: inout String) {
    for tick in layout.yTicks {
      let y = layout.y(tick.position)
      svg += Self.rule(layout.left, y, layout.right, y, "hs-grid")
      svg += Self.text(tick.label[0], x: layout.left - 8, y: y + 4, "hs-muted hs-end")
    }
    for tick in layout.xTicks {
      let x = layout.x(tick.position)
      if categories.isEmpty { svg += Self.rule(x, layout.top, x, layout.bottom, "hs-grid") }
      svg += Self.rule(x, layout.bottom, x, layout.bottom + 4, "hs-axis")
      if layout.slanted {
        svg += Self.text(
          tick.label[0], x: x + 4, y: layout.bottom + 16, "hs-muted hs-end", turn: -30)
        continue
      }
      for (number, line) in tick.label.enumerated() {
        svg += Self.text(
          line, x: x, y: layout.bottom + 18 + Double(number) * 15, "hs-muted hs-middle")
      }
    }
    svg += Self.rule(layout.left, layout.bottom, layout.right, layout.bottom, "hs-axis")
    // Zero is where the lengths begin; it shows when values lie on both sides.
    if !layout.y.isLogarithmic, layout.y.low < 0, layout.y.high > 0 {
      svg += Self.rule(layout.left, layout.y(0), layout.right, layout.y(0), "hs-axis")
    }
    svg += Self.text(layout.yLabel, x: 16, y: layout.top - 13, "hs-label")
    svg += Self.text(
      xAxis.label, x: (layout.left + layout.right) / 2, y: height - 12, "hs-label hs-middle")
    if layout.points.allSatisfy(\.isEmpty) {
      svg += Self.text(
        "no data", x: (layout.left + layout.right) / 2, y: (layout.top + layout.bottom) / 2,
        "hs-muted hs-middle")
    }
  }

  /// How far a series stands aside among categories, where all share the same few places.
  private func shift(_ index: Int) -> Double {
    if categories.isEmpty || series.count < 2 { return 0 }
    return (Double(index) - Double(series.count - 1) / 2) * 10
  }

  private func bars(
    _ series: Series, _ layout: ChartLayout, _ index: Int, into svg: inout String
  ) {
    for point in layout.points[index] {
      func end(_ bound: Double?) -> (y: Double, isCut: Bool)? {
        guard let bound, bound.isFinite, abs(bound) < ChartLayout.limit else { return nil }
        if layout.y.isLogarithmic && bound <= 0 { return (layout.bottom, true) }
        return (layout.y(bound), false)
      }
      let x = layout.x(point.x) + shift(index)
      let (low, high) = (end(point.low), end(point.high))
      guard low != nil || high != nil else { continue }
      let middle = layout.y(point.y)
      let style = "hs-\(series.style % ChartStyle.count) hs-bar"
      svg += Self.rule(x, low?.y ?? middle, x, high?.y ?? middle, style)
      for bound in [low, high] {
        if let bound, !bound.isCut { svg += Self.rule(x - 4, bound.y, x + 4, bound.y, style) }
      }
    }
  }

  private func line(
    _ series: Series, _ layout: ChartLayout, _ index: Int, into svg: inout String
  ) {
    // Between categories there is nothing that a line could stand for.
    guard categories.isEmpty, layout.points[index].count > 1 else { return }
    let path = layout.points[index].sorted { $0.x < $1.x }
      .map { "\(Self.px(layout.x($0.x))),\(Self.px(layout.y($0.y)))" }
    let dash = series.isPublished ? " stroke-dasharray=\"5 4\"" : ""
    svg += "<polyline class=\"hs-\(series.style % ChartStyle.count) hs-line\"\(dash) "
    svg += "points=\"\(path.joined(separator: " "))\"/>\n"
  }

  private func markers(
    _ series: Series, _ layout: ChartLayout, _ index: Int, into svg: inout String
  ) {
    guard series.hasMarkers || layout.points[index].count == 1 else { return }
    for point in layout.points[index] {
      let y = Quantity.text(point.y, low: point.low, high: point.high, unit: yAxis.unit)
      let name = Int(exactly: point.x).flatMap {
        categories.indices.contains($0) ? categories[$0] : nil
      }
      let x = name ?? Quantity.text(point.x, unit: xAxis.unit)
      svg += Self.marker(
        series, x: layout.x(point.x) + shift(index), y: layout.y(point.y),
        told: "\(series.name), \(xAxis.label) \(x): \(y)")
    }
  }

  private func legend(_ item: ChartLayout.LegendItem, into svg: inout String) {
    let series = series[item.series]
    let y = item.y - 4
    if categories.isEmpty {
      let dash = series.isPublished ? " stroke-dasharray=\"5 4\"" : ""
      svg += "<line class=\"hs-\(series.style % ChartStyle.count) hs-line\"\(dash) "
      svg += "x1=\"\(Self.px(item.x))\" y1=\"\(Self.px(y))\" "
      svg += "x2=\"\(Self.px(item.x + 26))\" y2=\"\(Self.px(y))\"/>\n"
    }
    if series.hasMarkers { svg += Self.marker(series, x: item.x + 13, y: y, told: nil) }
    svg += Self.text(series.name, x: item.x + 34, y: item.y, "hs-text")
  }

  /// Colour and shape both tell series apart, so that neither is needed alone.
  private static func marker(_ series: Series, x: Double, y: Double, told: String?) -> String {
    let colour = "hs-\(series.style % ChartStyle.count)"
    let style = "\(colour) hs-dot" + (series.isPublished ? " hs-open" : "")
    let title = told.map { "<title>\(Markup.escaped($0))</title>" } ?? ""
    func polygon(_ corners: [(Double, Double)]) -> String {
      let points = corners.map { "\(px(x + $0)),\(px(y + $1))" }.joined(separator: " ")
      return "<polygon class=\"\(style)\" points=\"\(points)\">\(title)</polygon>\n"
    }
    switch series.style % 5 {
    case 0:
      let place = "cx=\"\(px(x))\" cy=\"\(px(y))\" r=\"4\""
      return "<circle class=\"\(style)\" \(place)>\(title)</circle>\n"
    case 1: return polygon([(-3.7, -3.7), (3.7, -3.7), (3.7, 3.7), (-3.7, 3.7)])
    case 2: return polygon([(0, -4.8), (4.6, 3.4), (-4.6, 3.4)])
    case 3: return polygon([(0, -5.2), (5.2, 0), (0, 5.2), (-5.2, 0)])
    default: return polygon([(0, 4.8), (4.6, -3.4), (-4.6, -3.4)])
    }
  }

  private static func rule(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String
  ) -> String {
    "<line class=\"\(style)\" x1=\"\(px(x1))\" y1=\"\(px(y1))\" x2=\"\(px(x2))\" y2=\"\(px(y2))\"/>\n"
  }

  private static func text(
    _ text: String, x: Double, y: Double, _ style: String, turn: Double = 0
  ) -> String {
    if text.isEmpty { return "" }
    let turned = turn == 0 ? "" : " transform=\"rotate(\(px(turn)) \(px(x)) \(px(y)))\""
    return "<text class=\"\(style)\" x=\"\(px(x))\" y=\"\(px(y))\"\(turned)>"
      + Markup.escaped(text) + "</text>\n"
  }

  /// A coordinate, to a tenth of a pixel.
  private static func px(_ value: Double) -> String {
    Quantity.stripped(String(format: "%.1f", value == 0 ? 0 : value))
  }
}

/// The looks of all charts. Class names are prefixed, as a report holds many charts in one page.
enum ChartStyle {
  /// M. Okabe and K. Ito, "Color Universal Design" (2008): distinct with any colour vision. The
  /// yellow is left out, as it vanishes on white.
  static let light = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"]
  /// The same hues, lighter, for a dark ground.
  static let dark = ["#4FA8E0", "#F0803C", "#2FC49A", "#E6A3C8", "#F4BE4F", "#A5D6F5", "#C3C8CF"]
  static var count: Int { light.count }

  static let css: String = {
    func colours(_ palette: [String]) -> String {
      palette.enumerated().map { ".hs-\($0){stroke:\($1);fill:\($1)}" }.joined()
    }
    func ground(_ back: String, _ text: String, _ muted: String, _ grid: String, _ axis: String)
      -> String
    {
      ".hs-bg{fill:\(back)}.hs-title,.hs-text,.hs-label{fill:\(text)}.hs-muted{fill:\(muted)}"
        + ".hs-grid{stroke:\(grid)}.hs-axis{stroke:\(axis)}"
    }
    let family = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
    let fixed =
      ".hs-chart text{font-family:\(family);font-size:12px;stroke:none}"
      + ".hs-chart .hs-title{font-size:15px;font-weight:600}.hs-chart .hs-label{font-weight:500}"
      + ".hs-end{text-anchor:end}.hs-middle{text-anchor:middle}"
      + ".hs-grid,.hs-axis{stroke-width:1;shape-rendering:crispEdges}"
    // After the colours, so that they win over them.
    let over = { (back: String) in
      ".hs-line{fill:none;stroke-width:2;stroke-linejoin:round}"
        + ".hs-bar{fill:none;stroke-width:1.2;opacity:.65}"
        + ".hs-dot{stroke-width:1.8}.hs-open{fill:\(back)}"
    }
    return fixed + ground("#ffffff", "#1b2330", "#5a6574", "#e6e9ee", "#8b95a3")
      + colours(light) + over("#ffffff") + "@media (prefers-color-scheme:dark){"
      + ground("#161a20", "#e8ebf0", "#a3adba", "#2a3039", "#6c7684") + colours(dark)
      + over("#161a20") + "}"
  }()
}
