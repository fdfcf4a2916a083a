import ArgumentParser
import Experiments
import Foundation
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

  @Option(help: "Where workload files and profiles lie.")
  var folder = "Workloads"

  func run() throws {
    switch subject {
    case .policies:
      for entry in PolicyRegistry.entries {
        print("\(pad(entry.kind, 10)) \(pad(entry.name, 16)) \(entry.summary)")
      }
    case .workloads:
      for type in ProgramRegistry.programs {
        print("\(pad("program", 10)) \(pad(type.name, 22)) \(type.summary)")
      }
      print("\(pad("generator", 10)) \(pad("independent", 22)) independent tasks in a closed loop")
      print("\(pad("graph", 10)) \(pad("", 22)) tasks and their dependencies, written in the file")
      try listFiles("file", except: "clusters") { try WorkloadFile.load($0).title }
    case .profiles:
      try listFiles("profile", only: "clusters") { try ClusterProfile.load($0).description }
    case .checks:
      for name in ExperimentReport.checkNames { print(name) }
    }
  }

  private func listFiles(
    _ kind: String, only: String? = nil, except: String? = nil, _ describe: (String) throws -> String
  ) throws {
    guard let files = FileManager.default.enumerator(atPath: folder) else {
      throw BadInput("no folder '\(folder)'; run in Heliostat's folder or give --folder")
    }
    let names = files.compactMap { $0 as? String }.filter { $0.hasSuffix(".yaml") }.sorted()
    for name in names {
      let isIn = { (part: String) in name.hasPrefix(part + "/") }
      if let only, !isIn(only) { continue }
      if let except, isIn(except) { continue }
      let path = "\(folder)/\(name)"
      let text = (try? describe(path)) ?? "cannot be read; run it to see why"
      print("\(pad(kind, 10)) \(path)\n\(pad("", 10))   \(text)")
    }
  }

  private func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
