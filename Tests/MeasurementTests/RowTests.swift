import Measurement
import Testing

@Suite struct RowTests {
  @Test(
    "an x is read as a number where it is one, with decimal units",
    arguments: [
      ("256", 256.0), ("1e6", 1e6), ("-3.5", -3.5), ("100KB", 1e5), ("100 KB", 1e5), ("1GB", 1e9),
      ("512B", 512), ("5ms", 0.005), ("2.5us", 2.5e-6), ("3s", 3), ("10min", 600),
    ])
  func numbers(text: String, value: Double) throws {
    let number = try #require(Row.number(text))
    #expect(abs(number - value) <= 1e-12 * abs(value))
  }

  @Test(
    "words and ranges are no numbers",
    arguments: ["", "512x64", "12-200", "small", "KB", "nan", "inf", "tests", "64+0", "s"])
  func words(text: String) {
    #expect(Row.number(text) == nil)
  }

  @Test("a row over seeds carries the mean and its interval")
  func samples() throws {
    let summary = try #require(Summary([1, 2, 3]))
    let row = Row(
      experiment: "e", series: "s", yName: "y", samples: summary, unit: "s", origin: .simulated)
    #expect(row.y == 2)
    #expect(row.yLow == summary.confidenceInterval()?.lowerBound)
    #expect(row.yHigh == summary.confidenceInterval()?.upperBound)
  }

  @Test("numbers made here are told from published ones, and text is preferred to memory")
  func origins() {
    #expect(Origin.allCases.filter { !$0.isPublished } == [.simulated, .real])
    #expect(Origin.text.preference < Origin.plot.preference)
    #expect(Origin.plot.preference < Origin.memory.preference)
  }
}
