import ArgumentParser
import Experiments
import Foundation
import Workload

@main
struct HeliostatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "heliostat",
    abstract: "A laboratory for distributed scheduling research.",
    discussion: """
      Runs workload files on a full Ray-like runtime (OSDI'18), in discrete-event simulation or on \
      real processes, and shows the results beside the published ones.

      Exit codes: 0 success, 1 a failed check or run, 2 bad input, 130 interrupted by Ctrl-C, \
      143 by SIGTERM (what had finished is kept).
      """,
    version: Version.text,
    subcommands: [
      RunCommand.self, ReplayCommand.self, NodeCommand.self, ClusterCommand.self, ListCommand.self,
      ReportCommand.self, BenchCommand.self, BenchNodeCommand.self, WorkerCommand.self,
    ])

  /// Bad input ends with code 2 and one clear message; ArgumentParser's own usage errors too.
  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as WorkloadError {
      fail("\(error)", code: 2)
    } catch let error as BadInput {
      fail(error.message, code: 2)
    } catch let code as ExitCode {
      exit(withError: code)
    } catch {
      let isUsage = exitCode(for: error) == .validationFailure
      if isUsage {
        FileHandle.standardError.write(Data((fullMessage(for: error) + "\n").utf8))
        Foundation.exit(2)
      }
      if exitCode(for: error) == .success { exit(withError: error) }
      fail("\(error)", code: 2)
    }
  }

  private static func fail(_ message: String, code: Int32) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    Foundation.exit(code)
  }
}

/// Something the user gave that cannot be used, outside workload files.
struct BadInput: Error {
  let message: String
  init(_ message: String) { self.message = message }
}
