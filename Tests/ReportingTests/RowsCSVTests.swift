import Measurement
import Reporting
import Testing

@Suite struct RowsCSVTests {
  private func row(_ series: String, x: String = "1", y: Double? = 1, unit: String = "s") -> Row {
    Row(
      experiment: "Fig8a", series: series, xName: "object size", x: x, yName: "latency", y: y,
      unit: unit, origin: .simulated)
  }

  @Test("rows come back as they were written, whatever their texts hold")
  func roundTrip() throws {
    let texts = [
      "plain", "a,b", "say \"hi\"", "two\nlines", "dos\r\nline", " outer blanks ", "", "\"",
      "µ–ü 漢",
      "tail,\"", "\t", "x\u{2028}y",
    ]
    var rows = texts.map { row($0) }
    rows[0].y = 0.1 + 0.2
    rows[1].y = nil
    rows[2].yLow = -1e-300
    rows[3].yHigh = Double.greatestFiniteMagnitude
    rows[4].origin = .plot
    rows[5].policies = "Placement[d=2], \"quoted\""
    rows[6].seeds = "1-20"
    #expect(try RowsCSV.rows(RowsCSV.text(rows), path: "rows.csv") == rows)
  }

  @Test("the header names the columns in order, and absent numbers are empty")
  func format() {
    let text = RowsCSV.text([row("a", y: nil), row("b", y: 146_000), row("c", y: .nan)])
    #expect(
      text == """
        experiment,series,x_name,x,y_name,y,y_lo,y_hi,unit,origin,world,architecture,policies,\
        network,seeds
        Fig8a,a,object size,1,latency,,,,s,simulated,,,,,
        Fig8a,b,object size,1,latency,146000,,,s,simulated,,,,,
        Fig8a,c,object size,1,latency,,,,s,simulated,,,,,

        """)
  }

  @Test("no rows make a file that reads as no rows")
  func empty() throws {
    #expect(try RowsCSV.rows(RowsCSV.text([]), path: "rows.csv").isEmpty)
  }

  @Test("errors name the file, the record, and what was expected")
  func errors() {
    let header = "figure,series,x_name,x,y_name,y,y_lo,y_hi,unit,origin,source\n"
    func message(_ text: String) -> String {
      do {
        _ = try RowsCSV.rows(text, path: "data/rows.csv")
        return ""
      } catch { return "\(error)" }
    }
    #expect(
      message(header + "F,s,n,1,y,1,,,s,plot,\nF,s,n,1,y,fast,,,s,plot,\n")
        == "data/rows.csv, record 3: column y: expected a number, got “fast”")
    #expect(message(header + "F,s,n,1,y,1,,,s,guess,\n").contains("expected one of simulated"))
    #expect(message("figure,series\n").contains("there is no column x_name"))
    #expect(message("").contains("there is no column experiment"))
    #expect(message(header + "F,\"s,n\n").contains("not closed"))
  }

  private let table = """
    figure,series,x_name,x,y_name,y,y_lo,y_hi,unit,origin,source
    Fig8a,aware,object size,100KB,latency,0.0001,,,s,plot,the plot
    Fig8a,aware,object size,100KB,latency p99,0.0004,,,s,plot,the plot
    Fig8a,unaware,object size,1MB,mean latency,2,1,3,min,text,"the ""text"", page 7"
    Fig8a,twice,object size,1MB,latency,3,,,s,memory,memory
    Fig8a,twice,object size,1MB,latency,4,,,s,table,the table
    Fig8a,other,object size,1MB,rate,5,,,tasks/s,text,the text

    """

  @Test("published numbers join on experiment, series and x, whatever case or notation")
  func joining() throws {
    let published = try PublishedResults(csv: table, path: "published.csv")
    #expect(published.points.count == 6)

    var ours = row("aware", x: "100000", y: 0.00012)
    ours.experiment = "fig8a"
    let match = try #require(published.match(ours))
    #expect(match.y == 0.0001)
    #expect(abs((published.ratio(ours, to: match) ?? 0) - 1.2) < 1e-12)

    // Another name for the quantity, another unit: the only candidate is taken and converted.
    let slow = row("unaware", x: "1MB", y: 60)
    let text = try #require(published.match(slow))
    #expect(text.source == "the \"text\", page 7")
    #expect(published.ratio(slow, to: text) == 0.5)

    #expect(published.match(row("twice", x: "1MB"))?.origin == .table)
    #expect(published.match(row("other", x: "1MB")) == nil)
    #expect(published.match(row("aware", x: "1MB")) == nil)
    #expect(published.points(experiment: "FIG8A").count == 6)
  }

  @Test("a series of ours may stand for a published one of another name")
  func aliases() throws {
    var published = try PublishedResults(csv: table, path: "published.csv")
    published.aliases = ["locality": "aware"]
    #expect(published.match(row("locality", x: "100KB"))?.y == 0.0001)
  }

  @Test("a file that is not there is an error that names it")
  func missing() {
    #expect(throws: TableError.self) { try PublishedResults(contentsOf: "/nowhere/at.csv") }
  }
}
