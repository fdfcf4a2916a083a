/// Text broken into lines of at most so many characters.
public enum TextWrapping {
  /// Breaks at spaces; within a word that is longer than a line, behind commas; and where there are
  /// none of these not at all. A line break in the text stays one.
  ///
  /// - Parameters:
  ///   - width: of each line, in characters.
  ///   - indent: spaces in front of all lines but the first.
  public static func lines(_ text: String, width: Int, indent: Int = 0) -> [String] {
    let space = String(repeating: " ", count: indent)
    return text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { paragraph in
      if paragraph.count <= width { return [String(paragraph)] }
      var lines: [String] = []
      var line = ""
      var isEmpty = true
      // What spaces there are stay, unless a line ends there.
      var gap = ""
      for word in paragraph.split(separator: " ", omittingEmptySubsequences: false) {
        for piece in pieces(word, width - indent) {
          if !isEmpty && line.count + gap.count + piece.count > width {
            lines.append(line)
            line = space + piece
          } else {
            line += gap + piece
          }
          isEmpty = false
          gap = ""
        }
        gap += " "
      }
      lines.append(line)
      return lines
    }
  }

  /// A word that fits, or what is between its commas.
  private static func pieces(_ word: Substring, _ width: Int) -> [String] {
    if word.isEmpty { return [] }
    if word.count <= width { return [String(word)] }
    var pieces: [String] = [""]
    for character in word {
      pieces[pieces.count - 1].append(character)
      if character == "," { pieces.append("") }
    }
    return pieces.filter { !$0.isEmpty }
  }
}

extension ResultTable {
  /// Cells wrapped so that the table gets no wider than `width` where that can be: lines of words at
  /// the left get narrower, the widest first; numbers at the right stay whole. Headings wrap too;
  /// their last lines are the table's, those above come first.
  func wrapped(to width: Int) -> (above: [[String]], table: ResultTable, widths: [Int]) {
    let rows = rows.map { $0.map { $0.replacing("\n", with: " ") } }
    var widths = headings.map(\.title.count)
    var least = headings.map { Self.longestWord($0.title) }
    for row in rows {
      for (column, cell) in row.enumerated() {
        widths[column] = max(widths[column], cell.count)
        let isWords = headings[column].side == .leading
        least[column] = max(least[column], isWords ? Self.longestWord(cell) : cell.count)
      }
    }
    while widths.reduce(widths.count - 1, +) > width {
      let shrinking = widths.indices.filter { widths[$0] > least[$0] }
      guard let widest = shrinking.max(by: { widths[$0] < widths[$1] }) else { break }
      widths[widest] -= 1
    }
    func lines(_ cells: [String]) -> [[String]] {
      let wrapped = zip(cells, widths).map { TextWrapping.lines($0, width: $1) }
      let count = wrapped.map(\.count).max() ?? 1
      return (0..<count).map { line in wrapped.map { line < $0.count ? $0[line] : "" } }
    }
    // The last line of each heading lies on the dashes.
    let titles = zip(headings, widths).map { TextWrapping.lines($0.title, width: $1) }
    let height = titles.map(\.count).max() ?? 1
    let above = (0..<height).map { line in
      titles.map { line < height - $0.count ? "" : $0[line - height + $0.count] }
    }
    var table = self
    if let last = above.last {
      table.headings = zip(last, headings).map { Heading($0, $1.side) }
    }
    table.rows = rows.flatMap { lines($0) }
    return (Array(above.dropLast()), table, widths)
  }

  private static func longestWord(_ text: String) -> Int {
    text.split(separator: " ").map(\.count).max() ?? 0
  }
}
