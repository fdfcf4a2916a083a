import Foundation
import Glibc
import RealWorld
import Synchronization

/// Recordings of earlier runs that are to make room for new ones. They go when the first of these
/// begins: a run that does not come so far, because nobody listens or a node cannot start, leaves
/// them.
public final class EarlierRecordings: Sendable {
  struct File: Sendable {
    /// From the folder on.
    var name: String
    /// The folder in the folder that it lies in.
    var folder: String?
  }

  private let path: String
  /// Those that are still there.
  private let files: Mutex<[File]>

  init(_ files: [File], in path: String) {
    self.path = path
    self.files = Mutex(files)
  }

  /// Whether there is nothing to remove, or it has been removed.
  public var isEmpty: Bool { files.withLock(\.isEmpty) }

  /// Removes them; to be called before a new recording begins there. Only the first call does
  /// anything. What another process has removed, or writes now under the same name, is its affair.
  ///
  /// - Throws: `RecordingFolderError` when one cannot be removed.
  public func remove() throws(RecordingFolderError) {
    let failure = files.withLock { files -> RecordingFolderError? in
      for file in files {
        let whole = "\(path)/\(file.name)"
        if RecordingFile.isBeingWritten(whole) || unlink(whole) == 0 || errno == ENOENT { continue }
        return RecordingFolderError(
          "\(whole) cannot be removed: \(String(cString: strerror(errno)))")
      }
      // Those that are empty now.
      for folder in Set(files.compactMap(\.folder)) { _ = rmdir("\(path)/\(folder)") }
      files = []
      return nil
    }
    if let failure { throw failure }
  }
}
