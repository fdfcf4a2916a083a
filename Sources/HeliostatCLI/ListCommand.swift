import ArgumentParser
import Experiments
import Foundation
import Reporting
import Scheduling
import Workload

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List policies, workloads, profiles or checks.")

  enum Subject: String, ExpressibleByArgument, CaseIterable {
    case policies, workloads, profiles, checks
  }

  @Argument(help: "What to list: \(Subject.allCases.map(\.rawValue).joined(separator: ", ")).")
  var subject: Subject

  @Option(help: "Where workload files and profiles lie; Workloads by default.")
  var folder: String?

  func run() throws {
    if folder != nil, subject == .policies || subject == .checks {
      throw BadInput(
        "--folder is for workloads and profiles: \(subject.rawValue) lie in no folder, all of them "
          + "are built in; leave --folder out")
    }
    switch subject {
    case .policies:
      for entry in PolicyRegistry.entries {
        Terminal.print(
          "\(pad(entry.kind, 10)) \(pad(entry.name, 16)) \(entry.summary)", indent: 28)
      }
    case .workloads:
      let files = try files("file", except: "clusters") { try WorkloadFile.load($0).title }
      for type in ProgramRegistry.programs {
        list("program", type.name, type.summary, type.measures)
      }
      list(
        "generator", "independent", "independent tasks in a closed loop", IndependentTasks.measures)
      list("graph", "", "tasks and their dependencies, written in the file", GraphTasks.measures)
      print(files, terminator: "")
    case .profiles:
      let profiles = try files("profile", only: "clusters") {
        try ClusterProfile.load($0).description
      }
      print(profiles, terminator: "")
    case .checks:
      for check in ExperimentReport.checkKinds {
        Terminal.print("\(pad(check.name, 18)) \(check.summary)", indent: 19)
        Terminal.print("\(pad("", 18))   \(check.parameters)", indent: 21)
      }
    }
  }

  private func list(_ kind: String, _ name: String, _ summary: String, _ measures: [Measure]) {
    let names = measures.map { "\($0.name) (\($0.unit))" }.joined(separator: ", ")
    Terminal.print("\(pad(kind, 10)) \(pad(name, 22)) \(summary)", indent: 34)
    Terminal.print("\(pad("", 33))   measures: \(names)", indent: 36)
  }

  private func files(
    _ kind: String, only: String? = nil, except: String? = nil,
    _ describe: (String) throws -> String
  ) throws -> String {
    let folder = folder ?? "Workloads"
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder),
      isFolder.boolValue, let files = FileManager.default.enumerator(atPath: folder)
    else {
      throw BadInput("no folder '\(folder)'; run in Heliostat's folder or give --folder")
    }
    let names = files.compactMap { $0 as? String }.filter { $0.hasSuffix(".yaml") }.sorted()
    var lines = ""
    for name in names {
      let isIn = { (part: String) in name.hasPrefix(part + "/") }
      if let only, !isIn(only) { continue }
      if let except, isIn(except) { continue }
      let path = "\(folder)/\(name)"
      let text = (try? describe(path)) ?? "cannot be read; run it to see why"
      lines += "\(pad(kind, 10)) \(path)\n"
      for line in TextWrapping.lines(
        "\(pad("", 10))   \(text)", width: Terminal.width, indent: 13)
      {
        lines += line + "\n"
      }
    }
    return lines
  }

  private func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
