import Foundation
import Reporting

/// Standard output as people read it. What other programs read, such as JSON, is printed as it is.
enum Terminal {
  /// Characters in a line: of the terminal, 80 where there is none.
  static let width: Int = {
    var size = winsize()
    guard isatty(STDOUT_FILENO) == 1, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0,
      size.ws_col > 0
    else { return 80 }
    return max(40, Int(size.ws_col))
  }()

  /// Prints a text in lines that fit, all but the first behind `indent` spaces.
  static func print(_ text: String, indent: Int = 2) {
    for line in TextWrapping.lines(text, width: width, indent: indent) { Swift.print(line) }
  }

  static func print(_ table: ResultTable) { Swift.print(table.terminalText(width: width)) }
}
