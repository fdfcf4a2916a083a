import Foundation
import Glibc
import RealWorld
import Recording

/// A folder of recordings: one file for each process of a run, or for a simulated cluster.
public struct RecordingFolder: Sendable {
  public let path: String

  /// Makes the folder where there is none.
  ///
  /// - Throws: `RecordingFolderError` when it cannot be made.
  public init(_ path: String) throws(RecordingFolderError) {
    self.path = path
    if let code = Self.makeFolder(path) {
      throw RecordingFolderError(
        "\(path): the folder cannot be made: \(String(cString: strerror(code))); choose another place"
      )
    }
  }

  /// Makes a folder and those above it, unless they are there; else returns why not, as `errno` has
  /// it, which Foundation does not tell.
  private static func makeFolder(_ path: String) -> Int32? {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
      return isFolder.boolValue ? nil : ENOTDIR
    }
    let above = (path as NSString).deletingLastPathComponent
    if !above.isEmpty, above != path, let code = makeFolder(above) { return code }
    return mkdir(path, 0o777) == 0 || errno == EEXIST ? nil : errno
  }

  /// Starts a recording in it.
  public func file(_ name: String, origin: String) throws(RecordingFileError) -> RecordingFile {
    try RecordingFile("\(path)/\(name)\(RecordingFile.suffix)", origin: origin)
  }

  /// The recordings of a file or of a folder and its folders, those that were cut off too, in
  /// order.
  ///
  /// - Throws: `RecordingFolderError` when there are none.
  public static func recordings(at path: String) throws(RecordingFolderError) -> [String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw RecordingFolderError("\(path): no such file or folder")
    }
    if !isFolder.boolValue { return [path] }
    let names = FileManager.default.subpaths(atPath: path) ?? []
    let found = names.filter { RecordingFile.isName($0) }
    if found.isEmpty {
      throw RecordingFolderError(
        "\(path): no recordings here; expected files '*\(RecordingFile.suffix)', as --record makes "
          + "them")
    }
    return found.sorted().map { "\(path)/\($0)" }
  }
}

/// Why recordings cannot be found or kept.
public struct RecordingFolderError: Error, Sendable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}
