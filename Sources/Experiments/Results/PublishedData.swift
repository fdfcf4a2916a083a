import Foundation
import Reporting

extension PublishedResults {
  /// The published points beside a workload file: `published.csv` in its folder, or in `paper` next to
  /// it; none when there is no such file.
  public static func beside(_ workload: String) throws -> PublishedResults {
    let folder = URL(fileURLWithPath: workload).deletingLastPathComponent()
    for candidate in ["published.csv", "paper/published.csv", "../paper/published.csv"] {
      let path = folder.appendingPathComponent(candidate).standardizedFileURL.path
      if FileManager.default.fileExists(atPath: path) {
        return try PublishedResults(contentsOf: path)
      }
    }
    return PublishedResults()
  }
}
