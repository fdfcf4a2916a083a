import Foundation
import Logging

/// What to know that stops nothing: one line on standard error, such as `warning: …`.
struct TerminalLogHandler: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    FileHandle.standardError.write(Data("\(event.level): \(event.message)\n".utf8))
  }
}

let log = Logger(label: "heliostat") { _ in TerminalLogHandler() }
