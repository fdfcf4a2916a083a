import Foundation
import Measurement

/// One page that shows a result in full and needs nothing else: it opens from a file, offline, on
/// paper and on a telephone, light or dark with the reader's preference.
public struct HTMLReport: Sendable {
  public var title: String
  /// Paragraphs below the title.
  public var notes: [String]
  public var checks: [Check]
  public var charts: [Chart]
  public var tables: [ResultTable]
  public var latencies: [(name: String, recorder: LatencyRecorder)]
  public var manifest: Manifest

  public init(
    title: String, notes: [String] = [], checks: [Check] = [], charts: [Chart] = [],
    tables: [ResultTable] = [], latencies: [(name: String, recorder: LatencyRecorder)] = [],
    manifest: Manifest
  ) {
    self.title = title
    self.notes = notes
    self.checks = checks
    self.charts = charts
    self.tables = tables
    self.latencies = latencies
    self.manifest = manifest
  }

  /// A report of rows: their charts and tables, beside the published numbers.
  public init(
    title: String, notes: [String] = [], checks: [Check] = [], rows: [Row],
    published: PublishedResults = PublishedResults(), details: [ResultTable] = [],
    latencies: [(name: String, recorder: LatencyRecorder)] = [], manifest: Manifest
  ) {
    self.init(
      title: title, notes: notes, checks: checks,
      charts: Chart.charts(rows, published: published),
      tables: ResultTable.listings(rows, published: published) + details,
      latencies: latencies, manifest: manifest)
  }

  public var html: String {
    var page = """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <title>\(Markup.escaped(title))</title>
      <style>\(Self.css)</style>
      </head>
      <body>
      <main>
      <header>
      <h1>\(Markup.escaped(title))</h1>

      """
    if let world = manifest.world { page += "<p>World: \(Markup.escaped(world))</p>\n" }
    for note in notes { page += "<p>\(Markup.escaped(note))</p>\n" }
    page += Self.list(manifest.facts.filter { $0.name != "fingerprints" }) + "</header>\n"
    page += verdict
    if !charts.isEmpty {
      page += "<section>\n<h2>Charts</h2>\n"
      for chart in charts { page += "<figure>\(chart.svg)</figure>\n" }
      page += "</section>\n"
    }
    for table in tables { page += Self.section(table) }
    page += distribution
    page += Self.configuration(manifest)
    return page + "</main>\n</body>\n</html>\n"
  }

  private var verdict: String {
    if checks.isEmpty { return "" }
    let table = SummaryDocument.table(checks)
    var text = "<section>\n<h2>\(Markup.escaped(table.title))</h2>\n<ul class=\"checks\">\n"
    for check in SummaryDocument.ordered(checks) {
      let mark = check.verdict.lowercased()
      let words = SummaryDocument.note(check)
      let note = words.isEmpty ? "" : "<small>\(Markup.escaped(words))</small>"
      text += """
        <li class="\(mark)"><b>\(mark)</b><div>\(Markup.escaped(check.name))\(note)</div>\
        <span>\(Markup.escaped(check.measured))<small>expected \
        \(Markup.escaped(check.expected))</small></span></li>

        """
    }
    return text + "</ul>\n</section>\n"
  }

  private var distribution: String {
    let filled = latencies.filter { !$0.recorder.isEmpty }
    if filled.isEmpty { return "" }
    let chart = Chart.percentiles(title: "Latency by percentile", filled)
    return "<section>\n<h2>Latencies</h2>\n<figure>\(chart.svg)</figure>\n"
      + "<div class=\"wide\">\(ResultTable(latencies: filled).html)</div>\n</section>\n"
  }

  private static func section(_ table: ResultTable) -> String {
    let notes = table.notes.map { "<p class=\"note\">\(Markup.escaped($0))</p>\n" }.joined()
    return "<section>\n<h2>\(Markup.escaped(table.title))</h2>\n"
      + "<div class=\"wide\">\(table.html)</div>\n\(notes)</section>\n"
  }

  private static func configuration(_ manifest: Manifest) -> String {
    var text = "<section>\n<h2>Effective configuration</h2>\n"
    let leaves = manifest.configuration.leaves.map { (name: $0.path, value: $0.value) }
    text +=
      leaves.isEmpty
      ? "<p>None was recorded.</p>\n"
      : "<details><summary>All \(leaves.count) settings</summary>\n\(list(leaves))</details>\n"
    if let workload = manifest.workload {
      text += "<details><summary>\(Markup.escaped(workload.path))</summary>\n"
      text += "<pre>\(Markup.escaped(workload.content))</pre></details>\n"
    }
    let json = (try? manifest.json()) ?? ""
    text += "<details><summary>Manifest</summary>\n<pre>\(Markup.escaped(json))</pre></details>\n"
    return text + "</section>\n"
  }

  private static func list(_ facts: [(name: String, value: String)]) -> String {
    let items = facts.map {
      "<div><dt>\(Markup.escaped($0.name))</dt><dd>\(Markup.escaped($0.value))</dd></div>\n"
    }
    return "<dl>\n\(items.joined())</dl>\n"
  }

  private static let css = """
    :root{--bg:#fff;--card:#f6f7f9;--text:#1b2330;--muted:#5a6574;--line:#dfe3e9;\
    --pass:#00734f;--fail:#b3261e}
    @media (prefers-color-scheme:dark){:root{--bg:#161a20;--card:#1f242c;--text:#e8ebf0;\
    --muted:#a3adba;--line:#323944;--pass:#46cf9f;--fail:#ff8a80}}
    *{box-sizing:border-box}
    body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,-apple-system,\
    'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
    main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
    h1{font-size:1.7rem;line-height:1.25;margin:0 0 .6rem}
    h2{font-size:1.15rem;margin:2.4rem 0 .7rem}
    header p{margin:.3rem 0;max-width:44rem}
    dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.15rem 1.5rem;\
    margin:1rem 0}
    dl div{border-top:1px solid var(--line);padding:.3rem 0;min-width:0}
    dt{color:var(--muted);font-size:.8rem}
    dd{margin:0;overflow-wrap:anywhere}
    .checks{list-style:none;margin:0;padding:0}
    .checks li{display:grid;grid-template-columns:3.2rem 1fr auto;gap:.9rem;align-items:baseline;\
    padding:.5rem 0;border-top:1px solid var(--line)}
    .checks b{text-transform:uppercase;font-size:.75rem;letter-spacing:.04em}
    .checks .pass b{color:var(--pass)}.checks .fail b{color:var(--fail)}
    .checks span{text-align:right;font-variant-numeric:tabular-nums}
    small{display:block;color:var(--muted)}
    figure{margin:0 0 1.5rem}
    figure svg{display:block;width:100%;max-width:720px;height:auto}
    .wide,figure{overflow-x:auto}
    table{border-collapse:collapse;font-size:.9rem;min-width:60%}
    th,td{padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--line);text-align:left;\
    vertical-align:top}
    th{color:var(--muted);font-weight:600}
    th:last-child,td:last-child{padding-right:0}
    .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
    .note{color:var(--muted);font-size:.85rem;margin:.5rem 0 0;overflow-wrap:anywhere}
    details{margin:.8rem 0}summary{cursor:pointer}
    pre{background:var(--card);padding:.9rem;border-radius:6px;overflow-x:auto;font-size:.8rem;\
    line-height:1.45}
    @media (max-width:34rem){main{padding:1.25rem .9rem 3rem}.checks li{grid-template-columns:1fr;gap:.15rem}\
    .checks span{text-align:left}figure svg{min-width:33rem}}
    @media print{main{max-width:none;padding:0}figure,.checks li,tr{break-inside:avoid}\
    h2{break-after:avoid}.wide,figure{overflow:visible}pre{white-space:pre-wrap}}
    """
}

extension ResultTable {
  /// A line per recorder: count, mean, usual percentiles and maximum.
  public init(latencies: [(name: String, recorder: LatencyRecorder)]) {
    let percents = [50, 90, 99, 99.9, 99.99]
    self.init(
      title: "Latencies",
      headings: [Heading("latency"), Heading("count", .trailing), Heading("mean", .trailing)]
        + percents.map { Heading("p\(Quantity.digits($0, significant: 4))", .trailing) }
        + [Heading("max", .trailing)],
      rows: latencies.map { name, recorder in
        let spans =
          [recorder.mean] + percents.map { recorder.percentile($0) } + [recorder.max]
        return [name, "\(recorder.count)"]
          + spans.map { recorder.isEmpty ? "—" : Quantity.text($0.seconds, unit: "s") }
      })
  }
}
