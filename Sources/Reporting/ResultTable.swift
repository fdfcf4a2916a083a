import Measurement
import TextTable

/// A table of finished text, which prints to a terminal, as Markdown and as HTML.
public struct ResultTable: Sendable, Hashable {
  public enum Side: Sendable { case leading, trailing }

  public struct Heading: Sendable, Hashable {
    public var title: String
    public var side: Side
    public init(_ title: String, _ side: Side = .leading) {
      self.title = title
      self.side = side
    }
  }

  public var title: String
  public var headings: [Heading]
  /// Each with as many cells as there are headings.
  public var rows: [[String]]
  /// Lines below the table.
  public var notes: [String]

  public init(title: String, headings: [Heading], rows: [[String]], notes: [String] = []) {
    precondition(
      rows.allSatisfy { $0.count == headings.count },
      "every row needs \(headings.count) cells")
    self.title = title
    self.headings = headings
    self.rows = rows
    self.notes = notes
  }

  /// For a terminal, with the title above and the notes below.
  public var terminalText: String { terminalText(width: .max) }

  /// The same in lines of at most `width` characters, except for what cannot be broken.
  public func terminalText(width: Int) -> String {
    let (above, table, widths) = wrapped(to: width)
    let body = Layout.string(table, style: Style.simple, widths: widths) { $0 }
    let heads = above.map { cells in
      zip(zip(cells, headings), widths).map { cell, width in
        let space = String(repeating: " ", count: max(0, width - cell.0.count))
        return cell.1.side == .trailing ? space + cell.0 : cell.0 + space
      }.joined(separator: " ")
    }
    let lines = (heads + body.split(separator: "\n").map(String.init)).map { line in
      var line = line[...]
      while line.last == " " { line = line.dropLast() }
      return String(line)
    }
    let below = notes.flatMap { TextWrapping.lines($0, width: width, indent: 2) }
    return (TextWrapping.lines(title, width: width) + lines + below).joined(separator: "\n") + "\n"
  }

  /// A Markdown table under a heading of the second level.
  public var markdown: String {
    let body = Layout.string(self, style: Style.pipe, cell: Self.escaped)
    let below = notes.map { "\n" + Self.escaped($0) + "\n" }.joined()
    return "## \(Self.escaped(title))\n\n\(body)\(below)"
  }

  /// The table alone, escaped, without title and notes.
  public var html: String {
    func row(_ cells: [String], _ tag: String) -> String {
      let inner = zip(headings, cells).map { heading, cell in
        let side = heading.side == .trailing ? " class=\"n\"" : ""
        return "<\(tag)\(side)>\(Markup.escaped(cell))</\(tag)>"
      }
      return "<tr>\(inner.joined())</tr>\n"
    }
    return "<table>\n<thead>\n\(row(headings.map(\.title), "th"))</thead>\n<tbody>\n"
      + rows.map { row($0, "td") }.joined() + "</tbody>\n</table>\n"
  }

  /// Text that Markdown shows as it is, on one line, also inside a table.
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "\\", "`", "*", "_", "|", "<", ">", "[", "]", "#": result += "\\\(character)"
      case _ where character.isNewline: result += " "
      default: result.append(character)
      }
    }
    return result
  }
}

/// The bridge to TextTable, whose names are kept out of the rest of the module.
private enum Layout {
  static func string(
    _ table: ResultTable, style: TextTableStyle.Type, widths: [Int]? = nil,
    cell: @escaping (String) -> String
  ) -> String {
    let layout = TextTable<[String]> { cells in
      zip(table.headings, cells).enumerated().map { index, column in
        let (heading, text) = column
        return Column(
          title: cell(heading.title), value: cell(text), width: widths?[index],
          align: heading.side == .trailing ? .right : .left)
      }
    }
    if let text = layout.string(for: table.rows, style: style) { return text }
    // TextTable prints nothing without rows; the headings still say what was looked for.
    let empty = [table.headings.map { _ in "" }]
    let text = layout.string(for: empty, style: style) ?? ""
    return text.split(separator: "\n").dropLast().joined(separator: "\n") + "\n"
  }
}
