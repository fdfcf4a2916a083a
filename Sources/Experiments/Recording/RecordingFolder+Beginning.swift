import Foundation
import Glibc
import RealWorld
import Recording

extension RecordingFolder {
  /// Makes the folder for what will be recorded, or takes one that is there. Recordings of earlier
  /// runs must not be in it: `replay` would take all of them for one run's.
  ///
  /// - Parameters:
  ///   - isOverwriting: earlier recordings are to be removed, by `EarlierRecordings.remove`. Nothing
  ///     else is removed: neither files that only have the name of a recording, nor what lies in
  ///     folders that no run makes.
  ///   - isShared: other processes of the same cluster record into the folder too. What a process
  ///     writes right now is then no earlier run's.
  /// - Returns: the recordings that are to go when the first new one begins.
  /// - Throws: `RecordingFolderError`: it cannot be made or written to, or holds what would be mixed
  ///   with the new ones.
  public static func earlier(
    in path: String, isOverwriting: Bool = false, isShared: Bool = false
  ) throws(RecordingFolderError) -> EarlierRecordings {
    var earlier: [EarlierRecordings.File] = []
    for found in try found(in: path) where !(isShared && found.isBeingWritten) {
      if found.isBeingWritten {
        throw RecordingFolderError(
          "\(path): \(found.name) is being written by another process; choose another folder")
      }
      guard isOverwriting else {
        throw RecordingFolderError(
          "\(path): it holds recordings of an earlier run (\(found.name)), with which the new ones "
            + "would be mixed; choose another folder, or give --overwrite to remove them")
      }
      guard found.isOfRun, found.isRecording else {
        let reason =
          found.isRecording
          ? "lies in a folder of its own" : "has the name of a recording and is none"
        throw RecordingFolderError(
          "\(path): \(found.name) \(reason), so that --overwrite leaves it alone; choose another "
            + "folder, or move it away")
      }
      earlier.append(EarlierRecordings.File(name: found.name, folder: found.folder))
    }
    _ = try RecordingFolder(path)
    return EarlierRecordings(earlier, in: path)
  }

  /// A file with the name of a recording.
  private struct Found {
    /// From the folder on.
    var name: String
    /// The folder in the folder that it lies in.
    var folder: String?
    /// It lies where a run puts its recordings.
    var isOfRun: Bool
    var isRecording: Bool
    var isBeingWritten: Bool
  }

  /// In the order of their names, those in its folders too; none when there is no such folder.
  private static func found(in path: String) throws(RecordingFolderError) -> [Found] {
    let manager = FileManager.default
    var isFolder: ObjCBool = false
    guard manager.fileExists(atPath: path, isDirectory: &isFolder) else { return [] }
    guard isFolder.boolValue else {
      throw RecordingFolderError("\(path): it is a file; expected a folder, or none")
    }
    guard access(path, R_OK | W_OK | X_OK) == 0 else {
      throw RecordingFolderError(
        "\(path): cannot be written to: \(String(cString: strerror(errno))); choose another folder")
    }
    func names(_ path: String) -> [String] {
      ((try? manager.contentsOfDirectory(atPath: path)) ?? []).sorted()
    }
    var found: [Found] = []
    for name in names(path) {
      if RecordingFile.isName(name) {
        found.append(file(name, in: path, folder: nil))
      } else if manager.fileExists(atPath: "\(path)/\(name)", isDirectory: &isFolder),
        isFolder.boolValue
      {
        for inner in names("\(path)/\(name)") where RecordingFile.isName(inner) {
          found.append(file("\(name)/\(inner)", in: path, folder: name))
        }
      }
    }
    return found
  }

  private static func file(_ name: String, in path: String, folder: String?) -> Found {
    let isOfRun = folder.map { $0.wholeMatch(of: /cell-[0-9]+-seed-[0-9]+/) != nil } ?? true
    let file = "\(path)/\(name)"
    return Found(
      name: name, folder: folder, isOfRun: isOfRun, isRecording: isRecording(file),
      isBeingWritten: RecordingFile.isBeingWritten(file))
  }

  /// Whether it begins as a recording does. One that was cut off at once may be empty.
  private static func isRecording(_ file: String) -> Bool {
    var status = stat()
    guard lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      let handle = FileHandle(forReadingAtPath: file)
    else { return false }
    defer { try? handle.close() }
    let begin = (try? handle.read(upToCount: recordingMagic.count)) ?? Data()
    if file.hasSuffix(RecordingFile.partSuffix) { return recordingMagic.starts(with: begin) }
    return begin.elementsEqual(recordingMagic)
  }
}
