import Foundation
import Measurement
import Reporting
import Testing

@Suite struct ResultTableTests {
  private let rows = ["10", "9"].flatMap { x in
    ["tree", "flat"].map { series in
      Row(
        experiment: "Fig", series: series, xName: "nodes", x: x, yName: "time",
        y: series == "tree" ? 2 : 3, yLow: series == "tree" ? 1.8 : nil,
        yHigh: series == "tree" ? 2.2 : nil, unit: "s", origin: .simulated, seeds: "1-3")
    }
  }
  private let published = PublishedResults([
    PublishedPoint(
      experiment: "Fig", series: "tree", xName: "nodes", x: "10", yName: "time", y: 4, unit: "s",
      origin: .plot, source: "Figure 1")
  ])

  @Test("the terminal shows x by series, the published value and the ratio beside ours")
  func terminal() {
    let tables = ResultTable.tables(rows, published: published)
    #expect(
      tables.map(\.terminalText) == [
        """
        Fig: time
        nodes      tree published ours ÷ published flat
        ----- --------- --------- ---------------- ----
            9 2 ± 0.2 s                             3 s
           10 2 ± 0.2 s       4 s            0.50×  3 s
        simulated; seeds 1-3
        published (plot): Figure 1

        """
      ])
  }

  @Test("the document says for each number where it comes from")
  func markdown() {
    let table = ResultTable.listings(rows, published: published)[0]
    #expect(table.headings.map(\.title).contains("read from"))
    #expect(table.rows[1] == ["tree", "10", "2 ± 0.2 s", "simulated", "4 s", "plot", "0.50×"])
    #expect(table.markdown.hasPrefix("## Fig: time\n\n| series | nodes |"))
    #expect(table.markdown.contains("published (plot): Figure 1"))
  }

  @Test("many compared series make a line per series and x instead of a wide table")
  func wide() {
    let many = ["a", "b", "c", "d", "e", "f", "g"].map {
      Row(
        experiment: "E", series: $0, xName: "x", x: "1", yName: "y", y: 1, unit: "s", origin: .real)
    }
    let table = ResultTable.tables(many)[0]
    #expect(table.headings.map(\.title) == ["series", "x", "measured"])
    #expect(table.rows.count == 7)
  }

  @Test("rows of one series that differ in policy are told apart")
  func labels() {
    var a = rows[0]
    a.policies = "Random"
    var b = rows[0]
    b.policies = "LeastLoaded"
    #expect(RowGroup.groups([a, b])[0].series == ["tree · Random", "tree · LeastLoaded"])
    var real = rows[0]
    real.origin = .real
    real.world = "real"
    #expect(RowGroup.groups([rows[0], real])[0].series == ["tree", "tree · real"])
  }

  @Test("text with table and markup characters stays text")
  func escaping() {
    let table = ResultTable(
      title: "a|b <i>", headings: [.init("h|1"), .init("n", .trailing)],
      rows: [["x|y\n*z*", "<script>&\"'"]], notes: ["_n_"])
    #expect(table.markdown.contains("x\\|y \\*z\\*"))
    #expect(!table.markdown.contains("<script>"))
    #expect(table.html.contains("&lt;script&gt;&amp;&quot;&#39;"))
    #expect(!table.terminalText.contains("x|y\n"))
  }

  @Test("a table without rows still has its headings")
  func empty() {
    let table = ResultTable(title: "t", headings: [.init("one"), .init("two")], rows: [])
    #expect(table.terminalText == "t\none two\n--- ---\n")
    #expect(ResultTable.tables([]).isEmpty)
  }

  @Test("columns of words get narrower where a table is too wide; numbers and short lines stay")
  func narrow() {
    let table = ResultTable(
      title: "Checks of all that there is",
      headings: [.init("verdict"), .init("check"), .init("measured so far", .trailing)],
      rows: [
        ["pass", "the first of two checks", "12.5 ± 0.2 s"], ["FAIL", "second", "1 s"],
      ], notes: ["a=b[c=1,d=2,e=3] is the policy"])
    #expect(
      table.terminalText(width: 33) == """
        Checks of all that there is
                              measured so
        verdict check                 far
        ------- ------------ ------------
        pass    the first of 12.5 ± 0.2 s
                two checks
        FAIL    second                1 s
        a=b[c=1,d=2,e=3] is the policy

        """)
    #expect(table.terminalText(width: 300) == table.terminalText)
  }

  @Test(
    "text breaks at spaces, in long words behind commas, and keeps its own spaces and breaks",
    arguments: [
      ("short  enough", 13, 4, ["short  enough"]), ("", 5, 0, [""]),
      ("one  two three", 9, 0, ["one  two", "three"]), ("a b c d", 3, 1, ["a b", " c", " d"]),
      ("x policy[aa=1,bb=2,cc=3] y", 12, 2, ["x", "  policy[aa=1,", "  bb=2,cc=3]", "  y"]),
      ("unbreakable word", 5, 0, ["unbreakable", "word"]),
      ("two lines\nand more", 9, 2, ["two lines", "and more"]),
      ("  indented line", 10, 2, ["  indented", "  line"]),
    ])
  func wrapping(_ text: String, _ width: Int, _ indent: Int, _ lines: [String]) {
    #expect(TextWrapping.lines(text, width: width, indent: indent) == lines)
  }

  @Test("a summary shows failed checks first and the facts of the run")
  func summary() {
    let checks = [
      Check(name: "good", value: 1, unit: "x", in: 0.5...2),
      Check(name: "bad", value: .nan, unit: "x", in: 0.5...2, note: "why"),
    ]
    #expect(checks.map(\.passed) == [true, false])
    let text = SummaryDocument(
      title: "T", checks: checks, rows: rows, published: published,
      manifest: Manifest(experiment: "Fig", command: ["heliostat", "run"], cores: 2)
    ).markdown
    #expect(text.contains("Checks: 1 of 2 failed"))
    let bad = text.firstRange(of: "| FAIL")?.lowerBound
    let good = text.firstRange(of: "| pass")?.lowerBound
    #expect(bad != nil && good != nil && bad! < good!)
    #expect(text.contains("- command: heliostat run"))
  }

  @Test("a skipped check neither passed nor failed, comes last, and survives being stored")
  func skipped() throws {
    let good = Check(name: "good", value: 1, unit: "x", in: 0.5...2)
    let skipped = Check(name: "big", value: 9, unit: "x", in: 0.5...2).skipping("needs 8 CPUs")
    #expect(SummaryDocument.verdict([skipped, good]) == "1 passed, 1 skipped")
    #expect(SummaryDocument.table([skipped, good]).rows.map(\.first) == ["pass", "skip"])
    let stored = try JSONEncoder().encode([skipped, good])
    #expect(try JSONDecoder().decode([Check].self, from: stored) == [skipped, good])
    let earlier = #"{"name":"n","measured":"1","expected":"1","passed":true,"note":""}"#
    #expect(try JSONDecoder().decode(Check.self, from: Data(earlier.utf8)).skipped == nil)
  }

  @Test("the expected range of a check is written as a person reads it")
  func expected() {
    func expected(_ range: ClosedRange<Double>) -> String {
      Check(name: "", value: 1, unit: "s", in: range).expected
    }
    #expect(expected(0.5...2) == "500 ms to 2 s")
    #expect(expected(2 ... .infinity) == "at least 2 s")
    #expect(expected(-.infinity...2) == "at most 2 s")
    #expect(expected(2...2) == "2 s")
  }

  @Test("latencies are tabled by percentile, empty ones as dashes")
  func latencies() {
    var recorder = LatencyRecorder()
    for index in 1...100 { recorder.record(.microseconds(UInt64(index))) }
    let table = ResultTable(latencies: [("run", recorder), ("none", LatencyRecorder())])
    #expect(table.headings.map(\.title).contains("p99.99"))
    #expect(table.rows[0][1...3] == ["100", "50.5 µs", "50 µs"])
    #expect(table.rows[1][2] == "—")
  }
}
