import Foundation
import Measurement
import Reporting

/// A result read back from its folder.
public struct StoredResult {
  public let path: String
  public let manifest: Manifest
  public let csv: String
  public let rows: [Row]
  public let checks: [Check]
  public let published: PublishedResults

  /// - Throws: a sentence that names the missing or broken file.
  public init(_ directory: String) throws {
    path = directory
    func read(_ name: String) throws -> String {
      do {
        return try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)
      } catch {
        throw StoredResultError(
          "\(directory)/\(name): cannot be read; expected the folder of a result of `heliostat run`"
        )
      }
    }
    let json = try read(ResultDirectory.manifestName)
    do {
      manifest = try Manifest(json: json)
    } catch {
      throw StoredResultError("\(directory)/\(ResultDirectory.manifestName): \(error)")
    }
    csv = try read(ResultDirectory.rowsName)
    rows = try RowsCSV.rows(csv, path: "\(directory)/\(ResultDirectory.rowsName)")
    let text = try read(ResultDirectory.checksName)
    do {
      checks = try JSONDecoder().decode([Check].self, from: Data(text.utf8))
    } catch {
      throw StoredResultError("\(directory)/checks.json: \(error)")
    }
    published =
      try manifest.workload.map { try PublishedResults.beside($0.path) }
      ?? PublishedResults()
  }
}

public struct StoredResultError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
