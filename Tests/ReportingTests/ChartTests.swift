import Foundation
import Measurement
import Primitives
import Testing

@testable import Reporting

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// Every element of an SVG with its attributes; throws where the text is not well-formed XML.
private final class Elements: NSObject, XMLParserDelegate {
  var all: [(name: String, attributes: [String: String], text: String)] = []
  private var open: [Int] = []

  static func of(_ svg: String) throws -> [(
    name: String, attributes: [String: String], text: String
  )] {
    let reader = Elements()
    let parser = XMLParser(data: Data(svg.utf8))
    parser.delegate = reader
    guard parser.parse() else { throw parser.parserError ?? CocoaError(.coderReadCorrupt) }
    return reader.all
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String] = [:]
  ) {
    open.append(all.count)
    all.append((name, attributes, ""))
  }

  func parser(_ parser: XMLParser, foundCharacters text: String) {
    if let last = open.last { all[last].text += text }
  }

  func parser(
    _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
  ) { open.removeLast() }
}

@Suite struct ChartTests {
  private static func chart(
    _ points: [[Chart.Point]], x: Chart.Scale = .linear, y: Chart.Scale = .linear,
    unit: String = "s",
    categories: [String] = []
  ) -> Chart {
    Chart(
      title: "A <title> & \"more\"", subtitle: "it's", xAxis: .init("nodes", scale: x),
      yAxis: .init("time", unit: unit, scale: y),
      series: points.enumerated().map {
        .init("series <\($0)>", points: $1, isPublished: $0 % 2 == 1, style: $0)
      }, categories: categories)
  }

  private static let curve = [0.5, 3, 40, 900].enumerated().map {
    Chart.Point(x: Double(1 << $0), y: $1, low: $1 * 0.5, high: $1 * 1.5)
  }

  static let cases: [(String, Chart)] = [
    ("no series", chart([])),
    ("no points", chart([[], []], x: .log2, y: .log10)),
    ("one point", chart([[.init(x: 5, y: 7)]])),
    ("one point on logarithmic axes", chart([[.init(x: 5, y: 7)]], x: .log10, y: .log10)),
    ("one point at zero", chart([[.init(x: 0, y: 0)]])),
    ("linear", chart([curve, curve])),
    ("logarithmic", chart([curve, curve, curve], x: .log2, y: .log10)),
    ("negative", chart([[.init(x: -3, y: -5, low: -9, high: 2), .init(x: 4, y: 1)]])),
    (
      "negative on logarithmic axes",
      chart([[.init(x: -3, y: -5), .init(x: 4, y: 1)]], x: .log10, y: .log10)
    ),
    ("bars that reach below zero", chart([[.init(x: 1, y: 5, low: -5, high: 9)]], y: .log10)),
    (
      "not finite",
      chart([[.init(x: .nan, y: 1), .init(x: 1, y: .infinity), .init(x: 2, y: 3, low: .nan)]])
    ),
    (
      "huge and tiny",
      chart([[.init(x: 1e-150, y: 1e150), .init(x: 1e150, y: 1e-150)]], x: .log10, y: .log10)
    ),
    ("words", chart([[.init(x: 0, y: 1), .init(x: 1, y: 2)]], categories: ["a <b>", "c & d"])),
    (
      "long words",
      chart(
        [(0..<9).map { .init(x: Double($0), y: 1) }],
        categories: (0..<9).map { "incomprehensibility\($0)" })
    ),
    ("many nodes", chart([(1...500).map { .init(x: Double($0), y: Double($0)) }], unit: "tasks/s")),
    ("equal values", chart([[.init(x: 1, y: 5e9), .init(x: 2, y: 5e9)]])),
  ]

  @Test("every chart is well-formed, and nothing lies outside it", arguments: cases.map(\.0))
  func wellFormed(name: String) throws {
    let chart = try #require(Self.cases.first { $0.0 == name }?.1)
    let elements = try Elements.of(chart.svg)
    #expect(elements[0].name == "svg")
    #expect(elements.contains { $0.text == "A <title> & \"more\"" })
    for element in elements where element.name != "svg" {
      for key in ["x", "x1", "x2", "cx", "y", "y1", "y2", "cy"] {
        guard let text = element.attributes[key] else { continue }
        let value = try #require(Double(text), "\(key) is \(text)")
        let limit = key.hasPrefix("x") || key == "cx" ? chart.width : chart.height
        #expect(value >= -0.5 && value <= limit + 0.5, "\(element.name) \(key)=\(value)")
      }
      if let points = element.attributes["points"] {
        #expect(!points.contains("nan") && !points.contains("inf"))
      }
    }
  }

  @Test("labels do not overlap each other or leave the picture", arguments: cases.map(\.0))
  func noOverlap(name: String) throws {
    let chart = try #require(Self.cases.first { $0.0 == name }?.1)
    var boxes: [(text: String, left: Double, right: Double, y: Double)] = []
    for element in try Elements.of(chart.svg) {
      guard element.name == "text", element.attributes["transform"] == nil else { continue }
      let style = element.attributes["class"] ?? ""
      let size = style == "hs-title" ? ChartLayout.boldSize : ChartLayout.textSize
      let width = ChartLayout.width(of: element.text, size: size)
      let x = try #require(Double(element.attributes["x"] ?? ""))
      let left = style.contains("end") ? x - width : style.contains("middle") ? x - width / 2 : x
      let y = try #require(Double(element.attributes["y"] ?? ""))
      #expect(left >= 0 && left + width <= chart.width + 1, "\(element.text)")
      boxes.append((element.text, left, left + width, y))
    }
    for (index, a) in boxes.enumerated() {
      for b in boxes[(index + 1)...] where abs(a.y - b.y) < 11 {
        #expect(a.right <= b.left || b.right <= a.left, "\(a.text) on \(b.text)")
      }
    }
  }

  @Test("published points are hollow and in the colour of the series that they belong to")
  func published() throws {
    let rows = [256, 512].map {
      Row(
        experiment: "Fig", series: "tree", xName: "cores", x: "\($0)", yName: "time", y: Double($0),
        unit: "s", origin: .simulated)
    }
    let published = PublishedResults(
      [("tree", "512", 8.0), ("rival", "1024", 7), ("rival", "2048", 6), ("claim", "1", 5)].map {
        PublishedPoint(
          experiment: "fig", series: $0.0, xName: "cores", x: $0.1, yName: "time", y: $0.2,
          unit: "min", origin: .plot, source: "")
      })
    let chart = try #require(Chart.charts(rows, published: published).first)
    #expect(chart.series.map(\.name) == ["tree", "tree (published)", "rival (published)"])
    #expect(chart.series.map(\.isPublished) == [false, true, true])
    #expect(chart.series[1].style == chart.series[0].style)
    #expect(chart.series[2].style != chart.series[0].style)
    #expect(chart.series[1].points == [.init(x: 512, y: 480)])
    let hollow = try Elements.of(chart.svg).filter {
      $0.attributes["class"]?.contains("hs-open") == true
    }
    // Three points and two legend entries.
    #expect(hollow.count == 5)
  }

  @Test("scales follow from the values of the rows")
  func scales() {
    func chart(_ xs: [String], _ ys: [Double]) -> Chart? {
      Chart.charts(
        zip(xs, ys).map {
          Row(
            experiment: "E", series: "s", xName: "n", x: $0, yName: "y", y: $1, unit: "s",
            origin: .real)
        }
      ).first
    }
    #expect(chart(["256", "8192"], [60, 4])?.xAxis.scale == .log2)
    #expect(chart(["256", "8192"], [60, 4])?.yAxis.scale == .log10)
    #expect(chart(["10", "100"], [1, 2])?.xAxis.scale == .linear)
    #expect(chart(["100KB", "100MB"], [1, 2])?.xAxis.scale == .log10)
    #expect(chart(["100KB", "100MB"], [1, 2])?.xAxis.unit == "B")
    #expect(chart(["a", "b"], [1, 2])?.categories == ["a", "b"])
    #expect(chart(["1"], [1]) == nil)
    #expect(chart(["", ""], [1, 2]) == nil)
  }

  @Test("the percentile chart ends at the maximum, where one value in n exceeds it")
  func percentiles() throws {
    var recorder = LatencyRecorder()
    for index in 1...10_000 { recorder.record(.microseconds(UInt64(index))) }
    let chart = Chart.percentiles(title: "t", [("run", recorder), ("none", LatencyRecorder())])
    let last = try #require(chart.series[0].points.last)
    #expect(last.x == 10_000 && last.y == 0.01)
    let labels = try Elements.of(chart.svg).map(\.text)
    for label in ["0%", "50%", "90%", "99%", "99.9%", "99.99%"] { #expect(labels.contains(label)) }
  }
}

@Suite struct HTMLReportTests {
  @Test("the page is complete in itself and shows everything it was given")
  func selfContained() {
    var recorder = LatencyRecorder()
    recorder.record(.microseconds(5))
    let rows = ["1", "2"].map {
      Row(
        experiment: "E <1>", series: "s", xName: "n", x: $0, yName: "y", y: 2, unit: "s",
        origin: .simulated)
    }
    let page = HTMLReport(
      title: "Title & <b>", notes: ["note"],
      checks: [Check(name: "check 1", value: 2, unit: "x", in: 0...1)], rows: rows,
      latencies: [("run", recorder)],
      manifest: Manifest(
        experiment: "E", workload: .init(path: "w.yaml", content: "a: <b>"), seeds: [7],
        configuration: ["cluster": ["nodes": 40]])
    ).html
    for text in [
      "<title>Title &amp; &lt;b&gt;</title>", "check 1", "expected 0× to 1×", "cluster.nodes",
      "a: &lt;b&gt;", "Latency by percentile", "prefers-color-scheme", "E &lt;1&gt;: y",
      "@media print",
    ] { #expect(page.contains(text), "\(text)") }
    #expect(page.components(separatedBy: "<svg").count == 3)
    for text in ["<script", "<link", "src=", "href=", "url(", "@import"] {
      #expect(!page.contains(text), "\(text)")
    }
  }
}
